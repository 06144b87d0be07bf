/**
 * This server's dark seats: how many of each kind, and by which ticks they are back (R5, R6, R7).
 *
 * Counted from the seats that are dark, which are seldom many.
 */
import type { SeatBook } from '../book/book.ts'
import type { DarkCount } from '../protocol/why.ts'

/** Feature -> its dark seats here. */
export function darkSeats(book: SeatBook): Map<string, DarkCount[]> {
  const byFeature = new Map<string, Map<DarkCount['kind'], DarkCount>>()
  const add = (feature: string, kind: DarkCount['kind'], count: number, tick: number): void => {
    let kinds = byFeature.get(feature)
    if (kinds === undefined)
      byFeature.set(feature, (kinds = new Map<DarkCount['kind'], DarkCount>()))
    const known = kinds.get(kind)
    kinds.set(kind, {
      kind,
      count: (known?.count ?? 0) + count,
      firstTick: Math.min(known?.firstTick ?? Infinity, tick),
      lastTick: Math.max(known?.lastTick ?? 0, tick),
    })
  }
  for (const { stock, state, due } of book.darkSeats()) {
    if (state !== 'held') add(stock.feature, state, 1, due + 1)
  }
  for (const { feature, unknown } of book.stocks()) {
    if (unknown > 0) add(feature, 'relearning', unknown, book.relearnUntil)
  }
  return new Map([...byFeature].map(([feature, kinds]) => [feature, [...kinds.values()]]))
}
