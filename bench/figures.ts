/** The figures of a run as they are stored: what the table, the page and a later comparison read. */
import type { HistogramJson } from './histogram.ts'
import { Histogram } from './histogram.ts'
import type { Sample } from './fleet.ts'
import type { Machine } from './machine.ts'
import type { LineChart, RangeChart } from './page/charts.ts'

/** One row in one layout; lists have one value a round, in order. */
export interface Cell {
  readonly row: string
  readonly layout: string
  readonly perSecond: readonly number[]
  /** Of all rounds together. */
  readonly latencies: HistogramJson
  /** Of each round, milliseconds; NaN is stored as null when nothing ended. */
  readonly p50Ms: readonly number[]
  readonly p99Ms: readonly number[]
  readonly failures: Readonly<Record<string, number>>
  readonly clientMicros: readonly number[]
  readonly serverMicros: Readonly<Record<string, readonly number[]>>
  /** The largest seen. */
  readonly clientRssMiB: number
  readonly serverRssMiB: Readonly<Record<string, number>>
}

/** A table of a section other than the throughput. */
export interface SectionTable {
  readonly title: string
  readonly note?: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly (string | number)[])[]
  readonly charts?: readonly SectionChart[]
}

/** How the page shows a section. */
export type SectionChart =
  ({ readonly kind: 'lines' } & LineChart) | ({ readonly kind: 'ranges' } & RangeChart)

/** Rows that were measured side by side, in each of some layouts. */
export interface Group {
  readonly id: 'seats' | 'replicated'
  readonly title: string
  /** Of one measurement. */
  readonly seconds: number
  /** Of rows, by id; in the order of the table. */
  readonly titles: Readonly<Record<string, string>>
  readonly layouts: readonly string[]
  readonly cells: readonly Cell[]
}

export interface Figures {
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  /** Those that were left out, and how to get them. */
  readonly skipped: Readonly<Record<string, string>>
  readonly loadBefore: string
  readonly loadAfter: string
  readonly pairs: number
  readonly seconds: number
  readonly groups: readonly Group[]
  readonly sections: readonly SectionTable[]
}

export function cellOf(row: string, layout: string, samples: readonly Sample[]): Cell {
  const serverNames = Object.keys(samples[0]?.serverMicros ?? {})
  const failures: Record<string, number> = {}
  for (const sample of samples) {
    for (const [name, count] of Object.entries(sample.failures)) {
      failures[name] = (failures[name] ?? 0) + count
    }
  }
  return {
    row,
    layout,
    perSecond: samples.map(sample => sample.perSecond),
    latencies: Histogram.of(...samples.map(sample => sample.latencies.toJSON())).toJSON(),
    p50Ms: samples.map(sample => sample.latencies.quantile(0.5)),
    p99Ms: samples.map(sample => sample.latencies.quantile(0.99)),
    failures,
    clientMicros: samples.map(sample => sample.clientMicros),
    serverMicros: Object.fromEntries(
      serverNames.map(name => [name, samples.map(sample => sample.serverMicros[name] ?? 0)]),
    ),
    clientRssMiB: Math.max(...samples.map(sample => sample.clientRssMiB)),
    serverRssMiB: Object.fromEntries(
      serverNames.map(name => [
        name,
        Math.max(...samples.map(sample => sample.serverRssMiB[name] ?? 0)),
      ]),
    ),
  }
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.filter(value => !Number.isNaN(value)).sort((a, b) => a - b)
  const at = (index: number) => sorted[index] ?? Number.NaN
  const middle = (sorted.length - 1) / 2
  return {
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    min: at(0),
    max: at(sorted.length - 1),
  }
}

/** Round by round, so that what the machine did meanwhile falls out. */
export function ratios(cell: Cell, to: Cell): number[] {
  return cell.perSecond.flatMap((value, round) => {
    const other = to.perSecond[round] ?? 0
    return other > 0 ? [value / other] : []
  })
}

export function findCell(group: Group, row: string, layout: string): Cell | undefined {
  return group.cells.find(cell => cell.row === row && cell.layout === layout)
}
