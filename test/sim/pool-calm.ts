/**
 * What a pool must come back to once the faults are over, and within what time (liveness).
 *
 * The bounds are counted from the last fault, in the slowest settings that were in force: L is the longest lease, S the
 * longest life of a seat.
 *   - every server serves within 15 s + L (elections, then at most one lease until a run is over);
 *   - every wish that waits is met within 15 s + L + 2 S (what is dark comes back, and nobody is passed over);
 *   - every allocation is held by one newcomer within as much again (each is grantable), and nothing is owed;
 *   - shares are what the criteria say within 60 ticks of idleness.
 * Then all ledgers are equal, and no client and no server keeps a seat, a request or a promise.
 */
import assert from 'node:assert/strict'
import { ClientCore, type Hold } from '../../lib/client/core.ts'
import type { Feature } from '../../lib/ledger/state.ts'
import { SimulatedClient } from './pool-client.ts'
import type { PoolWorld } from './pool-world.ts'
import { SeededRandom } from './seeded-random.ts'

/** How long the steps took, as parts of their bounds. */
export interface CalmFigures {
  readonly serving: number
  readonly waited: number
  readonly back: number
  readonly shares: number
}

/** How long patient wishes are made before all must be met. */
const wishingMs = 3_000

export function calm(world: PoolWorld): CalmFigures {
  const { faults, operators, pool } = world
  world.tell('the faults end')
  world.isCalm = true
  faults.calm()
  const { tickMs, leaseTicks, seatTicks } = operators.slowest
  const [leaseMs, seatMs] = [tickMs * leaseTicks, tickMs * seatTicks]
  const steps = new Steps(world)

  const serving = steps.within(15_000 + leaseMs, 'not every server serves', () => serves(world))
  const waitMs = 15_000 + leaseMs + 2 * seatMs
  for (const client of world.clients) client.becomePatient()
  pool.run(wishingMs)
  for (const client of world.clients) client.rest()
  steps.within(
    waitMs,
    'a wish is not met',
    () => waiting(world).length === 0,
    () => JSON.stringify(waiting(world)),
  )
  const waited = Math.max(0, ...world.clients.map(one => one.waitedMostMs)) / waitMs
  const newcomer = new Newcomer(world)
  const back = steps.within(
    waitMs + endsWithin(world),
    'not everything can be granted again',
    () => newcomer.hasAll(),
    () => newcomer.describe(),
  )
  newcomer.leave()
  const shares = steps.within(
    60 * tickMs + 5_000,
    'shares are not what the criteria say',
    () => sharesFit(world),
    () => describeShares(world),
  )
  steps.within(waitMs, 'a client keeps something', () => isClear(world, newcomer))
  steps.within(40_000, 'ledgers are not equal', () => isEqual(world))
  operators.checkAll()
  return { serving, waited, back, shares }
}

class Steps {
  readonly #world: PoolWorld

  constructor(world: PoolWorld) {
    this.#world = world
  }

  /** Runs until it is so; which part of the time allowed that took. */
  within(ms: number, problem: string, isSo: () => boolean, describe = () => ''): number {
    const { pool } = this.#world
    const from = pool.time.now
    const end = from + ms
    while (!isSo()) {
      assert(pool.time.now < end, `liveness: ${problem} within ${Math.round(ms)} ms ${describe()}`)
      pool.run(100)
    }
    return (pool.time.now - from) / ms
  }
}

/** Names of those that belong to the pool and stay. */
function members({ state }: PoolWorld): string[] {
  const records = [...(state?.servers.values() ?? [])]
  return records.filter(({ role }) => role !== 'removed').map(({ name }) => name)
}

function serves(world: PoolWorld): boolean {
  const { pool, operators } = world
  if (pool.leader === undefined || operators.open > 0) return false
  return members(world).every(name => {
    const server = pool.process(name)?.server
    return server !== undefined && server.leaseUntil > server.clock.now()
  })
}

function waiting({ clients }: PoolWorld) {
  return clients.flatMap(({ name, waits }) => [...waits].map(wish => ({ name, ...wish })))
}

/** Codes that end soon take their seats with them: so long they may disturb. */
function endsWithin({ state }: PoolWorld): number {
  let ms = 0
  for (const { content, state: codeState } of state?.codes.values() ?? []) {
    const left = (content.expiresAt ?? 0) - (state?.calendar ?? 0)
    if (codeState !== 'ended' && left > 0 && left < 120_000) ms = Math.max(ms, left)
  }
  return ms * 1.5
}

