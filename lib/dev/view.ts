/**
 * What `licd dev` draws: the pool as bars, the last events below them. Pure: status and events in, lines out.
 *
 * Everything shown comes from the answers and events that any operator's program gets, so what a newcomer
 * sees here is what the pool says of itself, not what this program knows of its children.
 */
import { styleText } from 'node:util'
import { shownState } from '../ctl/pool-view.ts'
import type { FeatureStatus, PoolStatus } from '../protocol/ctl.ts'

export interface DevView {
  readonly status: PoolStatus | undefined
  /** Newest last. */
  readonly events: readonly string[]
  /** Servers whose process was killed by key and not restarted. */
  readonly killed: ReadonlySet<string>
  readonly clients: string
  /** Where to look on: the page, and the line to type in a second terminal. */
  readonly hints: readonly string[]
  readonly width: number
  readonly height: number
  readonly colours: boolean
}

type Colour = Parameters<typeof styleText>[0]

export function draw(view: DevView): string[] {
  const paint = (colour: Colour, text: string) =>
    view.colours ? styleText(colour, text, { validateStream: false }) : text
  const lines: string[] = []
  const { status } = view
  if (status === undefined) {
    lines.push(paint('bold', 'licd dev'), '', 'Waiting for the first server to answer ...')
  } else {
    lines.push(headline(status, view, paint), '')
    for (const feature of status.features) lines.push(...drawFeature(feature, status, view, paint))
  }
  lines.push(paint('dim', view.clients), '')
  const room = Math.max(3, view.height - lines.length - 2 - view.hints.length)
  lines.push(...view.events.slice(-room).map(event => cut(event, view.width)))
  lines.push('', ...view.hints.map(hint => paint('dim', cut(hint, view.width))), keys(paint))
  return lines
}

function keys(paint: (colour: Colour, text: string) => string): string {
  const key = (name: string, what: string) => `${paint('inverse', ` ${name} `)} ${what}`
  return [key('k', 'kill the leader'), key('r', 'restart it'), key('q', 'quit')].join('   ')
}

function headline(
  status: PoolStatus,
  view: DevView,
  paint: (colour: Colour, text: string) => string,
): string {
  const servers = status.servers.map(server => {
    const name = server.leader ? `${server.name}*` : server.name
    if (view.killed.has(server.name)) return paint('red', `${name} killed`)
    const colour = server.state === 'up' ? 'green' : server.state === 'silent' ? 'yellow' : 'red'
    return paint(colour, `${name} ${shownState(server, status.tick)}`)
  })
  const leader = status.leader ?? 'none'
  return `${paint('bold', `pool ${status.pool}`)}  leader ${leader}  ${servers.join('  ')}  tick ${status.tick}`
}

function drawFeature(
  feature: FeatureStatus,
  status: PoolStatus,
  view: DevView,
  paint: (colour: Colour, text: string) => string,
): string[] {
  const owed = feature.owed > 0 ? `, owed ${feature.owed}` : ''
  const lines = [
    `${paint('bold', feature.name)}  ${feature.allocations} allocations, free pool ${feature.free}${owed}`,
  ]
  const nameWidth = Math.max(4, ...status.servers.map(({ name }) => name.length))
  const barWidth = Math.max(10, view.width - nameWidth - 34)
  const scale = Math.min(1, barWidth / Math.max(1, feature.allocations))
  for (const share of feature.shares) {
    const { inUse } = share
    const used = Math.round(Math.min(inUse, share.share) * scale)
    const idle = Math.max(0, Math.round(share.share * scale) - used)
    const bar = paint('cyan', '█'.repeat(used)) + paint('dim', '░'.repeat(idle))
    const pad = ' '.repeat(Math.max(0, barWidth - used - idle))
    const waiting = share.demand > 0 ? paint('yellow', ` ${share.demand} waiting`) : ''
    const figures = `${inUse}/${share.share} in use, target ${share.target}`
    lines.push(`  ${share.server.padEnd(nameWidth)} ${bar}${pad} ${figures}${waiting}`)
  }
  const free = '·'.repeat(Math.round(feature.free * scale))
  lines.push(`  ${'free'.padEnd(nameWidth)} ${paint('green', free)}`, '')
  return lines
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`
}
