/**
 * Time as a seat's expiry counts it: monotonic, and going on while the host was suspended (R4).
 *
 * The monotonic clock stands still while a laptop sleeps; the server's does not. So each look asks how long it stood,
 * and adds that to the time. A sleep worth the name starts a new epoch as well: what was promised in an earlier epoch is
 * not believed until it is renewed.
 *
 * Invariant: `now()` never runs behind the true time elapsed by more than `unseenMs` (`standstill.ts`) in all.
 */
import type { Clock } from '../../raft/ports.ts'
import { Standstill, unseenMs } from '../standstill.ts'

/** Below this the time is added and nothing more: walls are corrected by less, and busy hosts stunned. */
const sleepMs = 200
/** Uptime costs a system call: it is asked this often, and at once when the wall moves. */
const lookEveryMs = 50

export class SteadyClock {
  readonly #clock: Clock
  readonly #standstill: Standstill
  #skippedMs = 0
  #epoch = 0
  readonly #hasUptime: boolean
  /** As of the last time that it moved, or that the clock was found to have stood. */
  #wallAhead: number
  #lookedAt: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#standstill = new Standstill(clock)
    this.#hasUptime = clock.uptime() !== undefined
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
    const hasMoved = Math.abs(wallAhead - this.#wallAhead) > unseenMs
    if (this.#hasUptime && !hasMoved && now - this.#lookedAt < lookEveryMs) return now
    this.#lookedAt = now
    const stoodMs = this.#standstill.take()
    if (hasMoved || stoodMs > 0) this.#wallAhead = wallAhead
    this.#skippedMs += stoodMs
    if (stoodMs > sleepMs) this.#epoch++
    return now
  }
}
