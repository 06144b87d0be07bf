import fc from 'fast-check'
import t from 'tap'
import { decodeFound, encodeFind } from '../../lib/protocol/seat-codec.ts'
import { seatBounds } from '../../lib/protocol/seat.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'
import { Holder } from './holder.ts'
import { Probe, kinds } from './probe.ts'
import { World, poolSubjects, type WorldOptions } from './world.ts'

/** A pool that has ticked a few times, with one feature whose targets are given. */
function pool(
  allocations: number,
  targets: 'even' | Record<string, number> = 'even',
  options: WorldOptions = {},
): World {
  const world = new World(options)
  world.admin({ type: 'add-feature', feature: 'cad', allocations })
  if (targets !== 'even') world.admin({ type: 'change-criteria', feature: 'cad', targets })
  world.time.run(3 * world.settings.tickMs + 500)
  return world
}

function shares(world: World): Record<string, number> {
  const feature = world.truth.state.features.get('cad')
  const rows: Record<string, number> = { free: feature?.free ?? -1 }
  for (const name of world.servers.keys()) rows[name] = feature?.shares.get(name) ?? 0
  return rows
}

function inUse(world: World, server: string): number {
  return world.server(server).service.inUse('cad')
}

let holders = 0
function holder(world: World, server = 'a'): Holder {
  const servers = [...world.servers.keys()]
  servers.splice(servers.indexOf(server), 1)
  return new Holder(world, `h${++holders}`, { servers: [server, ...servers] })
}

/** One holder a seat at each server named, all holding. */
function hold(world: World, servers: readonly string[]): Holder[] {
  const made = servers.map(server => holder(world, server))
  for (const one of made) one.acquire('cad')
  world.time.run(300)
  return made
}

function valid(all: readonly Holder[]): number {
  return all.reduce((sum, one) => sum + one.believes('cad'), 0)
}

t.test('acquire, renew, release', async t => {
  const world = pool(9)
  t.strictSame(shares(world), { free: 0, a: 3, b: 3, c: 3 })
  const one = holder(world)
  one.acquire('cad')
  world.time.run(100)
  t.equal(one.believes('cad'), 1)
  t.equal(inUse(world, 'a'), 1)
  const { seats } = world.server('a').service.seats({ limit: 10 })
  t.match(seats, [{ feature: 'cad', user: one.name, state: 'held', host: 'h' }])
  world.time.run(120_000, () => {
    if (one.believes('cad') !== 1) t.fail('valid all the time')
  })
  one.release()
  world.time.run(10)
  t.equal(inUse(world, 'a'), 0)
  t.equal(one.results.at(-1)?.kind, 'released')
  t.match(world.server('a').service.usage(10), [], 'usage was taken by the keepalives')
})

t.test('a seat whose client is silent ends by both clocks, and can be granted again', async t => {
  const world = pool(3, { a: 1, b: 1, c: 1 })
  const probe = new Probe(world)
  probe.seat('a', 's1')
  world.time.run(30_000)
  t.equal(inUse(world, 'a'), 1, 'longer than the client counts')
  world.time.run(3_000)
  t.equal(inUse(world, 'a'), 0)
})

t.test('claims 1, 3, 16 - a request that runs short borrows at least one', async t => {
  const world = pool(9, { a: 0, b: 0, c: 0 })
  t.strictSame(shares(world), { free: 9, a: 0, b: 0, c: 0 })
  const [one] = hold(world, ['b'])
  t.equal(one?.believes('cad'), 1)
  t.ok((shares(world).b ?? 0) >= 1)
  const many = holder(world, 'c')
  many.acquire('cad', { count: 4 })
  world.time.run(100)
  t.equal(many.believes('cad'), 4, 'all of a count at once')
})

