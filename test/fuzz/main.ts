/**
 * Fuzzing for long: `npm run fuzz`.
 *
 * Goes round all decoders until the time is over, prints a line a target at the end, and each finding at once with what
 * makes it again (`--target NAME --seed S --case N`). Exit code 1 when there is one.
 */
import { readCommandLine, readNames, readNumber } from '../command-line.ts'
import { caseOf, type Tally } from './fuzz.ts'
import { Hunter } from './hunt.ts'
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

/** Cases of a target in one turn. */
const turn = 20_000
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
  slowest: Tally | undefined
}

const sums = new Map<string, Sum>()
const end = performance.now() + minutes * 60_000
let findings = 0
/** A target with a finding is left: the rest of it would be the same one. */
const done = new Set<string>()
for (let from = 0; performance.now() < end && done.size < chosen.length; from += turn) {
  for (const { name } of chosen) {
    if (performance.now() >= end || done.has(name)) continue
    const tally = await hunter.hunt({ target: name, seed, from, cases: turn, slowMs })
    const sum = sums.get(name) ?? { cases: 0, accepted: 0, slowest: undefined }
    sums.set(name, sum)
    sum.cases += tally.cases
    sum.accepted += tally.accepted
    if (tally.slowestMs > (sum.slowest?.slowestMs ?? 0)) sum.slowest = tally
    if (tally.finding === undefined) continue
    findings++
    done.add(name)
    process.stdout.write(`FINDING ${JSON.stringify(tally.finding, undefined, 2)}\n`)
  }
}

let total = 0
for (const [name, { cases, accepted, slowest }] of sums) {
  total += cases
  const slow = `${slowest?.slowestMs.toFixed(1) ?? '0'} ms (${slowest?.slowestBytes ?? 0} B)`
  const share = `${((100 * accepted) / Math.max(1, cases)).toFixed(1)} %`
  process.stdout.write(
    `${name.padEnd(36)} ${String(cases).padStart(9)} cases  read ${share.padStart(6)}  slowest ${slow}\n`,
  )
}
process.stdout.write(
  `seed ${seed}: ${total} cases of ${sums.size} decoders, ${findings} finding${findings === 1 ? '' : 's'}\n`,
)
process.exitCode = findings === 0 ? 0 : 1
