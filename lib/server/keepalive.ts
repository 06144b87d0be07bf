/**
 * Keepalives: what this server sends the leader every half tick, so that the next tick lists it (R2, R3).
 *
 * Usage counters are replicated through them. `pending` is what happened and no applied tick has told yet; each
 * keepalive carries all of it. When two keepalives that overlap are both listed, something is told twice:
 * `pending` then falls below zero and what happens next makes up for it, so that sums are right in the end.
 */
import type { Clock, Timer } from '../../raft/ports.ts'
import type { Listing, Usage } from '../ledger/command.ts'
import type { Lease } from './lease.ts'
import { usageMax } from './peer-codec.ts'

/** Keepalives whose usage is remembered until they are listed. Beyond it the oldest counts as not listed. */
const rememberedMax = 16

interface Pending {
  inUse: number
  granted: number
  denied: number
}

export interface KeepaliveOptions {
  readonly server: string
  readonly clock: Clock
  readonly lease: Lease
  readonly tickMs: () => number
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
    for (const { feature, granted, denied } of carried ?? []) {
      const pending = this.#pending.get(feature)
      if (pending === undefined) continue
      pending.granted -= granted
      pending.denied -= denied
      if (pending.granted === 0 && pending.denied === 0) this.#pending.delete(feature)
    }
  }

  #beat(): void {
    const { server, clock, lease, send, tickMs } = this.#options
    this.#timer = clock.after(tickMs() / 2, () => this.#beat())
    const number = ++this.#number
    const usage = this.#take()
    lease.look()
    lease.sent(number, clock.now())
    this.#carried.set(number, usage)
    for (const oldest of this.#carried.keys()) {
      if (this.#carried.size <= rememberedMax) break
      this.#carried.delete(oldest)
    }
    send({ server, incarnation: this.#incarnation, number, wallMs: clock.wall(), usage })
  }

  /** What changed just now first, then what waits to be told, at most `usageMax`; the rest next time. */
  #take(): Usage[] {
    const fresh = this.#options.usage(usageMax)
    for (const { feature, inUse, granted, denied } of fresh) {
      const pending = this.#pending.get(feature) ?? { inUse, granted: 0, denied: 0 }
      pending.inUse = inUse
      pending.granted += granted
      pending.denied += denied
      this.#pending.set(feature, pending)
    }
    const taken: Usage[] = []
    const names = new Set([...fresh.map(({ feature }) => feature), ...this.#pending.keys()])
    for (const feature of names) {
      if (taken.length === usageMax) break
      const pending = this.#pending.get(feature)
      if (pending === undefined) continue
      const { inUse, granted, denied } = pending
      taken.push({ feature, inUse, granted: Math.max(0, granted), denied: Math.max(0, denied) })
    }
    return taken
  }
}
