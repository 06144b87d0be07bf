/** What one client may have at a server, so that it leaves room for the others. */
import t from 'tap'
import { SeatBook } from '../../lib/book/book.ts'
import { seatBounds } from '../../lib/protocol/seat.ts'
import { Waiting, waitingMax } from '../../lib/service/waiting.ts'

function wait(waiting: Waiting, clientId: string, n: number) {
  const requestId = `${clientId}-${n}`
  const item = { requestId, feature: 'cad', count: 1, user: '', host: '', waitMs: 1 }
  const times = { deadline: 1, seenAt: 0, isBrief: false, reply: undefined }
  return waiting.add({ item, clientId, ...times })
}

t.test('one client cannot fill the queue of all', async t => {
  const waiting = new Waiting()
  const own = Array.from({ length: seatBounds.clientWaiting }, (_, n) => wait(waiting, 'one', n))
  t.match(waiting.refusal('one'), /2500 requests of this client wait here: withdraw some/)
  t.equal(waiting.refusal('two'), undefined, 'others may wait')
  const [first] = own
  if (first !== undefined) waiting.remove(first)
  if (first !== undefined) waiting.remove(first)
  t.equal(waiting.refusal('one'), undefined, 'one less, counted once')
  for (let n = 0; waiting.size < waitingMax; n++) wait(waiting, `many${n}`, n)
  t.match(waiting.refusal('new'), /10000 requests wait here/)
})

t.test('a book knows how many seats a client holds, whatever it calls itself', async t => {
  const book = new SeatBook()
  book.adopt('cad', 9)
  const stock = book.stock('cad')
  const term = { expiresAt: 100, lastTick: 5 }
  const client = { clientId: 'one', user: 'u', host: 'h' }
  const seat = book.grant(stock, 'r1', client, term, 1)
  book.grant(stock, 'r2', { ...client, user: 'other' }, term, 1)
  book.grant(stock, 'r3', { ...client, clientId: 'two' }, term, 1)
  t.equal(book.seatsOf('one'), 2)
  book.renew(seat, { ...client, clientId: 'two' }, term, 'any')
  t.same([book.seatsOf('one'), book.seatsOf('two')], [1, 2], 'a seat that changed hands')
  book.release(seat)
  t.equal(book.seatsOf('two'), 1)
  book.advance(200, 50)
  t.same([book.seatsOf('one'), book.seatsOf('two'), book.seatsOf('none')], [0, 0, 0])
})
