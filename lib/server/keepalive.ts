/**
 * Keepalives: what this server sends the leader every half tick, so that the next tick lists it (R2, R3).
 *
 * Usage counters are replicated through them. `pending` is what happened and no applied tick has told yet; each
 * keepalive carries all of it. When two keepalives that overlap are both listed, something is told twice:
 * `pending` then falls below zero and what happens next makes up for it, so that sums are right in the end.
 */
import type { Clock, Timer } from '../../raft/ports.ts'
import type { Listing, Usage } from '../ledger/command.ts'
import { denialReasons, withoutReasons } from '../ledger/history.ts'
import type { Lease } from './lease.ts'
import { usageMax } from './peer-codec.ts'

/** Keepalives whose usage is remembered until they are listed. Beyond it the oldest counts as not listed. */
const rememberedMax = 16

interface Pending {
  inUse: number
  granted: number
  /** By reason. */
  denied: number[]
}

export interface KeepaliveOptions {
  readonly server: string
  readonly clock: Clock
  readonly lease: Lease
  readonly tickMs: () => number
  /** Whether the pool's servers can read why requests were denied (level 2). */
  readonly tellsReasons: () => boolean
  /** Usage since the last call, at most `max` features. */
  readonly usage: (max: number) => readonly Usage[]
  /** To the leader, wherever it is now. Lost ones are not repeated: the next comes soon. */
  readonly send: (listing: Listing) => void
}

export class Keepalives {
  readonly #options: KeepaliveOptions
  readonly #pending = new Map<string, Pending>()
  readonly #carried = new Map<number, readonly Usage[]>()
  #timer: Timer | undefined
  #incarnation = 0
  #number = 0

  constructor(options: KeepaliveOptions) {
    this.#options = options
  }

  /** Begins for a new incarnation, with a first keepalive at once. */
  start(incarnation: number): void {
    this.stop()
    this.#incarnation = incarnation
    this.#number = 0
    this.#carried.clear()
    this.#pending.clear()
    this.#beat()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Sends one now, because a new leader cannot know this server yet. */
  now(): void {
    if (this.#timer === undefined) return
    this.stop()
    this.#beat()
  }

  /** A tick that lists `number` was applied: what it carried is told. */
  listed(number: number): void {
    const carried = this.#carried.get(number)
    for (const known of this.#carried.keys()) if (known <= number) this.#carried.delete(known)
    for (const { feature, granted, reasons = [] } of carried ?? []) {
      const pending = this.#pending.get(feature)
      if (pending === undefined) continue
      pending.granted -= granted
      pending.denied = plus(pending.denied, reasons, -1)
      if (pending.granted === 0 && pending.denied.every(count => count === 0)) {
        this.#pending.delete(feature)
      }
    }
  }

  #beat(): void {
    const { server, clock, lease, send, tickMs, tellsReasons } = this.#options
    this.#timer = clock.after(tickMs() / 2, () => this.#beat())
    const number = ++this.#number
    const taken = this.#take()
    lease.look()
    lease.sent(number, clock.now())
    this.#carried.set(number, taken)
    for (const oldest of this.#carried.keys()) {
      if (this.#carried.size <= rememberedMax) break
      this.#carried.delete(oldest)
    }
    const usage = tellsReasons() ? taken : taken.map(withoutReasons)
    send({ server, incarnation: this.#incarnation, number, wallMs: clock.wall(), usage })
  }

  /** What changed just now first, then what waits to be told, at most `usageMax`; the rest next time. */
  #take(): Usage[] {
    const fresh = this.#options.usage(usageMax)
    for (const { feature, inUse, granted, reasons = [] } of fresh) {
      const pending = this.#pending.get(feature) ?? { inUse, granted: 0, denied: [] }
      pending.inUse = inUse
      pending.granted += granted
      pending.denied = plus(pending.denied, reasons, 1)
      this.#pending.set(feature, pending)
    }
    const taken: Usage[] = []
    const names = new Set([...fresh.map(({ feature }) => feature), ...this.#pending.keys()])
    for (const feature of names) {
      if (taken.length === usageMax) break
      const pending = this.#pending.get(feature)
      if (pending === undefined) continue
      const { inUse, granted } = pending
      const reasons = pending.denied.map(count => Math.max(0, count))
      const denied = reasons.reduce((sum, count) => sum + count, 0)
      const row = { feature, inUse, granted: Math.max(0, granted), denied }
      taken.push(denied === 0 ? row : { ...row, reasons })
    }
    return taken
  }
}

function plus(sums: readonly number[], counts: readonly number[], sign: 1 | -1): number[] {
  return denialReasons.map((_reason, n) => (sums[n] ?? 0) + sign * (counts[n] ?? 0))
}
