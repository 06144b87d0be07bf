/**
 * A pool of seat services without Raft: a log that commits what a leader proposes, in one order, and hosts that
 * apply it with delays, each to a ledger of its own.
 *
 * What is real: ledger, seat book, seat service, protocol bytes. Simulated: time, bus, the log, and the host's part
 * (hello, keepalives, ticks, lease, submitting), in the plainest form that keeps the rules.
 */
import assert from 'node:assert/strict'
import {
  levelMax,
  type Command,
  type CommandBody,
  type Listing,
  type Settings,
} from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import type { SeatService } from '../../lib/server/parts.ts'
import { createSeatService } from '../../lib/service/service.ts'
import { MemoryBroker, type MemoryBus } from '../sim/memory-bus.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import { VirtualClock, VirtualTime } from '../sim/virtual-clock.ts'
import { TestHost } from './host.ts'
import { poolName } from './names.ts'

export interface WorldOptions {
  readonly seed?: number
  readonly servers?: readonly string[]
  readonly settings?: Partial<Settings>
  /** Milliseconds from proposal to commit, and from commit to being applied at a server; uniform in these. */
  readonly commitMs?: readonly [number, number]
  readonly applyMs?: readonly [number, number]
  /** Chance that a message from a server to the leader, or a keepalive, is lost. */
  readonly loss?: number
  /** Rates of clocks: uniform within 1 plus or minus this. */
  readonly drift?: number
  /** Rates of the clocks of servers named, instead. */
  readonly rates?: Readonly<Record<string, number>>
}

interface Entry {
  readonly command: Command
  readonly index: number
}

export class World {
  readonly time = new VirtualTime()
  readonly random: SeededRandom
  readonly broker: MemoryBroker
  readonly servers = new Map<string, Server>()
  readonly log: Entry[] = []
  /** The ledger with all that is committed. */
  readonly truth = new Ledger()
  readonly settings: Settings
  loss: number
  readonly options: WorldOptions
  #leader: string | undefined
  #committedAt = 0
  readonly #underWay = new Set<string>()
  readonly #listings = new Map<string, Listing>()
  #tickUnderWay = false
  #tickAt = 0

