/**
 * What many runs come to: figures that add up, and how they are told.
 */
import type { RunResult } from './node-world.ts'

export interface Totals {
  seeds: number
  /** CPU seconds of those who ran them. */
  cpuSeconds: number
  sums: Record<string, number>
  kinds: Record<string, number>
}

export function emptyTotals(): Totals {
  return { seeds: 0, cpuSeconds: 0, sums: {}, kinds: {} }
}

export function addResult(totals: Totals, result: RunResult): void {
  totals.seeds++
  for (const [name, value] of Object.entries(result)) {
    if (typeof value === 'number') totals.sums[name] = (totals.sums[name] ?? 0) + value
  }
  for (const [kind, count] of result.kinds) {
    totals.kinds[kind] = (totals.kinds[kind] ?? 0) + count
  }
}

export function sumOf(all: readonly Totals[]): Totals {
  const sum = emptyTotals()
  for (const totals of all) {
    sum.seeds += totals.seeds
    sum.cpuSeconds += totals.cpuSeconds
    for (const part of ['sums', 'kinds'] as const) {
      for (const [name, value] of Object.entries(totals[part])) {
        sum[part][name] = (sum[part][name] ?? 0) + value
      }
    }
  }
  return sum
}

export function perSecond({ sums, cpuSeconds }: Totals): number {
  return Math.round((sums.events ?? 0) / Math.max(cpuSeconds, 0.001))
}

export function progressLine(totals: Totals): string {
  const { seeds, sums } = totals
  const million = ((sums.events ?? 0) / 1e6).toFixed(2)
  return `${seeds} seeds, ${million} million events, ${perSecond(totals)} a second per core`
}

/** Everything, over several lines. */
export function report(totals: Totals): string {
  const { seeds, sums, kinds } = totals
  const n = (name: string): string => (sums[name] ?? 0).toLocaleString('en')
  const idle = (100 * (sums.idle ?? 0)) / Math.max(1, sums.events ?? 0)
  const hours = (sums.virtualMs ?? 0) / 3_600_000
  const faults = Object.entries(kinds)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([kind, count]) => `${kind} ${count}`)
  return [
    `${seeds} seeds, ${n('events')} events in ${hours.toFixed(1)} virtual hours`,
    `  delivered messages ${n('messages')}, disk completions ${n('disk')}, timers ${n('timers')}, faults ${n('faults')}`,
    `  idle ${n('idle')} (${idle.toFixed(1)} %)`,
    `  commands ${n('commands')}, reads ${n('reads')}, outcomes never known ${n('unknown')}, histories undecided ${n('undecided')}`,
    `  elections ${n('elections')} in ${n('terms')} terms, truncations ${n('truncations')}, snapshots installed ${n('snapshots')}, changes of members ${n('changes')}, transfers ${n('transfers')}`,
    `  faults by kind: ${faults.join(', ')}`,
    `  ${perSecond(totals).toLocaleString('en')} events a second per core (${totals.cpuSeconds.toFixed(1)} s of CPU)`,
  ].join('\n')
}
