import fc from 'fast-check'
import t from 'tap'
import { SeatBook, expiryFactor, type Client, type Term } from '../../lib/book/book.ts'
import { DueHeap, type Slotted } from '../../lib/book/heap.ts'

const client: Client = { clientId: 'c', user: 'u', host: 'h' }
const term = (expiresAt: number, lastTick: number): Term => ({ expiresAt, lastTick })

function bookWith(share: number, tick = 10): SeatBook {
  const book = new SeatBook()
  book.advance(0, tick)
  book.adopt('cad', share)
  return book
}

t.test('R4, R5 - an expired seat is dark until the clock and the pool clock agree', async t => {
  const book = bookWith(1)
  const stock = book.stock('cad')
  book.grant(stock, 's', client, term(100, 40), 0)
  t.equal(stock.spare, 0)
  t.throws(() => book.grant(stock, 'x', client, term(100, 40), 0), /I2/)
  book.advance(99, 50)
  t.equal(book.find('s')?.state, 'held', 'the pool clock alone ends nothing')
  book.advance(100, 50)
  t.equal(stock.spare, 1, 'both over')

  book.grant(stock, 's', client, term(200, 80), 100)
  book.advance(200, 60)
  t.equal(book.find('s')?.state, 'expired')
  t.equal(stock.spare, 0, 'dark: some other server may yet be shown its token')
  book.advance(5_000, 80)
  t.equal(stock.spare, 0, 'at its last tick a move may still be applied')
  book.advance(5_000, 81)
  t.equal(stock.spare, 1)
  t.equal(book.size, 0)
  t.ok(expiryFactor >= 1.04, 'longer than the client by twice the margin')
})

t.test('R5 - released: at once; tokens that prove nothing: by the clock alone', async t => {
  const book = bookWith(1)
  const stock = book.stock('cad')
  book.release(book.grant(stock, 's', client, term(100, 40), 0))
  t.equal(stock.spare, 1)
  book.grant(stock, 's', client, term(100, 0), 0)
  book.advance(100, 10)
  t.equal(stock.spare, 1)
})

t.test(
  'R5 - a token that proves nothing does not shorten an older one that the client may hold',
  async t => {
    const book = bookWith(1)
    const stock = book.stock('cad')
    const seat = book.grant(stock, 's', client, term(100, 40), 0)
    // The server sees no ticks any more; its answer may be lost, and the client moves with the older token.
    book.renew(seat, client, term(200, 0), 'any')
    book.advance(200, 10)
    t.equal(seat.state, 'expired')
    book.renew(seat, client, term(300, 0), 'newest')
    book.advance(300, 10)
    t.equal(stock.spare, 1, 'the client showed the newer token: the older is left behind')
  },
)

t.test('R4 - renewals extend and never shorten; over the limit nothing is renewed', async t => {
  const book = bookWith(2)
  const stock = book.stock('cad')
  const seat = book.grant(stock, 's', client, term(100, 40), 0)
  book.renew(seat, client, term(50, 30), 'any')
  book.advance(99, 99)
  t.equal(seat.state, 'held')
  book.renew(seat, client, term(300, 60), 'any')
  book.advance(299, 99)
  t.equal(seat.state, 'held')
  book.adopt('cad', 0)
  t.ok(stock.isOverLimit)
  t.throws(() => book.renew(seat, client, term(400, 60), 'any'), /R4/)
  book.adopt('cad', 1)
  t.notOk(stock.isOverLimit)
})

t.test('R1 - a promise lowers the limit until it is settled', async t => {
  const book = bookWith(3)
  const stock = book.stock('cad')
  book.promise('p', stock, 2)
  t.equal(stock.limit, 1)
  book.grant(stock, 's', client, term(100, 40), 0)
  t.throws(() => book.promise('q', stock, 1), /I2/, 'only spare')
  t.throws(() => book.promise('p', stock, 1), 'once')
  book.adopt('cad', 1)
  t.equal(book.settle('p'), stock)
  t.equal(book.settle('p'), undefined)
  t.equal(stock.limit, 1)
  t.equal(stock.spare, 0)
})

