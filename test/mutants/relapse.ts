/**
 * Puts bugs of the table back, one at a time, and sees that a regression of each fails.
 *
 * All regressions that a mutant must fail run in one process of its own, in the mutant's build.
 */
import { bugs } from '../raft/bugs/table.ts'
import { hunt } from './hunt.ts'
import type { Hunt } from './hunter.ts'
import { control, type Mutant } from './mutant.ts'
import { mutants } from './registry.ts'
import { makeVariant } from './variant.ts'

export interface Relapse {
  readonly mutant: Mutant
  /** Rows of the table that it puts back, and for each what its regressions found; `undefined`: nothing. */
  readonly rows: readonly { readonly row: string; readonly found: string | undefined }[]
  readonly trouble?: string
  readonly ms: number
}

const limitMs = 60_000

/** The mutants that the table names. */
export function relapsing(): Mutant[] {
  const named = new Set(bugs.flatMap(({ mutants: names = [] }) => names))
  return mutants.filter(({ name }) => named.has(name))
}

export async function relapse(mutant: Mutant): Promise<Relapse> {
  const rows = bugs.filter(({ mutants: names = [] }) => names.includes(mutant.name))
  const tests = [...new Set(rows.flatMap(row => row.tests ?? []))]
  const { hunts, trouble, ms } = await runIn(mutant, tests)
  const found = new Map(tests.map((test, n) => [test, finding(hunts[n])]))
  return {
    mutant,
    rows: rows.map(({ id, source, tests: own = [] }) => ({
      row: `${id} ${source}`,
      found: own.map(test => found.get(test)).find(one => one !== undefined),
    })),
    ...(trouble === undefined ? {} : { trouble }),
    ms,
  }
}

/** What regressions find in the product as it is: must be nothing. */
export async function soundness(): Promise<string[]> {
  const tests = [...new Set(bugs.flatMap(({ tests: own = [] }) => own))]
  const { hunts, trouble } = await runIn(control, tests)
  const found = hunts.map(finding).filter(one => one !== undefined)
  return trouble === undefined ? found : [...found, trouble]
}

async function runIn(
  mutant: Mutant,
  tests: readonly string[],
): Promise<Awaited<ReturnType<typeof hunt>>> {
  const variant = makeVariant(mutant)
  try {
    const module = 'test/mutants/regressions.js'
    const starts = tests.map((_, n) => n)
    const orders = { module, starts, seeds: 1, patience: Infinity, ms: limitMs, tests }
    return await hunt(variant.folder, orders, limitMs)
  } finally {
    variant.remove()
  }
}

/** Whatever a regression throws, the bug shows: a node may well stop on an error of its own. */
function finding(one: Hunt | undefined): string | undefined {
  return one?.after === undefined ? undefined : (one.by ?? 'fails')
}
