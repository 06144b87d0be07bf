/**
 * Why this server grants and renews nothing now, in words for the client that is refused and for who asks.
 *
 * Alone behind a partition, or with the majority gone, a server serves from its share until its lease ends (R3); what
 * it says then must tell a user whom to call, so it names the cause and since when.
 */
import type { Code } from '../error.ts'
import type { AcquireItem, RenewItem } from '../protocol/seat.ts'
import { seconds } from '../seconds.ts'
import type { Desk } from './desk.ts'
import type { Reply } from './wire.ts'

export interface Reason {
  readonly code: Extract<Code, 'LICD_NOT_SERVING' | 'LICD_NO_LEASE'>
  readonly detail: string
}

/** `undefined` while it may grant. */
export function whyNotServing(desk: Desk, now: number): Reason | undefined {
  const { server } = desk.host
  if (desk.state === 'open' && desk.isServing(now)) return undefined
  if (desk.state === 'stopping') {
    return { code: 'LICD_NOT_SERVING', detail: `Server ${server} is stopping.` }
  }
  if (desk.host.keys.making === undefined) {
    const detail = `Server ${server} does not hold the key that tokens are made with (licd key add).`
    return { code: 'LICD_NOT_SERVING', detail }
  }
  if (desk.state === 'closed') return { code: 'LICD_NOT_SERVING', detail: whyClosed(desk) }
  return { code: 'LICD_NO_LEASE', detail: whyNoLease(desk, now) }
}

function whyClosed({ host }: Desk): string {
  const { server, leader, ledger } = host
  const { tick, heldUntil, settings } = ledger.state
  if (heldUntil > tick) {
    const left = seconds((heldUntil - tick) * settings.tickMs)
    return `The pool was restored or recovered; it serves in ${left}.`
  }
  if (leader === undefined) return `Server ${server} has not found a leader since it started.`
  return `Server ${server} is starting.`
}

function whyNoLease({ host }: Desk, now: number): string {
  const { server, leaseUntil, tickAppliedAt, ledger } = host
  const { tick, settings, servers } = ledger.state
  const silentMs = now - tickAppliedAt
  // The end of a lease is known until another one begins; 0 for none yet, or one that a suspension ended.
  const ended = leaseUntil > 0 && leaseUntil <= now ? ` ${seconds(now - leaseUntil)} ago` : ''
  if (tickAppliedAt > 0 && silentMs > 3 * settings.tickMs) {
    return `Server ${server} has not heard from a leader for ${seconds(silentMs)}; it served from its share until its lease ended${ended}.`
  }
  const listed = servers.get(server)?.listedTick ?? 0
  if (listed > 0 && tick - listed > 2) {
    const since = seconds((tick - listed) * settings.tickMs)
    return `The leader has not heard server ${server} for ${since}, though that hears the leader; its lease ended${ended}.`
  }
  return `Server ${server} waits for the leader to list it: that takes a tick or two (${seconds(2 * settings.tickMs)}).`
}

/** Refuses a client because this server may not grant and renew, and says why. */
export function denyNotServing(
  desk: Desk,
  item: AcquireItem | RenewItem,
  reply: Reply | undefined,
  now: number,
): void {
  const { code, detail } = whyNotServing(desk, now) ?? { code: 'LICD_NOT_SERVING', detail: '' }
  desk.deny(item, reply, code, detail)
}
