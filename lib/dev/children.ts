/**
 * The server processes of `licd dev`: started, killed by key, started again, and gone when it ends.
 *
 * Each is the program itself, `licd serve`, in a process group of its own, so that Ctrl-C in the terminal reaches
 * this process alone, which then stops them in order.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { LicdError } from '../error.ts'
import { watchParent } from '../nats-server.ts'

export interface ChildOptions {
  /** The script to run with this Node: `cmd/start.cjs`. */
  readonly program: string
  readonly data: string
  readonly nats: string
  /** Where its log goes. */
  readonly log: (line: string) => void
}

/** How long a server may take to stop cleanly before it is killed. */
const stopMs = 8_000

export class Child {
  readonly server: string
  readonly #process: ChildProcess
  readonly #ended: Promise<void>
  /** Resolves when it says that it serves; rejects when it ends before. */
  readonly ready: Promise<void>

  constructor(server: string, options: ChildOptions) {
    this.server = server
    const args = [options.program, 'serve', '--data', options.data]
    const child = spawn(process.execPath, args, {
      // Not as an argument: the address may hold a password, and anyone on this host can list arguments.
      env: { ...process.env, LICD_NATS: options.nats },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    this.#process = child
    this.#ended = once(child, 'close').then(() => undefined)
    const watcher = watchParent(child.pid)
    let last = ''
    const keep = (line: string) => {
      last = line
      options.log(`${server} ${line}`)
    }
    createInterface(child.stderr).on('line', keep)
    this.ready = new Promise((resolve, reject) => {
      createInterface(child.stdout).on('line', line => {
        keep(line)
        if (line.startsWith('ready ')) resolve()
      })
      void this.#ended.then(() => {
        watcher?.kill('SIGKILL')
        reject(new LicdError('LICD_INTERNAL', `Server ${server} ended: ${last}`))
      })
    })
    // It is awaited by whoever wants to know.
    this.ready.catch(() => undefined)
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** Ends it as a crash would, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#ended
  }

  /** A clean stop; a kill when it takes too long. */
  async stop(): Promise<void> {
    if (!this.isRunning) return
    this.#process.kill('SIGTERM')
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), stopMs)
    await this.#ended
    clearTimeout(timer)
  }
}
