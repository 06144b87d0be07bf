/**
 * What many runs of whole pools come to: figures that add up, the worst of what has a bound, and how they are told.
 */
import type { PoolResult } from './pool-world.ts'

export interface PoolTotals {
  seeds: number
  /** CPU seconds of those who ran them. */
  cpuSeconds: number
  sums: Record<string, number>
  kinds: Record<string, number>
  branches: Record<string, number>
  /** The longest that each step of the calm took, as a part of its bound. */
  worst: Record<string, number>
}

export function emptyPools(): PoolTotals {
  return { seeds: 0, cpuSeconds: 0, sums: {}, kinds: {}, branches: {}, worst: {} }
}

export function addPool(totals: PoolTotals, result: PoolResult): void {
  totals.seeds++
  for (const [name, value] of Object.entries(result)) {
    if (typeof value === 'number') totals.sums[name] = (totals.sums[name] ?? 0) + value
  }
  for (const [kind, count] of result.kinds) totals.kinds[kind] = (totals.kinds[kind] ?? 0) + count
  result.coverage.addTo(totals.branches)
  raise(totals.worst, { ...result.calm })
}

function raise(worst: Record<string, number>, figures: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(figures)) {
    worst[name] = Math.max(worst[name] ?? 0, value)
  }
}

export function sumPools(all: readonly PoolTotals[]): PoolTotals {
  const sum = emptyPools()
  for (const totals of all) {
    sum.seeds += totals.seeds
    sum.cpuSeconds += totals.cpuSeconds
    for (const part of ['sums', 'kinds', 'branches'] as const) {
      for (const [name, value] of Object.entries(totals[part])) {
        sum[part][name] = (sum[part][name] ?? 0) + value
      }
    }
    raise(sum.worst, totals.worst)
  }
  return sum
}

/** Everything, over several lines. */
export function poolReport(totals: PoolTotals): string {
  const { seeds, sums, kinds, worst, cpuSeconds } = totals
  const n = (name: string): string => Math.round(sums[name] ?? 0).toLocaleString('en')
  const hours = (sums.virtualMs ?? 0) / 3_600_000
  const faults = Object.entries(kinds).sort(([a], [b]) => (a < b ? -1 : 1))
  const all = faults.reduce((sum, [, count]) => sum + count, 0)
  const perSecond = (sums.seatHours ?? 0) / Math.max(cpuSeconds, 0.001)
  const parts = Object.entries(worst).map(([name, part]) => `${name} ${(100 * part).toFixed(0)} %`)
  return [
    `${seeds} seeds, ${n('events')} events in ${hours.toFixed(1)} virtual hours, ${n('seatHours')} seat-hours believed`,
    `  granted ${n('granted')}, moved ${n('moved')}, lost ${n('lost')}; operators' commands acknowledged ${n('commands')}, histories undecided ${n('undecided')}`,
    `  faults ${all.toLocaleString('en')}: ${faults.map(([kind, count]) => `${kind} ${count}`).join(', ')}`,
    `  longest, of what is allowed: ${parts.join(', ')}`,
    `  ${perSecond.toFixed(2)} seat-hours a second of CPU (${cpuSeconds.toFixed(1)} s)`,
  ].join('\n')
}