t.test('claims 2, 17 - in use / share above the threshold borrows ahead of need', async t => {
  const world = pool(20, { a: 4, b: 0, c: 0 })
  world.admin({ type: 'set-threshold', feature: 'cad', threshold: 0.5 })
  world.time.run(20)
  hold(world, ['a', 'a'])
  t.equal(shares(world).a, 4, '2 of 4 is not above 0.5')
  const probe = new Probe(world)
  t.match(probe.acquire('a', { requestId: 'third' }, 0), [])
  world.time.run(2)
  t.match(kinds(probe.results), ['granted'], 'granted without waiting for the leader')
  world.time.run(50)
  t.ok((shares(world).a ?? 0) > 4, '3 of 4 is')
  const before = shares(world).a ?? 0
  for (let n = 0; n < 3; n++) probe.acquire('a', { requestId: `more${n}` }, 100)
  t.ok((shares(world).a ?? 0) >= before + 3, 'in growing amounts')
})

t.test(
  'R12 - what lies idle above target flows back, but not below what the threshold wants',
  async t => {
    const world = pool(12, { a: 4, b: 4, c: 4 })
    const probe = new Probe(world)
    const tokens = Array.from({ length: 8 }, (_, n) =>
      probe.acquire('a', { requestId: `q${n}`, waitMs: 9_000 }, 300),
    )
      .flat()
      .flatMap(result => (result.kind === 'granted' ? result.seats : []))
    t.ok((shares(world).a ?? 0) >= 8, 'lent by the others, who had spare')
    for (const seat of tokens) probe.release('a', seat, 5)
    world.time.run(40_000)
    t.strictSame(shares(world), { free: 0, a: 4, b: 4, c: 4 })
    const { length } = world.log.filter(({ command }) => command.body.type === 'return')
    world.time.run(60_000)
    const again = world.log.filter(({ command }) => command.body.type === 'return').length
    t.equal(again, length, 'and then rests')
  },
)

t.test('a waiting request is served by what another server lends (claims 15, 29; R12)', async t => {
  const world = pool(4, { a: 0, b: 2, c: 2 })
  hold(world, ['b', 'c', 'c'])
  const one = holder(world, 'a')
  one.acquire('cad', { waitMs: 10_000 })
  world.time.run(1_000)
  t.equal(one.believes('cad'), 1, 'b had one to spare')
  const two = holder(world, 'a')
  two.acquire('cad', { waitMs: 20_000 })
  world.time.run(3_000)
  t.equal(two.believes('cad'), 0)
  t.match(two.results.at(-1), { kind: 'waiting', position: 1 })
  t.match(world.truth.state.features.get('cad')?.demand, [{ server: 'a', count: 1 }])
  one.release()
  world.time.run(100)
  t.equal(two.believes('cad'), 1, 'as soon as one is given back')
  t.strictSame(world.truth.state.features.get('cad')?.demand, [])
})

t.test('requests without a wait: refused at once in an exhausted pool', async t => {
  const world = pool(2, { a: 1, b: 1, c: 0 })
  hold(world, ['a', 'b'])
  world.time.run(3_000)
  const probe = new Probe(world)
  t.strictSame(kinds(probe.acquire('a', { requestId: 'n1' }, 50)), ['LICD_NO_SEAT'])
  const before = world.log.length
  for (let n = 0; n < 20; n++) probe.acquire('a', { requestId: `m${n}` }, 1)
  t.ok(world.log.length - before <= 2, 'not one borrow each')
  t.strictSame(
    kinds(probe.results.slice(1)).filter(kind => kind !== 'LICD_NO_SEAT'),
    [],
  )
})

