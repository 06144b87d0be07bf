/**
 * The timeline of a chaos run as a picture (SVG): what was done to whom, who led, and how grants, renewals, moves and losses
 * went on meanwhile; below, the seats in use against what exists.
 *
 * A lane per host, with its server and its broker; a lane per site of clients. Time runs to the right.
 */
import { beliefsOf, limitsOf, type Violation } from './checker.ts'
import type { FaultLine, Line } from './history.ts'

const width = 1_600
const left = 110
const right = 20
const laneHeight = 34
const graphHeight = 70
const seriesHeight = 44
/** Where the legend explains the thin bands in a host's lane. */
const bandsAt = width - 180
const upColour = '#a5d6a7'
const leadsColour = '#333'

/** Colour by kind, grouped: red ends, violet stops, blue cuts, amber disks, green the rest. */
const colours: Readonly<Record<string, string>> = {
  'server killed': '#c62828',
  'server stopped': '#7b1fa2',
  'rolling restart': '#2e7d32',
  'host isolated': '#1565c0',
  'hosts cut apart': '#1e88e5',
  'cut one way': '#4fc3f7',
  'disk full': '#ef6c00',
  'disk frozen': '#f9a825',
  'disk slow': '#c0a040',
  'broker killed': '#e57373',
  'broker frozen': '#ba68c8',
  'wall clock set': '#00897b',
  'clients stopped': '#9575cd',
  'clients killed': '#e91e63',
}

interface Frame {
  readonly from: number
  readonly to: number
  readonly x: (t: number) => number
}

export interface PictureOptions {
  readonly title: string
  readonly hosts: readonly string[]
  readonly sites: readonly string[]
  readonly violations: readonly Violation[]
}

export function drawRun(lines: readonly Line[], options: PictureOptions): string {
  const frame = frameOf(lines)
  const faults = lines.filter((line): line is FaultLine => line.k === 'fault')
  const parts: string[] = []
  let y = 64
  parts.push(...legend(faults, y))
  y += 40
  const lanesFrom = y
  for (const host of options.hosts) {
    parts.push(...hostLane(host, y, { lines, faults, frame }))
    y += laneHeight + 8
  }
  for (const site of options.sites) {
    const own = faults.filter(({ target }) => target.startsWith(`${site}.`))
    parts.push(label(site, y + 13), track(y + 2, 16, frame), ...spans(own, y + 2, 16, frame))
    y += 22
  }
  y += 12
  for (const [name, colour, fits] of series) {
    parts.push(...density(name, colour, { times: lines.filter(fits).map(timeOf), y, frame }))
    y += seriesHeight + 8
  }
  for (const feature of featuresOf(lines)) {
    parts.push(...usage(feature, { lines, y, frame }))
    y += graphHeight + 14
  }
  for (const { t } of options.violations) {
    parts.push(
      `<line x1="${px(frame.x(t))}" x2="${px(frame.x(t))}" y1="60" y2="${y}" stroke="#f00" stroke-width="2"/>`,
    )
  }
  parts.push(...axis(frame, lanesFrom, y))
  y += 34
  const head = `<text x="16" y="28" font-size="18" font-weight="600">${escape(options.title)}</text>`
  const verdict =
    options.violations.length === 0
      ? '<text x="16" y="48" fill="#2e7d32">no violation</text>'
      : `<text x="16" y="48" fill="#c62828">${options.violations.length} violations: ${escape(options.violations[0]?.what ?? '')}</text>`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" font-family="sans-serif" font-size="12" fill="#222">`,
    `<rect width="${width}" height="${y}" fill="#fff"/>`,
    ...[head, verdict, ...parts],
    '</svg>',
    '',
  ].join('\n')
}

const series: readonly (readonly [string, string, (line: Line) => boolean])[] = [
  ['grants', '#2e7d32', line => line.k === 'grant' && !line.client.startsWith('filler')],
  ['renewals', '#1565c0', line => line.k === 'renew'],
  ['fail-overs', '#ef6c00', line => line.k === 'move'],
  ['seats lost', '#c62828', line => line.k === 'end' && line.why === 'lost'],
]

function timeOf(line: Line): number {
  return line.k === 'fault' ? line.from : line.t
}

