/**
 * A pool with TLS and roles as its users run it: `licd init` with hosts, one `licd serve` a server, each with a
 * nats-server of its own, and nothing else. Free ports of this host stand for hosts.
 */
import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { licd, startLicd, type Ended, type Running } from '../cmd/licd-process.ts'

/** Below those that systems give to connections that go out: nobody takes one of these by chance meanwhile. */
const ports = { from: 10_000, count: 20_000 } as const

export interface SecureOptions {
  readonly servers?: readonly string[]
  readonly init?: readonly string[]
  /** Of ticks, leases and seats; short ones unless said. */
  readonly times?: readonly string[]
}

export class SecurePool implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'licd-secure-'))
  /** All that any server has written: a refusal of its nats-server is in it. */
  said = ''
  readonly #running = new Map<string, Running>()

  static async start(options: SecureOptions = {}): Promise<SecurePool> {
    const pool = new SecurePool()
    const servers = options.servers ?? ['alpha', 'beta', 'gamma']
    const places = await Promise.all(servers.map(async name => `${name}=${await freeAddress()}`))
    const short = ['--tick-ms', '100', '--lease-ticks', '30', '--seat-ticks', '20']
    const { times = short } = options
    const made = await licd([
      ...['init', '--servers', places.join(','), '--out', pool.folder],
      ...[...times, ...(options.init ?? [])],
    ])
    if (made.code !== 0) throw new Error(`init: ${made.stderr}`)
    await Promise.all(servers.map(server => pool.serve(server)))
    return pool
  }

  at(...names: string[]): string {
    return join(this.folder, ...names)
  }

  /** Starts a server, and resolves when it has said `pattern`. */
  async serve(
    server: string,
    pattern = /^ready /m,
    more: readonly string[] = [],
  ): Promise<Running> {
    let seen = ''
    const running = startLicd(['serve', '--data', this.at(server), ...more], {
      onOutput: () => {
        const all = this.#running.get(server)?.output() ?? ''
        if (all.length > seen.length) this.said += `${server}: ${all.slice(seen.length)}\n`
        seen = all
      },
    })
    this.#running.set(server, running)
    await running.until(pattern)
    return running
  }

  running(server: string): Running {
    const running = this.#running.get(server)
    if (running === undefined) throw new Error(`${server} does not run`)
    return running
  }

  async end(server: string, signal: NodeJS.Signals): Promise<Ended> {
    const running = this.running(server)
    running.child.kill(signal)
    this.#running.delete(server)
    return await running.ended
  }

  /** As the holder of a context file that lies in the pool's folder. */
  as(context: string, ...args: string[]): Promise<Ended> {
    return licd(args, { env: { LICD_CONTEXT: this.at(`${context}.context`) } })
  }

  /** `licd ctl ARGS --json` as the operator; its answer. */
  async ctl<T>(...args: string[]): Promise<T> {
    const ran = await this.as('operator', 'ctl', ...args, '--json')
    if (ran.code !== 0) throw new Error(`ctl ${args.join(' ')}: ${ran.stderr}`)
    return JSON.parse(ran.stdout) as T
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.keys()].map(server => this.end(server, 'SIGKILL')))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** An address that was free a moment ago, with the ports above it for routes and monitoring. */
export async function freeAddress(): Promise<string> {
  for (;;) {
    const port = randomInt(ports.from, ports.from + ports.count)
    const isFree = async (wanted: number) => (await freePort(wanted).catch(() => 0)) > 0
    const all = [port, port + 2_000, port + 4_000]
    if ((await Promise.all(all.map(isFree))).every(Boolean)) return `127.0.0.1:${port}`
  }
}

function freePort(wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(wanted, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0))
    })
  })
}