t.test('R6 - a seat moved here counts until its client renews it, or its time is over', async t => {
  const book = bookWith(2)
  const stock = book.stock('cad')
  book.moveIn({ seatId: 'm', feature: 'cad', until: 20 })
  book.moveIn({ seatId: 'm', feature: 'cad', until: 20 })
  t.equal(stock.inUse, 1, 'once')
  book.advance(1e6, 19)
  t.equal(stock.inUse, 1)
  book.advance(1e6, 20)
  t.equal(stock.inUse, 0)

  book.moveIn({ seatId: 'n', feature: 'cad', until: 40 })
  const seat = book.find('n')
  t.ok(seat)
  if (seat === undefined) return
  book.renew(seat, client, term(2e6, 25), 'any')
  t.equal(seat.state, 'held')
  book.advance(2e6, 30)
  t.equal(
    seat.state,
    'expired',
    'dark while the ledger remembers the move: an older token proves it',
  )
  book.advance(2e6, 40)
  t.equal(book.size, 0)

  book.moveIn({ seatId: 'o', feature: 'cad', until: 60 })
  const released = book.find('o')
  if (released !== undefined) book.release(released)
  book.recall({ seatId: 'o', feature: 'cad', until: 60 })
  t.equal(stock.inUse, 0, 'a move whose seat was released here is not counted again')
  book.recall({ seatId: 'o', feature: 'cad', until: 70 })
  t.equal(stock.inUse, 1, 'a later move is')
})

t.test('R6 - a seat moved away is in use here no more', async t => {
  const book = bookWith(2)
  const stock = book.stock('cad')
  book.grant(stock, 's', client, term(100, 40), 0)
  book.adopt('cad', 1)
  t.equal(book.moveAway('s', 'cad'), 'seat')
  t.equal(stock.inUse, 0)
  t.equal(book.moveAway('s', 'cad'), 'none')
  book.grant(stock, 't', client, term(100, 40), 0)
  book.advance(100, 20)
  t.equal(book.find('t')?.state, 'expired')
  book.adopt('cad', 0)
  t.equal(book.moveAway('t', 'cad'), 'seat', 'a dark one too')
})

t.test('R7 - relearning: the share is in use until its seats are known or over', async t => {
  const book = bookWith(3)
  const stock = book.stock('cad')
  book.moveIn({ seatId: 'm', feature: 'cad', until: 15 })
  book.startRelearning(41)
  t.equal(stock.unknown, 2, 'what a move accounts for is known')
  t.equal(stock.spare, 0)
  book.adopt('cad', 4)
  t.equal(stock.spare, 1, 'what is borrowed meanwhile is spare')
  const seat = book.relearn(stock, 's', client, term(100, 50), 0)
  t.equal(stock.unknown, 1)
  book.release(seat)
  t.equal(stock.unknown, 2, 'given back, but grantable only when relearning is done')
  t.equal(stock.spare, 1)
  book.adopt('cad', 3)
  t.equal(book.moveAway('x', 'cad'), 'unknown')
  t.equal(stock.spare, 1)
  book.release(book.grant(stock, 'new', client, term(100, 50), 0))
  t.equal(stock.spare, 1, 'a seat of this incarnation is grantable at once')
  book.advance(0, 40)
  t.equal(stock.unknown, 2, 'the moved one among them')
  t.equal(stock.inUse, 2)
  book.advance(0, 41)
  t.equal(stock.unknown, 0)
  t.notOk(book.isRelearning)
  t.throws(() => book.relearn(stock, 'y', client, term(100, 50), 0))
})

t.test('R7 - a seat moved here before the restart may have been renewed here since', async t => {
  const book = bookWith(1)
  const stock = book.stock('cad')
  book.recall({ seatId: 'm', feature: 'cad', until: 12 })
  book.startRelearning(41)
  book.advance(0, 12)
  t.equal(stock.spare, 0, 'the move is forgotten, the seat may live')
  book.relearn(stock, 'm', client, term(100, 50), 0)
  t.equal(stock.inUse, 1)
  book.advance(0, 41)
  t.equal(stock.inUse, 1)
  book.advance(100, 51)
  t.equal(stock.spare, 1)
})

