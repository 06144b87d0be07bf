import fc from 'fast-check'
import t from 'tap'
import { decodeFound, encodeAcquire, encodeFind } from '../../lib/protocol/seat-codec.ts'
import { seatBounds } from '../../lib/protocol/seat.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'
import { hold, holder, inUse, pool, shares } from './pool.ts'
import { Probe, kinds } from './probe.ts'
import { poolSubjects } from './names.ts'

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

t.test('requests that each need what another server keeps do not wait for each other', async t => {
  const world = pool(6, { a: 2, b: 2, c: 2 })
  const all = ['a', 'b', 'c'].map(name => holder(world, name))
  for (const one of all) one.acquire('cad', { count: 3, waitMs: 30_000 })
  world.time.run(1_000)
  t.equal(
    all.reduce((sum, one) => sum + one.believes('cad'), 0),
    6,
    'two of them have theirs',
  )
  for (const one of all) if (one.believes('cad') > 0) one.release()
  world.time.run(1_000)
  t.equal(
    all.reduce((sum, one) => sum + one.believes('cad'), 0),
    3,
    'then the third',
  )
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
  const forged = { seatId: 'good', token: altered }
  t.strictSame(kinds(probe.release('a', forged, 30, 'thief')), ['LICD_BAD_TOKEN'])
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

t.test('releases that travel with acquires are done first, and answered with them', async t => {
  const world = pool(1, { a: 1 })
  const probe = new Probe(world)
  const token = probe.seat('a', 'old')
  const wanted = { requestId: 'new', feature: 'cad', count: 1, user: 'u', host: 'h', waitMs: 0 }
  const asked = probe.within(30, () =>
    probe.send(
      'a',
      'acquire',
      encodeAcquire(
        9,
        'probe',
        [wanted],
        [
          { seatId: 'old', token },
          { seatId: 'not an id', token },
        ],
      ),
    ),
  )
  t.strictSame(kinds(asked), ['LICD_BAD_REQUEST', 'released', 'granted'])
  t.equal(inUse(world, 'a'), 1)
})

t.test('who names no client releases by token alone', async t => {
  const world = pool(6)
  const probe = new Probe(world)
  probe.sendJson('a', 'acquire', { requestId: 'j', feature: 'cad' })
  world.time.run(30)
  for (const token of [new Uint8Array(), new Uint8Array(60)]) {
    probe.release('a', { seatId: 'j', token }, 30, 'json')
  }
  t.equal(inUse(world, 'a'), 1, 'many are called that')
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
