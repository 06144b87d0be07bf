/**
 * A CPU profile as a flame graph: one page, wide for much time, deep for deep calls. Frames of one name under the same
 * parent are one; what took less than a thousandth is left out.
 */
import { element, escape, tip } from './page/svg.ts'

interface ProfileNode {
  readonly id: number
  readonly callFrame: {
    readonly functionName: string
    readonly url: string
    readonly lineNumber: number
  }
  readonly children?: readonly number[]
}

/** As Node writes it (.cpuprofile); times are microseconds. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
  /** On the clock of `process.hrtime`. */
  readonly startTime: number
}

/** A stretch on the clock of `process.hrtime`, microseconds. */
export interface Stretch {
  readonly from: number
  readonly until: number
}

interface Frame {
  readonly name: string
  readonly place: string
  self: number
  total: number
  readonly children: Map<string, Frame>
}

const width = 1200
const rowHeight = 18
const leastPart = 0.001
const letterWidth = 6.4
const topCount = 40
/** Not work. */
const resting = new Set(['(idle)', '(program)'])

/** `stretch`: only what was sampled then; loading a program would fill the picture otherwise. */
export function flameGraph(profile: CpuProfile, title: string, stretch: Stretch): string {
  const root = treeOf(profile, stretch)
  const work = [...root.children.values()].filter(({ name }) => !resting.has(name))
  const busy = work.reduce((sum, { total }) => sum + total, 0)
  const rest = (wanted: string) =>
    [...root.children.values()].find(({ name }) => name === wanted)?.total ?? 0
  const drawn: string[] = []
  let depthMost = 0
  const draw = (frames: readonly Frame[], from: number, depth: number): void => {
    let x = from
    for (const frame of frames) {
      const part = frame.total / busy
      if (part >= leastPart) {
        depthMost = Math.max(depthMost, depth)
        drawn.push(drawFrame(frame, { x, depth, part }))
        draw(byTotal(frame), x, depth + 1)
      }
      x += part * width
    }
  }
  draw(
    work.sort((a, b) => b.total - a.total),
    0,
    0,
  )
  const height = (depthMost + 1) * rowHeight
  const svg = element('svg', { viewBox: `0 0 ${width} ${height}`, class: 'flame' }, ...drawn)
  const seconds = (micros: number) => (micros / 1e6).toFixed(2)
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title><style>${style}</style></head>
<body><h1>${escape(title)}</h1><p>${seconds(busy)} s of JavaScript; ${seconds(rest('(program)'))} s in the system and native code outside of it, ${seconds(rest('(idle)'))} s idle.
Rest on a frame to see its name, place and time.</p>${svg}
<h2>By own time</h2><table><tr><th>part</th><th>own ms</th><th></th><th></th></tr>${topRows(root, busy)}</table></body></html>
`
}

function treeOf(profile: CpuProfile, { from, until }: Stretch): Frame {
  const { nodes, samples, timeDeltas } = profile
  const byId = new Map(nodes.map(node => [node.id, node]))
  const own = new Map<number, number>()
  let at = profile.startTime
  for (const [n, id] of samples.entries()) {
    at += timeDeltas[n] ?? 0
    if (at < from || at > until) continue
    own.set(id, (own.get(id) ?? 0) + Math.max(0, timeDeltas[n] ?? 0))
  }
  const grow = (node: ProfileNode, into: Frame): number => {
    const self = own.get(node.id) ?? 0
    into.self += self
    let total = self
    for (const id of node.children ?? []) {
      const child = byId.get(id)
      if (child !== undefined) total += grow(child, childOf(into, child))
    }
    into.total += total
    return total
  }
  const root: Frame = { name: '(root)', place: '', self: 0, total: 0, children: new Map() }
  const first = nodes[0]
  if (first !== undefined) grow(first, root)
  return root
}

function childOf(parent: Frame, { callFrame }: ProfileNode): Frame {
  const { functionName, url, lineNumber } = callFrame
  const file = url
    .replace(/^file:\/\//, '')
    .replace(/^.*\/(node_modules|dist|\.build\/[^/]+)\//, '')
  const name = functionName === '' ? '(anonymous)' : functionName
  const place = file === '' ? '' : `${file}:${lineNumber + 1}`
  const key = `${name} ${place}`
  let frame = parent.children.get(key)
  if (frame === undefined) {
    frame = { name, place, self: 0, total: 0, children: new Map() }
    parent.children.set(key, frame)
  }
  return frame
}

function byTotal({ children }: Frame): Frame[] {
  return [...children.values()].sort((a, b) => b.total - a.total)
}

/** Own code, packages, Node and the engine are told apart by colour. */
function kindOf({ name, place }: Frame): string {
  if (name.startsWith('(')) return place === '' ? 'engine' : 'own'
  if (place === '' || place.startsWith('node:')) return 'node'
  return /^(lib|raft|cmd|bench|test)\//.test(place) ? 'own' : 'package'
}

function drawFrame(
  frame: Frame,
  { x, depth, part }: { x: number; depth: number; part: number },
): string {
  const y = depth * rowHeight
  const wide = part * width
  const { name, place, total, self } = frame
  const ms = (micros: number) => (micros / 1000).toFixed(1)
  const text = `${name} ${place}: ${(part * 100).toFixed(1)} %, ${ms(total)} ms, own ${ms(self)} ms`
  const letters = Math.floor((wide - 6) / letterWidth)
  const shown = letters < 3 ? '' : name.length <= letters ? name : `${name.slice(0, letters - 1)}…`
  const size = { width: Math.max(0.3, wide - 0.6), height: rowHeight - 1 }
  return element(
    'g',
    {},
    tip(text),
    element('rect', { x, y, ...size, rx: 2, class: kindOf(frame) }),
    shown === '' ? '' : element('text', { x: x + 3, y: y + 13 }, escape(shown)),
  )
}

function topRows(root: Frame, busy: number): string {
  const sums = new Map<string, Frame>()
  const walk = (frame: Frame): void => {
    const key = `${frame.name} ${frame.place}`
    const known = sums.get(key)
    if (known === undefined) sums.set(key, { ...frame })
    else known.self += frame.self
    for (const child of frame.children.values()) walk(child)
  }
  walk(root)
  return [...sums.values()]
    .filter(({ name, self }) => self > 0 && !resting.has(name))
    .sort((a, b) => b.self - a.self)
    .slice(0, topCount)
    .map(({ name, place, self }) => {
      const fields = [
        `${((self / busy) * 100).toFixed(1)} %`,
        (self / 1000).toFixed(1),
        name,
        place,
      ]
      return `<tr>${fields.map(field => `<td>${escape(field)}</td>`).join('')}</tr>`
    })
    .join('')
}

const style = `
:root { color-scheme: light dark; --own: #f2a65a; --package: #e8d26a; --node: #9cc7e8; --engine: #c9c4d4; --ink: #1c1d21; }
body { font: 14px/1.5 system-ui, 'DejaVu Sans', sans-serif; margin: 28px; }
h1 { font-size: 20px; } h2 { font-size: 16px; margin-top: 28px; }
.flame { width: 100%; height: auto; } .flame text { font-size: 11px; fill: var(--ink); pointer-events: none; }
.own { fill: var(--own); } .package { fill: var(--package); } .node { fill: var(--node); } .engine { fill: var(--engine); }
.flame g:hover rect { stroke: currentColor; stroke-width: 1; }
table { border-collapse: collapse; font-size: 13px; } td, th { padding: 3px 14px 3px 0; text-align: left; }
td:nth-child(-n+2) { text-align: right; font-variant-numeric: tabular-nums; }
`
