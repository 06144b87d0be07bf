/**
 * A pool as its users run it, for tests: a real nats-server, `licd init`, one `licd serve` process a server,
 * asked through `licd ctl --json`.
 *
 * Nothing here reaches into a server: what a test learns, it learns as an operator or a client would.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { initPool } from '../lib/pool-files.ts'
import { licd, startLicd, type Ended, type Running } from './cmd/licd-process.ts'
import { startNatsServer, type TestNatsServer } from './nats-server.ts'

export interface PoolOptions {
  readonly servers?: readonly string[]
  /** Milliseconds; short, so that leases and relearning end within a test. 100 when absent. */
  readonly tickMs?: number
  readonly leaseTicks?: number
  readonly seatTicks?: number
  /** By which rules the pool goes: the newest when absent. `init` is not asked then. */
  readonly level?: number
  /** More arguments for `licd init`. */
  readonly init?: readonly string[]
  /** More arguments for `licd serve`; `--http off` when absent. */
  readonly serve?: (server: string) => readonly string[]
}

/** What `licd serve` says when it may grant. */
export const ready = /^ready /m

/** A pool by rules of before, as it was made then. */
async function initOfBefore(
  folder: string,
  servers: readonly string[],
  { level = 1, tickMs = 100, leaseTicks = 30, seatTicks = 20 }: PoolOptions,
): Promise<void> {
  const settings = { tickMs, leaseTicks, seatTicks }
  const pool = { pool: 'default', servers, settings, level }
  await initPool({ folder, ...pool, wall: Date.now, randomBytes })
}

/** A running pool. Dispose of it: processes and folders go. */
export class ProcessPool implements AsyncDisposable {
  readonly servers: readonly string[]
  readonly folder: string
  readonly nats: TestNatsServer
  /** Called after a server wrote something: its log tells of what no event tells. */
  onOutput: () => void = () => {}
  readonly #processes = new Map<string, Running>()
  readonly #serve: (server: string) => readonly string[]

  private constructor(
    {
      servers,
      serve,
    }: {
      readonly servers: readonly string[]
      readonly serve: (server: string) => readonly string[]
    },
    folder: string,
    nats: TestNatsServer,
  ) {
    this.#serve = serve
    this.servers = servers
    this.folder = folder
    this.nats = nats
  }

  static async start(options: PoolOptions = {}): Promise<ProcessPool> {
    const servers = options.servers ?? ['alpha', 'beta', 'gamma']
    const folder = mkdtempSync(join(tmpdir(), 'licd-test-'))
    const nats = await startNatsServer()
    const pool = new ProcessPool(
      { servers, serve: options.serve ?? (() => ['--http', 'off']) },
      folder,
      nats,
    )
    const settings = [
      ...['--tick-ms', String(options.tickMs ?? 100)],
      ...['--lease-ticks', String(options.leaseTicks ?? 30)],
      ...['--seat-ticks', String(options.seatTicks ?? 20)],
    ]
    const names = ['--servers', servers.join(',')]
    if (options.level === undefined) {
      const more = options.init ?? []
      const ran = await licd(['init', 'default', ...names, '--out', folder, ...settings, ...more])
      if (ran.code !== 0) throw new Error(`init: ${ran.stderr}`)
    } else await initOfBefore(folder, servers, options)
    await Promise.all(servers.map(server => pool.startServer(server)))
    return pool
  }

  /** Starts a server's process and resolves when it says that it serves. */
  async startServer(server: string): Promise<void> {
    await this.startUntil(server, ready)
  }

  /** Makes the folder of a server that is to join, from the key of one that is there. */
  async join(server: string, from: string): Promise<void> {
    const key = join(this.folder, from, 'pool.key')
    const ran = await licd(['join', server, '--key', key, '--out', join(this.folder, server)])
    if (ran.code !== 0) throw new Error(`join: ${ran.stderr}`)
  }

  /** Starts a server's process and resolves when it has said `pattern`. */
  async startUntil(
    server: string,
    pattern: RegExp,
    data = join(this.folder, server),
  ): Promise<void> {
    const options = { onOutput: () => this.onOutput() }
    const args = ['serve', '--data', data, '--nats', this.nats.url, ...this.#serve(server)]
    const running = startLicd(args, options)
    this.#processes.set(server, running)
    await running.until(pattern)
  }

  /** What became of a process that ends by itself. */
  async ended(server: string): Promise<Ended | undefined> {
    const ended = await this.#processes.get(server)?.ended
    this.#processes.delete(server)
    return ended
  }

  /** Ends a server's process by a signal and resolves when it is gone. */
  async kill(server: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const running = this.#processes.get(server)
    if (running === undefined) return
    running.child.kill(signal)
    await running.ended
    this.#processes.delete(server)
  }

  pid(server: string): number {
    const pid = this.#processes.get(server)?.child.pid
    if (pid === undefined) throw new Error(`${server} does not run`)
    return pid
  }

  output(server: string): string {
    return this.#processes.get(server)?.output() ?? ''
  }

  /** `licd ctl ARGS --json`, asked of `server` or of any; its answer, or an error that shows what it said. */
  async ctl<T>(args: readonly string[], server?: string): Promise<T> {
    const ran = await this.tryCtl(args, server)
    if (ran.code !== 0)
      throw new Error(`ctl ${args.join(' ')}: exit ${String(ran.code)}: ${ran.stderr}`)
    return JSON.parse(ran.stdout) as T
  }

  tryCtl(args: readonly string[], server?: string): Promise<Ended> {
    const at = server === undefined ? [] : ['--server', server]
    return licd(['ctl', ...args, '--json', '--nats', this.nats.url, ...at])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#processes.keys()].map(server => this.kill(server)))
    await this.nats.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
