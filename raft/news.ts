/**
 * Followers hear of what is committed with the entries that come next, or a moment later by themselves.
 *
 * That moment is the driver's, for the core has no timers: it says that it owes news (`Raft.owesNews`), and is told when
 * to wait no longer.
 */
import type { Clock, Timer } from './ports.ts'

/** So late at most, where nobody waits for it and no entries follow. Sync events are as far apart. */
const newsMs = 20

export class News {
  readonly #clock: Clock
  readonly #tell: (index: number) => void
  #timer: Timer | undefined

  /** `tell` is called with what was owed. */
  constructor(clock: Clock, tell: (index: number) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  /** That all up to `index` is committed is owed. Entries may tell of it before the time is over. */
  owed(index: number): void {
    this.#timer ??= this.#clock.after(newsMs, () => {
      this.#timer = undefined
      this.#tell(index)
    })
  }

  cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
