/**
 * What `licd ctl top` shows, as lines of at most `width` columns. Pure: a view of the pool and events in, text out.
 *
 * Features have a line for each server while there is room; where there is not, one line each; what still does not fit is
 * counted.
 */
import { shownState, type PoolView } from '../../lib/ctl/pool-view.ts'
import { partsOf, shareParts, type ShareParts } from '../../lib/http/figures.ts'
import type { FeatureStatus, ServerStatus } from '../../lib/protocol/ctl.ts'
import { harmlessLine, type Program } from '../program.ts'
import { cutMiddle, formatDuration } from '../table.ts'
import { mayGrant } from './status.ts'

export interface TopView {
  readonly view: PoolView
  /** Newest last; text from outside. */
  readonly events: readonly string[]
  /** What is wrong with the view itself: nobody answers. */
  readonly trouble?: string
  /** First feature that is shown. */
  readonly from: number
  readonly width: number
  /** Infinity where nothing is to be cut. */
  readonly height: number
  /** Shown below; absent where there are no keys. */
  readonly keys?: string
  readonly paint: Program['paint']
}

type Colour = Parameters<Program['paint']>[0]
type Part = string | readonly [Colour, string]
type Line = readonly Part[]

const eventsLeast = 4
const nameMost = 16
const glyphs = { used: '█', idle: '░', dark: '▒', owed: '▓', free: '·' } as const
type Kind = keyof typeof glyphs
const colours: Readonly<Record<Kind, Colour>> = {
  used: 'cyan',
  idle: 'dim',
  dark: 'magenta',
  owed: 'red',
  free: 'green',
}

export function topFrame(top: TopView): string[] {
  const { width, height, paint, events, keys } = top
  const head = [...headOf(top), [], ...serversOf(top), []]
  const foot: Line[] = keys === undefined ? [] : [[['dim', keys]]]
  const eventRoom = height === Infinity ? events.length : Math.min(events.length, eventsLeast)
  const room = height - head.length - foot.length - (eventRoom > 0 ? eventRoom + 1 : 0)
  const features = featuresOf(top, Math.max(1, room))
  const left = height - head.length - features.length - foot.length - 1
  const shown = left >= 1 ? events.slice(-Math.min(left, events.length)) : []
  const news: Line[] = shown.length === 0 ? [] : [[], ...shown.map(text => [harmlessLine(text)])]
  const body = [...head, ...features, ...news].slice(0, Math.max(0, height - foot.length))
  // Keys stay on the last line of the screen.
  if (height !== Infinity && keys !== undefined)
    while (body.length < height - foot.length) body.push([])
  return [...body, ...foot].map(line => render(line, width, paint))
}

function headOf({ view, trouble }: TopView): Line[] {
  const { status, answeredBy } = view
  const { pool, leader, tick, revision, tickAgeMs, settings, heldTicks } = status
  const lines: Line[] = [
    [
      ['bold', `pool ${pool}`],
      '  leader ',
      leader === undefined ? (['red', 'none'] as const) : leader,
      `  revision ${revision}  tick ${tick}  says ${answeredBy}`,
    ],
  ]
  if (trouble !== undefined) lines.push([['red', harmlessLine(trouble)]])
  if (tickAgeMs > 3 * settings.tickMs) {
    lines.push([['red', `${answeredBy} has heard no leader for ${formatDuration(tickAgeMs)}`]])
  }
  if (heldTicks !== undefined) {
    lines.push([['yellow', `restored: serves in ${formatDuration(heldTicks * settings.tickMs)}`]])
  }
  return lines
}

function serversOf({ view, width }: TopView): Line[] {
  const { status, lease } = view
  const names = nameWidth(status.servers)
  const lines: Line[] = [
    [['bold', `${'SERVER'.padEnd(names)}  STATE     ROLE    MAY GRANT FOR    SHARE   IN USE`]],
  ]
  for (const server of status.servers) {
    const [share, inUse] = sumsOf(view, server.name)
    const grant = mayGrant(server, lease[server.name]?.leaseLeftMs, status.settings.tickMs)
    const about = view.live.includes(server.name) ? '' : '~'
    lines.push([
      pad(server.name, names),
      '  ',
      [stateColour[server.state], shownState(server, status.tick).padEnd(8)],
      `  ${(server.leader ? 'leader' : '').padEnd(6)}  ${grant.padEnd(14)}`,
      `${String(share).padStart(8)} ${`${about}${inUse}`.padStart(8)}`,
    ])
  }
  lines.push([['dim', cut(legend, width)]])
  return lines
}

const legend = '█ in use  ░ idle  ▒ dark  ▓ owed  · free pool  (~ as of its last keepalive)'
const stateColour = { up: 'green', silent: 'yellow', down: 'red' } as const

function sumsOf({ status }: PoolView, name: string): [share: number, inUse: number] {
  let [share, inUse] = [0, 0]
  for (const { shares } of status.features) {
    const row = shares.find(({ server }) => server === name)
    share += row?.share ?? 0
    inUse += row?.inUse ?? 0
  }
  return [share, inUse]
}

