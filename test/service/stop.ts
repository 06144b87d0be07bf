/** A clean stop (R7): nothing is dark, nothing comes back to the server that stops, no client is misled. */
import { hold, holder, inUse, pool, shares, valid } from './pool.ts'
import { Probe, kinds } from './probe.ts'
import type { Scenario } from './scenario.ts'

export const stops: Scenario[] = []

function scenario(name: string, run: Scenario['run']): void {
  stops.push({ name, run })
}

scenario('after a clean stop all that is not in use can be granted by the others at once', t => {
  const world = pool(9)
  const held = hold(world, ['b'])
  const stopped: number[] = []
  world.server('b').stop(() => stopped.push(world.time.now))
  world.time.run(200)
  t.equal(stopped.length, 1, 'a stop costs a commit or two')
  t.match(shares(world), { free: 2, b: 1 })
  world.elect('a')
  world.time.run(3_500)
  t.match(shares(world), { free: 2, b: 1 }, 'ticks do not top it up again')
  const many = holder(world, 'a')
  many.acquire('cad', { count: 8 })
  world.time.run(600)
  t.equal(many.believes('cad'), 8)
  many.release()
  world.time.run(100)

  world.server('b').restart()
  world.time.run(20_000)
  t.strictSame(shares(world), { free: 0, a: 3, b: 3, c: 3 }, 'the restarted one has its target')
  t.equal(valid(held), 1)
})

scenario('what becomes spare during the stop goes back as well', t => {
  const world = pool(9, 'even', { commitMs: [80, 90] })
  const probe = new Probe(world)
  const token = probe.seat('b', 's')
  world.server('b').stop()
  world.time.run(150)
  probe.release('b', { seatId: 's', token })
  world.time.run(600)
  t.match(shares(world), { free: 3, b: 0 })
})

scenario('without a leader a stop ends all the same', t => {
  const world = pool(9)
  world.elect(undefined)
  let stopped = false
  world.server('b').stop(() => (stopped = true))
  world.time.run(2_100)
  t.ok(stopped)
  t.match(shares(world), { b: 3 })
})

scenario('R6 - a stop does not say of a move under way that it failed', t => {
  const world = pool(2, { a: 1, b: 1, c: 0 }, { commitMs: [80, 90] })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  probe.seat('b', 'full')
  const [challenge] = probe.renew('b', { seatId: 's', token, failover: true })
  t.equal(challenge?.kind, 'challenge')
  if (challenge?.kind !== 'challenge') return
  const confirmed = { seatId: 's', token, failover: true, confirm: challenge.nonce }
  t.strictSame(kinds(probe.renew('b', confirmed, 20)), ['pending'])
  const after = probe.within(40, () => world.server('b').stop())
  t.strictSame(kinds(after), [], 'not known yet')
  t.strictSame(kinds(probe.renew('b', confirmed, 10)), ['pending'])
  world.time.run(100)
  t.match(shares(world), { a: 0, b: 2 })
  t.strictSame(kinds(probe.results.slice(-1)), ['renewed'], 'told when it is known')
  world.time.run(300)
  t.match(world.server('b').book?.incarnation, 1)
  t.equal(inUse(world, 'a'), 0)
})

scenario('R6 - while a move is under way the taker says so, whatever else is wrong with it', t => {
  const world = pool(2, { a: 1, b: 1, c: 0 })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  probe.seat('b', 'full')
  const [challenge] = probe.renew('b', { seatId: 's', token, failover: true })
  t.equal(challenge?.kind, 'challenge')
  if (challenge?.kind !== 'challenge') return
  const confirmed = { seatId: 's', token, failover: true, confirm: challenge.nonce }
  probe.renew('b', confirmed, 1)
  world.time.after(4, () => (world.server('b').isolated = true))
  world.time.run(3_500)
  t.match(shares(world), { a: 0, b: 2 }, 'moved')
  t.strictSame(kinds(probe.renew('b', confirmed)), ['pending'], 'it has seen no tick for long')
  const { host } = world.server('b')
  host.leaseUntil = 0
  t.strictSame(kinds(probe.renew('b', confirmed)), ['pending'], 'it has no lease')
  world.server('b').isolated = false
  world.server('b').deliver()
  world.time.run(20)
  host.leaseUntil = 0
  t.strictSame(kinds(probe.renew('b', confirmed)), [], 'applied, and it may not renew: no word')
})

