/**
 * Schedules that broke earlier forms of the rules, by hand: random runs seldom find them (design, after R12).
 *
 * Each drives real services to the moment named and then counts what clients may believe.
 */
import { Holder } from './holder.ts'
import { hold, inUse, pool, shares, valid } from './pool.ts'
import { Probe, kinds } from './probe.ts'
import type { World } from './world.ts'
import type { Scenario } from './scenario.ts'

export const schedules: Scenario[] = []

function scenario(name: string, run: Scenario['run']): void {
  schedules.push({ name, run })
}

const settings = { tickMs: 1_000, leaseTicks: 12, seatTicks: 10 }

/** Runs for `ms`; the most seats that the holders believed valid at one moment, `more` added. */
function most(world: World, ms: number, holders: readonly Holder[], more = () => 0): number {
  let count = 0
  world.time.run(ms, () => (count = Math.max(count, valid(holders) + more())))
  return count
}

scenario('the taker of a move is not down before the mover\u2019s older token ends', t => {
  const world = pool(2, { a: 1, b: 1, c: 0 }, { settings })
  world.elect('c')
  world.time.run(2_000)
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  probe.seat('b', 'full')
  // The taker was last listed long ago when it takes the seat, and dies the moment it has.
  t.strictSame(kinds(probe.move('b', 's', token)), ['challenge', 'pending', 'renewed'])
  world.server('b').crash()
  const moved = world.truth.state.moves.get('s')
  t.ok(moved)
  const newcomers = [0, 1, 2].map(n => new Holder(world, `n${n}`, { servers: ['a', 'c'] }))
  for (const one of newcomers) one.acquire('cad', { waitMs: 60_000 })
  while (world.truth.state.tick < (moved?.until ?? 0) - 1) {
    world.time.run(100)
    t.equal(valid(newcomers), 0, 'what the seat stands on is lent to nobody')
    if (valid(newcomers) > 0) return
  }
  world.time.run(20_000)
  t.equal(valid(newcomers), 2, 'and then to others')
})

scenario('a server resumed after its share was lent grants and renews nothing', t => {
  const world = pool(3, { a: 0, b: 0, c: 3 }, { settings })
  const old = hold(world, ['c', 'c', 'c'])
  const { clock } = world.server('c')
  clock.pause()
  // Its clients cannot know: they are cut off as well, and stay with it.
  for (const one of old) for (const name of ['a', 'b']) world.broker.cut(one.name, name)
  const next = [0, 1, 2].map(n => new Holder(world, `n${n}`, { servers: ['a', 'b'] }))
  world.time.run(8_000)
  for (const one of next) one.acquire('cad', { waitMs: 30_000, server: 'a' })
  let both = most(world, 12_000, [...old, ...next])
  t.equal(world.truth.serverState('c'), 'down')
  t.equal(valid(next), 3, 'its whole share was lent, used part included')
  const probe = new Probe(world)
  clock.resume()
  world.time.run(1)
  t.strictSame(
    kinds(probe.acquire('c', { requestId: 'late' }, 2)).filter(kind => kind === 'granted'),
    [],
  )
  both = Math.max(both, most(world, 20_000, [...old, ...next]))
  t.ok(both <= 3, `${both} of 3`)
})

scenario('a move is remembered until the newest token of the seat ends', t => {
  const world = pool(2, { a: 1, b: 1, c: 0 }, { settings })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  probe.seat('b', 'full')
  probe.move('b', 's', token)
  t.match(shares(world), { a: 0, b: 2 })
  // The client is silent from now on. Its seat at the taker ends no sooner than any of its tokens.
  const until = world.truth.state.moves.get('s')?.until ?? 0
  while (world.truth.state.tick < until) {
    world.time.run(100)
    const listed = world.server('b').service.seats({ limit: 9 }).seats
    if (world.truth.state.tick < until && !listed.some(seat => seat.seatId === 's')) {
      t.fail(`given up at tick ${world.truth.state.tick} of ${until}`)
      return
    }
  }
  world.time.run(3_000)
  t.equal(inUse(world, 'b'), 0)
})

scenario('a repeated message at a relearning server eats nobody\u2019s seat', t => {
  const world = pool(2, { a: 0, b: 2, c: 0 }, { settings })
  const probe = new Probe(world)
  const released = probe.seat('b', 'r')
  const held = probe.seat('b', 'h')
  world.server('b').crash()
  world.server('b').restart()
  world.time.run(1_500)
  t.equal(inUse(world, 'b'), 2)
  t.strictSame(kinds(probe.move('b', 'r', released)), ['challenge', 'renewed'])
  probe.release('b', { seatId: 'r', token: released })
  // The same again, all of it, out of the network's memory.
  const again = probe.move('b', 'r', released)
  t.strictSame(
    again.filter(result => result.kind === 'renewed'),
    [],
  )
  t.equal(inUse(world, 'b'), 2, 'what was given back is dark until relearning is done')
  t.strictSame(kinds(probe.move('b', 'h', held)), ['challenge', 'renewed'])
  t.strictSame(kinds(probe.acquire('b', { requestId: 'n' }, 2_500)), ['LICD_NO_SEAT'])
})

scenario('a lost answer of an isolated server, then a move with the older token (R5)', t => {
  const world = pool(2, { a: 1, b: 1, c: 0 }, { settings: { ...settings, leaseTicks: 40 } })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  probe.seat('b', 'full')
  world.elect('c')
  const cut = world.server('a')
  cut.isolated = true
  // The pool clock stands still as well, so that the older token goes on proving the seat to others.
  world.elect(undefined)
  world.time.run(9_000)
  const fresh = probe.renew('a', { seatId: 's', token })
  t.strictSame(kinds(fresh), ['renewed'])
  const newest = fresh[0]?.kind === 'renewed' ? fresh[0].token : token
  world.time.run(2_500)
  // This answer proves nothing to others, and is lost.
  t.strictSame(kinds(probe.renew('a', { seatId: 's', token: newest })), ['renewed'])
  world.elect('c')
  world.time.run(1_100)
  const moved = probe.move('b', 's', newest)
  t.strictSame(kinds(moved).at(-1), 'renewed', 'moved with the token that it knows')
  // Far beyond the clock's end of the lost answer: the isolated server must not grant the seat to another.
  world.time.run(11_000)
  t.strictSame(kinds(probe.acquire('a', { requestId: 'n' }, 50)), [])
  t.equal(inUse(world, 'a'), 1)
})