t.test('waiting: position, repeats, time out, withdrawal, silence', async t => {
  const world = pool(1, { a: 1, b: 0, c: 0 })
  const probe = new Probe(world)
  const token = probe.seat('a', 'held')
  t.match(probe.acquire('a', { requestId: 'w1', waitMs: 5_000 }), [
    { kind: 'waiting', position: 1 },
  ])
  t.match(probe.acquire('a', { requestId: 'w2', waitMs: 50_000 }), [{ position: 2 }])
  t.match(probe.acquire('a', { requestId: 'w3', waitMs: 50_000 }), [{ position: 3 }])
  t.match(probe.acquire('a', { requestId: 'w2', waitMs: 50_000 }), [{ position: 2 }], 'the same')
  t.match(kinds(probe.acquire('a', { requestId: 'w2', waitMs: 9 }, 30, 'other')), [
    'LICD_BAD_REQUEST',
  ])
  const timedOut = probe.within(6_000, () => {})
  t.match(timedOut, [{ kind: 'refused', id: 'w1', code: 'LICD_TIMEOUT' }])
  t.match(probe.acquire('a', { requestId: 'w3', waitMs: 50_000 }), [{ position: 2 }])
  const none = new Uint8Array(0)
  probe.release('a', { seatId: 'w2', token: none }, 200, 'other')
  t.match(probe.acquire('a', { requestId: 'w3', waitMs: 50_000 }), [{ position: 2 }])
  probe.release('a', { seatId: 'w2', token: none }, 200)
  t.match(probe.acquire('a', { requestId: 'w3', waitMs: 50_000 }), [{ position: 1 }])
  t.match(kinds(probe.acquire('a', { requestId: 'w2', waitMs: 50_000 })), ['LICD_SEAT_LOST'])
  const granted = probe.within(50, () => probe.release('a', { seatId: 'held', token }, 0))
  t.strictSame(kinds(granted), ['released', 'granted'])
  t.strictSame(kinds(probe.acquire('a', { requestId: 'w4', waitMs: 50_000 })), ['waiting'])
  world.time.run(12_000)
  probe.release('a', { seatId: 'w3', token: none })
  world.time.run(100)
  t.equal(inUse(world, 'a'), 0, 'w4 was silent for too long: no seat is kept for it')
})

t.test('repeats and releases that overtake make no second seat', async t => {
  const world = pool(6)
  const probe = new Probe(world)
  const first = probe.acquire('a', { requestId: 'r' })
  const second = probe.acquire('a', { requestId: 'r' })
  t.match([first, second].map(kinds), [['granted'], ['granted']])
  t.equal(inUse(world, 'a'), 1)
  t.strictSame(kinds(probe.acquire('a', { requestId: 'r' }, 30, 'other')), ['LICD_BAD_REQUEST'])
  t.match(probe.acquire('a', { requestId: 'k', count: 2 }), [
    { kind: 'granted', seats: [{ seatId: 'k/0' }, { seatId: 'k/1' }] },
  ])
  probe.release('a', { seatId: 'k', token: new Uint8Array(0) })
  t.equal(inUse(world, 'a'), 1, 'all seats of a request whose answer was not heard')
  probe.release('a', { seatId: 'late', token: new Uint8Array(0) })
  t.strictSame(kinds(probe.acquire('a', { requestId: 'late' })), ['LICD_SEAT_LOST'])
  t.equal(inUse(world, 'a'), 1)
})

