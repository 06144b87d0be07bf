/**
 * A whole pool for schedules by hand: real servers with Raft, ledger and seat books, real clients, simulated true time.
 *
 * I1 to I3, I5, R1 and R2 are checked after every event (`PoolChecks`), I3 from what each client's program may believe. It
 * plays no chance beyond its one seed, and throws what it finds.
 */
import assert from 'node:assert/strict'
import type { BusMessage } from '../../raft/ports.ts'
import { ClientCore, type Hold } from '../../lib/client/core.ts'
import type { Settings } from '../../lib/ledger/command.ts'
import type { Host, SeatService } from '../../lib/server/parts.ts'
import { createSeatService } from '../../lib/service/service.ts'
import type { MemoryBus } from './memory-bus.ts'
import { PoolChecks } from './pool-checks.ts'
import { SimulatedClient } from './pool-client.ts'
import { both } from './pool-network.ts'
import { observe, type PoolObserver } from './pool-observer.ts'
import { simulatePool, type PoolOptions, type SimulatedPool } from './pool.ts'
import { SeededRandom } from './seeded-random.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** A program that asks for seats of `cad` when it is told to, and keeps them. */
export class Program extends SimulatedClient {
  readonly own: ClientCore
  readonly clock: VirtualClock
  readonly #bus: MemoryBus
  readonly seats = new Set<Hold>()
  lost = 0

  constructor(stage: Stage, name: string, home: string, hasUptime: boolean) {
    const demand = {
      ...{ features: [], holdsMax: 0, countMax: 1, hasUptime, swingMs: 0 },
      holdMs: [0, 0] as const,
      pauseMs: [0, 0] as const,
    }
    super(stage.pool, name, demand, {
      heard: client => stage.checks.heard(client),
      told() {},
    })
    const { bus, clock } = stage.pool.connect(name, { hasUptime })
    this.clock = clock
    this.#bus = bus
    const random = new SeededRandom(`story ${name}`)
    this.own = new ClientCore(
      { bus: this.listen(bus), clock, random },
      { pool: 'simulated', prefer: [home] },
    )
  }

  /** Longest that it may believe in a seat, ms of its clock. */
  get leftMs(): number {
    return Math.max(0, ...[...this.seats].map(hold => hold.remainingMs()))
  }

  get valid(): number {
    return [...this.seats].filter(hold => hold.remainingMs() > 0).length
  }

  override *believed(): Generator<readonly [feature: string, count: number]> {
    if (this.clock.running) yield ['cad', this.valid]
  }

  ask(): void {
    const box: { hold: Hold | undefined } = { hold: undefined }
    const lost = (): void => {
      if (box.hold !== undefined && this.seats.delete(box.hold)) this.lost++
    }
    const request = { feature: 'cad', count: 1, user: this.name, host: 'h', waitMs: 600_000 }
    this.own.acquire(request, { lost, moved() {}, renewed() {} }, outcome => {
      if (!outcome.ok) return
      box.hold = outcome.hold
      this.seats.add(outcome.hold)
    })
  }

  /** Its broker is lost for a moment, and it doubts that its server is there. */
  relink(): void {
    this.#bus.setLink(false)
    this.clock.after(20, () => this.#bus.setLink(true))
  }

  /** The process is gone. */
  end(): void {
    this.clock.end()
    this.#bus.close()
  }

  giveBack(): void {
    for (const hold of this.seats) hold.release()
    this.seats.clear()
  }
}

/** A pool of alpha, beta and gamma with one feature, watched. */
export class Stage {
  readonly pool: SimulatedPool
  readonly checks = new PoolChecks()
  readonly programs: Program[] = []
  /** Whether the systems of programs that come tell the time since boot. */
  clientsHaveUptime = true
  /** What is lost beside what is cut, by sender and subject. */
  loses: (from: string, subject: string) => boolean = () => false
  /** How much later than usual something comes, ms. */
  delays: (from: string, to: string, subject: string) => number = () => 0
  /** Called when a seat was moved, before anybody hears of it. */
  onMove: (to: string) => void = () => {}
  /** What clients said to keep their seats and to give them back. */
  readonly said: { readonly from: string; readonly message: BusMessage }[] = []
  readonly #cuts = new Set<string>()
  #acting = ''
  #wrong: Error | undefined