scenario('R6, R7 - a book without a move that was applied: the next run counts it', t => {
  const world = pool(2, { a: 1, b: 1, c: 0 }, { commitMs: [80, 90] })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  probe.seat('b', 'full')
  const [challenge] = probe.renew('b', { seatId: 's', token, failover: true })
  t.equal(challenge?.kind, 'challenge')
  if (challenge?.kind !== 'challenge') return
  const server = world.server('b')
  const confirmed = { seatId: 's', token, failover: true, confirm: challenge.nonce }
  t.strictSame(kinds(probe.renew('b', confirmed, 40)), ['pending'])
  // The leader has it, and now the server is cut off from the log, and stops.
  server.isolated = true
  const said = probe.within(2_200, () => server.stop())
  t.match(shares(world), { a: 0, b: 2 })
  t.strictSame(kinds(said), [], 'it cannot tell how the move ended')
  t.ok(server.book)
  server.isolated = false
  server.restart()
  world.time.run(1_500)
  t.equal(inUse(world, 'b'), 2)
  t.strictSame(kinds(probe.acquire('b', { requestId: 'n' }, 2_000)), ['LICD_NO_SEAT'])
})

scenario('R7 - a book is good for the very next run, and for one alone', t => {
  const world = pool(4, { a: 2, b: 2, c: 0 })
  const probe = new Probe(world)
  const token = probe.seat('b', 's')
  const server = world.server('b')
  server.stop()
  world.time.run(2_100)
  server.restart()
  world.time.run(1_200)
  t.equal(inUse(world, 'b'), 1, 'nothing is dark')
  t.strictSame(kinds(probe.renew('b', { seatId: 's', token })), ['renewed'])
  probe.seat('b', 'later')
  const { book } = server
  server.crash()
  server.restart()
  t.equal(server.book, book, 'it is still there')
  world.time.run(1_200)
  t.strictSame(server.service.seats({ limit: 9 }).seats, [], 'and is not believed')
  t.equal(inUse(world, 'b'), shares(world).b, 'it relearns')
})

scenario('R7 - a book does not bring back what moved away meanwhile', t => {
  const world = pool(2, { a: 1, b: 1, c: 0 })
  const probe = new Probe(world)
  const token = probe.seat('b', 's')
  probe.seat('a', 'full')
  world.server('b').stop()
  world.time.run(2_100)
  t.strictSame(kinds(probe.move('a', 's', token)).at(-1), 'renewed')
  t.match(shares(world), { a: 2, b: 0 })
  world.server('b').restart()
  world.time.run(1_200)
  t.equal(inUse(world, 'b'), 0)
})

scenario('R5, R7 - what is dark or unknown in one run is so in the next', t => {
  const settings = { tickMs: 1_000, leaseTicks: 30, seatTicks: 20 }
  const world = pool(2, { a: 0, b: 2, c: 0 }, { settings })
  world.elect('c')
  world.time.run(1_500)
  const probe = new Probe(world)
  const server = world.server('b')
  const token = probe.seat('b', 's')
  probe.seat('b', 'unheard')
  server.crash()
  server.restart()
  world.time.run(1_200)
  t.strictSame(kinds(probe.move('b', 's', token)), ['challenge', 'renewed'])
  for (let n = 0; n < 2; n++) {
    server.stop()
    world.time.run(300)
    server.restart()
    world.time.run(1_200)
    t.equal(inUse(world, 'b'), 2, 'one is held, one not known')
  }
  // Without ticks a seat is dark for long: its time is over, its token may yet be shown.
  const { clock, service } = server
  const isDark = (): boolean => service.seats({ limit: 9 }).seats[0]?.state === 'expired'
  world.elect(undefined)
  t.ok(world.time.runUntil(isDark, 30_000), `${clock.now()}`)
  world.elect('c')
  server.stop()
  world.time.run(300)
  server.restart()
  world.time.run(1_200)
  t.ok(inUse(world, 'b') > 0)
  t.match(server.service.seats({ limit: 9 }).seats, [{ seatId: 's', state: 'expired' }])
})

scenario(
  'R7 - a book that was written behind the pool clock: ticks of before count for nothing',
  t => {
    const settings = { tickMs: 1_000, leaseTicks: 60, seatTicks: 10 }
    const world = pool(2, { a: 1, b: 1, c: 0 }, { settings })
    world.elect('c')
    const probe = new Probe(world)
    let token = probe.seat('a', 's')
    probe.seat('b', 'full')
    const cut = world.server('a')
    cut.isolated = true
    for (let n = 0; n < 10; n++) {
      world.time.run(2_500)
      const [renewed] = probe.renew('a', { seatId: 's', token })
      t.equal(renewed?.kind, 'renewed')
      if (renewed?.kind === 'renewed') token = renewed.token
    }
    // It stops as soon as it hears of the others: before it has applied all that they did meanwhile.
    cut.isolated = false
    cut.stop()
    cut.deliver()
    t.ok(
      world.time.runUntil(() => !cut.running, 3_000),
      'it stops',
    )
    t.ok(cut.book)
    t.ok(cut.host.ledger.state.tick < world.truth.state.tick, 'behind')
    cut.restart()
    world.time.run(500)
    const results = probe.acquire('a', { requestId: 'n' }, 4_000)
    t.notOk(kinds(results).includes('granted'), 'its client may believe in the seat for longer')
    t.equal(inUse(world, 'a'), 1)
    t.strictSame(kinds(probe.renew('a', { seatId: 's', token })), ['renewed'])
  },
)
