/**
 * What the loss of a host is like, `npm run bench:host-loss -- [runs [loss...]]`: three hosts, each with a license server and
 * its own nats-server, these joined by routes. It is done to the host of the leader:
 *
 * - `process`: kill -9 of the license server alone: the broker says at once that nobody listens there;
 * - `host`: kill -9 of license server and nats-server: nobody says anything, links to that broker break;
 * - `silent`: SIGSTOP of both: nobody says anything, and no link breaks.
 *
 * Asked are: an operator at another host (when a change is taken again: a new leader is in office and commits),
 * clients of the lost host (when each seat was confirmed elsewhere), and clients of the others (their longest gap).
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CtlClient } from '../lib/ctl/ctl-client.ts'
import { viewPool } from '../lib/ctl/pool-view.ts'
import { connect } from '../lib/index.ts'
import { connectNats, defaultSettings, systemClock, systemRandom } from '../raft/index.ts'
import { licd, type Running, startLicd } from '../test/cmd/licd-process.ts'
import { readCommandLine, readNames, readNumber } from '../test/command-line.ts'
import { startNatsServer, type TestNatsServer } from '../test/nats-server.ts'
import { Moves, Operator, Traffic } from './outage.ts'

const kinds = ['process', 'host', 'silent'] as const
type Loss = (typeof kinds)[number]
const usage = `npm run bench:host-loss -- [RUNS] [KIND...]
  RUNS   of each kind (5)
  KIND   process: its process; host: its broker as well; silent: both stop without a word (all)`
const { positionals } = readCommandLine(usage, {}, 1 + kinds.length)
const runs = readNumber(usage, positionals[0], 5)
const losses = readNames(usage, positionals.slice(1), kinds)

const seatsAtLeader = 40
const settings = { tickMs: 1_000, leaseTicks: 30, seatTicks: 20 } as const

class Host {
  readonly name: string
  readonly nats: TestNatsServer
  private running: Running | undefined

  constructor(name: string, nats: TestNatsServer) {
    this.name = name
    this.nats = nats
  }

  /** With its own broker first, and those of the others behind it. */
  async serve(folder: string, hosts: readonly Host[]): Promise<void> {
    const at = ['--nats', addresses(this, hosts).join(',')]
    this.running = startLicd(['serve', '--data', join(folder, this.name), ...at])
    await this.running.until(/^ready /m)
  }

  private signal(signal: NodeJS.Signals): void {
    this.running?.child.kill(signal)
  }

  lose(loss: Loss): void {
    if (loss === 'silent') this.nats.pause()
    this.signal(loss === 'silent' ? 'SIGSTOP' : 'SIGKILL')
    if (loss === 'host') process.kill(this.nats.pid, 'SIGKILL')
  }

  async stop(): Promise<void> {
    this.signal('SIGKILL')
    await this.running?.ended
    await this.nats.kill()
  }
}

function addresses(first: Host, hosts: readonly Host[]): string[] {
  const others = hosts.filter(host => host !== first)
  return [first, ...others].map(({ nats }) => nats.url)
}

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>(resolve => {
          const server = createServer().listen(0, '127.0.0.1', () => resolve(server))
        }),
    ),
  )
  return Promise.all(
    servers.map(server => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      return new Promise<number>(resolve => server.close(() => resolve(port)))
    }),
  )
}

class Hosts implements AsyncDisposable {
  readonly all: readonly Host[]
  private readonly folder: string

  private constructor(all: readonly Host[], folder: string) {
    this.all = all
    this.folder = folder
  }

