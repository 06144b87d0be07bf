/**
 * `npm run sim`: runs of the simulated world of whole nodes, one after the other, on as many processes as asked for.
 *
 * It ends at the first failure: with one line that replays it, and one that replays a smaller one. `--seed S` runs one
 * seed and tells its story.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { Progress } from '../../lib/progress.ts'
import { systemClock } from '../../raft/index.ts'
import { readCommandLine } from '../command-line.ts'
import { replayLine, type RunRequest } from './node-options.ts'
import { runQuiet } from './node-quiet.ts'
import { NodeFailure, runNodes } from './node-world.ts'
import { shrink } from './run-shrink.ts'
import { addResult, emptyTotals, progressLine, report, sumOf, type Totals } from './run-totals.ts'

const usage = `npm run sim -- [options]

  --seed S       run one seed; with --servers N, --ms M, --without a,b and --only a#1,b#2 as a failure says
  --runs N       run N seeds (default 100)
  --minutes M    run seeds for M minutes
  --from S       the first seed (default 1)
  --jobs N       processes (default 1)
  --quiet H      H virtual hours without faults: no election but the first
  --no-shrink    do not look for a smaller failure`

const { values } = readCommandLine(usage, {
  seed: { type: 'string' },
  runs: { type: 'string' },
  minutes: { type: 'string' },
  from: { type: 'string', default: '1' },
  jobs: { type: 'string', default: '1' },
  servers: { type: 'string' },
  ms: { type: 'string' },
  without: { type: 'string' },
  skip: { type: 'string' },
  only: { type: 'string' },
  quiet: { type: 'string' },
  'no-shrink': { type: 'boolean', default: false },
  worker: { type: 'string' },
})

type Report =
  | { readonly kind: 'progress'; readonly totals: Totals }
  | { readonly kind: 'failure'; readonly seed: number; readonly totals: Totals }

/** The seeds of one process; answers the seed that failed. */
function runSeeds(first: number, step: number, tell: (totals: Totals) => void): number | undefined {
  const totals = emptyTotals()
  const minutes = Number(values.minutes ?? Infinity)
  const runs = values.minutes === undefined ? Number(values.runs ?? 100) : Infinity
  const last = Number(values.from) + runs
  const start = process.hrtime.bigint()
  const cpu = process.cpuUsage()
  let told = 0
  for (let seed = first; seed < last; seed += step) {
    const seconds = Number(process.hrtime.bigint() - start) / 1e9
    if (seconds > minutes * 60) break
    try {
      addResult(totals, runNodes({ seed }))
    } catch (error) {
      if (!(error instanceof NodeFailure)) throw error
      tell(totals)
      return seed
    }
    const { user, system } = process.cpuUsage(cpu)
    totals.cpuSeconds = (user + system) / 1e6
    if (seconds - told < 2) continue
    told = seconds
    tell(totals)
  }
  tell(totals)
  return undefined
}

function work(part: number, jobs: number): void {
  const send = (message: Report): void => void process.send?.(message)
  let latest = emptyTotals()
  const failed = runSeeds(Number(values.from) + part, jobs, totals => {
    latest = totals
    send({ kind: 'progress', totals })
  })
  if (failed !== undefined) send({ kind: 'failure', seed: failed, totals: latest })
  process.disconnect()
}

const progress = new Progress(process.stderr, systemClock)

function say(line: string): void {
  if (line === '') progress.clear()
  else progress.say(line)
}

function explain(request: RunRequest, failure: NodeFailure): void {
  console.log(`\nFAILED at ${failure.at.toFixed(1)} virtual ms: ${failure.message}`)
  console.log(`  replay: ${replayLine(request)}`)
  if (values['no-shrink']) return
  const smaller = shrink(request, failure)
  console.log(`smaller, after ${smaller.attempts} runs: ${smaller.failure.message}`)
  console.log(`  replay: ${replayLine(smaller.request)}`)
}

function runOne(request: RunRequest): void {
  const totals = emptyTotals()
  const cpu = process.cpuUsage()
  try {
    addResult(totals, runNodes(request))
    const { user, system } = process.cpuUsage(cpu)
    totals.cpuSeconds = (user + system) / 1e6
    console.log(report(totals))
  } catch (error) {
    if (!(error instanceof NodeFailure)) throw error
    console.log(error.story.slice(-60).join('\n'))
    console.log(error.cause instanceof Error ? error.cause.stack : error.cause)
    explain(request, error)
    process.exitCode = 1
  }
}

function conclude(totals: Totals, failed: number | undefined): void {
  say('')
  console.log(report(totals))
  if (failed === undefined) return
  process.exitCode = 1
  const request = { seed: failed }
  try {
    runNodes(request)
    console.log(`seed ${failed} failed in a process of its own, and not here`)
  } catch (error) {
    if (!(error instanceof NodeFailure)) throw error
    explain(request, error)
  }
}

function runJobs(jobs: number): void {
  const parts = Array.from({ length: jobs }, () => emptyTotals())
  const children: ChildProcess[] = []
  let failed: number | undefined
  let running = jobs
  for (let part = 0; part < jobs; part++) {
    const args = [...process.argv.slice(2), '--worker', String(part)]
    const child = fork(import.meta.filename, args)
    children.push(child)
    child.on('message', (message: Report) => {
      parts[part] = message.totals
      say(progressLine(sumOf(parts)))
      if (message.kind !== 'failure' || failed !== undefined) return
      failed = message.seed
      for (const other of children) if (other !== child) other.kill()
    })
    child.on('exit', code => {
      if (code !== 0 && code !== null) process.exitCode = 1
      if (--running === 0) conclude(sumOf(parts), failed)
    })
  }
}

function requestOf(seed: number): RunRequest {
  const { servers, ms, without, skip, only } = values
  return {
    seed,
    ...(servers === undefined ? {} : { size: Number(servers) }),
    ...(ms === undefined ? {} : { faultsMs: Number(ms) }),
    ...(without === undefined ? {} : { without: without.split(',') }),
    ...(skip === undefined ? {} : { skip: skip.split(',') }),
    ...(only === undefined ? {} : { only: only.split(',') }),
  }
}

const jobs = Number(values.jobs)
if (values.quiet !== undefined) {
  const { elections, events } = runQuiet(Number(values.quiet))
  console.log(`${events} events, ${elections} elections in ${values.quiet} quiet virtual hours`)
  if (elections !== 1) process.exitCode = 1
} else if (values.worker !== undefined) work(Number(values.worker), jobs)
else if (values.seed !== undefined) runOne(requestOf(Number(values.seed)))
else if (jobs > 1) runJobs(jobs)
else {
  let totals = emptyTotals()
  const failed = runSeeds(Number(values.from), 1, latest => {
    totals = latest
    say(progressLine(totals))
  })
  conclude(totals, failed)
}
