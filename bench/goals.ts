/** What was promised, beside what was measured: ratios of one run, medians of its rounds. */
import { findCell, ratios, spread, type Group, type Spread } from './figures.ts'

interface Goal {
  readonly what: string
  readonly row: string
  readonly to: string
  readonly layout: string
  /** The least the ratio of operations a second may be. */
  readonly atLeast: number
}

export interface Verdict {
  readonly what: string
  readonly layout: string
  readonly wanted: string
  readonly measured: Spread
  readonly isMet: boolean
}

const seat = 'licd.unawaited'
const one = { layout: '1x1' }
const some = { layout: '1x16' }
const many = { layout: '1x256' }

const goals: readonly Goal[] = [
  { what: 'acquire : echo', row: 'licd.acquire', to: 'echo.request', ...one, atLeast: 0.85 },
  { what: 'acquire + release : echo', row: seat, to: 'echo.request', ...one, atLeast: 0.85 },
  { what: 'acquire + release : echo', row: seat, to: 'echo.request', ...some, atLeast: 2 },
  { what: 'acquire + release : echo', row: seat, to: 'echo.request', ...many, atLeast: 5 },
  { what: 'acquire + release : ceiling', row: seat, to: 'echo.mux', ...many, atLeast: 1.2 },
  { what: 'acquire + release : Redis', row: seat, to: 'redis.client', ...many, atLeast: 2 },
  {
    ...{ what: 'acquire + release : echo', row: seat, to: 'echo.request' },
    ...{ layout: '16x16', atLeast: 1.5 },
  },
  ...['1x1', '1x16', '1x256', '4x16', '16x16'].map(layout => ({
    ...{ what: 'one feature : own features', row: 'licd.one', to: seat },
    ...{ layout, atLeast: 0.95 },
  })),
  { what: 'acquire + release : etcd checkout', row: seat, to: 'etcd.own', ...one, atLeast: 15 },
  { what: 'acquire + release : etcd checkout', row: seat, to: 'etcd.own', ...some, atLeast: 30 },
  { what: 'acquire + release : etcd checkout', row: seat, to: 'etcd.own', ...many, atLeast: 60 },
  { what: 'acquire + release : KV checkout', row: seat, to: 'kv.own', ...one, atLeast: 2.5 },
  { what: 'acquire + release : KV checkout', row: seat, to: 'kv.own', ...some, atLeast: 5 },
  { what: 'acquire + release : KV checkout', row: seat, to: 'kv.own', ...many, atLeast: 12 },
  { what: 'add allocations : etcd put', row: 'ledger.add', to: 'etcd.put', ...one, atLeast: 1 },
  { what: 'add allocations : etcd put', row: 'ledger.add', to: 'etcd.put', ...some, atLeast: 2.5 },
  { what: 'add allocations : etcd put', row: 'ledger.add', to: 'etcd.put', ...many, atLeast: 2.5 },
  { what: 'borrow : etcd put', row: 'ledger.borrow', to: 'etcd.put', ...one, atLeast: 1 },
  { what: 'borrow : etcd put', row: 'ledger.borrow', to: 'etcd.put', ...some, atLeast: 2.5 },
  { what: 'borrow : etcd put', row: 'ledger.borrow', to: 'etcd.put', ...many, atLeast: 2.5 },
]

/** Those of which both sides were measured. */
export function verdicts(group: Group): Verdict[] {
  const found: Verdict[] = []
  for (const { what, row, to, layout, atLeast } of goals) {
    const cell = findCell(group, row, layout)
    const other = findCell(group, to, layout)
    if (cell === undefined || other === undefined) continue
    const measured = spread(ratios(cell, other))
    const isMet = measured.median >= atLeast
    found.push({ what, layout, wanted: `at least ${atLeast}`, measured, isMet })
  }
  const p50 = latencyVerdict(group)
  return p50 === undefined ? found : [p50, ...found]
}

/** With one acquire in flight: nothing but the round trip. */
function latencyVerdict(group: Group): Verdict | undefined {
  const { layout } = one
  const cell = findCell(group, 'licd.acquire', layout)
  const echo = findCell(group, 'echo.request', layout)
  if (cell === undefined || echo === undefined) return undefined
  const measured = spread(cell.p50Ms.map((ms, round) => ms / (echo.p50Ms[round] ?? Number.NaN)))
  const what = 'p50 of acquire : p50 of echo'
  return { what, layout, wanted: 'at most 1.2', measured, isMet: measured.median <= 1.2 }
}
