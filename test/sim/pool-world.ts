/**
 * A seeded world of a whole pool: real servers (Raft, ledger, seat books) and real clients over simulated time, network,
 * disks and processes. One seed, one run.
 *
 * First everything goes wrong, and only safety is asked for, after every event (`PoolChecks`). Then the faults end, and
 * within stated bounds all servers serve, every wish is met, shares are what the criteria say, and every allocation can
 * be granted again (`calm`).
 */
import assert from 'node:assert/strict'
import { PoolAims } from './pool-aims.ts'
import { calm, type CalmFigures } from './pool-calm.ts'
import { PoolChecks } from './pool-checks.ts'
import { SimulatedClient, type ClientWatcher, type Demand } from './pool-client.ts'
import { PoolCoverage, type Branch } from './pool-coverage.ts'
import { PoolFaults } from './pool-faults.ts'
import { PoolNetwork } from './pool-network.ts'
import { PoolInsight } from './pool-insight.ts'
import { observe } from './pool-observer.ts'
import { readCodes, vendor } from './pool-codes.ts'
import { PoolOperators } from './pool-operators.ts'
import { drawPool, type PoolOptions, type PoolRequest } from './pool-options.ts'
import { simulatePool, type SimulatedPool } from './pool.ts'
import { SeededRandom } from './seeded-random.ts'

export interface PoolResult {
  readonly events: number
  readonly virtualMs: number
  readonly seatHours: number
  readonly granted: number
  readonly moved: number
  readonly lost: number
  readonly fullest: number
  readonly kinds: ReadonlyMap<string, number>
  readonly coverage: PoolCoverage
  readonly calm: CalmFigures
  readonly commands: number
  readonly undecided: number
}

export class PoolWorld implements ClientWatcher {
  readonly options: PoolOptions
  readonly random: SeededRandom
  readonly pool: SimulatedPool
  readonly checks = new PoolChecks()
  readonly coverage = new PoolCoverage()
  readonly network: PoolNetwork
  readonly clients: SimulatedClient[] = []
  readonly operators: PoolOperators
  readonly faults: PoolFaults
  readonly aims: PoolAims
  readonly story: string[] = []
  readonly counts = { granted: 0, moved: 0, lost: 0, refused: 0 }
  events = 0
  isCalm = false
  /** When the faults end, in simulated ms; not known before they begin. */
  calmAt = Infinity
  #violation: unknown
  readonly #insight: PoolInsight