t.test('bad input is answered with a code and changes nothing', async t => {
  const world = pool(6)
  const probe = new Probe(world)
  const one = (item: object): string[] => kinds(probe.acquire('a', { requestId: 'x', ...item }))
  t.strictSame(one({ feature: 'nope' }), ['LICD_UNKNOWN_FEATURE'])
  for (const count of [0, -1, 1.5, 1_001, Number.NaN]) {
    t.strictSame(one({ count }), ['LICD_BAD_COUNT'], `count ${count}`)
  }
  t.strictSame(one({ count: 7, waitMs: 1_000 }), ['LICD_BAD_COUNT'], 'more than the pool owns')
  t.strictSame(one({ user: 'x\n' }), ['LICD_BAD_REQUEST'])
  t.match(kinds(probe.within(30, () => probe.send('a', 'acquire', new Uint8Array([0xc1])))), [
    'LICD_BAD_REQUEST',
  ])
  const large = new Uint8Array(seatBounds.messageBytes + 1)
  t.match(kinds(probe.within(30, () => probe.send('a', 'renew', large))), ['LICD_TOO_LARGE'])
  const token = probe.seat('a', 'good')
  const altered = Uint8Array.from(token, (byte, n) => (n === 20 ? byte ^ 1 : byte))
  t.strictSame(kinds(probe.renew('a', { seatId: 'good', token: altered })), ['LICD_BAD_TOKEN'])
  t.strictSame(kinds(probe.renew('a', { seatId: 'x', token })), ['LICD_BAD_TOKEN'])
  t.strictSame(kinds(probe.release('a', { seatId: 'good', token: altered })), ['LICD_BAD_TOKEN'])
  t.equal(inUse(world, 'a'), 1)
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 80 }),
      fc.constantFrom('find', 'acquire', 'renew', 'release'),
      fc.boolean(),
      (data, operation, reply) => {
        probe.send('a', operation, data, reply)
        world.time.run(1)
      },
    ),
    { numRuns: 500 },
  )
  world.time.run(10)
  t.equal(inUse(world, 'a'), 1)
  t.strictSame(kinds(probe.renew('a', { seatId: 'good', token })), ['renewed'], 'still at work')
})

t.test('plain NATS tools: JSON, and any server', async t => {
  const world = pool(6)
  const probe = new Probe(world)
  probe.sendJson('any', 'acquire', { requestId: 'j', feature: 'cad' })
  world.time.run(30)
  t.match(probe.json, [{ kind: 'granted', requestId: 'j', answeredBy: /^[abc]$/, seats: [{}] }])
  probe.sendJson('any', 'acquire', { requestId: 'j2', feature: 'cad', count: 0 })
  world.time.run(30)
  t.match(probe.json[1], { kind: 'refused', code: 'LICD_BAD_COUNT' })
  const found: unknown[] = []
  const inbox = world.broker.connect('finder', new VirtualClock(world.time))
  inbox.subscribe(`${inbox.inbox}.f`, message => found.push(decodeFound(message.data)))
  const reply = `${inbox.inbox}.f`
  inbox.publish(poolSubjects.seat('any', 'find'), encodeFind(3, 'me'), { reply })
  world.time.run(30)
  t.match(found, [{ batch: 3, pool: 'p', fingerprint: 'f', serving: true }])
})

t.test('fail-over with spare: the seat is confirmed elsewhere at once', async t => {
  const world = pool(9)
  const all = hold(world, ['a', 'a'])
  world.server('a').crash()
  world.elect('b')
  let least = 2
  world.time.run(60_000, () => (least = Math.min(least, valid(all))))
  t.equal(least, 2, 'valid all the time')
  t.equal(inUse(world, 'b') + inUse(world, 'c'), 2)
})

t.test('claims 13, 14, 27, 28 - a full pool loses a server and no client its seat', async t => {
  const world = pool(9)
  const all = hold(world, [...'aaabbbccc'])
  t.equal(valid(all), 9)
  world.server('b').crash()
  let least = 9
  let most = 0
  world.time.run(90_000, () => {
    least = Math.min(least, valid(all))
    most = Math.max(most, valid(all))
  })
  t.equal(least, 9, 'none invalid for a moment')
  t.equal(most, 9)
  t.equal(inUse(world, 'a') + inUse(world, 'c'), 9)
  t.match(shares(world), { free: 0, b: 0 })
  const moves = world.log.filter(({ command: { body } }) => body.type === 'borrow' && body.move)
  t.ok(moves.length >= 3, 'each with its own allocation')
})

t.test('R7 - a crashed server relearns: no seat is lost, none is given twice', async t => {
  const world = pool(6, { a: 0, b: 3, c: 3 })
  const all = hold(world, ['b', 'b'])
  world.server('b').crash()
  world.server('b').restart()
  world.time.run(2_000)
  t.equal(inUse(world, 'b'), 3, 'the whole share counts as in use')
  const next = hold(world, ['b'])
  world.time.run(1_500)
  t.equal(valid(next), 1, 'new seats come from what is borrowed meanwhile')
  let most = 0
  world.time.run(20_000, () => (most = Math.max(most, valid(all))))
  t.equal(valid(all), 2)
  world.time.run(20_000)
  t.equal(valid(all), 2)
  const held = ['a', 'b', 'c'].reduce((sum, name) => sum + inUse(world, name), 0)
  t.equal(held, 3, 'nothing is dark any more')
})