/** Shares are at or below target, and where one is below, nothing is left in the free pool. */
function sharesFit({ pool, state }: PoolWorld): boolean {
  const { leader } = pool
  if (state === undefined || leader === undefined) return false
  return [...state.features.values()].every(feature => {
    const names = [...state.servers.keys()]
    const over = names.some(name => shareOf(feature, name) > leader.ledger.target(feature, name))
    const under = names.some(name => shareOf(feature, name) < leader.ledger.target(feature, name))
    return feature.owed === 0 && !over && (!under || feature.free === 0)
  })
}

function shareOf(feature: Feature, server: string): number {
  return feature.shares.get(server) ?? 0
}

function describeShares({ pool, state }: PoolWorld): string {
  const rows = [...(state?.features.values() ?? [])].map(feature => ({
    name: feature.name,
    allocations: feature.allocations,
    free: feature.free,
    owed: feature.owed,
    demand: feature.demand,
    shares: [...(state?.servers.keys() ?? [])].map(name => [
      name,
      shareOf(feature, name),
      pool.leader?.ledger.target(feature, name),
      pool.process(name)?.server.service.inUse(feature.name),
    ]),
  }))
  return JSON.stringify(rows)
}

function isClear({ clients, operators }: PoolWorld, newcomer: Newcomer): boolean {
  const cores = [newcomer.core, ...clients.map(client => client.core)]
  return (
    operators.open === 0 &&
    cores.every(core => {
      const { seats, releases, requests } = core?.counts ?? {}
      return seats === 0 && releases === 0 && requests === 0
    })
  )
}

function isEqual(world: PoolWorld): boolean {
  const { pool } = world
  const names = members(world)
  const at = names.map(name => pool.process(name)?.server.applied.index)
  return at.every(index => index !== undefined && index === at[0])
}

/** Takes all there is, one seat at a time, and asks again for what it loses. */
class Newcomer extends SimulatedClient {
  readonly #world: PoolWorld
  readonly #own: ClientCore
  readonly #held = new Map<string, Set<Hold>>()
  readonly #asked = new Map<string, number>()
  readonly #open = new Set<ReturnType<ClientCore['acquire']>>()
  #left = false

  constructor(world: PoolWorld) {
    const demand = {
      ...{ features: [], holdsMax: 0, countMax: 1, hasUptime: true, swingMs: 0 },
      holdMs: [0, 0] as const,
      pauseMs: [0, 0] as const,
    }
    super(world.pool, 'newcomer', demand, world)
    this.#world = world
    const { bus, clock } = world.pool.connect('newcomer')
    const random = new SeededRandom(`newcomer ${world.options.seed}`)
    this.#own = new ClientCore({ bus: this.listen(bus), clock, random }, { pool: 'simulated' })
    world.checks.clients.push(this)
  }

  override get core(): ClientCore {
    return this.#own
  }

  override *believed(): Generator<readonly [feature: string, count: number]> {
    for (const [feature, holds] of this.#held) {
      for (const hold of holds) if (hold.remainingMs() > 0) yield [feature, hold.count]
    }
  }

  hasAll(): boolean {
    let hasAll = true
    for (const [name, { allocations, owed }] of this.#world.state?.features ?? []) {
      const held = this.#held.get(name)?.size ?? 0
      if (held !== allocations || owed > 0) hasAll = false
      for (let n = held + (this.#asked.get(name) ?? 0); n < allocations; n++) this.#ask(name)
    }
    return hasAll
  }

  #ask(feature: string): void {
    const holds = this.#held.get(feature) ?? new Set()
    this.#held.set(feature, holds)
    const count = (by: number): void =>
      void this.#asked.set(feature, (this.#asked.get(feature) ?? 0) + by)
    count(1)
    const box: { hold: Hold | undefined } = { hold: undefined }
    const lost = (): void => {
      if (box.hold !== undefined) holds.delete(box.hold)
    }
    const request = { feature, count: 1, user: 'new', host: 'sim', waitMs: 600_000 }
    const giveUp = this.#own.acquire(request, { lost, moved() {}, renewed() {} }, outcome => {
      count(-1)
      this.#open.delete(giveUp)
      if (!outcome.ok) return
      if (this.#left) {
        outcome.hold.release()
        return
      }
      box.hold = outcome.hold
      holds.add(outcome.hold)
    })
    this.#open.add(giveUp)
  }

  leave(): void {
    this.#left = true
    for (const giveUp of this.#open) giveUp({ code: 'LICD_ABORTED', detail: '' })
    for (const holds of this.#held.values()) {
      for (const hold of holds) hold.release()
      holds.clear()
    }
  }

  describe(): string {
    const held = [...this.#held].map(([name, holds]) => `${name} ${holds.size}`).join(', ')
    return `held: ${held}; ${describeShares(this.#world)}`
  }
}
