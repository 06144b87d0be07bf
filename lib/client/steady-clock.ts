/**
 * Time as a seat's expiry counts it: monotonic, and going on while the host was suspended (R4).
 *
 * The monotonic clock stands still while a laptop sleeps; the server's does not. So each look compares it with
 * the system's uptime (or, where that cannot be told, with the wall): a jump is added to the time, and starts a
 * new epoch. What was promised in an earlier epoch is not believed until it is renewed.
 *
 * Invariant: `now()` never runs behind the true time elapsed by more than `toleranceMs` since the last look.
 */
import type { Clock } from '../../raft/ports.ts'

/**
 * Below this a difference is noise: uptime comes in steps of 10 ms, and a wall clock is set by less. Well under the 2 % margin
 * of a seat of 10 s and more. A wall that is set further ahead costs a renewal, where uptime cannot be told.
 */
const toleranceMs = 200
/** Uptime costs a system call: it is asked this often, and at once when the wall runs ahead. */
const lookEveryMs = 50
const wallNoticeMs = 25

export class SteadyClock {
  readonly #clock: Clock
  #skippedMs = 0
  #epoch = 0
  /** How far ahead of the monotonic clock the other clock was when we last agreed with it. */
  #ahead: number
  #wallAhead: number
  #lookedAt: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#ahead = this.#readAhead()
    this.#wallAhead = clock.wall() - clock.now()
    this.#lookedAt = clock.now()
  }

  /** Milliseconds; only differences mean something. */
  now(): number {
    return this.#look() + this.#skippedMs
  }

  /** Grows by one each time a suspension was noticed. */
  get epoch(): number {
    this.#look()
    return this.#epoch
  }

  /** The epoch as of the last `now()`: for who has just asked for that. */
  get epochThen(): number {
    return this.#epoch
  }

  /** The monotonic clock, once it is known whether it stood still. */
  #look(): number {
    const now = this.#clock.now()
    const wallAhead = this.#clock.wall() - now
    const noticed = Math.abs(wallAhead - this.#wallAhead) > wallNoticeMs
    if (!noticed && now - this.#lookedAt < lookEveryMs) return now
    this.#lookedAt = now
    this.#wallAhead = wallAhead
    const ahead = this.#readAhead()
    if (ahead - this.#ahead > toleranceMs) {
      this.#skippedMs += ahead - this.#ahead
      this.#epoch++
      this.#ahead = ahead
    } else if (this.#clock.uptime() === undefined) {
      // The wall may have been set back, or drift: each look compares with the one before.
      this.#ahead = ahead
    }
    return now
  }

  /** Uptime is read first: a pause between the two readings then shows as less, never as a suspension. */
  #readAhead(): number {
    const other = this.#clock.uptime() ?? this.#clock.wall()
    return other - this.#clock.now()
  }
}
