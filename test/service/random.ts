/**
 * A seeded run of seat services and plain clients among crashes, stops, isolation, pauses, lost, late and repeated
 * messages, with I1, I2 and I3 checked after every event.
 *
 * The same seed gives the same run. `fault` breaks one rule on purpose, to show that the checks see it.
 */
import assert from 'node:assert/strict'
import { Holder } from './holder.ts'
import { World, type Server } from './world.ts'

export interface RunOptions {
  readonly seconds?: number
  readonly chaos?: boolean
  /** Sees the world before the run begins: to trace a seed that failed. */
  readonly watch?: (world: World, holders: readonly Holder[]) => void
}

export interface RunReport {
  readonly granted: number
  readonly renewedElsewhere: number
  readonly lost: number
  readonly moves: number
  /** 1 when every allocation was believed valid at some moment. */
  readonly full: number
  readonly events: number
  readonly log: number
}

const names: readonly string[] = ['a', 'b', 'c']

export function runSeed(seed: number, options: RunOptions = {}): RunReport {
  const { seconds = 20, chaos = true } = options
  // Some pools are slow: what is under way is then overtaken by ends of leases and seats.
  const slow = chaos && seed % 3 === 0
  const world = new World({
    seed,
    ...(slow ? { commitMs: [10, 300], applyMs: [1, 250] } : {}),
    servers: names,
    settings: { tickMs: 100, leaseTicks: 14, seatTicks: 10 },
    drift: 0.01,
    loss: chaos ? 0.03 : 0,
  })
  const { random } = world
  const chance = random.split('chance')
  const allocations = chance.between(3, 9)
  world.admin({ type: 'add-feature', feature: 'cad', allocations })
  const holders: Holder[] = []
  let made = 0
  const makeHolder = (): Holder =>
    new Holder(world, `h${++made}`, {
      servers: [...names].sort(() => chance.next() - 0.5),
      drift: 0.01,
      beatMs: chance.pick([15, 25, 45]),
    })
  for (let n = 0; n < 12; n++) holders.push(makeHolder())
  if (chaos) breakNetwork(world)
  options.watch?.(world, holders)

  let most = 0
  let events = 0
  const check = (): void => {
    events++
    const feature = world.truth.state.features.get('cad')
    assert(feature !== undefined)
    const shares = [...feature.shares.values()].reduce((sum, share) => sum + share, 0)
    assert.equal(feature.free + shares, feature.allocations + feature.owed, 'I1')
    let valid = 0
    for (const holder of holders) valid += holder.believes('cad')
    most = Math.max(most, valid)
    assert(valid <= feature.allocations + feature.owed, `I3: ${valid} seats are believed valid`)
  }

  const end = seconds * 1_000
  const calm = end * 0.75
  let moves = 0
  const step = (): void => {
    if (world.time.now >= end) return
    for (const [index, holder] of holders.entries()) act(holder, index)
    if (chaos && world.time.now < calm) disturb(world, chance)
    moves = Math.max(moves, world.truth.state.moves.size)
    world.time.after(20 + chance.next() * 60, step)
  }
  const act = (holder: Holder, index: number): void => {
    if (!holder.alive) {
      if (chance.chance(0.05)) holders[index] = makeHolder()
    } else if (holder.state === 'idle' && chance.chance(0.4)) {
      const count = chance.chance(0.2) ? 2 : 1
      const waitMs = chance.chance(0.5) ? chance.between(100, 2_000) : 0
      holder.acquire('cad', { count, waitMs, server: chance.pick(names) })
    } else if (holder.state === 'holding' && chance.chance(0.01)) holder.release()
    else if (chance.chance(0.001)) holder.crash()
  }
  world.time.after(300, step)
  world.time.runTo(calm, check)
  settleDown(world)
  world.time.runTo(end, check)
  proveLive(world, holders, check)
  const kinds = holders.flatMap(holder => holder.results.map(result => result.kind))
  return {
    granted: kinds.filter(kind => kind === 'granted').length,
    renewedElsewhere: kinds.filter(kind => kind === 'challenge').length,
    lost: holders.reduce((sum, holder) => sum + holder.lost.length, 0),
    moves,
    full: most >= allocations ? 1 : 0,
    events,
    log: world.log.length,
  }
}

