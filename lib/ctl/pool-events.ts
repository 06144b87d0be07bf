/**
 * What the servers of a pool publish of their own accord, decoded: for `licd ctl watch` and the like.
 *
 * Events are messages like any other: one may be lost or come twice. What cannot be read is counted and passed
 * over, since anything at all may be published on a subject.
 */
import { Packr } from 'msgpackr'
import { unpackPlain } from '../../raft/msgpack.ts'
import type { Bus, Subscription } from '../../raft/ports.ts'
import type { CodeEvent, ServerEvent, SyncEvent } from '../protocol/event.ts'
import { subjects } from '../protocol/subject.ts'
import { isCodeEvent, isServerEvent, isSyncEvent } from './answer.ts'

export type PoolEvent =
  | { readonly type: 'sync'; readonly event: SyncEvent }
  | { readonly type: 'server'; readonly event: ServerEvent }
  | { readonly type: 'code'; readonly event: CodeEvent }
  | { readonly type: 'gone'; readonly event: { readonly server: string } }

/** Calls `handle` for each event of the pool, until unsubscribed. */
export function watchPool(
  bus: Bus,
  pool: string,
  handle: (event: PoolEvent) => void,
): Subscription & { readonly dropped: number } {
  const { events } = subjects(pool)
  const packr = new Packr({ useRecords: false, int64AsType: 'number' })
  const kindAt = events.split('.').length - 1
  let dropped = 0
  const subscription = bus.subscribe(events, ({ subject, data }) => {
    const parts = subject.split('.')
    const event = read(parts[kindAt], parts[kindAt + 1], unpackPlain(packr, data))
    if (event === undefined) dropped++
    else handle(event)
  })
  return {
    unsubscribe: () => subscription.unsubscribe(),
    get dropped() {
      return dropped
    },
  }
}

function read(
  kind: string | undefined,
  server: string | undefined,
  value: unknown,
): PoolEvent | undefined {
  if (server === undefined) return undefined
  // The subject, which permissions guard, says whom an event is about; the body must not say otherwise.
  if (kind === 'gone') return { type: 'gone', event: { server } }
  if (typeof value !== 'object' || value === null) return undefined
  if (!('server' in value) || value.server !== server) return undefined
  if (kind === 'server' && isServerEvent(value)) return { type: 'server', event: value }
  if (kind === 'code' && isCodeEvent(value)) return { type: 'code', event: value }
  if (kind === 'sync' && isSyncEvent(value)) return { type: 'sync', event: value }
  return undefined
}
