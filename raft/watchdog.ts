/**
 * Notices a disk that neither writes nor fails.
 *
 * A leader with such a disk would go on sending heartbeats, and the cluster would stand still under it for ever.
 * Time is counted in beats, not by the clock: a process that did not run must not put the blame on its disk.
 */
export class Watchdog {
  readonly #limitMs: number
  /** The write under way at the last beat, by when it began. */
  #since: number | undefined
  #ms = 0

  constructor(limitMs: number) {
    this.#limitMs = limitMs
  }

  /** @returns true once for each write that takes longer than the limit. */
  beat(since: number | undefined, ms: number): boolean {
    const before = since === this.#since ? this.#ms : 0
    this.#since = since
    this.#ms = since === undefined ? 0 : before + ms
    return before <= this.#limitMs && this.#ms > this.#limitMs
  }
}