  static async start(names: readonly string[]): Promise<Hosts> {
    const ports = await freePorts(names.length)
    const routes = ports.map(port => `nats://127.0.0.1:${port}`)
    const brokers = routes.map(route => {
      const cluster = ['--cluster_name', 'hosts', '--cluster', route, '--routes', routes.join(',')]
      return startNatsServer({ args: cluster })
    })
    const folder = mkdtempSync(join(tmpdir(), 'licd-hosts-'))
    const nats = await Promise.all(brokers)
    const all = nats.map((broker, n) => new Host(names[n] ?? '', broker))
    const hosts = new Hosts(all, folder)
    const numbers = [
      ...['--tick-ms', String(settings.tickMs)],
      ...['--lease-ticks', String(settings.leaseTicks)],
      ...['--seat-ticks', String(settings.seatTicks)],
    ]
    await run(['init', 'default', '--servers', names.join(','), '--out', folder, ...numbers])
    await Promise.all(all.map(host => host.serve(folder, all)))
    return hosts
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map(host => host.stop()))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

async function run(args: readonly string[]): Promise<void> {
  const { code, stderr } = await licd(args)
  if (code !== 0) throw new Error(`licd ${args.join(' ')}: ${stderr}`)
}

async function leaderOf(host: Host): Promise<string> {
  const bus = await connectNats({ servers: [host.nats.url], name: 'bench look' })
  const ports = { bus, clock: systemClock, random: systemRandom }
  const ctl = new CtlClient({ ...ports, pool: 'default', by: 'bench', timeoutMs: 5_000 })
  try {
    const { status } = await viewPool(ctl)
    if (status.leader === undefined) throw new Error('no leader')
    return status.leader
  } finally {
    ctl.close()
    await bus.close()
  }
}

async function measure(loss: Loss) {
  await using hosts = await Hosts.start(['alpha', 'beta', 'gamma'])
  const { all } = hosts
  const [first] = all
  if (first === undefined) throw new Error('no host')
  const leader = await leaderOf(first)
  const lost = all.find(({ name }) => name === leader) ?? first
  const others = all.filter(host => host !== lost)
  const ctl = (args: readonly string[]) => run(['ctl', ...args, '--nats', first.nats.url])
  await ctl(['feature', 'add', 'moved', String(seatsAtLeader + 60), '--local'])
  const shares = [`${leader}=${seatsAtLeader}`, ...others.map(({ name }) => `${name}=30`)]
  await ctl(['criteria', 'set', 'moved', ...shares])
  await ctl(['feature', 'add', 'busy', '30', '--local'])
  const clientAt = (host: Host) => connect({ nats: addresses(host, all), prefer: [host.name] })
  const mover = await clientAt(lost)
  const held = await Promise.all(
    Array.from({ length: seatsAtLeader }, () => mover.acquire('moved', { timeout: 30_000 })),
  )
  const busy = await Promise.all(others.map(clientAt))
  const watchers = await Promise.all(busy.map(client => Traffic.start(client)))
  const operator = await Operator.start(others.map(({ nats }) => nats.url))
  await operator.change()

  const moves = Moves.watch(held)
  const lostAt = performance.now()
  lost.lose(loss)
  const resumedMs = (await operator.change()) - lostAt
  const lags = (await moves.all).map(at => at - lostAt).sort((a, b) => a - b)
  const gaps = watchers.map(watcher => watcher.stop())
  const kept = held.filter(({ valid }) => valid).length
  await operator.close()
  // A client's last words would wait for a broker that is stopped.
  void Promise.allSettled([mover, ...busy].map(client => client.close()))
  return {
    'changes taken again ms': Math.round(resumedMs),
    'first seat elsewhere ms': Math.round(lags[0] ?? 0),
    'last seat elsewhere ms': Math.round(lags.at(-1) ?? 0),
    'seats kept': kept,
    'invalid looks': moves.invalidLooks,
    'others failed': gaps.reduce((sum, { failed }) => sum + failed, 0),
    'others longest gap ms': Math.round(Math.max(...gaps.map(({ gapMs }) => gapMs))),
  }
}

function medians(rows: readonly Record<string, number>[]): Record<string, number> {
  const names = Object.keys(rows[0] ?? {})
  return Object.fromEntries(
    names.map(name => {
      const values = rows.map(row => row[name] ?? 0).sort((a, b) => a - b)
      return [name, values[Math.floor(values.length / 2)] ?? 0]
    }),
  )
}

const { electionTimeoutMs, heartbeatMs } = defaultSettings
const version = spawnSync('nats-server', ['--version']).stdout?.toString().trim()
console.log(
  `${version}; T ${electionTimeoutMs} ms, heartbeat ${heartbeatMs} ms, ${runs} runs each,`,
)
console.log(`${seatsAtLeader} seats at the lost host; ${JSON.stringify(settings)}`)
const table: Record<string, Record<string, number>> = {}
for (const loss of losses) {
  const rows: Record<string, number>[] = []
  for (let n = 0; n < runs; n++) {
    rows.push(await measure(loss))
    console.log(loss, JSON.stringify(rows.at(-1)))
  }
  table[loss] = medians(rows)
}
console.log('medians:')
console.table(table)
process.exit(0)