function featuresOf({ view, from, width }: TopView, room: number): Line[] {
  const { features, servers } = view.status
  if (features.length === 0) return [['no features yet: licd ctl feature add NAME COUNT --local']]
  const first = Math.min(from, features.length - 1)
  const shown = features.slice(first)
  const names = nameWidth([...servers, ...shown])
  const whole = shown.flatMap(feature => [
    brief(feature, names, width),
    ...rowsOf(view, feature, names, width),
  ])
  if (first === 0 && whole.length <= room) return whole
  const fitting = shown.slice(0, Math.max(1, room - 1))
  const more = [
    ...(first > 0 ? [`${first} above`] : []),
    ...(shown.length > fitting.length ? [`${shown.length - fitting.length} below`] : []),
    'licd ctl top FEATURE shows one by server',
  ]
  return [
    ...fitting.map(feature => brief(feature, names, width)),
    [['dim', `features: ${more.join(', ')}`]],
  ]
}

/** The feature as one bar, with what matters of it in words. */
function brief(feature: FeatureStatus, names: number, width: number): Line {
  const parts = partsOf(feature)
  const waiting = feature.shares.reduce((sum, { demand }) => sum + demand, 0)
  const texts = [
    `${parts.inUse}/${feature.allocations}`,
    ...(parts.free > 0 ? [`${parts.free} free`] : []),
    ...(parts.dark > 0 ? [`${parts.dark} dark`] : []),
    ...(parts.owed > 0 ? [`${parts.owed} owed`] : []),
    ...(waiting > 0 ? [`${waiting} waiting`] : []),
  ]
  const room = barRoom(names, width)
  const { inUse, owed, dark, idle, free } = parts
  const bar = barOf(
    { used: inUse, owed, dark, idle, free },
    room / Math.max(1, feature.allocations + owed),
    room,
  )
  return [['bold', pad(feature.name, names)], '  ', ...bar, ' ', texts.join(', ')]
}

function rowsOf(view: PoolView, feature: FeatureStatus, names: number, width: number): Line[] {
  const room = barRoom(names, width)
  const largest = Math.max(1, ...feature.shares.map(({ share }) => share))
  return feature.shares
    .filter(({ share, target, demand }) => share + target + demand > 0)
    .map(row => {
      const { share, target, demand, server } = row
      const parts: ShareParts = shareParts(feature, row)
      const { inUse: used, idle, dark } = parts
      const about = view.live.includes(server) ? '' : '~'
      const owes = share > target ? `${share - target} borrowed` : `${target - share} lent`
      const texts = [
        `${about}${row.inUse}/${share}`,
        ...(share === target ? [] : [owes]),
        ...(demand > 0 ? [`${demand} waiting`] : []),
      ]
      return [
        pad(`  ${server}`, names),
        '  ',
        ...barOf({ used, idle, dark, owed: 0, free: 0 }, room / largest, room),
        ' ',
        texts.join(', '),
      ]
    })
}

/** What is left of a line beside the name and the words. */
function barRoom(names: number, width: number): number {
  return Math.max(6, Math.min(60, width - names - 36))
}

/** Each part at least one column wide, however small; exactly `room` columns with the blanks. */
function barOf(counts: Readonly<Record<Kind, number>>, scale: number, room: number): Part[] {
  const kinds = (['used', 'owed', 'dark', 'idle', 'free'] as const).filter(kind => counts[kind] > 0)
  const widths = new Map(kinds.map(kind => [kind, Math.max(1, Math.round(counts[kind] * scale))]))
  let total = [...widths.values()].reduce((sum, width) => sum + width, 0)
  while (total > room) {
    const [widest] = [...widths].sort((a, b) => b[1] - a[1])
    if (widest === undefined || widest[1] <= 1) break
    widths.set(widest[0], widest[1] - 1)
    total--
  }
  const drawn = [...widths].map(([kind, width]): Part => [
    colours[kind],
    glyphs[kind].repeat(width),
  ])
  return [...drawn, ' '.repeat(Math.max(0, room - total))]
}

function nameWidth(named: readonly Pick<ServerStatus, 'name'>[]): number {
  return Math.min(nameMost, Math.max(6, ...named.map(({ name }) => name.length + 2)))
}

function pad(text: string, width: number): string {
  return cutMiddle(text, width).padEnd(width)
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`
}

/** Cut to the width before it is painted: what colours is no text. */
function render(line: Line, width: number, paint: Program['paint']): string {
  let left = width
  let text = ''
  for (const part of line) {
    const [colour, plain] = typeof part === 'string' ? [undefined, part] : part
    const shown = cut(plain, left)
    left -= shown.length
    text += colour === undefined || shown === '' ? shown : paint(colour, shown)
    if (left <= 0) break
  }
  return text.trimEnd()
}
