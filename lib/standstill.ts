/**
 * How long this host's monotonic clock stood still, as the host was suspended (R4).
 *
 * `CLOCK_MONOTONIC`, of which Node's `performance.now()` and `process.hrtime()` are made, does not count that time; the
 * time since boot does, and, where a system cannot tell that, the wall clock mostly does. So the lead of the other clock
 * grows by what the monotonic one missed.
 *
 * Bound: at most `unseenMs` are not told, however often the host sleeps: what is less is kept, and told with what
 * follows. It is less than the 0.99 ticks, of 20 ms or more, by which a server is down after its lease has ended at the
 * latest (docs/seats.md, step 5). Where the wall must do, somebody who sets it back hides as much.
 */
import type { Clock } from '../raft/ports.ts'

/** A lead below this is noise: the time since boot comes in steps of 10 ms, and reading two clocks takes time. */
export const unseenMs = 15

export class Standstill {
  readonly #clock: Clock
  /** The lead of the other clock that is accounted for. */
  #lead: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#lead = this.#readLead()
  }

  /** Milliseconds that the monotonic clock stood still and that were not told yet; 0 for noise. */
  take(): number {
    const lead = this.#readLead()
    const stoodMs = lead - this.#lead
    if (stoodMs > unseenMs) {
      this.#lead = lead
      return stoodMs
    }
    // A wall that is set back, or is slow, is followed, so that the next standstill is seen whole.
    if (stoodMs < 0 && this.#clock.uptime() === undefined) this.#lead = lead
    return 0
  }

  /** The other clock is read first: a pause between the two readings then shows as less, never as a standstill. */
  #readLead(): number {
    const other = this.#clock.uptime() ?? this.#clock.wall()
    return other - this.#clock.now()
  }
}
