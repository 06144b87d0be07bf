/**
 * The edges of what clocks and settings allow: servers whose clocks are fast by all they may be, clients whose clocks
 * are slow by as much, and ticks that change their pace while seats are held (R2 to R5, R7).
 */
import { Holder } from './holder.ts'
import { pool, valid } from './pool.ts'
import { Probe, kinds } from './probe.ts'
import type { Scenario } from './scenario.ts'
import type { World } from './world.ts'

export const edges: Scenario[] = []

function scenario(name: string, run: Scenario['run']): void {
  edges.push({ name, run })
}

const fast = 1.01
const slow = 0.99

/** Cuts a client off from all servers: it goes on believing what it was promised. */
function cutOff(world: World, { name }: Holder): void {
  for (const server of world.servers.keys()) {
    world.broker.cut(name, server)
    world.broker.cut(server, name)
  }
}

function mostOf(world: World, ms: number, holders: readonly Holder[]): number {
  let most = 0
  world.time.run(ms, () => (most = Math.max(most, valid(holders))))
  return most
}

scenario('R4 - a seat that ends by the clock alone ends at its client first', t => {
  const settings = { tickMs: 1_000, leaseTicks: 60, seatTicks: 10 }
  const world = pool(2, { a: 1, b: 1, c: 0 }, { settings, rates: { a: fast, b: 1, c: slow } })
  world.elect('c')
  world.time.run(2_000)
  world.server('a').isolated = true
  world.time.run(12_000)
  const old = new Holder(world, 'old', { servers: ['a'], rate: slow })
  old.acquire('cad')
  world.time.run(500)
  t.equal(valid([old]), 1)
  cutOff(world, old)
  const next = new Holder(world, 'next', { servers: ['a'], beatMs: 10 })
  next.acquire('cad', { waitMs: 30_000 })
  t.equal(mostOf(world, 15_000, [old, next]), 1)
  t.equal(valid([next]), 1)
})

scenario('R4, R7 - seats of a run that crashed are over when relearning ends', t => {
  const settings = { tickMs: 50, leaseTicks: 150, seatTicks: 120 }
  for (const phase of [0, 25, 40, 45, 48]) {
    const rates = { a: fast, b: fast, c: fast }
    const world = pool(2, { a: 2, b: 0, c: 0 }, { settings, rates, seed: phase + 1 })
    world.elect('c')
    world.time.run(1_000)
    const { tick } = world.truth.state
    world.time.runUntil(() => world.truth.state.tick > tick, 1_000)
    world.time.run(phase)
    const old = new Holder(world, 'old', { servers: ['a'], rate: slow, beatMs: 5 })
    old.acquire('cad', { count: 2 })
    world.time.runUntil(() => valid([old]) === 2, 1_000)
    cutOff(world, old)
    world.server('a').crash()
    world.server('a').restart()
    const next = new Holder(world, 'next', { servers: ['a', 'b'], beatMs: 5 })
    next.acquire('cad', { count: 2, waitMs: 30_000 })
    t.equal(mostOf(world, 7_000, [old, next]), 2, `${phase} ms after the tick`)
    t.equal(valid([next]), 2)
  }
})

scenario('R2 - faster ticks take back nothing that was promised', t => {
  const settings = { tickMs: 1_000, leaseTicks: 12, seatTicks: 10 }
  for (const crash of [false, true]) {
    const world = pool(1, { a: 1, b: 0, c: 0 }, { settings })
    const probe = new Probe(world)
    const token = probe.seat('a', 's')
    const promised = world.time.now + 9_700
    world.admin({ type: 'change-settings', settings: { ...settings, tickMs: 100 } })
    world.time.run(500)
    // The answer is lost: its client goes by what it was told before.
    t.strictSame(kinds(probe.renew('a', { seatId: 's', token })), ['renewed'])
    if (crash) {
      world.server('a').crash()
      world.elect('b')
      world.server('a').restart()
    }
    const next = new Holder(world, 'next', { servers: ['a', 'b', 'c'], beatMs: 20 })
    next.acquire('cad', { waitMs: 60_000 })
    t.equal(mostOf(world, promised - world.time.now, [next]), 0, 'while the first may believe')
    t.equal(mostOf(world, 20_000, [next]), 1, 'and then')
  }
})

scenario('R2, R6 - a move is remembered as long when ticks get faster', t => {
  const settings = { tickMs: 1_000, leaseTicks: 12, seatTicks: 10 }
  const world = pool(2, { a: 1, b: 1, c: 0 }, { settings })
  world.elect('c')
  world.time.run(1_500)
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  probe.seat('b', 'full')
  const promised = world.time.now + 9_700
  t.strictSame(kinds(probe.move('b', 's', token)), ['challenge', 'pending', 'renewed'])
  world.admin({ type: 'change-settings', settings: { ...settings, tickMs: 100 } })
  world.server('b').crash()
  const next = ['n1', 'n2'].map(name => new Holder(world, name, { servers: ['a', 'c'] }))
  for (const one of next) one.acquire('cad', { waitMs: 60_000 })
  t.equal(mostOf(world, promised - world.time.now, next), 0, 'both seats may be believed')
  t.equal(mostOf(world, 20_000, next), 2)
})
