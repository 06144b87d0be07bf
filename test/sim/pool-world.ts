/**
 * A seeded world of a whole pool: real servers (Raft, ledger, seat books) and real clients over simulated time, network,
 * disks and processes. One seed, one run.
 *
 * First everything goes wrong, and only safety is asked for, after every event (`PoolChecks`). Then the faults end, and
 * within stated bounds all servers serve, every wish is met, shares are what the criteria say, and every allocation can
 * be granted again (`calm`).
 */
import assert from 'node:assert/strict'
import { LicdError } from '../../lib/error.ts'
import type { SeatResult } from '../../lib/protocol/seat.ts'
import { decodeHolding } from '../../lib/service/ask.ts'
import { createSeatService } from '../../lib/service/service.ts'
import type { Host, SeatService } from '../../lib/server/parts.ts'
import type { Logger } from '../../raft/ports.ts'
import { PoolAims } from './pool-aims.ts'
import { calm, type CalmFigures } from './pool-calm.ts'
import { PoolChecks } from './pool-checks.ts'
import { SimulatedClient, type ClientWatcher, type Demand } from './pool-client.ts'
import { PoolCoverage } from './pool-coverage.ts'
import { PoolFaults } from './pool-faults.ts'
import { PoolNetwork } from './pool-network.ts'
import { observe, type PoolObserver } from './pool-observer.ts'
import { PoolOperators, readCode, vendor } from './pool-operators.ts'
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
  #violation: unknown
  /** The server whose service is at work on what was applied. */
  #acting: string | undefined
  #confirmedIds = new Set<string>()

  constructor(request: PoolRequest) {
    const options = drawPool(request)
    this.options = options
    this.random = new SeededRandom(`world ${request.seed}`)
    const random = this.random
    this.pool = simulatePool({
      seed: request.seed,
      servers: options.servers,
      settings: options.settings,
      vendors: [vendor],
      raft: options.raft,
      snapshotEveryEntries: options.snapshotEveryEntries,
      verifyCode: readCode,
      createService: host => this.#watch(host),
      clockOf: (_server, own) => ({
        rate: 1 + (own.next() - 0.5) * 0.0198,
        hasUptime: !own.chance(options.blind),
      }),
      log: server => this.#logger(server),
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
    const { features, clients, wishesPerSecond, holdMs, countMax, blind } = this.options
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
    observe(this.#observer())
    try {
      this.#start()
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

  #result(figures: CalmFigures): PoolResult {
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

  // What is seen from within

  #logger(server: string): Logger {
    const write = (event: string, fields?: Readonly<Record<string, unknown>>): void => {
      if (event === 'lease-lost') this.coverage.note('lease lost')
      else if (event === 'incarnation-over') this.coverage.note('incarnation over')
      else if (event === 'suspended') this.coverage.note('suspended server')
      else if (event === 'serving') {
        this.tell(`${server} serves ${JSON.stringify(fields)}`)
      } else if (event === 'fatal' || wrong.has(event)) {
        const text = `${server}: ${event} ${describe(fields)}`
        this.tell(text)
        const error = fields?.error
        const isRemoved = error instanceof LicdError && error.code === 'LICD_SERVER_REMOVED'
        if (isRemoved) this.operators.removed(server)
        else this.fail(new Error(text))
      }
    }
    return { debug() {}, info: write, warn: write, error: write }
  }

  #watch(host: Host): SeatService {
    const { server } = host
    const service = createSeatService(host)
    const acting = <T>(run: () => T): T => {
      const before = this.#acting
      this.#acting = server
      try {
        return run()
      } finally {
        this.#acting = before
      }
    }
    return {
      report: service.report,
      start: options => {
        if (options.book !== undefined) {
          const isUsed = options.relearn
          this.coverage.note(isUsed ? 'hand-over consumed' : 'hand-over void')
        }
        acting(() => service.start(options))
        this.aims.started(server, options.relearn, options.book !== undefined)
      },
      applied: command => {
        acting(() => service.applied(command))
        this.guard(() => this.checks.gave(server, host.incarnation, command))
      },
      installed: () => {
        this.coverage.note('snapshot installed')
        if (host.ledger.state.moves.size > 0) this.coverage.note('installed with moves')
        if (this.aims.promisesOf(server) > 0) this.coverage.note('installed with promises')
        acting(() => service.installed())
      },
      ended: () => acting(() => service.ended()),
      offer: (id, borrow) => {
        const offer = acting(() => service.offer(id, borrow))
        if (offer !== undefined) {
          this.coverage.note('offer made')
          this.aims.offered(server)
        }
        return offer
      },
      settleOffer: id => service.settleOffer(id),
      usage: max => service.usage(max),
      inUse: feature => service.inUse(feature),
      seats: options => service.seats(options),
      stop: done => service.stop(done),
    }
  }

  #observer(): PoolObserver {
    const { checks, coverage, aims } = this
    return {
      applying: (ledger, command, index) => {
        const isNew = checks.isNew(index)
        const before = isNew ? coverage.before(ledger, command) : undefined
        const effect = isNew ? this.operators.applying(ledger, command) : undefined
        return ({ result, duplicate }) =>
          this.guard(() => {
            checks.applied(ledger, index)
            if (before === undefined) return
            coverage.after(before, ledger, command, result, duplicate)
            effect?.(result)
            aims.applied(ledger, command, result, duplicate)
          })
      },
      booked: (stock, how) => {
        this.guard(() => checks.booked(stock, how))
        if (how === 'relearn') coverage.note('relearned seat')
      },
      renewedDark: () => coverage.note('dark seat renewed'),
      released: (_seat, wasRelearned) => {
        coverage.note(wasRelearned ? 'released while relearning' : 'released')
      },
      adopted: stock => {
        if (this.#acting !== undefined) checks.know(this.#acting, stock)
      },
      promised: (id, stock, count) => aims.promised(id, stock, count),
      movedAway: (stock, found) => {
        checks.movedAway(stock, found)
        coverage.note(
          found === 'seat'
            ? 'moved away known'
            : found === 'unknown'
              ? 'moved away while relearning'
              : 'moved away unknown',
        )
      },
      answered: (server, result, subject) => this.#answered(server, result, subject),
      confirmed: ({ item }) => {
        coverage.note('challenge answered')
        this.#confirmedIds.add(item.seatId)
      },
      asked: answer => {
        if (answer === undefined) coverage.note('old server: gone')
        else coverage.note(`old server: ${decodeHolding(answer)?.held ?? 'silent'}`)
      },
      signed: ({ lastTick }) => {
        if (lastTick === 0) coverage.note('token proves nothing')
      },
    }
  }

  #answered(server: string, result: SeatResult, subject: string | undefined): void {
    const { coverage } = this
    switch (result.kind) {
      case 'granted':
        coverage.note(result.seats.length > 1 ? 'granted count > 1' : 'granted')
        return
      case 'renewed':
        coverage.note('renewed')
        return
      case 'challenge':
        coverage.note('challenge asked')
        this.aims.challenged(server, subject)
        return
      case 'pending':
        coverage.note('pending told')
        return
      case 'refused':
        if (result.code === 'LICD_NOT_SERVING' || result.code === 'LICD_NO_LEASE')
          coverage.note('refused not serving')
        if (result.code === 'LICD_OVER_LIMIT') coverage.note('refused over limit')
        if (result.code === 'LICD_NO_MOVE_NOW') coverage.note('no move now')
        return
      case 'released':
      case 'waiting':
    }
  }
}

/** What no server may ever say. */
const wrong = new Set([
  'raft-state-differs',
  'raft-state-wrong',
  'raft-fatal',
  'raft-callback-threw',
  'entry-unreadable',
])

function describe(fields: Readonly<Record<string, unknown>> | undefined): string {
  const error = fields?.error
  if (error instanceof Error) return error.stack ?? error.message
  return JSON.stringify(fields)
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
