/**
 * Servers with a large state, each a process of its own, as their parent sees them.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defaultSettings, type ConfigurationChange, type RaftSettings } from '../../raft/index.ts'
import type { Order, PaddedServerOptions, Report, Wanted } from './padded-server.ts'

const program = fileURLToPath(new URL('./padded-server.js', import.meta.url))

interface Server {
  readonly process: ChildProcess
  readonly answers: Map<number, (answer: unknown) => void>
}

export interface PaddedPoolOptions {
  readonly url: string
  readonly folder: string
  readonly name: string
  readonly settings?: Partial<RaftSettings>
  readonly snapshotEveryEntries: number
}

export class PaddedPool implements AsyncDisposable {
  readonly #options: PaddedPoolOptions
  readonly #servers = new Map<string, Server>()
  #orders = 0

  constructor(options: PaddedPoolOptions) {
    this.#options = options
  }

  get ids(): string[] {
    return [...this.#servers.keys()].sort()
  }

  /** Starts a server; with `found` it begins the pool, should it be new. */
  async start(id: string, found?: readonly string[]): Promise<void> {
    const { url, folder, name, snapshotEveryEntries, settings } = this.#options
    const options: PaddedServerOptions = {
      ...{ id, url, found, snapshotEveryEntries, folder: join(folder, id) },
      cluster: `test.${name}.raft`,
      settings: { ...defaultSettings, ...settings },
    }
    const child = fork(program, [JSON.stringify(options)], {
      execArgv: [],
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    const answers = new Map<number, (answer: unknown) => void>()
    const started = new Promise(resolve => answers.set(0, resolve))
    child.on('message', ({ number, answer }: { number: number; answer: unknown }) => {
      answers.get(number)?.(answer)
      answers.delete(number)
    })
    this.#servers.set(id, { process: child, answers })
    await started
  }

  async ask(id: string, order: Order): Promise<unknown> {
    const server = this.#servers.get(id)
    if (server === undefined) throw new Error(`${id} does not run`)
    const number = ++this.#orders
    const answer = new Promise<unknown>(resolve => server.answers.set(number, resolve))
    server.process.send({ order, number })
    return answer
  }

  async report(id: string): Promise<Report> {
    return (await this.ask(id, { kind: 'report' })) as Report
  }

  async change(change: ConfigurationChange): Promise<unknown> {
    return this.ask(await this.leader(), { kind: 'change', change })
  }

  async all(order: Order): Promise<void> {
    await Promise.all(this.ids.map(id => this.ask(id, order)))
  }

  /** The first that says that it leads. */
  async leader(): Promise<string> {
    const each = this.ids.map(async id => {
      await this.until(id, { leads: true })
      return id
    })
    return Promise.race(each)
  }

  /** Resolves when the server says that it is so; rejects when it has failed. */
  async until(id: string, wanted: Wanted): Promise<Report> {
    const report = (await this.ask(id, { kind: 'wait', wanted })) as Report
    if (report.fatal !== undefined) throw new Error(`${id}: ${report.fatal}`)
    return report
  }

  async kill(id: string): Promise<void> {
    const server = this.#servers.get(id)
    this.#servers.delete(id)
    if (server === undefined) return
    const exited = once(server.process, 'exit')
    server.process.kill('SIGKILL')
    await exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.ids.map(id => this.kill(id)))
  }
}
