/** `npm run chaos -- [--minutes M] [--servers 3|5] [--seed S] [--network namespaces|proxies]`. */
import { parseArgs } from 'node:util'
import { runChaos } from './run.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    servers: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    network: { type: 'string' },
    keep: { type: 'string' },
  },
})
const started = performance.now()
const say = (text: string): void =>
  console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} ${text}`)
const { network, keep } = values
say(`seed ${values.seed}`)
const outcome = await runChaos({
  seed: values.seed,
  servers: Number(values.servers),
  clientProcesses: 4,
  clientsEach: 50,
  stormMs: Math.max(0, Number(values.minutes) * 60_000 - 50_000),
  rounds: Number(values.minutes) < 3 ? 0 : 3,
  ...(network === 'namespaces' || network === 'proxies' ? { network } : {}),
  ...(keep === undefined ? {} : { keep }),
  say,
})
const { lines, ...shown } = outcome
console.log(lines.length, 'lines')
console.dir(shown, { depth: 6 })
process.exitCode = outcome.violations.length > 0 ? 1 : 0
