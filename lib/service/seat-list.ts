/**
 * The seats of a book for people to read, a page at a time in the order of their ids.
 *
 * For operators: a page costs a walk over all seats, which no client's path does. A client's id is as good as the token
 * of its seats, so it never leaves the server: a mark of it does.
 */
import { createHash } from 'node:crypto'
import type { SeatBook } from '../book/book.ts'
import type { SeatStatus } from '../protocol/ctl.ts'

export function listSeats(
  book: SeatBook,
  options: { readonly feature?: string; readonly after?: string; readonly limit: number },
  now: number,
): { seats: SeatStatus[]; next?: string } {
  const { feature, after = '', limit } = options
  const ids: string[] = []
  for (const { seatId, stock } of book.seats()) {
    if (seatId > after && (feature === undefined || feature === stock.feature)) ids.push(seatId)
  }
  ids.sort()
  const seats = ids.slice(0, Math.max(0, limit)).flatMap(seatId => {
    const seat = book.find(seatId)
    if (seat === undefined) return []
    const { holder, stock, state, since, expiresAt } = seat
    return {
      seatId,
      feature: stock.feature,
      user: holder?.user ?? '',
      host: holder?.host ?? '',
      clientId: holder === undefined ? '' : clientMark(holder.clientId),
      state,
      heldMs: holder === undefined ? 0 : Math.max(0, now - since),
      expiresInMs: state === 'held' ? Math.max(0, expiresAt - now) : 0,
    }
  })
  const last = seats.at(-1)
  return ids.length > seats.length && last !== undefined ? { seats, next: last.seatId } : { seats }
}

/** 16 hexadecimal digits that tell clients apart, the same at all servers; the id cannot be found from them. */
export function clientMark(clientId: string): string {
  return createHash('sha256').update(`licd client ${clientId}`).digest('hex').slice(0, 16)
}
