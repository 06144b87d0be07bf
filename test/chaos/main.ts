/**
 * `npm run chaos -- [--minutes M] [--servers 3|5] [--seed S] [--network namespaces|proxies] [--out FOLDER]`: one run,
 * its report, its picture (`chaos-SEED.svg`), and with `--keep FOLDER` all that its processes wrote down.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Progress } from '../../lib/progress.ts'
import { systemClock } from '../../raft/index.ts'
import { drawRun } from './picture.ts'
import { reportOf } from './report.ts'
import { runChaos } from './run.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    servers: { type: 'string', default: '3' },
    processes: { type: 'string', default: '4' },
    clients: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    network: { type: 'string' },
    out: { type: 'string', default: '.' },
    keep: { type: 'string' },
  },
})
/** What comes before and after the storm. */
const aroundMs = 40_000
const started = performance.now()
const progress = new Progress(process.stderr, systemClock)
const say = (text: string): void => {
  const at = ((performance.now() - started) / 1000).toFixed(1).padStart(6)
  progress.above(() => console.log(`${at} s  ${text}`))
  // What was said last goes on: on a terminal one sees for how long.
  progress.say(`of ${values.minutes} min; ${text}`)
}

const { seed, network, keep } = values
const [minutes, servers] = [Number(values.minutes), Number(values.servers)]
say(`seed ${seed}`)
const outcome = await runChaos({
  ...{ seed, servers, say },
  clientProcesses: Number(values.processes),
  clientsEach: Number(values.clients),
  stormMs: Math.max(0, minutes * 60_000 - aroundMs),
  rounds: minutes < 3 ? 0 : 3,
  ...(network === 'namespaces' || network === 'proxies' ? { network } : {}),
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
