import t from 'tap'
import { refuse, tokenText } from './scripted-server.ts'
import { World } from './world.ts'

t.test('finds a server at once, grants, renews at a third, releases', async t => {
  const world = new World()
  const a = world.server('alpha')
  const hold = world.hold()
  t.ok(world.time.now < 10, 'within a few round trips')
  t.strictSame(world.homes, ['alpha'])
  t.equal(hold.server(), 'alpha')
  t.ok(hold.remainingMs() > 29_900)
  world.time.run(60_000)
  t.ok(hold.remainingMs() > 15_000)
  t.equal(world.lost.length, 0)
  t.ok(a.renewals.length >= 6 && a.renewals.length <= 8, `renewed ${a.renewals.length} times`)
  const newest = tokenText(a.renewals.at(-1)?.items[0]?.token)
  t.equal(newest, `alpha-${a.renewals.length}`, 'each renewal shows the newest token')
  let released = 0
  hold.release(() => released++)
  t.equal(hold.remainingMs(), 0, 'over from the call on')
  hold.release(() => released++)
  world.time.run(100)
  t.equal(released, 2)
  t.equal(a.releases.length, 1, 'twice does no harm')
  t.strictSame({ ...world.core.counts }, { seats: 0, requests: 0, releases: 0, dropped: 0 })
})

t.test('a release by the holder shows the token only when it is asked for twice', async t => {
  const world = new World()
  const a = world.server('alpha')
  const hold = world.hold()
  a.onRelease = () => undefined
  hold.release()
  world.time.run(1_500)
  const items = a.releases.flatMap(release => release.items)
  t.strictSame(
    items.map(({ seatId, token }) => [seatId, tokenText(token)]),
    [
      [hold.id, ''],
      [hold.id, 'alpha-1'],
    ],
  )
})

t.test('a seat that lasts as long as the timer may lag is renewed in time', async t => {
  const world = new World()
  const a = world.server('alpha')
  a.ttlMs = 30
  world.at(a)
  // Its first answer and then nothing but the renewals: no other traffic wakes the client.
  world.time.run(500)
  const hold = world.hold()
  world.time.run(1_000)
  t.ok(hold.remainingMs() > 0)
  t.equal(world.lost.length, 0)
})

t.test(
  '60 acquires of one turn are one message, their renewals one, their releases one; 100 are two',
  async t => {
    const world = new World()
    const a = world.server('alpha')
    world.at(a)
    const asked = Array.from({ length: 60 }, () => world.ask({ count: 2 }))
    world.time.run(10)
    t.equal(a.acquires.length, 1)
    t.equal(a.acquires[0]?.items.length, 60)
    const holds = asked.flatMap(({ outcome }) => (outcome?.ok === true ? [outcome.hold] : []))
    t.equal(holds.length, 60)
    world.time.run(11_000)
    t.equal(a.renewals.length, 1)
    t.equal(a.renewals[0]?.items.length, 120)
    holds.forEach(hold => hold.release())
    world.time.run(10)
    t.equal(a.releases.length, 1)
    for (let n = 0; n < 100; n++) world.ask({})
    world.time.run(10)
    t.strictSame(
      a.acquires.slice(1).map(({ items }) => items.length),
      [64, 36],
    )
  },
)

t.test('messages stay within the bounds', async t => {
  const world = new World()
  const a = world.server('alpha')
  let largest = 0
  world.broker.tap = (from, message) => {
    if (from === 'client') largest = Math.max(largest, message.data.length)
  }
  world.at(a)
  const label = 'é'.repeat(128)
  for (let n = 0; n < 2_500; n++) world.ask({ user: label, host: label })
  world.time.run(20)
  t.equal(
    a.acquires.reduce((sum, { items }) => sum + items.length, 0),
    2_500,
  )
  t.ok(largest <= 64 * 1024, `${largest} bytes`)
  a.acquires.length = 0
  for (let n = 0; n < 25; n++) world.ask({ count: 1_000 })
  world.time.run(20)
  const seats = a.acquires.map(({ items }) => items.reduce((sum, { count }) => sum + count, 0))
  t.strictSame(seats, [10_000, 10_000, 5_000])
})

t.test('releases travel with acquires, as many as leave room', async t => {
  const world = new World()
  const a = world.server('alpha')
  const token = new Uint8Array(512)
  a.onAcquire = ({ requestId }) => {
    return {
      kind: 'granted',
      requestId,
      expiresInMs: a.ttlMs,
      seats: [{ seatId: requestId, token }],
    }
  }
  world.at(a)
  const holds = Array.from({ length: 300 }, () => world.hold())
  let [messages, largest] = [0, 0]
  world.broker.tap = (from, message) => {
    if (from !== 'client') return
    messages++
    largest = Math.max(largest, message.data.length)
  }
  holds.pop()?.release()
  const next = world.ask()
  world.time.run(20)
  t.equal(next.outcome?.ok, true)
  t.equal(messages, 1, 'one of each in one message')
  for (const hold of holds) hold.release()
  const asked = Array.from({ length: 400 }, () => world.ask())
  world.time.run(20)
  t.ok(largest <= 64 * 1024, `${largest} bytes`)
  t.equal(
    a.releases.reduce((sum, { items }) => sum + items.length, 0),
    300,
  )
  t.ok(asked.every(({ outcome }) => outcome?.ok === true))
  t.equal(world.core.counts.releases, 0)
})

