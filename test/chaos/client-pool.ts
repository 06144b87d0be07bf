/** A process of clients, from the side that starts, stops and kills it. A new one is known by a name of its own. */
import { fileURLToPath } from 'node:url'
import type { ClientCommand, ClientNews, ClientOrder } from './client-process.ts'
import type { Janitor } from './janitor.ts'
import { Process } from './process.ts'

export interface ClientOptions {
  readonly order: ClientOrder
  readonly prefix: readonly string[]
  readonly janitor: Janitor
  /** It ended, and nobody meant it to. */
  readonly onEnd: (name: string, output: string) => void
}

export class ClientProcess {
  readonly #options: ClientOptions
  #process: Process | undefined
  #generation = 0
  #isKilled = false

  constructor(options: ClientOptions) {
    this.#options = options
  }

  /** Of the process that runs now: all its clients' names begin with it. */
  get name(): string {
    return `${this.#options.order.name}.${this.#generation}`
  }

  start(): void {
    this.#generation++
    this.#isKilled = false
    const { order, prefix, janitor, onEnd } = this.#options
    const { name } = this
    const program = fileURLToPath(new URL('./client-process.js', import.meta.url))
    const argument = JSON.stringify({ ...order, name, seed: `${order.seed}/${name}` })
    const command = [process.execPath, program, argument]
    const started = new Process({ janitor, prefix, command, ipc: true })
    this.#process = started
    void started.ended.then(() => {
      if (!this.#isKilled) onEnd(name, started.output())
    })
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.signal(signal)
  }

  async kill(): Promise<void> {
    this.#isKilled = true
    this.#process?.signal('SIGKILL')
    await this.#process?.ended
  }

  /** Milliseconds until the last resident was confirmed; undefined when one was not, in time. */
  async settle(withinMs: number): Promise<number | undefined> {
    const news = await this.#tell({ do: 'settle' }, 'settled', withinMs)
    return news?.said === 'settled' ? news.ms : undefined
  }

  /** All seats are given back, and the process ends. */
  async leave(withinMs: number): Promise<boolean> {
    this.#isKilled = true
    return (await this.#tell({ do: 'leave' }, 'left', withinMs)) !== undefined
  }

  #tell(
    command: ClientCommand,
    said: ClientNews['said'],
    withinMs: number,
  ): Promise<ClientNews | undefined> {
    const isAnswer = (news: ClientNews): boolean => news.said === said
    return this.#process?.tell(command, isAnswer, withinMs) ?? Promise.resolve(undefined)
  }
}
