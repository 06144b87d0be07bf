import t from 'tap'
import { SeatBook } from '../../lib/book/book.ts'
import { BookReader, decodeHandOver, encodeHandOver } from '../../lib/service/hand-over.ts'
import { Pool } from '../ledger/pool.ts'

function handedOver(seatId: string): Uint8Array {
  const book = new SeatBook()
  book.adopt('cad', 1)
  const client = { clientId: 'c', user: 'u', host: 'h' }
  book.grant(book.stock('cad'), seatId, client, { expiresAt: 900, lastTick: 20 }, 1)
  const { state } = new Pool().ledger
  return encodeHandOver(book, { server: 'a', incarnation: 1 }, state, 0) ?? new Uint8Array()
}

t.test('a book that was read ahead is the one that is asked for, once', async t => {
  const reader = new BookReader()
  const [one, other] = [handedOver('one'), handedOver('other')]
  reader.readAhead(one)
  t.equal(reader.take(other)?.seats[0]?.[0], 'other')
  reader.readAhead(one)
  const given = reader.take(one)
  t.strictSame(given, decodeHandOver(one))
  t.not(reader.take(one), given, 'forgotten, and read anew')
  reader.readAhead(one)
  t.equal(reader.take(undefined), undefined)
  reader.readAhead(new Uint8Array(9))
  t.equal(reader.take(new Uint8Array(9)), undefined, 'no book')
})
