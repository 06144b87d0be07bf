/**
 * What a kill -9 of a server is like from outside, `npm run bench:fail-over -- [runs] [--only grantable] [--short]`:
 *
 * - clients of the other servers: requests that failed, and the longest gap between two that succeeded;
 * - clients of the killed server: when each seat was confirmed elsewhere, with spare and in a full pool, and whether
 *   any was invalid for a moment;
 * - operators: when a change went through again;
 * - a full pool that loses its leader, or another server: seats kept, and when its allocations are grantable again
 *   (`bench/full-pool.ts`). What was idle or vanished comes back with the end of the lease, 30 s; `--short` makes
 *   ticks of 200 ms, so that it is 6 s and a run takes a fifth of the time.
 */
import { readCommandLine, readNames, readNumber } from '../test/command-line.ts'
import { WatchedPool } from '../test/watched-pool.ts'
import { measureFullPool } from './full-pool.ts'
import { Moves, Operator, Traffic } from './outage.ts'

const usage = `npm run bench:fail-over -- [RUNS] [options]
  RUNS          of each (5)
  --only KIND   spare, full (what clients see) or grantable (when a full pool's allocations are back) (all)
  --short       ticks of 200 ms instead of 1 s`
const options = { only: { type: 'string' }, short: { type: 'boolean', default: false } } as const
const { values, positionals } = readCommandLine(usage, options, 1)
const runs = readNumber(usage, positionals[0], 5)
const only = values.only === undefined ? [] : [values.only]
const kinds = readNames(usage, only, ['spare', 'full', 'grantable'])
const settings = { tickMs: values.short ? 200 : 1_000, leaseTicks: 30, seatTicks: 20 }
const seatsAtLeader = 40
async function measure(kind: 'spare' | 'full', run: number) {
  await using pool = await WatchedPool.start(settings)
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
  const watchers = await Promise.all(
    others.map(async server => Traffic.start(await pool.client(server))),
  )
  const operator = await Operator.start([processes.nats.url])
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

const seen = (['spare', 'full'] as const).filter(kind => kinds.includes(kind))
if (seen.length > 0) {
  const rows: Record<string, string | number>[] = []
  for (const kind of seen) {
    for (let run = 1; run <= runs; run++) rows.push(await measure(kind, run))
  }
  console.table(rows)
}
if (kinds.includes('grantable')) {
  const rows: Record<string, string | number>[] = []
  for (const killed of ['leader', 'follower'] as const) {
    for (let run = 1; run <= runs; run++) rows.push(await measureFullPool(killed, run, settings))
  }
  console.table(rows)
}
