/**
 * The end of a node: whoever asked for it is told once nothing is under way any more, or when the disk has been
 * waited for long enough.
 *
 * Invariant: everyone who waits is told exactly once, however often and late they ask.
 */
import { RaftError } from './error.ts'
import type { Clock } from './ports.ts'

export class Ending {
  readonly #clock: Clock
  readonly #waiting: ((error?: RaftError) => void)[] = []
  #isOver = false
  #error: RaftError | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Runs `end`, which calls back when nothing is under way; beyond `boundMs` that is waited for no more. */
  begin(end: (idle: () => void) => void, boundMs: number): void {
    const timer = this.#clock.after(boundMs, () => this.#over(new RaftError('RAFT_DISK_HANGS')))
    end(() => {
      timer.cancel()
      this.#over(undefined)
    })
  }

  wait(done: (error?: RaftError) => void): void {
    this.#waiting.push(done)
    if (this.#isOver) this.#tell()
  }

  #over(error: RaftError | undefined): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#error = error
    this.#tell()
  }

  #tell(): void {
    for (const done of this.#waiting.splice(0)) this.#clock.defer(() => done(this.#error))
  }
}
