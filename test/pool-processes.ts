/**
 * A pool as its users run it, for tests: a real nats-server, `licd init`, one `licd serve` process a server,
 * asked through `licd ctl --json`.
 *
 * Nothing here reaches into a server: what a test learns, it learns as an operator or a client would.
 */
import { spawn, execFile, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { watchParent } from '../lib/nats-server.ts'
import { startNatsServer, type TestNatsServer } from './nats-server.ts'

/** The built program that belongs to this build. */
export const program = join(import.meta.dirname, '..', 'cmd', 'licd.js')

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Essentials alone: what a developer has set must not matter, nor what the test runner loads into its children. */
function environment(): Record<string, string> {
  const { PATH = '', HOME = '/nonexistent' } = process.env
  return { PATH, HOME, XDG_CONFIG_HOME: '/nonexistent' }
}

/** Runs the program to its end. */
export function licd(args: readonly string[]): Promise<Ran> {
  return new Promise(resolve => {
    const options = { env: environment(), timeout: 60_000, maxBuffer: 32 << 20 }
    const child = execFile(process.execPath, [program, ...args], options, (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? 128, stdout, stderr }),
    )
  })
}

export interface PoolOptions {
  readonly servers?: readonly string[]
  /** Milliseconds; short, so that leases and relearning end within a test. 100 when absent. */
  readonly tickMs?: number
  readonly leaseTicks?: number
  readonly seatTicks?: number
  /** More arguments for `licd init`. */
  readonly init?: readonly string[]
}

/** The program in a process that goes on; its output is kept for the message of a failing test. */
export class ProgramProcess {
  readonly child: ChildProcess
  readonly ready: Promise<void>
  readonly ended: Promise<number | null>
  readonly #lines: string[] = []
  readonly #listeners = new Set<(line: string) => void>()

  constructor(name: string, args: readonly string[]) {
    const child = spawn(process.execPath, [program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment(),
    })
    this.child = child
    const watcher = watchParent(child.pid)
    this.ended = once(child, 'exit').then(([code]) => code as number | null)
    const keep = (line: string) => {
      this.#lines.push(line)
      if (this.#lines.length > 500) this.#lines.shift()
      for (const hear of this.#listeners) hear(line)
    }
    if (child.stderr !== null) createInterface(child.stderr).on('line', keep)
    this.ready = new Promise((resolve, reject) => {
      if (child.stdout !== null) {
        createInterface(child.stdout).on('line', line => {
          keep(line)
          if (line.startsWith('ready ')) resolve()
        })
      }
      void this.ended.then(code => {
        watcher?.kill('SIGKILL')
        reject(new Error(`${name} ended with ${String(code)}:\n${this.output()}`))
      })
    })
    // Whoever waits for it sees the failure; nobody has to wait.
    this.ready.catch(() => undefined)
  }

  /** Resolves when it has said a line that fits, past ones included. */
  says(pattern: RegExp): Promise<void> {
    if (pattern.test(this.output())) return Promise.resolve()
    return new Promise(resolve => {
      const hear = (line: string) => {
        if (!pattern.test(line)) return
        this.#listeners.delete(hear)
        resolve()
      }
      this.#listeners.add(hear)
    })
  }

  output(): string {
    return this.#lines.join('\n')
  }
}

/** One `licd serve`. */
export function serve(name: string, args: readonly string[]): ProgramProcess {
  return new ProgramProcess(name, ['serve', ...args])
}

/** A running pool. Dispose of it: processes and folders go. */
export class ProcessPool implements AsyncDisposable {
  readonly servers: readonly string[]
  readonly folder: string
  readonly nats: TestNatsServer
  readonly #processes = new Map<string, ProgramProcess>()

  private constructor(servers: readonly string[], folder: string, nats: TestNatsServer) {
    this.servers = servers
    this.folder = folder
    this.nats = nats
  }

  static async start(options: PoolOptions = {}): Promise<ProcessPool> {
    const servers = options.servers ?? ['alpha', 'beta', 'gamma']
    const folder = mkdtempSync(join(tmpdir(), 'licd-test-'))
    const nats = await startNatsServer()
    const pool = new ProcessPool(servers, folder, nats)
    const settings = [
      ...['--tick-ms', String(options.tickMs ?? 100)],
      ...['--lease-ticks', String(options.leaseTicks ?? 30)],
      ...['--seat-ticks', String(options.seatTicks ?? 20)],
    ]
    const names = ['--servers', servers.join(',')]
    const more = options.init ?? []
    const ran = await licd(['init', 'default', ...names, '--out', folder, ...settings, ...more])
    if (ran.code !== 0) throw new Error(`init: ${ran.stderr}`)
    await Promise.all(servers.map(server => pool.startServer(server)))
    return pool
  }

  /** Starts a server's process and resolves when it says that it serves. */
  async startServer(server: string): Promise<void> {
    const data = join(this.folder, server)
    const running = serve(server, ['--data', data, '--nats', this.nats.url])
    this.#processes.set(server, running)
    await running.ready
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
    if (ran.code !== 0) throw new Error(`ctl ${args.join(' ')}: exit ${ran.code}: ${ran.stderr}`)
    return JSON.parse(ran.stdout) as T
  }

  tryCtl(args: readonly string[], server?: string): Promise<Ran> {
    const at = server === undefined ? [] : ['--server', server]
    return licd(['ctl', ...args, '--json', '--nats', this.nats.url, ...at])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#processes.keys()].map(server => this.kill(server)))
    await this.nats.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
