/**
 * One run of a whole pool with clients, from its seed: I3 after every event from the clients' own view, in true
 * time; I1 and I2 by the assertions of the ledger and the book, I5 by the pool. Then the faults end, and within a
 * bound every allocation must be grantable again, with nothing left behind.
 */
import assert from 'node:assert/strict'
import { ClientCore, type Hold } from '../../lib/client/core.ts'
import type { Settings } from '../../lib/ledger/command.ts'
import { Chaos } from './pool-chaos.ts'
import { SimulatedClient } from './pool-client.ts'
import { simulatePool, type SimulatedPool } from './pool.ts'
import { SeededRandom } from './seeded-random.ts'

const servers = ['alpha', 'beta', 'gamma']
const features = { cad: 12, sim: 25 }
const clientCount = 20
const chaosMs = 35_000
/** After the last fault: elections, then the longest lease, then what is dark has come back. */
const graceMs = (settings: Settings) =>
  15_000 + settings.tickMs * (settings.leaseTicks + 2 * settings.seatTicks + 10)

export class PoolRun {
  readonly seed: number
  readonly random: SeededRandom
  readonly settings: Settings
  readonly pool: SimulatedPool
  readonly clients: SimulatedClient[]
  readonly chaos: Chaos
  believedMost = 0
  /** What the newcomer got at the end. */
  readonly holds: Hold[] = []

  constructor(seed: number) {
    this.seed = seed
    const random = new SeededRandom(`pool ${seed}`)
    this.random = random
    const leaseTicks = random.between(8, 20)
    const seatTicks = random.between(6, leaseTicks)
    this.settings = { tickMs: random.pick([500, 1_000]), leaseTicks, seatTicks }
    // Fewer heartbeats than in production: most of a run's events would be theirs.
    const raft = { electionTimeoutMs: 1_000, heartbeatMs: 250 }
    this.pool = simulatePool({ seed, servers, settings: this.settings, raft })
    this.clients = Array.from({ length: clientCount }, (_, n) => {
      return new SimulatedClient(this.pool, `c${n}`, {
        features: random.chance(0.3) ? ['cad'] : Object.keys(features),
        holdsMax: random.between(1, 4),
        countMax: random.pick([1, 1, 3]),
        holdMs: [100, random.pick([1_000, 8_000, 30_000])],
        pauseMs: [20, random.pick([500, 3_000])],
      })
    })
    this.chaos = new Chaos(this.pool, this.clients, seed)
  }

  run(): void {
    const { pool, clients } = this
    pool.startAll()
    assert(pool.settle(), 'the pool never served')
    for (const [feature, allocations] of Object.entries(features)) {
      const request = { id: feature, by: 'test', timeoutMs: 30_000, feature, allocations }
      const answer = pool.ask('feature-add', request)
      assert(answer?.ok, `not added: ${JSON.stringify(answer)}`)
    }
    pool.check = () => this.#checkIfHeard()
    for (const client of clients) client.start()
    pool.run(5_000)
    this.chaos.run(chaosMs)
    this.chaos.calm()
    for (const client of clients) client.rest()
    this.#everythingComesBack()
  }

  #checkIfHeard(): void {
    let heard = false
    for (const client of this.clients) {
      heard ||= client.heard
      client.heard = false
    }
    if (heard) this.#check()
  }

  /** I3: never more seats that clients may believe valid than there are. */
  #check(more: readonly Hold[] = []): void {
    for (const [feature, allocations] of Object.entries(features)) {
      let believed = 0
      for (const client of this.clients) believed += client.believed(feature)
      for (const hold of more) if (hold.feature === feature && hold.remainingMs() > 0) believed++
      this.believedMost = Math.max(this.believedMost, believed / allocations)
      assert(believed <= allocations, `I3: ${believed} of ${allocations} ${feature} are in use`)
    }
  }

  /** A newcomer gets every allocation of every feature. */
  #everythingComesBack(): void {
    const { pool } = this
    const { bus, clock } = pool.connect('newcomer')
    const random = new SeededRandom(`newcomer ${this.seed}`)
    const core = new ClientCore({ bus, clock, random }, { pool: 'simulated' })
    const { holds } = this
    const waitMs = graceMs(this.settings)
    const handlers = { lost() {}, moved() {}, renewed() {} }
    let total = 0
    for (const [feature, allocations] of Object.entries(features)) {
      total += allocations
      for (let n = 0; n < allocations; n++) {
        const request = { feature, count: 1, user: 'new', host: 'sim', waitMs }
        core.acquire(request, handlers, outcome => {
          if (outcome.ok) holds.push(outcome.hold)
        })
      }
    }
    pool.check = () => this.#check(holds)
    pool.runUntil(() => holds.length === total, waitMs)
    assert.equal(holds.length, total, 'not everything came back')
    for (const hold of holds) hold.release()
    const isClear = () =>
      [core, ...this.clients.map(client => client.core)].every(
        one =>
          one !== undefined && one.counts.seats + one.counts.releases + one.counts.requests === 0,
      )
    assert(pool.runUntil(isClear, waitMs), 'a client still has seats or requests')
    for (const name of servers) assert.equal(pool.process(name)?.fatal, undefined)
  }
}

export function runSeed(seed: number): PoolRun {
  const run = new PoolRun(seed)
  try {
    run.run()
    return run
  } catch (error) {
    const story = run.chaos.story.slice(-40).join('\n')
    const at = `seed ${seed} at ${run.pool.time.now.toFixed(3)} ms of ${JSON.stringify(run.settings)}`
    throw new Error(`${at}: ${String(error)}\n${story}`, { cause: error })
  }
}