t.test('R6, R7 - a repeated old message moves nothing', async t => {
  const world = pool(4, { a: 2, b: 2, c: 0 })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  t.strictSame(kinds(probe.renew('b', { seatId: 's', token, failover: true })), ['challenge'])
  t.strictSame(kinds(probe.renew('b', { seatId: 's', token, failover: true })), ['challenge'])
  t.equal(inUse(world, 'b'), 0)
  const wrong = new Uint8Array(22)
  const forged = { seatId: 's', token, failover: true, confirm: wrong }
  t.strictSame(kinds(probe.renew('b', forged)), ['challenge'])
  t.strictSame(kinds(probe.move('b', 's', token)), ['challenge', 'pending', 'renewed'])
  t.equal(inUse(world, 'b'), 1)
  const again = probe.move('b', 's', token)
  t.strictSame(kinds(again), ['renewed'], 'a seat of this book needs no challenge')
  t.equal(inUse(world, 'b'), 1)
})

t.test('R6 - a seat that was released cannot be claimed elsewhere', async t => {
  const world = pool(4, { a: 2, b: 2, c: 0 })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  probe.release('a', { seatId: 's', token })
  t.strictSame(kinds(probe.move('b', 's', token)), ['challenge', 'pending', 'LICD_SEAT_LOST'])
  t.equal(inUse(world, 'b'), 0)
})

t.test('R6 - the old server drops a moved seat and says where it is', async t => {
  const world = pool(2, { a: 1, b: 1, c: 0 })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  probe.seat('b', 'full')
  t.strictSame(kinds(probe.move('b', 's', token)), ['challenge', 'pending', 'renewed'])
  t.match(shares(world), { a: 0, b: 2 })
  t.equal(inUse(world, 'a'), 0)
  t.match(probe.renew('a', { seatId: 's', token }), [
    { kind: 'refused', code: 'LICD_SEAT_LOST', server: 'b' },
  ])
  t.match(
    kinds(probe.renew('b', { seatId: 's', token })),
    ['renewed'],
    'the old token finds it there',
  )
})

t.test(
  'R6 - a move of a seat that was given on leaves its server over the limit, which borrows',
  async t => {
    const world = pool(3, { a: 1, b: 1, c: 1 })
    const probe = new Probe(world)
    const token = probe.seat('a', 's')
    probe.seat('b', 'full')
    probe.release('a', { seatId: 's', token })
    const other = probe.seat('a', 'next')
    // A client that claims what it released, while the old server cannot be asked.
    world.broker.cut('b', 'a')
    t.strictSame(kinds(probe.move('b', 's', token)).slice(0, 2), ['challenge', 'pending'])
    world.broker.healAll()
    world.server('a').bus.setLink(true)
    world.time.run(20)
    t.strictSame(kinds(probe.renew('a', { seatId: 'next', token: other })), ['renewed'])
    t.match(shares(world), { a: 1, b: 2, c: 0 }, 'c lent its spare')
    t.equal(inUse(world, 'a'), 1)
  },
)

