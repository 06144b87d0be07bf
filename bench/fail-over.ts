/**
 * What a kill -9 of the leader is like from outside, `npm run bench:fail-over -- [runs]`:
 *
 * - clients of the other servers: requests that failed, and the longest gap between two that succeeded;
 * - clients of the killed server: when each seat was confirmed elsewhere, with spare and in a full pool, and whether
 *   any was invalid for a moment;
 * - operators: when a change went through again.
 */
import { connectNats, systemClock, systemRandom } from '../raft/index.ts'
import { CtlClient } from '../lib/ctl/ctl-client.ts'
import type { Client, Seat } from '../lib/index.ts'
import { WatchedPool } from '../test/watched-pool.ts'

const runs = Number(process.argv[2] ?? 5)
const seatsAtLeader = 40
async function measure(kind: 'spare' | 'full', run: number) {
  await using pool = await WatchedPool.start({ tickMs: 1_000, leaseTicks: 30, seatTicks: 20 })
  const { processes } = pool
  const leader = await pool.leader()
  const others = pool.servers.filter(server => server !== leader)
  const idle = kind === 'spare' ? 30 * others.length : 0
  await processes.ctl(['feature', 'add', 'moved', String(seatsAtLeader + idle), '--local'])
  await processes.ctl([
    ...['criteria', 'set', 'moved', `${leader}=${seatsAtLeader}`],
    ...(kind === 'spare' ? others.map(server => `${server}=30`) : []),
  ])
  await processes.ctl(['feature', 'add', 'busy', '30', '--local'])
  const client = await pool.client(leader)
  const seats = await Promise.all(
    Array.from({ length: seatsAtLeader }, () => client.acquire('moved', { timeout: 30_000 })),
  )
  const watchers = await Promise.all(others.map(server => Traffic.start(pool, server)))
  const operator = await Operator.start(processes.nats.url)
  await pool.until('quiet', status => status.features.length === 2)

  const moves = Moves.watch(seats)
  const killedAt = performance.now()
  await processes.kill(leader)
  const resumedMs = (await operator.change()) - killedAt
  const confirmed = await moves.all
  const gaps = watchers.map(watcher => watcher.stop())
  await operator.close()
  const lags = confirmed.map(at => at - killedAt).sort((a, b) => a - b)
  return {
    kind,
    run,
    'seats kept': seats.filter(({ valid }) => valid).length,
    'invalid looks': moves.invalidLooks,
    'median ms': Math.round(lags[Math.floor(lags.length / 2)] ?? 0),
    'last ms': Math.round(lags.at(-1) ?? 0),
    'others failed': gaps.reduce((sum, { failed }) => sum + failed, 0),
    'others done': gaps.reduce((sum, { done }) => sum + done, 0),
    'longest gap ms': Math.round(Math.max(...gaps.map(({ gapMs }) => gapMs))),
    'admin resumed ms': Math.round(resumedMs),
  }
}

/** When each seat was confirmed at another server, and whether one was ever seen invalid. */
class Moves {
  readonly all: Promise<number[]>
  invalidLooks = 0

  private constructor(seats: readonly Seat[]) {
    const timer = setInterval(() => {
      for (const { valid } of seats) if (!valid) this.invalidLooks++
    }, 2)
    this.all = Promise.all(
      seats.map(
        seat =>
          new Promise<number>(resolve => seat.once('moved', () => resolve(performance.now()))),
      ),
    ).finally(() => clearInterval(timer))
  }

  static watch(seats: readonly Seat[]): Moves {
    return new Moves(seats)
  }
}

/** One client of a server that acquires and releases without a pause. */
class Traffic {
  readonly #client: Client
  #done = 0
  #failed = 0
  #gapMs = 0
  #isRunning = true

  private constructor(client: Client) {
    this.#client = client
  }

  static async start(pool: WatchedPool, server: string): Promise<Traffic> {
    const traffic = new Traffic(await pool.client(server))
    await (await traffic.#client.acquire('busy', { timeout: 30_000 })).release()
    void traffic.#run()
    return traffic
  }

  async #run(): Promise<void> {
    let last = performance.now()
    while (this.#isRunning) {
      try {
        await (await this.#client.acquire('busy')).release()
        this.#done++
      } catch {
        this.#failed++
      }
      const now = performance.now()
      this.#gapMs = Math.max(this.#gapMs, now - last)
      last = now
    }
  }

  stop(): { readonly done: number; readonly failed: number; readonly gapMs: number } {
    this.#isRunning = false
    return { done: this.#done, failed: this.#failed, gapMs: this.#gapMs }
  }
}

/** Changes one at a time; each is waited for. */
class Operator {
  readonly #ctl: CtlClient
  readonly close: () => Promise<void>

  private constructor(ctl: CtlClient, close: () => Promise<void>) {
    this.#ctl = ctl
    this.close = close
  }

  static async start(nats: string): Promise<Operator> {
    const bus = await connectNats({ servers: [nats], name: 'bench operator' })
    const ports = { bus, clock: systemClock, random: systemRandom }
    const ctl = new CtlClient({ ...ports, pool: 'default', by: 'bench', timeoutMs: 30_000 })
    return new Operator(ctl, async () => {
      ctl.close()
      await bus.close()
    })
  }

  /** Makes a change; resolves with when it had taken effect. */
  async change(): Promise<number> {
    await this.#ctl.change('allocations-add', { feature: 'busy', count: 1 })
    return performance.now()
  }
}

const rows: Record<string, string | number>[] = []
for (const kind of ['spare', 'full'] as const) {
  for (let run = 1; run <= runs; run++) rows.push(await measure(kind, run))
}
console.table(rows)
