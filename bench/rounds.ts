/**
 * The interleaved measurement: in each round every row is measured once, in an order that turns from round to round,
 * so that what the machine does meanwhile hits all alike and ratios of one round may be trusted.
 */
import { availableParallelism } from 'node:os'
import { layoutName, type Layout, type Row, type Running } from './contender.ts'
import { cellOf, type Cell } from './figures.ts'
import { Fleet, type Sample } from './fleet.ts'

export interface Plan {
  readonly rows: readonly Row[]
  readonly layouts: readonly Layout[]
  readonly running: ReadonlyMap<string, Running>
  readonly pairs: number
  readonly seconds: number
  /** Seconds that a row runs before it is measured; `warmFor` when absent. */
  readonly warm?: (layout: Layout) => number
  /** Told what goes on. */
  readonly note: (text: string) => void
  readonly nodeArguments?: readonly string[]
  /** Told of a row that could not be measured, and why; without it that ends the measurement, as it does for licd's own. */
  readonly skip?: (what: string, why: string) => void
}

const own = new Set(['licd', 'ledger', 'echo'])

/**
 * A new process is warmed up until its code is compiled: so long where it has a core of its own. With 0.6 of 16 processes
 * licd's ratio to echo rose from 0.9 to 1.6 over the first four rounds; with this from 1.4 to 1.8 in the second.
 */
export const warmSeconds = 1.5

/** Of several processes, which share the cores. */
export function warmFor({ processes }: Layout): number {
  return warmSeconds * Math.max(1, processes / availableParallelism())
}

export async function measureRounds(plan: Plan): Promise<Cell[]> {
  const cells: Cell[] = []
  for (const layout of plan.layouts) cells.push(...(await measureLayout(plan, layout)))
  return cells
}

async function measureLayout(plan: Plan, layout: Layout): Promise<Cell[]> {
  const { pairs, seconds, note, warm = warmFor } = plan
  const fleets = await openFleets(plan, layout)
  try {
    const samples = new Map<Row, Sample[]>(fleets.map(({ row }) => [row, []]))
    for (const { fleet } of fleets) {
      await fleet.measure(warm(layout))
      await fleet.settle()
    }
    for (let round = 0; round < pairs; round++) {
      note(`${layoutName(layout)}: round ${round + 1} of ${pairs}`)
      const at = (round * Math.ceil(fleets.length / pairs)) % fleets.length
      for (const { row, fleet } of [...fleets.slice(at), ...fleets.slice(0, at)]) {
        samples.get(row)?.push(await fleet.measure(seconds))
        await fleet.settle()
      }
    }
    return fleets.map(({ row }) => cellOf(row.id, layoutName(layout), samples.get(row) ?? []))
  } finally {
    await Promise.all(fleets.map(({ fleet }) => fleet.close()))
  }
}

async function openFleets(plan: Plan, layout: Layout): Promise<{ row: Row; fleet: Fleet }[]> {
  const fleets: { row: Row; fleet: Fleet }[] = []
  for (const row of plan.rows) {
    const running = plan.running.get(row.contender)
    if (running === undefined) continue
    const { address } = running
    const servers = () => running.processes()
    const { nodeArguments = [], skip } = plan
    try {
      const fleet = await Fleet.open({ row, layout, address, servers, nodeArguments })
      fleets.push({ row, fleet })
    } catch (error) {
      // What others cannot do is no reason to lose the figures of the rest.
      if (skip === undefined || own.has(row.contender)) throw error
      skip(`${row.id} ${layoutName(layout)}`, String(error))
    }
  }
  return fleets
}