t.test('holders are shared, and kept no longer than their seats', async t => {
  const book = bookWith(2)
  const stock = book.stock('cad')
  const a = book.grant(stock, 'a', client, term(100, 40), 0)
  const b = book.grant(stock, 'b', { ...client }, term(100, 40), 0)
  t.equal(a.holder, b.holder)
  t.equal(a.holder?.seats, 2)
  const { holder } = a
  book.release(a)
  book.release(b)
  t.equal(holder?.seats, 0)
})

t.test('heap - any sequence of pushes, removals and moves comes out in order', async t => {
  const operation = fc.record({
    kind: fc.constantFrom('push', 'pop', 'remove', 'reorder'),
    at: fc.nat(50),
    due: fc.nat(100),
  })
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), operations => {
      const heap = new DueHeap<Slotted>()
      let items: Slotted[] = []
      const drop = (item: Slotted): void => {
        heap.remove(item)
        items = items.filter(other => other !== item)
      }
      for (const { kind, at, due } of operations) {
        const some = items[at % Math.max(1, items.length)]
        const first = heap.peek()
        if (kind === 'push') {
          const item = { due: 0, slot: -1 }
          items.push(item)
          heap.push(item, due)
        } else if (kind === 'reorder' && some !== undefined) heap.reorder(some, due)
        else if (kind === 'remove' && some !== undefined) drop(some)
        else if (kind === 'pop' && first !== undefined) drop(first)
        const lowest = Math.min(...items.map(item => item.due))
        if (items.length === 0 ? heap.peek() !== undefined : heap.peek()?.due !== lowest)
          return false
        if (heap.size !== items.length) return false
      }
      return true
    }),
    { numRuns: 300 },
  )
  t.pass('300 sequences')
})

t.test('any sequence - in use is what is counted, and grants keep to the limit', async t => {
  const operation = fc.record({
    kind: fc.constantFrom(
      'grant',
      'renew',
      'release',
      'time',
      'tick',
      'in',
      'away',
      'promise',
      'settle',
    ),
    id: fc.nat(8),
    amount: fc.nat(20),
  })
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 120 }), operations => {
      const book = bookWith(5)
      const stock = book.stock('cad')
      let now = 0
      let tick = 10
      for (const { kind, id, amount } of operations) {
        const seatId = `s${id}`
        const seat = book.find(seatId)
        const until = term(now + amount, amount % 4 === 0 ? 0 : tick + (amount % 7))
        const before = stock.inUse
        if (kind === 'grant' && seat === undefined && stock.spare > 0) {
          book.grant(stock, seatId, client, until, now)
        } else if (kind === 'renew' && seat !== undefined && !stock.isOverLimit) {
          book.renew(seat, client, until, amount % 2 === 0 ? 'any' : 'newest')
        } else if (kind === 'release' && seat !== undefined) book.release(seat)
        else if (kind === 'time') book.advance((now += amount), tick)
        else if (kind === 'tick') book.advance(now, ++tick)
        else if (kind === 'in') {
          book.adopt('cad', stock.share + 1)
          book.moveIn({ seatId, feature: 'cad', until: tick + 5 })
        } else if (kind === 'away' && stock.share > 0) {
          book.adopt('cad', stock.share - 1)
          book.moveAway(seatId, 'cad')
        } else if (kind === 'promise' && stock.spare > 0 && book.settle(seatId) === undefined) {
          book.promise(seatId, stock, 1)
        } else if (kind === 'settle') book.settle(seatId)
        const counted = [...book.seats()].length
        if (counted !== stock.inUse || counted !== book.size) return false
        if (kind === 'grant' && stock.inUse > before && stock.isOverLimit) return false
      }
      book.advance(now + 100, tick + 100)
      return book.size === 0
    }),
    { numRuns: 400 },
  )
  t.pass('400 sequences')
})