t.test('R3, R4, R5 - an isolated server serves until its lease ends, then nothing', async t => {
  const settings = { tickMs: 1_000, leaseTicks: 30, seatTicks: 10 }
  const world = pool(9, 'even', { settings })
  const probe = new Probe(world)
  const old = probe.seat('a', 'old')
  world.server('c').isolated = true
  world.time.run(5_000)
  const token = probe.seat('c', 's')
  t.match(kinds(probe.renew('c', { seatId: 's', token, failover: true })), ['renewed'])
  t.match(kinds(probe.renew('c', { seatId: 'old', token: old })), ['LICD_NO_MOVE_NOW'])
  const young = probe.seat('a', 'young')
  t.match(kinds(probe.renew('c', { seatId: 'young', token: young })), ['LICD_NOT_PROVEN'])
  world.time.run(10_000)
  const late = probe.acquire('c', { requestId: 'late' })
  t.match(late, [{ kind: 'granted' }])
  world.time.run(10_500)
  const dark = world.server('c').service.seats({ limit: 9 }).seats
  t.match(dark, [{ seatId: 's', state: 'expired' }], 'its token may yet be shown to others')
  t.equal(inUse(world, 'c'), 1, 'a token that proves nothing to others ends by the clock alone')
  world.time.run(4_600)
  t.strictSame(kinds(probe.acquire('c', { requestId: 'over' })), ['LICD_NOT_SERVING'])
  world.time.run(5_000)
  t.equal(world.truth.serverState('c'), 'down')
})

t.test('the lease bounds what a seat is promised', async t => {
  const world = pool(9)
  const probe = new Probe(world)
  world.server('c').isolated = true
  world.time.run(20_000)
  const [result] = probe.acquire('c', { requestId: 's' })
  t.equal(result?.kind, 'granted')
  if (result?.kind === 'granted') t.ok(result.expiresInMs < 10_000 && result.expiresInMs > 5_000)
})

t.test('R7 - a clean stop gives back what is unused and hands its book over', async t => {
  const world = pool(9, { a: 3, b: 1, c: 3 })
  const all = hold(world, ['b', 'b'])
  t.ok((shares(world).b ?? 0) > 2)
  let stopped = false
  world.server('b').stop(() => (stopped = true))
  world.time.run(2_100)
  t.ok(stopped)
  t.equal(shares(world).b, 2, 'what is unused was given back')
  world.server('b').restart()
  world.time.run(1_200)
  t.equal(inUse(world, 'b') + inUse(world, 'a') + inUse(world, 'c'), 2, 'nothing is dark')
  let least = 2
  world.time.run(60_000, () => (least = Math.min(least, valid(all))))
  t.equal(least, 2)
})

t.test('R7 - a book that was altered, or is of another run, is not believed', async t => {
  const world = pool(9)
  hold(world, ['b', 'b'])
  const server = world.server('b')
  server.stop()
  world.time.run(2_100)
  const { book } = server
  t.ok(book !== undefined)
  if (book === undefined) return
  const bytes = Uint8Array.from(book.bytes, (byte, n) => (n === 9 ? byte ^ 4 : byte))
  server.book = { ...book, bytes }
  server.restart()
  world.time.run(1_200)
  t.equal(inUse(world, 'b'), shares(world).b, 'it relearns')
})

t.test('R11 - a snapshot brings shares and moves', async t => {
  const world = pool(2, { a: 1, b: 1, c: 0 })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  const full = probe.seat('b', 'full')
  world.elect('c')
  world.server('a').isolated = true
  world.time.run(1_100)
  t.strictSame(kinds(probe.move('b', 's', token)), ['challenge', 'pending', 'renewed'])
  t.equal(inUse(world, 'a'), 1, 'a has not heard')
  world.server('a').install()
  t.equal(inUse(world, 'a'), 0)
  world.server('b').install()
  t.equal(inUse(world, 'b'), 2)
  t.strictSame(kinds(probe.renew('b', { seatId: 'full', token: full })), ['renewed'])
})

t.test('R4 - no seat is promised beyond the end of what it stands on', async t => {
  const world = pool(6)
  const feature = world.server('a').host.ledger.state.features.get('cad')
  t.ok(feature)
  if (feature === undefined) return
  feature.endsAt = world.server('a').host.ledger.state.calendar + 10_000
  const [result] = new Probe(world).acquire('a', { requestId: 's' })
  t.ok(result?.kind === 'granted' && result.expiresInMs <= 10_000)
})
