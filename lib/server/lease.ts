/**
 * The server lease: until when this server may grant and renew (R3).
 *
 * Each keepalive is remembered with the monotonic time at which it was *sent*; a tick that lists it extends the
 * lease from there. What is forgotten or was never sent by this incarnation extends nothing.
 *
 * A host that was suspended shows it: the time since boot, or the wall, has run ahead of the monotonic clock. The lease
 * then ends, together with all that was sent before (R4): its send times say less time passed than did. What is too short
 * to tell a suspension from a correction of the wall shortens the lease by as much, each time, so that short ones do not
 * add up to more than the margin has room for.
 */
import type { Clock, Logger } from '../../raft/ports.ts'
import type { Settings } from '../ledger/command.ts'
import { Standstill } from '../standstill.ts'

/** Both clocks are assumed true within 1 % (R3). */
export const clockMargin = 0.02

/** Keepalives remembered; older ones are listed no more in practice, and then extend nothing. */
const rememberedMax = 1_024

/** A lead of the time since boot that is no suspension: reading two clocks takes time, and one is coarse. */
const leadToleratedMs = 50
/** Without a time since boot the wall clock is watched; small steps of it are corrections. */
const wallLeadToleratedMs = 500

export class Lease {
  readonly #clock: Clock
  readonly #log: Logger
  readonly #sentAt = new Map<number, number>()
  readonly #seesSuspension: boolean
  #until = 0
  /** The highest number sent, and the highest whose send time is worth nothing because of a suspension. */
  #lastSent = -1
  #void = -1
  readonly #standstill: Standstill
  #skippedMs = 0
  #lookedAt = -Infinity
  readonly #freshMs: number

  /**
   * `freshMs`: so long a look at the clocks counts. Looking costs tens of microseconds on a real system, and a
   * host that wakes up takes longer than a millisecond of its monotonic clock to run us again.
   */
  constructor(clock: Clock, log: Logger, freshMs: number) {
    this.#clock = clock
    this.#log = log
    this.#freshMs = freshMs
    this.#seesSuspension = clock.uptime() !== undefined
    this.#standstill = new Standstill(clock)
  }

  /** Monotonic time at which the lease ends; 0 for none. */
  get until(): number {
    if (this.#clock.now() - this.#lookedAt >= this.#freshMs) this.look()
    return this.#until
  }

  /** A keepalive (0: the `hello`) is sent now or was, at `at`. Repeats keep the earliest time. */
  sent(number: number, at: number): void {
    if (number <= this.#void || this.#sentAt.has(number)) return
    this.#sentAt.set(number, at)
    this.#lastSent = Math.max(this.#lastSent, number)
    for (const oldest of this.#sentAt.keys()) {
      if (this.#sentAt.size <= rememberedMax) break
      this.#sentAt.delete(oldest)
    }
  }

  /** A tick that lists keepalive `number` of this incarnation was applied. */
  listed(number: number, { leaseTicks, tickMs }: Settings): void {
    this.look()
    const sentAt = this.#sentAt.get(number)
    for (const known of this.#sentAt.keys()) if (known <= number) this.#sentAt.delete(known)
    if (sentAt === undefined) return
    this.#until = Math.max(this.#until, sentAt + leaseTicks * tickMs * (1 - clockMargin))
  }

  /** The incarnation is over, or a new one begins. */
  end(): void {
    this.#until = 0
    this.#sentAt.clear()
    this.#lastSent = this.#void = -1
  }

  /** Milliseconds that the monotonic clock stood still, in all, in naps for which the lease was shortened and not ended. */
  get skippedMs(): number {
    if (this.#clock.now() - this.#lookedAt >= this.#freshMs) this.look()
    return this.#skippedMs
  }

  /** Ends the lease if the host was suspended since the last look, or shortens it by a nap. */
  look(): void {
    this.#lookedAt = this.#clock.now()
    const stoodMs = this.#standstill.take()
    if (stoodMs === 0) return
    const tolerated = this.#seesSuspension ? leadToleratedMs : wallLeadToleratedMs
    if (stoodMs > tolerated) {
      this.#log.warn('suspended', { aheadMs: Math.round(stoodMs) })
      this.#until = 0
      this.#sentAt.clear()
      this.#void = this.#lastSent
      return
    }
    // By the clock as it goes on, all that was sent was sent earlier.
    this.#skippedMs += stoodMs
    this.#until = Math.max(0, this.#until - stoodMs)
    for (const [number, at] of this.#sentAt) this.#sentAt.set(number, at - stoodMs)
  }
}