t.test('a lost answer is asked for again under the same id', async t => {
  const world = new World()
  const a = world.server('alpha')
  world.at(a)
  let silent = true
  a.onAcquire = item => (silent ? undefined : a.grant(item))
  const asked = world.ask()
  world.time.run(900)
  silent = false
  world.time.run(300)
  t.equal(asked.outcome?.ok, true)
  t.equal(a.acquires.length, 2)
  t.equal(a.acquires[0]?.items[0]?.requestId, a.acquires[1]?.items[0]?.requestId)
})

t.test('time counts from before the message was sent that is answered (R4)', async t => {
  const world = new World()
  const a = world.server('alpha')
  world.at(a)
  a.onAcquire = () => undefined
  const asked = world.ask()
  const sentAt = world.time.now
  world.time.run(800)
  const first = a.acquires[0]
  const item = first?.items[0]
  if (first === undefined || item === undefined) throw new Error('Nothing was asked.')
  a.say(first, [a.grant(item)])
  world.time.run(10)
  if (asked.outcome?.ok !== true) throw new Error('Not granted.')
  const ends = world.time.now + asked.outcome.hold.remainingMs()
  t.ok(Math.abs(ends - (sentAt + 30_000)) < 1, 'not from the answer')
})

t.test('waits, repeats every two seconds to stay in the queue, and gets a late grant', async t => {
  const world = new World()
  const a = world.server('alpha')
  world.at(a)
  a.onAcquire = ({ requestId }) => ({ kind: 'waiting', requestId, position: 3 })
  const asked = world.ask({ waitMs: 60_000 })
  world.time.run(9_000)
  t.equal(asked.outcome, undefined)
  t.equal(a.acquires.length, 5)
  const waits = a.acquires.map(({ items }) => items[0]?.waitMs ?? 0)
  t.equal(waits[0], 60_000)
  t.ok((waits[4] ?? 0) < 53_000, 'says how long it still waits')
  const newest = a.acquires.at(-1)
  const item = newest?.items[0]
  if (newest === undefined || item === undefined) throw new Error('Nothing was asked.')
  a.say(newest, [a.grant(item)])
  world.time.run(10)
  t.equal(asked.outcome?.ok, true)
})

t.test(
  'a timeout and an abort withdraw the request, and a grant that crosses is given back',
  async t => {
    const world = new World()
    const a = world.server('alpha')
    world.at(a)
    a.onAcquire = ({ requestId }) => ({ kind: 'waiting', requestId, position: 1 })
    const late = world.ask({ waitMs: 3_000 })
    const dropped = world.ask({ waitMs: 60_000 })
    world.time.run(2_000)
    dropped.giveUp({ code: '', detail: '' })
    t.equal(world.code(dropped), 'LICD_ABORTED')
    world.time.run(1_100)
    t.equal(world.code(late), 'LICD_TIMEOUT')
    const ids = a.releases.flatMap(({ items }) => items)
    t.strictSame(
      ids.map(({ token }) => token.length),
      [0, 0],
    )
    const first = a.acquires[0]
    const item = first?.items[0]
    if (first === undefined || item === undefined) throw new Error('Nothing was asked.')
    a.say(first, [a.grant(item)])
    world.time.run(10)
    t.match(tokenText(a.releases.at(-1)?.items[0]?.token), /^alpha-/, 'given back by its token')
  },
)

t.test(
  'refusals end a request with their code; one that another server may grant goes there',
  async t => {
    const world = new World()
    const a = world.server('alpha')
    const b = world.server('beta')
    world.at(a)
    a.onAcquire = ({ requestId }) => refuse(requestId, 'LICD_NO_SEAT')
    const none = world.ask()
    world.time.run(10)
    t.equal(world.code(none), 'LICD_NO_SEAT')
    a.onAcquire = ({ requestId }) => refuse(requestId, 'LICD_OVER_LIMIT')
    const over = world.ask()
    world.time.run(3_000)
    t.equal(over.outcome?.ok === true && over.outcome.hold.server(), 'beta')
    a.onAcquire = ({ requestId }) => refuse(requestId, 'LICD_NOT_SERVING')
    const idle = world.ask()
    world.time.run(200)
    t.equal(idle.outcome?.ok === true && idle.outcome.hold.server(), 'beta')
    t.equal(world.core.server, 'beta')
    b.kill()
  },
)

t.test('no server: the request fails with a code and in time', async t => {
  const world = new World()
  const asked = world.ask()
  const waiting = world.ask({ waitMs: 30_000 })
  world.time.run(10_100)
  t.equal(world.code(asked), 'LICD_NO_SERVER')
  t.ok(world.broker.counts.published < 75, 'asks at a slowing pace')
  const a = world.server('alpha')
  world.time.run(2_000)
  t.equal(waiting.outcome?.ok, true, 'and one that waits is served once a server is there')
  a.kill()
  const idle = new World()
  idle.server('alpha').serving = false
  const idly = idle.ask()
  idle.time.run(10_100)
  t.equal(idle.code(idly), 'LICD_NOT_SERVING')
})

