/**
 * One target, so many cases: each is read, and what must hold of any reading is looked at.
 *
 * A finding names target, seed and case, which make the bytes again, and has the bytes themselves.
 */
import { SeededRandom } from '../sim/seeded-random.ts'
import { mutate } from './mutate.ts'
import { canonical, type Target } from './target.ts'

export interface Finding {
  readonly target: string
  readonly seed: number
  readonly number: number
  readonly what: string
  /** The case, base64; the first 64 KiB. */
  readonly bytes: string
}

export interface Tally {
  readonly target: string
  readonly cases: number
  readonly accepted: number
  /** The longest that a case took, milliseconds, and its size. */
  readonly slowestMs: number
  readonly slowestBytes: number
  readonly finding?: Finding
}

export interface FuzzOptions {
  readonly seed: number
  /** The first case; a run goes on where another ended. */
  readonly from: number
  readonly cases: number
  /** A reading may take so long, milliseconds of the processor's time. */
  readonly slowMs: number
  /** Called before each case, for whoever watches whether it ever ends. */
  readonly beat?: (number: number) => void
}

/** After so many cases a valid body is read again. */
const canaryEvery = 64

/** The bytes of one case. */
export function caseOf(target: Target, seed: number, number: number): Uint8Array {
  return mutate(target, new SeededRandom(`${target.name}:${seed}:${number}`))
}

export async function fuzz(target: Target, options: FuzzOptions): Promise<Tally> {
  const { seed, from, cases, slowMs, beat } = options
  const { name, corpus, seal = body => body } = target
  const valid = corpus.map(seal)
  const known: string[] = []
  let accepted = 0
  let slowestMs = 0
  let slowestBytes = 0
  let number = from
  let bytes: Uint8Array = new Uint8Array()
  const tally = () => ({ target: name, cases: number - from, accepted, slowestMs, slowestBytes })
  try {
    for (bytes of valid) known.push(await accept(target, bytes))
    for (; number < from + cases; number++) {
      beat?.(number)
      bytes = caseOf(target, seed, number)
      const { value, ms } = await timed(target, bytes, slowMs)
      if (ms > slowestMs) {
        slowestMs = ms
        slowestBytes = bytes.length
      }
      if (value !== undefined) {
        accepted++
        await roundTrip(target, value)
      }
      if (number % canaryEvery > 0) continue
      const at = (number / canaryEvery) % valid.length
      bytes = valid[at] ?? bytes
      const again = await accept(target, bytes)
      if (again !== known[at]) throw new Error('it reads valid bytes otherwise than before')
    }
    return tally()
  } catch (error) {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const text = Buffer.from(bytes.subarray(0, 65_536)).toString('base64')
    return { ...tally(), finding: { target: name, seed, number, what, bytes: text } }
  }
}

/** Reads what is valid. */
async function accept(target: Target, bytes: Uint8Array): Promise<string> {
  const value = await target.read(bytes)
  if (value === undefined) throw new Error('it refuses valid bytes')
  await roundTrip(target, value)
  return canonical(value)
}

async function timed(target: Target, bytes: Uint8Array, slowMs: number) {
  const start = performance.now()
  const value = await target.read(bytes)
  const ms = performance.now() - start
  if (ms <= slowMs) return { value, ms }
  // The machine may have been busy with something else: again, and what counts is the processor's time.
  let least = Infinity
  for (let tries = 0; tries < 3; tries++) {
    const before = process.cpuUsage()
    await target.read(bytes)
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, (user + system) / 1_000)
  }
  if (least > slowMs) throw new Error(`${least} ms for ${bytes.length} bytes`)
  return { value, ms: least }
}

async function roundTrip({ read, write }: Target, value: unknown): Promise<void> {
  if (write === undefined) return
  const again = await read(write(value as never))
  if (canonical(again) !== canonical(value)) {
    throw new Error(`written and read again it is another: ${canonical(value).slice(0, 2_000)}`)
  }
}
