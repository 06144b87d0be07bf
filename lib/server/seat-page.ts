/**
 * What one server answers to `seats`: a page of those it holds, by their ids.
 */
import type { CtlAnswers } from '../protocol/ctl.ts'
import { answerPage } from './ctl-page.ts'
import { readSeatQuery, type Fields } from './ctl-request.ts'
import type { Answer } from './ctl-wire.ts'
import type { SeatService } from './parts.ts'

export function seatsAnswer(service: Pick<SeatService, 'seats'>, fields: Fields): Answer {
  const query = readSeatQuery(fields)
  if (!query.ok) return query
  const { seats, next, total } = service.seats(query.value)
  return answerPage(
    seats,
    // Names and hosts in other scripts take three times the bytes: a page of them may be more than a message.
    { more: next !== undefined, isPaged: true },
    ({ seatId }) => seatId,
    (some, more): CtlAnswers['seats'] => ({ seats: some, ...more, total }),
  )
}
