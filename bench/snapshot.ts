/**
 * A large state on real processes, `npm run bench:snapshot -- [MiB]` (100 unless said): three servers over NATS and
 * LevelDB take snapshots of it, and send one to a server that is far behind and to one that is new, while commands
 * go through. Told of each part: elections, how late heartbeats leave, the longest stretches of work on the loop.
 */
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readCommandLine, readNumber } from '../test/command-line.ts'
import { startNatsServer } from '../test/nats-server.ts'
import { PaddedPool } from '../test/raft/padded-pool.ts'

const usage = 'npm run bench:snapshot -- [MIB]\n  MIB   of state (100)'
const mebibytes = readNumber(usage, readCommandLine(usage, {}, 1).positionals[0], 100)
const rows = mebibytes * 1024
const perSecond = 400
const snapshotEveryEntries = 4_000

const folder = await mkdtemp(join(tmpdir(), 'licd-bench-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
await using broker = await startNatsServer()
await using pool = new PaddedPool({
  ...{ url: broker.url, folder, name: 'bench', snapshotEveryEntries },
  settings: { trailingEntries: 256 },
})
const figures: Record<string, string | number>[] = []
const stretches: Record<string, string | number>[] = []

/** Of all servers; what the machine makes of a job that is always the same is apart from their own work. */
const totals = {
  work: { count: 0, cpuMs: 0, longOwn: 0, longSurely: 0 },
  sums: { count: 0, cpuMs: 0, longOwn: 0, longSurely: 0 },
}

/** Runs a part of the bench and notes what the servers measured meanwhile. */
async function part(name: string, run: () => Promise<unknown>): Promise<void> {
  await pool.all({ kind: 'reset' })
  const before = (await pool.report(await pool.leader())).status.term
  const from = performance.now()
  await run()
  const seconds = (performance.now() - from) / 1000
  process.stderr.write(`${name}: ${seconds.toFixed(1)} s\n`)
  for (const id of pool.ids) {
    const report = await pool.report(id)
    const { lateness, loop, status } = report
    figures.push({
      ...{ part: name, server: id, role: status.role, elections: status.term - before },
      seconds: round(seconds),
      'late p50': round(lateness.p50Ms),
      'late p99': round(lateness.p99Ms),
      'late max': round(lateness.maxMs),
      'loop p99': round(loop.p99Ms - 2),
      'loop max': round(loop.maxMs - 2),
      'gc max': round(report.pauses.maxMs),
      'rss MiB': Math.round(report.rssMiB),
      committed: report.committed,
      'not committed': report.notCommitted,
      'slowest ms': Math.round(report.slowestMs),
    })
    for (const [kind, one] of Object.entries(report.stretches)) {
      const { count, maxMs, maxCpuMs, long, maxOwnMs, longOwn, longSurely, maxWaitMs } = one
      const total = totals[kind === 'the same sums' ? 'sums' : 'work']
      total.count += count
      total.cpuMs += one.totalCpuMs
      total.longOwn += longOwn
      total.longSurely += longSurely
      if (maxCpuMs < 2) continue
      const own = {
        ...{ 'own max': round(maxOwnMs), 'own > 5 ms': longOwn, surely: longSurely },
        waited: round(maxWaitMs),
      }
      const all = { 'with gc max': round(maxCpuMs), 'with gc > 5 ms': long }
      stretches.push({ part: name, server: id, kind, count, ...own, ...all, took: round(maxMs) })
    }
  }
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100
}

const founders = ['a', 'b', 'c']
await Promise.all(founders.map(id => pool.start(id, founders)))
const leader = await pool.leader()
const behind = founders.find(id => id !== leader) ?? ''
await part('fill', async () => {
  await pool.ask(leader, { kind: 'fill', rows })
  for (const id of pool.ids) await pool.until(id, { rows })
})
await part('quiet', () => new Promise(resolve => setTimeout(resolve, 3_000)))
await pool.kill(behind)
await part('taken', async () => {
  const index = (await pool.report(leader)).status.snapshotIndex
  await pool.all({ kind: 'traffic', perSecond })
  for (const id of pool.ids) await pool.until(id, { snapshotBeyond: index })
})
await part('sent to one far behind', async () => {
  await pool.start(behind, founders)
  await pool.until(behind, { restores: 1 })
})
await part('sent to a new one', async () => {
  await pool.start('n')
  await pool.change({ learners: ['n'] })
  await pool.until('n', { restores: 1 })
})
await pool.all({ kind: 'traffic', perSecond: 0 })
const { status, digest } = await pool.until(await pool.leader(), { caughtUp: true })
for (const id of pool.ids) {
  const report = await pool.until(id, { lastApplied: status.lastApplied })
  if (report.digest !== digest) throw new Error(`${id} differs`)
}
console.table(figures)
console.table(stretches)
for (const [what, { count, cpuMs, longOwn, longSurely }] of Object.entries(totals)) {
  const seconds = (cpuMs / 1000).toFixed(1)
  console.log(`${what}: ${count} in ${seconds} s, ${longOwn} > 5 ms, ${longSurely} of them surely`)
}