function breakNetwork(world: World): void {
  const random = world.random.split('network')
  world.broker.fault = () => {
    const dice = random.next()
    if (dice < 0.02) return { drop: true }
    if (dice < 0.04) return { copies: 2, delayMs: random.between(1, 3_000) }
    if (dice < 0.06) return { delayMs: random.between(1, 600), reorder: true }
    return undefined
  }
}

function disturb(world: World, chance: World['random']): void {
  const server = world.server(chance.pick(names))
  if (!server.running) {
    if (chance.chance(0.3)) server.restart()
  } else if (chance.chance(0.008)) {
    server.crash()
    if (chance.chance(0.5)) {
      world.time.after(chance.between(1, 200), () => server.running || server.restart())
    }
  } else if (chance.chance(0.006)) stopAndMaybeStart(world, server)
  else if (chance.chance(0.01)) {
    server.clock.pause()
    const { clock } = server
    world.time.after(chance.between(10, 2_500), () => clock.resume())
  } else if (chance.chance(0.01)) isolate(world, server, chance)
  else if (chance.chance(0.01)) server.install()
  if (chance.chance(0.01)) {
    const to = chance.pick(names)
    const from = `h${chance.between(1, 12)}`
    world.broker.cut(from, to)
    world.broker.cut(to, from)
  }
  if (chance.chance(0.02)) world.broker.healAll()
  chooseLeader(world, chance)
}

/** A stop takes a while: one that ends when the faults are over already is followed by a start. */
function stopAndMaybeStart(world: World, server: Server): void {
  server.stop(() => {
    if (world.broker.fault !== undefined) return
    server.restart()
    if (world.leader === undefined) world.elect(server.name)
  })
}

function isolate(world: World, server: Server, chance: World['random']): void {
  server.isolated = true
  if (world.leader === server.name && chance.chance(0.5)) world.elect(undefined)
  world.time.after(chance.between(50, 3_000), () => {
    server.isolated = false
    server.deliver()
  })
}

function chooseLeader(world: World, chance: World['random']): void {
  const able = names.filter(name => world.server(name).running && !world.server(name).isolated)
  const { leader } = world
  const fit = leader !== undefined && able.includes(leader)
  if (fit ? chance.chance(0.01) : chance.chance(0.2)) {
    const next = able.length === 0 ? undefined : chance.pick(able)
    if (next !== leader) world.elect(next)
  }
}

function settleDown(world: World): void {
  world.broker.fault = undefined
  world.broker.healAll()
  world.loss = 0
  for (const name of names) {
    const server = world.server(name)
    server.clock.resume()
    server.isolated = false
    if (!server.running) server.restart()
    server.deliver()
  }
  world.elect('a')
}

/** Faults are off: when all seats are given back, every allocation can be granted again, at any server. */
function proveLive(world: World, holders: readonly Holder[], check: () => void): void {
  for (const holder of holders) {
    if (holder.state === 'asking') holder.withdraw()
    else holder.release()
    holder.crash()
  }
  const { allocations } = world.truth.state.features.get('cad') ?? { allocations: 0 }
  // Longer than a lease, so that nothing is dark any more.
  world.time.run(4_000, check)
  const last = new Holder(world, 'last', { servers: [...names], beatMs: 25 })
  last.acquire('cad', { count: allocations, waitMs: 3_000, server: 'b' })
  const done = world.time.runUntil(() => last.believes('cad') === allocations, 4_000)
  assert(done, `Liveness: ${allocations} seats after all were released, ${last.refusal}`)
}