  constructor(request: PoolRequest) {
    const options = drawPool(request)
    this.options = options
    this.random = new SeededRandom(`world ${request.seed}`)
    const random = this.random
    this.#insight = new PoolInsight(this)
    this.pool = simulatePool({
      seed: request.seed,
      servers: options.servers,
      settings: options.settings,
      vendors: [vendor],
      raft: options.raft,
      snapshotEveryEntries: options.snapshotEveryEntries,
      ...(options.syncMs === undefined ? {} : { syncMs: options.syncMs }),
      judge: readCodes,
      createService: host => this.#insight.watch(host),
      clockOf: (_server, own) => ({
        rate: 1 + (options.steady ? own.pick([-0.0099, 0.0099]) : (own.next() - 0.5) * 0.0198),
        hasUptime: !own.chance(options.blind),
      }),
      log: server => this.#insight.logger(server),
      comparesHashes: false,
    })
    this.network = new PoolNetwork(this, random.split('network'))
    this.operators = new PoolOperators(this, random.split('operators'))
    this.faults = new PoolFaults(this)
    this.aims = new PoolAims(this)
    const own = random.split('clients')
    for (let n = 0; n < options.clients; n++) {
      this.clients.push(new SimulatedClient(this.pool, `c${n}`, this.#demand(own), this))
    }
    this.checks.clients.push(...this.clients)
    this.pool.check = () => this.#check()
  }

  #demand(random: SeededRandom): Demand {
    const { features, clients, wishesPerSecond, holdMs, countMax, blind, swingMs } = this.options
    const names = features.map(({ name }) => name)
    const some = names.filter(() => random.chance(0.7))
    const pauseMs = (clients * 1_000) / wishesPerSecond
    return {
      features: some.length === 0 ? names : some,
      holdsMax: random.between(1, clients > 50 ? 2 : 4),
      countMax: random.chance(0.5) ? 1 : countMax,
      holdMs,
      pauseMs: [Math.min(20, pauseMs), 2 * pauseMs],
      hasUptime: !random.chance(blind),
      swingMs,
    }
  }

  get now(): number {
    return this.pool.time.now
  }

  /** The ledger as the newest entry that anybody applied left it. */
  get state() {
    return this.checks.newest?.state
  }

  tell(what: string): void {
    this.story.push(`${(this.now / 1000).toFixed(3)} ${what}`)
    if (this.story.length > 600) this.story.splice(0, 300)
  }

  fail(error: unknown): void {
    this.#violation ??= error
  }

  /** What it throws ends the run, and not the server that is just at work. */
  guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.fail(error)
    }
  }

  #check(): void {
    this.events++
    if (this.#violation !== undefined) throw asError(this.#violation)
    this.checks.check(this.now)
  }

  starting(server: string): void {
    this.#insight.starting(server)
  }

  // What clients tell

  heard(client: SimulatedClient): void {
    this.checks.heard(client)
  }

  told(
    client: SimulatedClient,
    event: 'granted' | 'moved' | 'lost' | 'refused',
    what: string,
  ): void {
    this.counts[event]++
    if (event === 'moved') this.coverage.note('moved by client')
    if (event === 'lost') this.coverage.note('lost by client')
    if (event !== 'refused') this.tell(`${client.name} ${event} ${what}`)
  }

  // The run

  run(): PoolResult {
    observe(this.#insight.observer())
    try {
      this.#start()
      this.calmAt = this.now + this.options.faultsMs
      this.faults.start()
      this.operators.start()
      this.pool.run(this.options.faultsMs)
      const figures = calm(this)
      return this.#result(figures)
    } finally {
      observe(undefined)
    }
  }

  #start(): void {
    const { pool } = this
    pool.startAll()
    assert(pool.settle(), 'the pool never served')
    this.operators.found()
    for (const client of this.clients) client.start()
    pool.run(3_000)
  }

  /** What did not happen. */
  #noteSilence(): void {
    const { coverage, network } = this
    const count = (branch: Branch): number => coverage.counts.get(branch) ?? 0
    coverage.note('challenge silent', count('challenge asked') - count('challenge answered'))
    const answers = (['yes', 'no', 'unknown', 'gone'] as const).map(word =>
      count(`old server: ${word}`),
    )
    coverage.note('old server: silent', network.questions - answers.reduce((a, b) => a + b, 0))
  }

  #result(figures: CalmFigures): PoolResult {
    this.#noteSilence()
    const { granted, moved, lost } = this.counts
    return {
      events: this.events,
      virtualMs: this.now,
      seatHours: this.checks.seatHours,
      ...{ granted, moved, lost },
      fullest: this.checks.fullest,
      kinds: this.faults.counts,
      coverage: this.coverage,
      calm: figures,
      commands: this.operators.acknowledged,
      undecided: this.operators.undecided,
    }
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

export class PoolFailure extends Error {
  /** Virtual ms at which it was noticed. */
  readonly at: number
  /** The faults until then, as `kind#n`. */
  readonly happened: readonly string[]
  readonly story: readonly string[]

  constructor(world: PoolWorld, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
    this.at = world.now
    this.happened = world.faults.happened
    this.story = world.story
  }
}

/** One whole run. Throws, with what led to it, when anything that must hold does not. */
export function runPool(request: PoolRequest): PoolResult {
  const world = new PoolWorld(request)
  try {
    return world.run()
  } catch (error) {
    throw new PoolFailure(world, error)
  }
}
