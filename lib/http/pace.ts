/**
 * Looks at much at once, on behalf of whoever reads: all seats of a server, its history, its audit log.
 *
 * Each costs its server's loop milliseconds that clients and heartbeats wait for, and whoever reaches the address may ask as
 * often as he likes. So they come one at a time, with a pause after each: a quarter of the time at most goes to them.
 * Bounded: beyond `waitingMax` that wait one is told to come again.
 */
import type { Clock } from '../../raft/ports.ts'
import { LicdError } from '../error.ts'

const waitingMax = 32
/** Of the time that a look took; of a long one, which mostly waited for another server, less. */
const pauseFactor = 3
const pauseMaxMs = 500

export class Pace {
  readonly #clock: Pick<Clock, 'now' | 'after'>
  #waiting = 0
  #line: Promise<void> = Promise.resolve()

  constructor(clock: Pick<Clock, 'now' | 'after'>) {
    this.#clock = clock
  }

  /**
   * What `look` gives, in its turn.
   *
   * @throws LicdError LICD_TOO_BUSY, and what `look` throws
   */
  async take<T>(look: () => T | Promise<T>): Promise<T> {
    if (this.#waiting >= waitingMax) {
      throw new LicdError('LICD_TOO_BUSY', 'As many look things up here as may.')
    }
    this.#waiting++
    const clock = this.#clock
    const before = this.#line
    let end = (): void => undefined
    this.#line = new Promise(resolve => (end = resolve))
    await before
    const began = clock.now()
    try {
      return await look()
    } finally {
      this.#waiting--
      clock.after(Math.min(pauseMaxMs, pauseFactor * (clock.now() - began)), end)
    }
  }
}
