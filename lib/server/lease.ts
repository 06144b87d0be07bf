/**
 * The server lease: until when this server may grant and renew (R3).
 *
 * Each keepalive is remembered with the monotonic time at which it was *sent*; a tick that lists it extends the
 * lease from there. What is forgotten or was never sent by this incarnation extends nothing.
 *
 * A host that was suspended shows it: the time since boot has run ahead of the monotonic clock. The lease then
 * ends, together with all that was sent before (R4): its send times say less time passed than did.
 */
import type { Clock, Logger } from '../../raft/ports.ts'
import type { Settings } from '../ledger/command.ts'

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
  #lead: number
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
    this.#lead = this.#leadNow()
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

  /** Ends the lease if the host was suspended since the last look. */
  look(): void {
    this.#lookedAt = this.#clock.now()
    const lead = this.#leadNow()
    const tolerated = this.#seesSuspension ? leadToleratedMs : wallLeadToleratedMs
    if (lead - this.#lead > tolerated) {
      this.#log.warn('suspended', { aheadMs: Math.round(lead - this.#lead) })
      this.#lead = lead
      this.#until = 0
      this.#sentAt.clear()
      this.#void = this.#lastSent
    }
    // A wall clock set back is followed, so that the next jump ahead is seen whole.
    else if (!this.#seesSuspension && lead < this.#lead) this.#lead = lead
  }

  #leadNow(): number {
    const { uptime, wall } = { uptime: this.#clock.uptime(), wall: this.#clock.wall() }
    return (uptime ?? wall) - this.#clock.now()
  }
}