function frameOf(lines: readonly Line[]): Frame {
  const times = lines.map(timeOf)
  const from = times.reduce((least, t) => Math.min(least, t), Infinity)
  const to = times.reduce((most, t) => Math.max(most, t), from + 1)
  const x = (t: number): number => left + ((t - from) / (to - from)) * (width - left - right)
  return { from, to, x }
}

function px(value: number): string {
  return value.toFixed(1)
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

function label(text: string, y: number): string {
  return `<text x="${left - 8}" y="${y}" text-anchor="end">${escape(text)}</text>`
}

function track(y: number, height: number, { from, to, x }: Frame): string {
  return `<rect x="${px(x(from))}" y="${y}" width="${px(x(to) - x(from))}" height="${height}" fill="#f0f0f0"/>`
}

function spans(faults: readonly FaultLine[], y: number, height: number, { x }: Frame): string[] {
  return faults.map(({ kind, target, from, to }) => {
    const title = `<title>${escape(`${kind}: ${target}, ${((to - from) / 1000).toFixed(1)} s`)}</title>`
    const wide = Math.max(2, x(to) - x(from))
    return `<rect x="${px(x(from))}" y="${y}" width="${px(wide)}" height="${height}" fill="${colours[kind] ?? '#555'}">${title}</rect>`
  })
}

function legend(faults: readonly FaultLine[], y: number): string[] {
  const counts = new Map<string, number>()
  for (const { kind } of faults) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  const kinds = Object.keys(colours).filter(kind => counts.has(kind))
  const half = Math.ceil(kinds.length / 2)
  const bands = [
    `<rect x="${bandsAt}" y="${y + 5}" width="30" height="4" fill="${upColour}"/>`,
    `<text x="${bandsAt + 36}" y="${y + 11}">its process is ready</text>`,
    `<rect x="${bandsAt}" y="${y + 22}" width="30" height="5" fill="${leadsColour}"/>`,
    `<text x="${bandsAt + 36}" y="${y + 29}">it leads</text>`,
  ]
  const blocks = kinds.flatMap((kind, n) => {
    const [x, top] = [16 + (n % half) * 180, y + (n < half ? 0 : 18)]
    return [
      `<rect x="${x}" y="${top}" width="12" height="12" fill="${colours[kind]}"/>`,
      `<text x="${x + 17}" y="${top + 11}">${kind} (${counts.get(kind) ?? 0})</text>`,
    ]
  })
  return [...blocks, ...bands]
}

/** Above what was done to the host, below who led and when the server's process was there. */
function hostLane(
  host: string,
  y: number,
  { lines, faults, frame }: { lines: readonly Line[]; faults: readonly FaultLine[]; frame: Frame },
): string[] {
  const { x, to } = frame
  const parts = [label(host, y + 20), track(y, laneHeight, frame)]
  const own = faults.filter(({ target }) => target === host || target === 'all')
  parts.push(...spans(own, y, 20, frame))
  let upFrom: number | undefined
  const told = lines.filter(line => line.k === 'server' && line.server === host).sort(byTime)
  const up = (until: number): void => {
    if (upFrom === undefined) return
    const wide = px(x(until) - x(upFrom))
    parts.push(
      `<rect x="${px(x(upFrom))}" y="${y + 22}" width="${wide}" height="4" fill="${upColour}"/>`,
    )
    upFrom = undefined
  }
  for (const line of told) {
    if (line.k !== 'server') continue
    if (line.what === 'ready') upFrom = line.t
    else if (line.what === 'ended') up(line.t)
  }
  up(to)
  for (const [from, until] of reignsOf(host, lines, to)) {
    const wide = px(Math.max(1, x(until) - x(from)))
    parts.push(
      `<rect x="${px(x(from))}" y="${y + 28}" width="${wide}" height="5" fill="${leadsColour}"><title>leads</title></rect>`,
    )
  }
  return parts
}

function byTime(a: Line, b: Line): number {
  return timeOf(a) - timeOf(b)
}

/** While the newest word of any server named this one as the leader. */
function reignsOf(host: string, lines: readonly Line[], end: number): [number, number][] {
  const reigns: [number, number][] = []
  let since: number | undefined
  let term = 0
  for (const line of lines.filter(({ k }) => k === 'sample').sort(byTime)) {
    if (line.k !== 'sample' || line.leader === undefined || line.term < term) continue
    term = line.term
    if (line.leader === host) since ??= line.t
    else if (since !== undefined) {
      reigns.push([since, line.t])
      since = undefined
    }
  }
  if (since !== undefined) reigns.push([since, end])
  return reigns
}

/** How many happened in each second. */
function density(
  name: string,
  colour: string,
  { times, y, frame }: { times: readonly number[]; y: number; frame: Frame },
): string[] {
  const { from, to, x } = frame
  const seconds = Array<number>(Math.ceil((to - from) / 1_000)).fill(0)
  for (const t of times) {
    const at = Math.min(seconds.length - 1, Math.floor((t - from) / 1_000))
    seconds[at] = (seconds[at] ?? 0) + 1
  }
  const most = Math.max(1, ...seconds)
  const wide = x(from + 1_000) - x(from)
  const bars = seconds.flatMap((count, n) => {
    if (count === 0) return []
    const high = (count / most) * seriesHeight
    return [
      `<rect x="${px(x(from + n * 1_000))}" y="${px(y + seriesHeight - high)}" width="${px(Math.max(1, wide - 0.5))}" height="${px(high)}" fill="${colour}"/>`,
    ]
  })
  const note = `<text x="${left - 8}" y="${y + 34}" text-anchor="end" fill="#777" font-size="10">max ${most}/s</text>`
  return [label(name, y + 20), note, track(y, seriesHeight, frame), ...bars]
}

function featuresOf(lines: readonly Line[]): string[] {
  return [...new Set(lines.flatMap(line => (line.k === 'grant' ? [line.feature] : [])))].sort()
}

/** Seats believed in, and above them the line that they must not pass. */
function usage(
  feature: string,
  { lines, y, frame }: { lines: readonly Line[]; y: number; frame: Frame },
): string[] {
  const { x, from, to } = frame
  const changes = beliefsOf(lines)
    .filter(belief => belief.feature === feature)
    .flatMap(belief => [
      { t: belief.from, by: belief.count },
      { t: Math.min(belief.until, to), by: -belief.count },
    ])
    .sort((a, b) => a.t - b.t)
  const steps = limitsOf(lines).get(feature) ?? []
  // The limit that is told is the last one; the highest fills the lane.
  const top = Math.max(1, ...steps.map(({ limit }) => limit)) * 1.05
  const high = (value: number): string => px(y + graphHeight * (1 - value / top))
  let valid = 0
  const area = [`M${px(x(from))} ${high(0)}`]
  for (const { t, by } of changes) {
    area.push(`H${px(x(t))}`)
    valid += by
    area.push(`V${high(valid)}`)
  }
  area.push(`H${px(x(to))} V${high(0)} Z`)
  const line = [`M${px(x(from))} ${high(0)}`]
  for (const { t, limit } of steps) line.push(`H${px(x(t))} V${high(limit)}`)
  line.push(`H${px(x(to))}`)
  return [
    label(feature, y + 30),
    `<text x="${left - 8}" y="${y + 44}" text-anchor="end" fill="#777" font-size="10">seats</text>`,
    `<text x="${left - 8}" y="${y + 57}" text-anchor="end" fill="#c62828" font-size="10">limit ${steps.at(-1)?.limit ?? 0}</text>`,
    track(y, graphHeight, frame),
    `<path d="${area.join(' ')}" fill="#90caf9"/>`,
    `<path d="${line.join(' ')}" fill="none" stroke="#c62828" stroke-width="1.2"/>`,
  ]
}

function axis({ from, to, x }: Frame, top: number, y: number): string[] {
  const seconds = (to - from) / 1_000
  const step = [5, 10, 15, 30, 60, 120, 300].find(each => seconds / each <= 20) ?? 600
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, n) => n).flatMap(n => {
    const at = px(x(from + n * step * 1_000))
    return [
      `<line x1="${at}" x2="${at}" y1="${top}" y2="${y}" stroke="#000" stroke-opacity="0.08"/>`,
      `<text x="${at}" y="${y + 16}" text-anchor="middle" fill="#777">${n * step} s</text>`,
    ]
  })
}
