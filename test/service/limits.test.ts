/** What one client may have at a server, so that it leaves room for the others. */
import t from 'tap'
import { SeatBook } from '../../lib/book/book.ts'
import { encodeRelease, encodeRenew } from '../../lib/protocol/seat-codec.ts'
import { seatBounds, type RenewItem, type SeatResult } from '../../lib/protocol/seat.ts'
import { Waiting, waitingMax } from '../../lib/service/waiting.ts'
import { pool } from './pool.ts'
import { kinds, Probe } from './probe.ts'

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

t.test('the moves of one client leave room for those of others', async t => {
  const world = pool(5_002, { a: 5_002, b: 0, c: 0 })
  const probe = new Probe(world)
  const acquire = (clientId: string, requestId: string, count: number) =>
    probe.acquire('a', { requestId, count }, 30, clientId).flatMap(result => {
      if (result.kind !== 'granted') throw new Error(JSON.stringify(result))
      return result.seats
    })
  const own = ['r0', 'r1', 'r2', 'r3', 'r4'].flatMap(id => acquire('one', id, 1_000))
  const last = acquire('one', 'last', 1)
  const others = acquire('two', 'other', 1)
  // The old server cannot be asked: nothing is settled for 250 ms.
  world.broker.cut('b', 'a')
  let batch = 0
  const move = (clientId: string, seats: typeof own): SeatResult[] => {
    const renew = (items: readonly RenewItem[]): SeatResult[] =>
      probe.within(10, () => probe.send('b', 'renew', encodeRenew(++batch, clientId, items)))
    const items = seats.map(({ seatId, token }) => ({
      ...{ seatId, token, feature: 'cad', user: 'u', host: 'h', failover: true },
    }))
    const nonces = new Map<string, Uint8Array>()
    for (const result of renew(items)) {
      if (result.kind === 'challenge') nonces.set(result.seatId, result.nonce)
    }
    return renew(
      items.map(item => ({ ...item, confirm: nonces.get(item.seatId) ?? new Uint8Array(0) })),
    )
  }
  for (let from = 0; from < own.length; from += 1_000) {
    const moved = move('one', own.slice(from, from + 1_000))
    t.same([...new Set(kinds(moved))], ['pending'])
  }
  t.equal(own.length, seatBounds.clientMoves)
  t.match(move('one', last), [{ code: 'LICD_LEASE_REFUSED', retryAfterMs: world.settings.tickMs }])
  t.same(kinds(move('two', others)), ['pending'], 'another client')
})

t.test('a request of many seats that somebody else withdraws is not looked through', async t => {
  const world = pool(1_200, { a: 1_000, b: 100, c: 100 })
  const owner = new Probe(world)
  t.strictSame(kinds(owner.acquire('a', { requestId: 'many', count: 1_000 })), ['granted'])
  const { find } = Object.getOwnPropertyDescriptors(SeatBook.prototype)
  const looks = t.capture(SeatBook.prototype, 'find', find.value)
  const other = new Probe(world, 'other')
  const token = new Uint8Array(0)
  const items = Array.from({ length: 100 }, () => ({ seatId: 'many', token }))
  const data = Uint8Array.from(encodeRelease(1, 'other', items))
  t.equal(other.within(30, () => other.send('a', 'release', data)).length, 100)
  t.ok(looks().length <= 300, 'two or three looks each, not a thousand')
  t.equal(world.server('a').service.inUse('cad'), 1_000)
  owner.release('a', { seatId: 'many', token })
  t.equal(world.server('a').service.inUse('cad'), 0, 'its own client withdraws it whole')
})
