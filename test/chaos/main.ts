/** `npm run chaos`: one run of a pool of real processes under faults, its report and its picture. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Progress } from '../../lib/progress.ts'
import { systemClock } from '../../raft/index.ts'
import { readCommandLine, readNames, readNumber } from '../command-line.ts'
import { drawRun } from './picture.ts'
import { reportOf } from './report.ts'
import { runChaos } from './run.ts'

const usage = `npm run chaos -- [options]
  --minutes M      of faults, with what comes before and after (3)
  --servers N      3 or 5 (3)
  --processes N    of clients (4)
  --clients N      in each (50)
  --seed S         which faults, and when
  --network KIND   namespaces, or proxies where the machine has none
  --out FOLDER     where the picture goes, chaos-SEED.svg (.)
  --keep FOLDER    keep all that the processes wrote down`
const { values } = readCommandLine(usage, {
  minutes: { type: 'string' },
  servers: { type: 'string' },
  processes: { type: 'string' },
  clients: { type: 'string' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  network: { type: 'string' },
  out: { type: 'string', default: '.' },
  keep: { type: 'string' },
})
const minutes = readNumber(usage, values.minutes, 3)
const servers = readNumber(usage, values.servers, 3)
const networks = ['namespaces', 'proxies'] as const
/** What comes before and after the storm. */
const aroundMs = 40_000
const started = performance.now()
const progress = new Progress(process.stderr, systemClock)
const say = (text: string): void => {
  const at = ((performance.now() - started) / 1000).toFixed(1).padStart(6)
  progress.above(() => console.log(`${at} s  ${text}`))
  // What was said last goes on: on a terminal one sees for how long.
  progress.say(`of ${minutes} min; ${text}`)
}

const { seed, keep } = values
const [network] = values.network === undefined ? [] : readNames(usage, [values.network], networks)
say(`seed ${seed}`)
const outcome = await runChaos({
  ...{ seed, servers, say },
  clientProcesses: readNumber(usage, values.processes, 4),
  clientsEach: readNumber(usage, values.clients, 50),
  stormMs: Math.max(0, minutes * 60_000 - aroundMs),
  rounds: minutes < 3 ? 0 : 3,
  ...(network === undefined ? {} : { network }),
  ...(keep === undefined ? {} : { keep }),
})
progress.clear()
console.log(reportOf(outcome))
const { lines, hosts, sites, violations } = outcome
const title = `licd under fire: ${servers} servers, ${outcome.clients} clients, seed ${seed}`
const picture = join(values.out, `chaos-${seed}.svg`)
writeFileSync(picture, drawRun(lines, { title, hosts, sites, violations }))
console.log(`picture: ${picture}`)
process.exitCode = violations.length > 0 ? 1 : 0
