/**
 * Changes of the distribution in words, as people tell them: for `licd dev`, `licd ctl top` and the page.
 */
import type { CodeEvent, SyncChange, SyncEvent } from '../protocol/event.ts'

/**
 * A sync event in words, one line per thing that a person would want to see: changes of the same kind, made
 * together, are told together.
 */
export function describe(event: SyncEvent): string[] {
  return event.leader ? describeChanges(event.changes).map(({ text }) => text) : []
}

/** One thing that happened, in words, with the kind of change it was. */
export interface Described {
  readonly kind: string
  readonly feature?: string
  readonly text: string
}

export function describeChanges(changes: readonly SyncChange[]): Described[] {
  const told = new Map<string, { change: SyncChange; words: Telling['words']; count: number }>()
  for (const change of changes) {
    for (const { key, count, words } of tellings(change)) {
      const same = told.get(key)
      if (same === undefined) told.set(key, { change, words, count })
      else same.count += count
    }
  }
  return [...told.values()].map(({ change: { type, feature }, words, count }) => ({
    kind: type,
    ...(feature === undefined ? {} : { feature }),
    text: words(count),
  }))
}

/** What became of a license code, or is about to. */
export function describeCode({
  event,
  codeId,
  feature,
  days,
  endsAt,
  renewedBy,
}: CodeEvent): string {
  const code = `code ${codeId} of ${feature}`
  if (event === 'code-started') return `${code} starts`
  if (event === 'code-ended') return `${code} has ended`
  const within = days === 1 ? 'a day' : `${days ?? '?'} days`
  const date = endsAt === undefined ? '?' : new Date(endsAt).toISOString().slice(0, 10)
  const follows = renewedBy === undefined ? 'nothing renews it' : `${renewedBy} takes its place`
  return `${code} ends within ${within}, on ${date}: ${follows}`
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
      return plain(
        feature === ''
          ? 'the free pool fills shares up to their targets, or down servers pay what waits'
          : `shares of ${feature} are filled up from the free pool, or from down servers`,
      )
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
