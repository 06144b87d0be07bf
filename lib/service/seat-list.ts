/**
 * The seats of a book for people to read, a page at a time in the order of their ids.
 *
 * For operators: a page costs a walk over all seats, which no client's path does. A client's id is as good as the token
 * of its seats, so it never leaves the server: a mark of it does.
 */
import { createHash } from 'node:crypto'
import type { SeatBook } from '../book/book.ts'
import type { Seat } from '../book/seat.ts'
import type { SeatPage, SeatQuery } from '../server/parts.ts'

export function listSeats(book: SeatBook, options: SeatQuery, now: number): SeatPage {
  const { feature, search = '', after = '', limit } = options
  const wanted = search.toLowerCase()
  const ids: string[] = []
  let total = 0
  for (const seat of book.seats()) {
    if (feature !== undefined && feature !== seat.stock.feature) continue
    if (wanted !== '' && !hasText(seat, wanted)) continue
    total++
    if (seat.seatId > after) ids.push(seat.seatId)
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
  const more = ids.length > seats.length && last !== undefined ? { next: last.seatId } : {}
  return { seats, ...more, total }
}

function hasText({ seatId, stock, holder }: Seat, wanted: string): boolean {
  return (
    holder?.user.toLowerCase().includes(wanted) === true ||
    holder?.host.toLowerCase().includes(wanted) === true ||
    stock.feature.toLowerCase().includes(wanted) ||
    seatId.toLowerCase().includes(wanted)
  )
}

/** 16 hexadecimal digits that tell clients apart, the same at all servers; the id cannot be found from them. */
export function clientMark(clientId: string): string {
  return createHash('sha256').update(`licd client ${clientId}`).digest('hex').slice(0, 16)
}
