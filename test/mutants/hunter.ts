/**
 * The program that hunts: it runs killers, of one build or several, over seeds until they throw, as often as asked.
 *
 * Each hunt ends in a line on the standard output, at once, so that a hunter which has to be killed has said what it
 * found before. It runs as a process of its own, because a bug may well be an endless loop.
 */
import { AssertionError } from 'node:assert/strict'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Killer } from './killers.ts'

export interface Orders {
  /** Of the build. */
  readonly folder: string
  /** Of the killer, relative to the build. */
  readonly module: string
  /** What the killer is to choose from, where it can: seeds number it then. */
  readonly tests?: readonly string[]
  /** The first seed of each hunt. */
  readonly starts: readonly number[]
  /** Seeds a hunt. */
  readonly seeds: number
  /** No further hunt once so many have found nothing, nor after so many ms. */
  readonly patience: number
  readonly ms: number
}

/** `after` so many seeds, or never; `broken` when what it threw is no finding. */
export interface Hunt {
  /** Which of the orders. */
  readonly order: number
  readonly start: number
  readonly after?: number
  readonly by?: string
  readonly broken?: boolean
}

async function carryOut(order: number, orders: Orders): Promise<void> {
  const { folder, module, tests, starts, seeds, patience, ms } = orders
  const loaded = (await import(pathToFileURL(join(folder, module)).href)) as {
    readonly killer?: Killer
    readonly killerOf?: (tests: readonly string[]) => Killer
  }
  const killer = tests === undefined ? loaded.killer : loaded.killerOf?.(tests)
  if (killer === undefined) throw new Error(`${module} has no killer`)
  const begun = performance.now()
  let vain = 0
  for (const start of starts) {
    const hunt = await hunted(killer, start, seeds)
    process.stdout.write(`${JSON.stringify({ order, start, ...hunt } satisfies Hunt)}\n`)
    if (hunt.after === undefined) vain += 1
    if (vain >= patience || performance.now() - begun > ms) return
  }
}

async function hunted(
  killer: Killer,
  start: number,
  seeds: number,
): Promise<Pick<Hunt, 'after' | 'by' | 'broken'>> {
  for (let n = 0; n < seeds; n++) {
    try {
      await killer.run(start + n)
    } catch (error) {
      return { after: n + 1, ...finding(error) }
    }
  }
  return {}
}

/** What says that the patch is nonsense, and not that its bug was found. */
const nonsense =
  /is not defined|is not a function|not iterable|Cannot (read|set) propert|Cannot destructure/

/** A killer finds by assertion, or a port's error comes through. What a slip in a patch throws is no finding. */
function finding(error: unknown): Pick<Hunt, 'by' | 'broken'> {
  const shown = assertionIn(error) ?? error
  const text = shown instanceof Error ? shown.message : String(shown)
  const by = text.split('\n', 1)[0] ?? ''
  const isSlip = nonsense.test(text) || isMistake(error)
  return isSlip ? { by, broken: true } : { by }
}

function isMistake(error: unknown): boolean {
  if (error instanceof AssertionError || !(error instanceof Error)) return false
  const mistakes = [ReferenceError, TypeError, SyntaxError]
  return mistakes.some(kind => error instanceof kind) || isMistake(error.cause)
}

function assertionIn(error: unknown): AssertionError | undefined {
  if (error instanceof AssertionError) return error
  return error instanceof Error ? assertionIn(error.cause) : undefined
}

const [all] = process.argv.slice(2)
for (const [n, orders] of (JSON.parse(all ?? '[]') as Orders[]).entries()) await carryOut(n, orders)