t.test('never valid after its expiry, whatever was slept or stopped (R4)', async t => {
  for (const standing of [false, true]) {
    const world = new World()
    const a = world.server('alpha')
    const hold = world.at(a).hold()
    world.clock.pause(standing)
    world.time.run(40_000)
    world.clock.resume()
    t.equal(hold.remainingMs(), 0, 'at the first look, before any timer')
    world.time.run(100)
    t.strictSame(
      world.lost.map(({ code }) => code),
      ['LICD_SEAT_LOST'],
    )
  }
})

t.test('a short sleep: not believed until it is renewed, which happens at once', async t => {
  const world = new World()
  const a = world.server('alpha')
  const hold = world.at(a).hold()
  world.clock.pause(true)
  world.time.run(5_000)
  world.clock.resume()
  t.equal(hold.remainingMs(), 0)
  world.time.run(200)
  t.ok(hold.remainingMs() > 29_000)
  t.equal(a.renewals.length, 1)
  t.equal(world.lost.length, 0)
})

t.test('an answer to a message sent before a sleep proves nothing', async t => {
  const world = new World()
  const a = world.server('alpha')
  const hold = world.at(a).hold()
  a.onRenew = () => undefined
  world.time.runUntil(() => a.renewals.length === 1, 15_000)
  world.clock.pause(true)
  world.time.run(5_000)
  const first = a.renewals[0]
  const item = first?.items[0]
  if (first === undefined || item === undefined) throw new Error('Nothing was asked.')
  a.say(first, [a.renew(item)])
  world.clock.resume()
  world.time.run(3)
  t.equal(hold.remainingMs(), 0)
})

t.test(
  'the link down for a while: seats stay valid as promised, then all is taken up again',
  async t => {
    const world = new World()
    const a = world.server('alpha')
    const hold = world.at(a).hold()
    world.bus.setLink(false)
    const asked = world.ask({ waitMs: 30_000 })
    world.time.run(15_000)
    t.ok(hold.remainingMs() > 10_000)
    world.bus.setLink(true)
    world.time.run(1_000)
    t.equal(asked.outcome?.ok, true)
    t.ok(hold.remainingMs() > 28_000)
    t.equal(world.homes.length, 1, 'no fail-over for that')
    world.bus.setLink(false)
    world.time.run(31_000)
    t.equal(world.lost.length, 2, 'and when it lasts, they are lost')
  },
)

t.test('garbage, foreign and contradictory answers change nothing and are counted', async t => {
  const world = new World()
  const a = world.server('alpha')
  const b = world.server('beta')
  const hold = world.at(a).hold()
  const { reply, batch, items } = a.acquires[0] ?? { reply: '', batch: 0, items: [] }
  const item = items[0]
  if (item === undefined) throw new Error('Nothing was asked.')
  for (let n = 0; n < 200; n++) {
    const bytes = Uint8Array.from({ length: n }, () => world.random.between(0, 255))
    a.bus.publish(reply, bytes)
    a.bus.publish(`${world.bus.inbox}.licd.${n}.x`, bytes)
  }
  b.say({ reply, batch }, [b.grant(item), refuse(item.requestId, 'LICD_SEAT_LOST')])
  a.say({ reply, batch }, [a.grant(item), a.grant(item)])
  a.say({ reply, batch: 999_999 }, [a.grant(item)])
  world.time.run(20)
  t.ok(world.core.counts.dropped >= 400)
  t.ok(hold.remainingMs() > 29_000)
  t.equal(a.releases.length, 0, 'a repeated grant is not mistaken for another')
})

t.test('close: requests get LICD_CLOSED, seats are given back, nothing goes on', async t => {
  const world = new World()
  const a = world.server('alpha')
  world.at(a).hold({ count: 2 })
  a.onAcquire = ({ requestId }) => ({ kind: 'waiting', requestId, position: 1 })
  const waiting = world.ask({ waitMs: 60_000 })
  world.time.run(10)
  let closed = 0
  world.core.close(() => closed++)
  world.core.close(() => closed++)
  t.equal(world.code(waiting), 'LICD_CLOSED')
  world.time.run(20)
  t.equal(closed, 2)
  t.equal(
    a.releases.reduce((sum, { items }) => sum + items.length, 0),
    3,
  )
  const published = world.broker.counts.published
  world.time.run(60_000)
  t.equal(world.broker.counts.published, published)
  t.equal(world.code(world.ask()), undefined)
  const after = world.ask()
  world.time.run(1)
  t.equal(world.code(after), 'LICD_CLOSED')
  world.core.close(() => closed++)
  t.equal(closed, 3)
})

t.test('close waits a bounded time for a server that does not answer', async t => {
  const world = new World()
  const a = world.server('alpha')
  world.at(a).hold()
  a.onRelease = () => undefined
  let closed = false
  world.core.close(() => (closed = true))
  world.time.run(900)
  t.equal(closed, false)
  world.time.run(200)
  t.equal(closed, true)
})
