/**
 * Fuzzing for long: `npm run fuzz`.
 *
 * Goes round all decoders until the time is over, each for as much of the processor's time; tells once a minute how far it
 * is, each finding at once with what makes it again (`--target NAME --seed S --case N`), and a line a target at the end.
 * Exit code 1 when there is a finding.
 */
import { readCommandLine, readNames, readNumber } from '../command-line.ts'
import { caseOf, type Tally } from './fuzz.ts'
import { Hunter, usedMs } from './hunt.ts'
import { targets } from './targets.ts'

const usage = `npm run fuzz -- [options]
  --minutes M     to go on for (1)
  --seed S        of the cases
  --target NAME   one decoder (all)
  --case N        this one of the target's cases alone, as a finding says`
const { values } = readCommandLine(usage, {
  minutes: { type: 'string' },
  seed: { type: 'string' },
  target: { type: 'string' },
  case: { type: 'string' },
})
const minutes = readNumber(usage, values.minutes, 1)

/** A target's turn, of the processor's time: as many cases as its last turn says take so long. */
const turnMs = 4_000
const fewest = 200
const most = 200_000
const tellEveryMs = 60_000
const slowMs = 250

await using hunter = new Hunter()
const seed = Number(values.seed ?? Date.now() % 1_000_000_000)
const wanted = readNames(
  usage,
  values.target === undefined ? [] : [values.target],
  targets.map(({ name }) => name),
)
const chosen = targets.filter(({ name }) => wanted.includes(name))

if (values.case !== undefined) {
  const [only] = chosen
  if (only === undefined || chosen.length > 1) throw new Error('A case is of one --target')
  const number = Number(values.case)
  const bytes = caseOf(only, seed, number)
  process.stdout.write(`${Buffer.from(bytes).toString('base64')}\n`)
  const tally = await hunter.hunt({ target: only.name, seed, from: number, cases: 1, slowMs })
  process.stdout.write(`${JSON.stringify(tally, undefined, 2)}\n`)
  await hunter[Symbol.asyncDispose]()
  process.exit(tally.finding === undefined ? 0 : 1)
}

interface Sum {
  cases: number
  accepted: number
  usedMs: number
  slowest: Tally | undefined
}

const sums = new Map<string, Sum>()
const start = performance.now()
const end = start + minutes * 60_000
let findings = 0
let told = start
let toldCases = 0
/** A target with a finding is left: the rest of it would be the same one. */
const done = new Set<string>()

/** The next turn of one target. */
async function takeTurn(name: string): Promise<void> {
  const sum = sums.get(name) ?? { cases: 0, accepted: 0, usedMs: 0, slowest: undefined }
  sums.set(name, sum)
  const asLong = Math.round((sum.cases / sum.usedMs) * turnMs)
  const cases = sum.cases === 0 ? fewest : Math.min(most, Math.max(fewest, asLong))
  const used = usedMs()
  const tally = await hunter.hunt({ target: name, seed, from: sum.cases, cases, slowMs })
  sum.usedMs += usedMs() - used
  sum.cases += tally.cases
  sum.accepted += tally.accepted
  if (tally.slowestMs > (sum.slowest?.slowestMs ?? 0)) sum.slowest = tally
  if (tally.finding === undefined) return
  findings++
  done.add(name)
  process.stdout.write(`FINDING ${JSON.stringify(tally.finding, undefined, 2)}\n`)
}

const said = (): string => `${findings} finding${findings === 1 ? '' : 's'}`
const totalCases = (): number => [...sums.values()].reduce((sum, { cases }) => sum + cases, 0)

function tell(name: string): void {
  const now = performance.now()
  if (now - told < tellEveryMs) return
  const cases = totalCases()
  const rate = Math.round(((cases - toldCases) * 1_000) / (now - told))
  const minute = ((now - start) / 60_000).toFixed(1)
  process.stdout.write(`${minute} min: ${cases} cases, ${rate} a second, at ${name}; ${said()}\n`)
  told = now
  toldCases = cases
}

while (performance.now() < end && done.size < chosen.length) {
  for (const { name } of chosen) {
    if (performance.now() >= end || done.has(name)) continue
    await takeTurn(name)
    tell(name)
  }
}

for (const [name, { cases, accepted, usedMs, slowest }] of sums) {
  const slow = `${slowest?.slowestMs.toFixed(1) ?? '0'} ms (${slowest?.slowestBytes ?? 0} B)`
  const share = `${((100 * accepted) / Math.max(1, cases)).toFixed(1)} %`
  const cpu = `${(usedMs / 1_000).toFixed(1)} CPU s`
  process.stdout.write(
    `${name.padEnd(36)} ${String(cases).padStart(9)} cases  ${cpu.padStart(12)}  read ${share.padStart(6)}  slowest ${slow}\n`,
  )
}
const cpu = (usedMs() / 60_000).toFixed(1)
process.stdout.write(
  `seed ${seed}: ${totalCases()} cases of ${sums.size} decoders in ${cpu} min of CPU, ${said()}\n`,
)
process.exitCode = findings === 0 ? 0 : 1