  constructor(
    settings: Settings,
    targets: Readonly<Record<string, number>>,
    more: Pick<PoolOptions, 'raft' | 'snapshotEveryEntries' | 'clockOf'> = {},
  ) {
    this.pool = simulatePool({
      ...more,
      seed: 1,
      servers: ['alpha', 'beta', 'gamma'],
      settings,
      comparesHashes: false,
      createService: host => this.#watched(host),
    })
    const { pool, checks } = this
    pool.broker.fault = (from, to, { subject }) => {
      const isLost = this.#cuts.has(`${from}>${to}`) || this.loses(from, subject)
      if (isLost) return { drop: true }
      const delayMs = this.delays(from, to, subject)
      return delayMs > 0 ? { delayMs, reorder: true } : undefined
    }
    pool.broker.tap = (from, message) => {
      if (/\.seat\.[a-z]+\.(renew|release)$/.test(message.subject))
        this.said.push({ from, message })
    }
    pool.check = () => {
      if (this.#wrong !== undefined) throw this.#wrong
      checks.check(pool.time.now)
    }
    observe(this.#observer())
    pool.startAll()
    assert(pool.settle(), 'the pool never served')
    const allocations = Object.values(targets).reduce((sum, count) => sum + count, 0)
    const common = { by: 'story', timeoutMs: 30_000 }
    assert(pool.ask('feature-add', { ...common, id: 'f', feature: 'cad', allocations })?.ok)
    assert(pool.ask('criteria-set', { ...common, id: 'c', feature: 'cad', targets })?.ok)
    assert(
      pool.runUntil(
        () => Object.entries(targets).every(([name, count]) => this.share(name) === count),
        60_000,
      ),
      'shares never were what the targets say',
    )
  }

  get state() {
    assert(this.checks.newest !== undefined)
    return this.checks.newest.state
  }

  share(server: string): number {
    return this.state.features.get('cad')?.shares.get(server) ?? 0
  }

  /** A program with `count` seats at that server. */
  holder(name: string, home: string, count = 1): Program {
    const program = this.waiter(name, home, count)
    const has = (): boolean => program.valid === count && program.own.server === home
    assert(this.pool.runUntil(has, 20_000), `${name} has no seat at ${home}`)
    return program
  }

  /** A program that asks there for so many. */
  waiter(name: string, home: string, count = 1): Program {
    const program = new Program(this, name, home, this.clientsHaveUptime)
    this.programs.push(program)
    this.checks.clients.push(program)
    this.pool.runUntil(() => program.own.server !== undefined, 5_000)
    for (let n = 0; n < count; n++) program.ask()
    return program
  }

  cut(some: readonly string[], others: readonly string[]): void {
    for (const pair of both(some, others)) this.#cuts.add(pair.join('>'))
  }

  /** Everything, or what is between these. */
  heal(some?: readonly string[], others: readonly string[] = []): void {
    if (some === undefined) this.#cuts.clear()
    else for (const pair of both(some, others)) this.#cuts.delete(pair.join('>'))
  }

  #guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#wrong ??= error instanceof Error ? error : new Error(String(error))
    }
  }

  /** Leads from now on, so that who is named in a story is another one. */
  lead(server: string): void {
    const ask = { timeoutMs: 5_000, to: server }
    if (this.pool.leader?.server !== server) this.pool.ask('transfer-leader', ask)
    assert(this.pool.runUntil(() => this.pool.leader?.server === server, 20_000))
    this.pool.run(2 * this.state.settings.tickMs)
  }

  #watched(host: Host): SeatService {
    const { server } = host
    const service = createSeatService(host)
    const acting = (run: () => void): void => {
      this.#acting = server
      run()
    }
    return {
      report: service.report,
      readAhead: book => service.readAhead(book),
      start: options => acting(() => service.start(options)),
      applied: command => {
        acting(() => service.applied(command))
        this.#guard(() => this.checks.gave(server, host.incarnation, command))
      },
      installed: () => acting(() => service.installed()),
      ended: () => acting(() => service.ended()),
      offer: (id, borrow) => service.offer(id, borrow),
      settleOffer: id => service.settleOffer(id),
      usage: max => service.usage(max),
      inUse: feature => service.inUse(feature),
      seats: options => service.seats(options),
      stop: done => service.stop(done),
    }
  }

  #observer(): PoolObserver {
    const { checks, pool } = this
    const nothing = (): void => {}
    return {
      applying: (ledger, { body }, index) => {
        const isNew = checks.isNew(index)
        return ({ result }) => {
          this.#guard(() => checks.applied(ledger, index, pool.time.now))
          if (!isNew || body.type !== 'borrow' || !('taken' in result)) return
          const isMove = result.taken.some(({ source, count }) => source === 'move' && count > 0)
          if (isMove) this.onMove(body.to)
        }
      },
      booked: (stock, how) => this.#guard(() => checks.booked(stock, how)),
      adopted: stock => checks.know(this.#acting, stock),
      movedAway: (stock, found) => checks.movedAway(stock, found),
      released: nothing,
      renewedDark: nothing,
      promised: nothing,
      answered: nothing,
      confirmed: nothing,
      asked: nothing,
      signed: nothing,
    }
  }
}
