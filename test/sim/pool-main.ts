/**
 * `npm run sim:pool`: runs of whole pools under faults, on as many processes as asked for, and the table of how often each
 * branch of the rules was taken.
 *
 * It ends at the first failure: with one line that replays it, and one that replays a smaller one. `--seed S` runs one
 * seed and tells its story.
 */
import { fork } from 'node:child_process'
import { Progress } from '../../lib/progress.ts'
import { systemClock } from '../../raft/index.ts'
import { readCommandLine } from '../command-line.ts'
import { coverageTable } from './pool-coverage.ts'
import { poolReplayLine, type PoolRequest } from './pool-options.ts'
import { sceneNames } from './pool-scenes.ts'
import { addPool, emptyPools, poolReport, sumPools, type PoolTotals } from './pool-totals.ts'
import { PoolFailure, runPool } from './pool-world.ts'
import { shrinkPool } from './pool-shrink.ts'

const usage = `npm run sim:pool -- [options]

  --seed S       run one seed; with --servers N, --clients N, --ms M, --without a,b and --only a#1,b#2
  --scene NAME   every run plays in this scene (see pool-scenes.ts)
  --runs N       run N seeds (default 100)
  --minutes M    run seeds for M minutes
  --from S       the first seed (default 1)
  --jobs N       processes (default 1)
  --wanted N     mark branches taken less often (default 1000)
  --no-shrink    do not look for a smaller failure`

const { values } = readCommandLine(usage, {
  seed: { type: 'string' },
  runs: { type: 'string' },
  minutes: { type: 'string' },
  from: { type: 'string', default: '1' },
  jobs: { type: 'string', default: '1' },
  servers: { type: 'string' },
  clients: { type: 'string' },
  ms: { type: 'string' },
  scene: { type: 'string' },
  without: { type: 'string' },
  only: { type: 'string' },
  wanted: { type: 'string', default: '1000' },
  'no-shrink': { type: 'boolean', default: false },
  worker: { type: 'string' },
})

const scene = sceneOf(values.scene)

interface Report {
  readonly totals: PoolTotals
  readonly failed: number | undefined
}

/** The seeds of one process, told of every few seconds. */
function runSeeds(part: number, jobs: number, tell: (report: Report) => void): void {
  const totals = emptyPools()
  const startedAt = performance.now()
  const cpu = process.cpuUsage()
  const endMs = Number(values.minutes ?? Infinity) * 60_000
  const runs = values.minutes === undefined ? Number(values.runs ?? 100) : Infinity
  const first = Number(values.from)
  let toldAt = startedAt
  let failed: number | undefined
  for (let seed = first + part; seed < first + runs && failed === undefined; seed += jobs) {
    if (performance.now() - startedAt > endMs) break
    try {
      addPool(totals, runPool({ seed, ...scene }))
    } catch (error) {
      if (!(error instanceof PoolFailure)) throw error
      failed = seed
    }
    const { user, system } = process.cpuUsage(cpu)
    totals.cpuSeconds = (user + system) / 1e6
    if (performance.now() - toldAt < 2_000) continue
    toldAt = performance.now()
    tell({ totals, failed })
  }
  tell({ totals, failed })
}

function runJobs(jobs: number): void {
  const reports: Report[] = []
  let running = jobs
  for (let part = 0; part < jobs; part++) {
    const args = [...process.argv.slice(2), '--worker', String(part)]
    const child = fork(import.meta.filename, args)
    child.on('message', (report: Report) => {
      reports[part] = report
      say(sumPools(reports.filter(Boolean).map(({ totals }) => totals)))
      if (report.failed !== undefined) for (const one of children) if (one !== child) one.kill()
    })
    child.on('exit', code => {
      if (code !== 0 && code !== null) process.exitCode = 1
      if (--running === 0) conclude(reports.filter(Boolean))
    })
    children.push(child)
  }
}
const children: ReturnType<typeof fork>[] = []

const progress = new Progress(process.stderr, systemClock)

function say(totals: PoolTotals): void {
  progress.say(`${totals.seeds} seeds, ${totals.cpuSeconds.toFixed(0)} s of CPU`)
}

function conclude(reports: readonly Report[]): void {
  progress.clear()
  const totals = sumPools(reports.map(report => report.totals))
  console.log(`\n${coverageTable(totals.branches, Number(values.wanted))}\n\n${poolReport(totals)}`)
  const failed = reports.find(report => report.failed !== undefined)?.failed
  if (failed !== undefined) runOne({ seed: failed, ...scene })
}

function runOne(request: PoolRequest): void {
  const totals = emptyPools()
  const cpu = process.cpuUsage()
  try {
    addPool(totals, runPool(request))
    const { user, system } = process.cpuUsage(cpu)
    totals.cpuSeconds = (user + system) / 1e6
    console.log(poolReport(totals))
  } catch (error) {
    if (!(error instanceof PoolFailure)) throw error
    process.exitCode = 1
    console.log(error.story.slice(-60).join('\n'))
    console.log(error.cause instanceof Error ? error.cause.stack : error.cause)
    console.log(`\nFAILED at ${error.at.toFixed(1)} virtual ms: ${error.message}`)
    console.log(`  replay: ${poolReplayLine(request)}`)
    if (values['no-shrink']) return
    const smaller = shrinkPool(request, error)
    console.log(`smaller, after ${smaller.attempts} runs: ${smaller.failure.message}`)
    console.log(`  replay: ${poolReplayLine(smaller.request)}`)
  }
}

function requestOf(seed: number): PoolRequest {
  const { servers, clients, ms, without, only } = values
  return {
    seed,
    ...scene,
    ...(servers === undefined ? {} : { servers: Number(servers) }),
    ...(clients === undefined ? {} : { clients: Number(clients) }),
    ...(ms === undefined ? {} : { faultsMs: Number(ms) }),
    ...(without === undefined ? {} : { without: without.split(',') }),
    ...(only === undefined ? {} : { only: only.split(',') }),
  }
}

function sceneOf(name: string | undefined): Pick<PoolRequest, 'scene'> {
  if (name === undefined) return {}
  const scene = (['none', ...sceneNames] as const).find(one => one === name)
  if (scene === undefined) throw new Error(`--scene: none, ${sceneNames.join(', ')}`)
  return { scene }
}

const jobs = Number(values.jobs)
if (values.worker !== undefined) {
  runSeeds(Number(values.worker), jobs, report => void process.send?.(report))
  process.disconnect()
} else if (values.seed !== undefined) runOne(requestOf(Number(values.seed)))
else runJobs(jobs)