  constructor(options: WorldOptions = {}) {
    this.options = options
    this.random = new SeededRandom(options.seed ?? 1)
    this.broker = new MemoryBroker({ time: this.time, random: this.random.split('broker') })
    this.loss = options.loss ?? 0
    this.settings = { tickMs: 1_000, leaseTicks: 30, seatTicks: 30, ...options.settings }
    const names = options.servers ?? ['a', 'b', 'c']
    this.#commit({
      id: 'genesis',
      deadline: 0,
      by: 'test',
      body: {
        type: 'genesis',
        pool: poolName,
        fingerprint: 'f',
        settings: this.settings,
        servers: names,
        vendors: [],
        wallMs: 1_750_000_000_000,
        level: levelMax,
      },
    })
    for (const name of names) this.servers.set(name, new Server(this, name))
    this.elect(names[0])
  }

  get leader(): string | undefined {
    return this.#leader
  }

  server(name: string): Server {
    const server = this.servers.get(name)
    assert(server !== undefined)
    return server
  }

  /** A leader takes office; it proposes no tick before one full `tickMs`. */
  elect(name: string | undefined): void {
    this.#leader = name
    this.#listings.clear()
    this.#tickUnderWay = false
    for (const server of this.servers.values()) server.offersOver()
    if (name === undefined) return
    const office = ++this.#tickAt
    const { clock } = this.server(name)
    const next = (): void => {
      clock.after(this.truth.state.settings.tickMs, () => {
        if (this.#leader !== name || office !== this.#tickAt || this.server(name).clock !== clock) {
          return
        }
        this.#tick(name)
        next()
      })
    }
    next()
  }

  #tick(leader: string): void {
    if (this.#tickUnderWay || this.server(leader).isolated) return
    this.#tickUnderWay = true
    const own = this.server(leader).keepalive()
    if (own !== undefined) this.#listings.set(leader, own)
    const listings = [...this.#listings.values()].sort((a, b) => (a.server < b.server ? -1 : 1))
    this.#listings.clear()
    const { tick } = this.truth.state
    this.propose({ id: '', deadline: 0, by: '', body: { type: 'tick', tick: tick + 1, listings } })
  }

  heardKeepalive(listing: Listing): void {
    if (this.#leader !== undefined) this.#listings.set(listing.server, listing)
  }

  /** What the leader does with a command that reached it. */
  receive(command: Command): void {
    const leader = this.#leader === undefined ? undefined : this.server(this.#leader)
    if (leader === undefined || !leader.running || leader.isolated) return
    if (this.#underWay.has(command.id) || this.truth.state.results.has(command.id)) return
    this.#underWay.add(command.id)
    const { body } = command
    if (body.type !== 'borrow') {
      this.propose(command)
      return
    }
    const offer = leader.offer(command.id, body, command.deadline)
    this.propose(offer === undefined ? command : { ...command, body: { ...body, offer } })
  }

  propose(command: Command): void {
    const leader = this.#leader
    const [low, high] = this.options.commitMs ?? [1, 5]
    const at = this.time.now + low + this.random.next() * (high - low)
    this.#committedAt = Math.max(this.#committedAt, at)
    this.time.at(this.#committedAt, () => {
      this.#underWay.delete(command.id)
      if (command.body.type === 'tick') this.#tickUnderWay = false
      // A leader that is gone may or may not have had it replicated.
      if (leader !== this.#leader && this.random.chance(0.5)) return
      this.#commit(command)
    })
  }

  /** An operator's command, committed now. */
  admin(body: CommandBody): void {
    const deadline = this.truth.state.tick + 2
    this.#commit({ id: this.random.id(), deadline, by: 'operator', body })
  }

  #commit(command: Command): void {
    const index = this.log.length + 1
    const entry = { command, index }
    this.log.push(entry)
    this.truth.apply(command, index)
    for (const server of this.servers.values()) server.deliver()
  }
}

/** One server process after another under one name; its ledger survives (it is on disk), its memory does not. */
export class Server {
  readonly world: World
  readonly name: string
  readonly random: SeededRandom
  clock: VirtualClock
  bus: MemoryBus
  host: TestHost
  service: SeatService
  /** Cut off from the log and the leader. */
  isolated = false
  running = true
  book: { readonly incarnation: number; readonly bytes: Uint8Array } | undefined

  constructor(world: World, name: string) {
    this.world = world
    this.name = name
    this.random = world.random.split(name)
    const started = this.#boot(new Ledger(), 0)
    this.clock = started.clock
    this.bus = started.bus
    this.host = started.host
    this.service = started.service
    this.host.begin()
  }

  #boot(ledger: Ledger, applied: number) {
    const { drift = 0, rates } = this.world.options
    const rate = rates?.[this.name] ?? 1 + (this.random.next() * 2 - 1) * drift
    const clock = new VirtualClock(this.world.time, { rate, origin: this.random.between(1, 1e6) })
    const bus = this.world.broker.connect(this.name, clock)
    const host = new TestHost(this, { clock, bus, ledger, applied })
    const service = createSeatService(host)
    host.service = service
    return { clock, bus, host, service }
  }

  /** The process dies; what it held in memory is lost. */
  crash(): void {
    this.running = false
    this.clock.end()
    this.bus.close()
    if (this.world.leader === this.name) this.world.elect(undefined)
  }

  restart(): void {
    assert(!this.running)
    this.running = true
    const { ledger, appliedIndex } = this.host
    const started = this.#boot(ledger, appliedIndex)
    this.clock = started.clock
    this.bus = started.bus
    this.host = started.host
    this.service = started.service
    this.deliver()
    this.host.begin()
  }

  stop(done: () => void = () => {}): void {
    const { host } = this
    host.stopping = true
    this.service.stop(bytes => {
      const { incarnation } = host
      this.book = bytes === undefined ? undefined : { incarnation, bytes }
      this.crash()
      done()
    })
  }

  deliver(): void {
    if (this.running && !this.isolated) this.host.catchUp()
  }

  offer(id: string, body: Extract<CommandBody, { type: 'borrow' }>, deadline: number) {
    return this.host.offer(id, body, deadline)
  }

  offersOver(): void {
    // A deposed leader's offers stand until their deadline: `TestHost` settles them.
  }

  keepalive(): Listing | undefined {
    return this.host.keepalive()
  }

  /** Installs the ledger of the truth in one go, as a snapshot does (R11). */
  install(): void {
    this.host.install()
  }
}
