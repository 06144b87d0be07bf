/**
 * Puts bugs of the table back, one at a time, and sees that a regression of each fails.
 *
 * All regressions that a mutant must fail run in one process of its own, in the mutant's build.
 */
import type { Bug } from '../raft/bugs/bug.ts'
import { bugs } from '../raft/bugs/table.ts'
import { hunt } from './hunt.ts'
import type { Hunt, Orders } from './hunter.ts'
import type { Mutant } from './mutant.ts'
import { mutants } from './registry.ts'
import { build, makeVariant } from './variant.ts'

export interface Relapse {
  readonly mutant: Mutant
  /** Rows of the table that it puts back, and for each what its regressions found; `undefined`: nothing. */
  readonly rows: readonly {
    readonly row: string
    readonly test?: string
    readonly found?: string
  }[]
  readonly trouble?: string
  readonly ms: number
}

const limitMs = 120_000

function rowsOf({ name }: Mutant): Bug[] {
  return bugs.filter(({ mutants: names = [] }) => names.includes(name))
}

function testsOf(rows: readonly Bug[]): string[] {
  return [...new Set(rows.flatMap(({ tests = [] }) => tests))]
}

/** The mutants that the table names. */
export function relapsing(): Mutant[] {
  return mutants.filter(mutant => rowsOf(mutant).length > 0)
}

/** What to run in a mutant's build: each regression that it may fail, once. */
export function relapseOrders(mutant: Mutant, folder: string): Orders {
  return ordersFor(testsOf(rowsOf(mutant)), folder)
}

function ordersFor(tests: readonly string[], folder: string): Orders {
  const module = 'test/mutants/scenarios.js'
  const starts = tests.map((_, n) => n)
  return { folder, module, tests, starts, seeds: 1, patience: tests.length + 1, ms: limitMs }
}

/** What the hunts that `relapseOrders` led to say of each row. */
export function relapsesIn(mutant: Mutant, hunts: readonly Hunt[]): Relapse['rows'] {
  const rows = rowsOf(mutant)
  const found = new Map(
    testsOf(rows).map((test, n) => [test, finding(hunts.find(({ start }) => start === n))]),
  )
  return rows.map(({ id, source, tests = [] }) => {
    const row = `${id} ${source}`
    const test = tests.find(one => found.get(one) !== undefined)
    return test === undefined ? { row } : { row, test, found: found.get(test) ?? '' }
  })
}

export async function relapse(mutant: Mutant): Promise<Relapse> {
  const variant = makeVariant(mutant)
  try {
    const { hunts, trouble, ms } = await hunt([relapseOrders(mutant, variant.folder)], limitMs)
    const rows = relapsesIn(mutant, hunts)
    return { mutant, rows, ...(trouble === undefined ? {} : { trouble }), ms }
  } finally {
    variant.remove()
  }
}

/** What regressions find in the product as it is: must be nothing. */
export async function soundness(): Promise<string[]> {
  const { hunts, trouble } = await hunt([ordersFor(testsOf(bugs), build)], limitMs)
  const found = hunts.map(finding).filter(one => one !== undefined)
  return trouble === undefined ? found : [...found, trouble]
}

function finding(one: Hunt | undefined): string | undefined {
  return one?.after === undefined || one.broken === true ? undefined : (one.by ?? 'fails')
}
