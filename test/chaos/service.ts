/**
 * A program that is kept running, as a supervisor of the system would: it is started again when it ends by itself,
 * except while it is held down. What ended without our doing is told, with its last words.
 */
import type { Exit, Process } from './process.ts'

export interface ServiceOptions {
  readonly name: string
  readonly start: () => Process
  /** What it says when it can be used. */
  readonly ready: RegExp
  readonly onReady?: () => void
  readonly onEnd?: (exit: Exit, isExpected: boolean, output: string) => void
}

const againMs = 700

export class Service {
  readonly name: string
  readonly #options: ServiceOptions
  #process: Process | undefined
  #isHeld = true
  #timer: NodeJS.Timeout | undefined

  constructor(options: ServiceOptions) {
    this.#options = options
    this.name = options.name
  }

  get isRunning(): boolean {
    return this.#process?.exit === undefined && this.#process !== undefined
  }

  output(): string {
    return this.#process?.output() ?? ''
  }

  /** Starts it and keeps it running; resolves when it is ready, or has ended again. */
  async up(): Promise<boolean> {
    this.#isHeld = false
    if (!this.isRunning) this.#start()
    return (await this.#process?.until(this.#options.ready)) ?? false
  }

  #start(): void {
    clearTimeout(this.#timer)
    const started = this.#options.start()
    this.#process = started
    void started.until(this.#options.ready).then(isReady => {
      if (isReady) this.#options.onReady?.()
    })
    void started.ended.then(exit => {
      if (this.#process === started) this.#process = undefined
      this.#options.onEnd?.(exit, this.#isHeld, started.output())
      if (!this.#isHeld) this.#timer = setTimeout(() => this.#start(), againMs)
    })
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.signal(signal)
  }

  /** Ends it and holds it down, until `up`; resolves when it is gone. */
  async down(signal: NodeJS.Signals): Promise<void> {
    this.#isHeld = true
    clearTimeout(this.#timer)
    const ended = this.#process?.ended
    this.#process?.signal(signal)
    await ended
  }
}
