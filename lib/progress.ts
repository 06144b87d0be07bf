/**
 * What a program that takes longer than a second is doing: one line on standard error, redrawn in place.
 *
 * For terminals alone: where the stream is none nothing is written, so that what is piped or logged stays as it was. What
 * is over within a second is not worth a line, and shows none.
 */
import type { Clock } from '../raft/ports.ts'

/** What it needs of `process.stderr`. */
export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** Before the first line, and between two drawings that nothing new caused: how long it takes is shown. */
const firstMs = 1_000
/** However often something new is said, a terminal is written to no more often. */
const leastMs = 100
const clear = '\r\u001b[K'

export class Progress {
  readonly #stream: ProgressStream
  readonly #clock: Pick<Clock, 'now' | 'after'>
  readonly #isTerminal: boolean
  #text = ''
  #beganAt: number | undefined
  #drawnAt = -Infinity
  #isDrawn = false
  #timer: { cancel(): void } | undefined

  constructor(stream: ProgressStream, clock: Pick<Clock, 'now' | 'after'>, term?: string) {
    this.#stream = stream
    this.#clock = clock
    this.#isTerminal = stream.isTTY === true && term !== 'dumb'
  }

  /** False where nothing is ever drawn. */
  get isShown(): boolean {
    return this.#isTerminal
  }

  /** What is being done now, in words; shown with the seconds since the first word. */
  say(text: string): void {
    if (!this.#isTerminal) return
    this.#text = text
    const now = this.#clock.now()
    this.#beganAt ??= now
    if (now - this.#beganAt >= firstMs && now - this.#drawnAt >= leastMs) this.#draw()
    else if (this.#timer === undefined) this.#later()
  }

  /** Takes the line away: before anything else is written, and at the end. What is said afterwards begins anew. */
  clear(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#beganAt = undefined
    if (!this.#isDrawn) return
    this.#isDrawn = false
    this.#stream.write(clear)
  }

  /** Something else is written to the terminal, by `write`: the line goes, and comes back below it. */
  above(write: () => void): void {
    if (this.#isDrawn) this.#stream.write(clear)
    write()
    if (this.#isDrawn) this.#draw()
  }

  #later(): void {
    this.#timer = this.#clock.after(firstMs, () => {
      this.#timer = undefined
      if (this.#beganAt !== undefined) this.#draw()
    })
  }

  #draw(): void {
    const now = this.#clock.now()
    const seconds = Math.floor((now - (this.#beganAt ?? now)) / 1000)
    const room = Math.max(20, this.#stream.columns ?? 80) - 1
    const time = `, ${seconds} s`
    const text =
      this.#text.length + time.length <= room ? this.#text : cut(this.#text, room - time.length)
    this.#stream.write(`${clear}${text}${time}`)
    this.#isDrawn = true
    this.#drawnAt = now
    this.#timer?.cancel()
    this.#later()
  }
}

function cut(text: string, width: number): string {
  return `${text.slice(0, Math.max(0, width - 1))}…`
}
