import { readToken, tokenKey } from '../../lib/token.ts'
import { hold, inUse, pool, shares, valid } from './pool.ts'
import { Probe, kinds } from './probe.ts'
import { macKey, poolName } from './names.ts'
import type { Scenario } from './scenario.ts'

export const failovers: Scenario[] = []

function scenario(name: string, run: Scenario['run']): void {
  failovers.push({ name, run })
}

scenario('fail-over with spare: the seat is confirmed elsewhere at once', t => {
  const world = pool(9)
  const all = hold(world, ['a', 'a'])
  world.server('a').crash()
  world.elect('b')
  let least = 2
  world.time.run(60_000, () => (least = Math.min(least, valid(all))))
  t.equal(least, 2, 'valid all the time')
  t.equal(inUse(world, 'b') + inUse(world, 'c'), 2)
})

scenario('claims 13, 14, 27, 28 - a full pool loses a server and no client its seat', t => {
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

scenario('R7 - a crashed server relearns: no seat is lost, none is given twice', t => {
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

scenario('R6, R7 - a repeated old message moves nothing', t => {
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

scenario('R6 - a taker counts what was moved to it, even when it cannot tell the client', t => {
  const world = pool(2, { a: 1, b: 1, c: 0 }, { commitMs: [50, 60] })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  probe.seat('b', 'full')
  const [challenge] = probe.renew('b', { seatId: 's', token, failover: true })
  t.equal(challenge?.kind, 'challenge')
  if (challenge?.kind !== 'challenge') return
  const confirmed = { seatId: 's', token, failover: true, confirm: challenge.nonce }
  t.strictSame(kinds(probe.renew('b', confirmed, 20)), ['pending'])
  const { host } = world.server('b')
  const { leaseUntil } = host
  host.leaseUntil = 0
  world.time.run(100)
  t.match(shares(world), { a: 0, b: 2 })
  t.match(world.server('b').service.seats({ limit: 1, after: 'full' }).seats, [{ state: 'moved' }])
  host.leaseUntil = leaseUntil
  t.strictSame(kinds(probe.acquire('b', { requestId: 'n', waitMs: 5_000 }, 200)), [
    'waiting',
    'renewed',
  ])
  t.strictSame(kinds(probe.renew('b', { seatId: 's', token })), ['renewed'])
})

scenario('R4 - a token proves nothing beyond the end of its server\u2019s run', t => {
  const world = pool(9, 'even', { settings: { tickMs: 1_000, leaseTicks: 30, seatTicks: 30 } })
  const probe = new Probe(world)
  const key = tokenKey(macKey)
  const proofOf = (seatId: string) => readToken(key, poolName, probe.seat('c', seatId))
  t.match(proofOf('s'), { server: 'c', incarnation: 1, seatTick: 3, lastTick: 33 })
  world.loss = 1
  world.time.run(10_000)
  const downAt = world.truth.state.servers.get('c')?.downAt ?? 0
  t.match(proofOf('later'), { seatTick: 13, lastTick: downAt - 1 })
  t.ok(downAt - 1 < 13 + 30)
})

scenario('R6 - a seat that was released cannot be claimed elsewhere', t => {
  const world = pool(4, { a: 2, b: 2, c: 0 })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  probe.release('a', { seatId: 's', token })
  t.strictSame(kinds(probe.move('b', 's', token)), ['challenge', 'pending', 'LICD_SEAT_LOST'])
  t.equal(inUse(world, 'b'), 0)
})

scenario('R6 - the old server drops a moved seat and says where it is', t => {
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

scenario(
  'R6 - a move of a seat that was given on leaves its server over the limit, which borrows',
  t => {
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

scenario('R3, R4, R5 - an isolated server serves until its lease ends, then nothing', t => {
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
  t.strictSame(kinds(probe.acquire('c', { requestId: 'over' })), ['LICD_NO_LEASE'])
  world.time.run(5_000)
  t.equal(world.truth.serverState('c'), 'down')
})

scenario('the lease bounds what a seat is promised', t => {
  const world = pool(9)
  const probe = new Probe(world)
  world.server('c').isolated = true
  world.time.run(20_000)
  const [result] = probe.acquire('c', { requestId: 's' })
  t.equal(result?.kind, 'granted')
  if (result?.kind === 'granted') t.ok(result.expiresInMs < 10_000 && result.expiresInMs > 5_000)
})

scenario('R7 - a clean stop gives back what is unused and hands its book over', t => {
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

scenario('R7 - a pool that is stopped and started as a whole moves no seat', t => {
  const world = pool(9)
  const probe = new Probe(world)
  const tokens = new Map(['a', 'b', 'c'].map(name => [name, probe.seat(name, `of-${name}`)]))
  for (const name of ['c', 'b', 'a']) world.server(name).stop()
  world.time.run(2_100)
  const renew = (at: string, of: string) => {
    const token = tokens.get(of) ?? new Uint8Array(0)
    return probe.renew(at, { seatId: `of-${of}`, token, failover: at !== of })
  }
  world.server('b').restart()
  world.elect('b')
  world.time.run(1_300)
  t.match(renew('b', 'a'), [{ code: 'LICD_NO_MOVE_NOW', retryAfterMs: 1_000 }], 'a may start too')
  world.server('a').restart()
  world.time.run(100)
  t.match(renew('b', 'a'), [{ code: 'LICD_NO_MOVE_NOW', server: 'a' }], 'a is there')
  world.time.run(1_100)
  t.strictSame(kinds(renew('a', 'a')), ['renewed'], 'and has its seat')
  world.time.run(4_000)
  t.strictSame(kinds(renew('b', 'c')), ['challenge'], 'c did not come back')
  t.strictSame(kinds(renew('b', 'a')), ['challenge'], 'who insists has his reasons')
})

scenario('R7 - a book that was altered, or is of another run, is not believed', t => {
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
  t.equal(inUse(world, 'b'), 2, 'it relearns')
  t.strictSame(server.service.seats({ limit: 9 }).seats, [])
})

scenario('R11 - a snapshot brings shares and moves', t => {
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

scenario('R4 - no seat is promised beyond the end of what it stands on', t => {
  const world = pool(6)
  const feature = world.server('a').host.ledger.state.features.get('cad')
  t.ok(feature)
  if (feature === undefined) return
  feature.endsAt = world.server('a').host.ledger.state.calendar + 10_000
  const [result] = new Probe(world).acquire('a', { requestId: 's' })
  t.ok(result?.kind === 'granted' && result.expiresInMs <= 10_000)
})
