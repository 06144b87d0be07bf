/**
 * What `licd dev` draws: the pool as bars, the last events below them. Pure: status and events in, lines out.
 *
 * Everything shown comes from the answers and events that any operator's program gets, so what a newcomer
 * sees here is what the pool says of itself, not what this program knows of its children.
 */
import { styleText } from 'node:util'
import type { FeatureStatus, PoolStatus, SyncChange, SyncEvent } from '../protocol/ctl.ts'

export interface DevView {
  readonly status: PoolStatus | undefined
  /** Newest last. */
  readonly events: readonly string[]
  /** Servers whose process was killed by key and not restarted. */
  readonly killed: ReadonlySet<string>
  readonly clients: string
  /** The one line to type in a second terminal. */
  readonly hint: string
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
  const room = Math.max(3, view.height - lines.length - 3)
  lines.push(...view.events.slice(-room).map(event => cut(event, view.width)))
  lines.push('', paint('dim', cut(view.hint, view.width)), keys(paint))
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
    return paint(colour, `${name} ${server.state}`)
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

/**
 * A sync event in words, one line per thing that a person would want to see: changes of the same kind, made
 * together, are told together.
 */
export function describe(event: SyncEvent): string[] {
  if (!event.leader) return []
  const told = new Map<string, { words: (count: number) => string; count: number }>()
  for (const change of event.changes) {
    for (const { key, count, words } of tellings(change)) {
      const same = told.get(key)
      if (same === undefined) told.set(key, { words, count })
      else same.count += count
    }
  }
  return [...told.values()].map(({ words, count }) => words(count))
}

interface Telling {
  /** Equal for what can be told in one line. */
  readonly key: string
  readonly count: number
  readonly words: (count: number) => string
}

function tellings({ type, feature = '', by, to = '?', taken = [] }: SyncChange): Telling[] {
  const given = taken.filter(({ count }) => count > 0)
  const who = by.startsWith('server:') ? by.slice('server:'.length) : by
  const plain = (text: string): Telling[] => [{ key: text, count: 1, words: () => text }]
  switch (type) {
    case 'borrow':
      if (given.length === 0) return plain(`${to} finds no ${feature} to borrow and waits`)
      return given.map(({ source, server, count }) => ({
        key: `${type} ${feature} ${to} ${source} ${server ?? ''}`,
        count,
        words: n => `${to} borrows ${n} ${feature} from ${sourceName(source, server, n)}`,
      }))
    case 'lend':
    case 'return':
      return given.map(({ count }) => ({
        key: `${type} ${feature} ${who} ${to}`,
        count,
        words: n =>
          type === 'lend'
            ? `${who} lends ${n} ${feature} to ${to}, where clients wait`
            : `${who} gives ${n} idle ${feature} back to the free pool`,
      }))
    case 'hello':
    case 'demand':
    case 'leave':
      return []
    case 'tick':
      return plain('the free pool fills shares up to their targets, or down servers pay what waits')
    default:
      return plain(`${who}: ${type} ${feature}`)
  }
}

function sourceName(source: string, server: string | undefined, count: number): string {
  switch (source) {
    case 'free':
      return 'the free pool'
    case 'down':
      return `${server ?? '?'}, which is down`
    case 'offer':
      return `the leader, ${server ?? '?'}`
    case 'move':
      return `${server ?? '?'}, along with ${count === 1 ? "a client's seat" : "clients' seats"}`
    default:
      return server ?? source
  }
}
