/**
 * A pool of seat services without Raft: a log that commits what a leader proposes, in one order, and hosts that
 * apply it with delays, each to a ledger of its own.
 *
 * What is real: ledger, seat book, seat service, protocol bytes. Simulated: time, bus, the log, and the host's part
 * (hello, keepalives, ticks, lease, submitting), in the plainest form that keeps the rules.
 */
import assert from 'node:assert/strict'
import { silentLogger } from '../../raft/ports.ts'
import type { Command, CommandBody, Listing, Settings } from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import { subjects } from '../../lib/protocol/subject.ts'
import type { Host, Outcome, SeatService } from '../../lib/server/parts.ts'
import { createSeatService } from '../../lib/service/service.ts'
import { MemoryBroker, type MemoryBus } from '../sim/memory-bus.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import { VirtualClock, VirtualTime } from '../sim/virtual-clock.ts'

export const poolName = 'p'
export const poolSubjects = subjects(poolName)
export const macKey = new Uint8Array(32).fill(7)

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

interface Submitted {
  readonly command: Command
  readonly done: (outcome: Outcome) => void
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
    const drift = this.world.options.drift ?? 0
    const rate = 1 + (this.random.next() * 2 - 1) * drift
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

class TestHost implements Host {
  readonly server: string
  readonly pool = poolName
  readonly subjects = poolSubjects
  readonly bus: MemoryBus
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly log = silentLogger
  readonly macKey = macKey
  ledger: Ledger
  incarnation = 0
  leaseUntil = 0
  tickAppliedAt = 0
  stopping = false
  appliedIndex: number
  service: SeatService | undefined
  readonly #owner: Server
  readonly #world: World
  readonly #open = new Map<string, Submitted>()
  readonly #offers = new Map<string, number>()
  #bootId = ''
  #number = 0
  readonly #sentAt = new Map<number, number>()
  #applyAt = 0
  #scheduled: number

  constructor(
    owner: Server,
    parts: { clock: VirtualClock; bus: MemoryBus; ledger: Ledger; applied: number },
  ) {
    this.#owner = owner
    this.#world = owner.world
    this.server = owner.name
    this.clock = parts.clock
    this.bus = parts.bus
    this.random = owner.random.split('host')
    this.ledger = parts.ledger
    this.appliedIndex = parts.applied
    this.#scheduled = parts.applied
  }

  get isLeader(): boolean {
    return this.#world.leader === this.server
  }

  get leader(): string | undefined {
    return this.#world.leader
  }

  begin(): void {
    const { clock } = this
    const keepalives = (): void => {
      if (!this.isLeader) {
        const listing = this.keepalive()
        if (listing !== undefined) this.#toLeader(() => this.#world.heardKeepalive(listing))
      }
      clock.after(this.#world.truth.state.settings.tickMs / 2, keepalives)
    }
    clock.after(this.random.between(1, 50), () => {
      this.#hello()
      keepalives()
    })
    const resend = (): void => {
      for (const { command } of this.#open.values()) this.#send(command)
      clock.after(500, resend)
    }
    clock.after(500, resend)
  }

  #hello(): void {
    if (this.ledger.state.pool === '') {
      this.clock.after(50, () => this.#hello())
      return
    }
    const bootId = this.random.id()
    this.#bootId = bootId
    this.leaseUntil = 0
    this.#sentAt.clear()
    this.#sentAt.set(0, this.clock.now())
    this.#number = 0
    const hello = { type: 'hello', server: this.server, bootId } as const
    this.submit(hello, {}, outcome => {
      if (bootId !== this.#bootId) return
      if (outcome.type === 'applied' && outcome.result.ok && 'incarnation' in outcome.result) {
        this.#start(outcome.result.incarnation, outcome.result.relearn)
      } else this.clock.after(250, () => bootId === this.#bootId && this.#hello())
    })
  }

  #start(incarnation: number, relearn: boolean): void {
    this.incarnation = incarnation
    const { book } = this.#owner
    this.#owner.book = undefined
    const fits = book?.incarnation === incarnation - 1
    this.service?.start({ relearn, ...(book !== undefined && fits ? { book: book.bytes } : {}) })
  }

  keepalive(): Listing | undefined {
    if (this.incarnation === 0 || !this.#owner.running) return undefined
    const number = ++this.#number
    this.#sentAt.set(number, this.clock.now())
    const { server, incarnation } = this
    const usage = this.service?.usage(100) ?? []
    return { server, incarnation, number, wallMs: this.clock.wall(), usage }
  }

  submit(
    body: CommandBody,
    options: { readonly id?: string; readonly deadlineTicks?: number; readonly deadline?: number },
    done: (outcome: Outcome) => void,
  ): void {
    const { tick, settings } = this.ledger.state
    const id = options.id ?? `${this.server}.${this.random.id()}`
    const ticks = Math.min(options.deadlineTicks ?? 10, settings.leaseTicks - 1)
    const deadline = options.deadline ?? tick + ticks
    const known = this.ledger.state.results.get(id)
    if (known !== undefined) {
      const { result } = known
      this.clock.defer(() => done({ type: 'applied', result, duplicate: true }))
      return
    }
    assert(!this.#open.has(id), 'submitted twice')
    const command = { id, deadline, by: `server:${this.server}`, body }
    this.#open.set(id, { command, done })
    this.#send(command)
  }

  #send(command: Command): void {
    this.#toLeader(() => this.#world.receive(command))
  }

  /** One message to the leader: it may be lost, and takes its time. */
  #toLeader(arrive: () => void): void {
    const world = this.#world
    if (this.#owner.isolated || world.random.chance(world.loss)) return
    world.time.after(0.2 + world.random.next() * 3, () => {
      const leader = world.leader === undefined ? undefined : world.server(world.leader)
      if (leader?.running === true) leader.clock.whenRunning(arrive)
    })
  }

  offer(id: string, body: Extract<CommandBody, { type: 'borrow' }>, deadline: number) {
    const offer = this.service?.offer(id, body)
    if (offer !== undefined) this.#offers.set(id, deadline)
    return offer
  }

  catchUp(): void {
    const world = this.#world
    while (this.#scheduled < world.log.length) {
      const index = ++this.#scheduled
      const [low, high] = world.options.applyMs ?? [0.5, 3]
      const delay = low + world.random.next() * (high - low)
      this.#applyAt = Math.max(this.#applyAt, world.time.now + delay)
      world.time.at(this.#applyAt, () => this.clock.whenRunning(() => this.#apply(index)))
    }
  }

  #apply(index: number): void {
    if (index <= this.appliedIndex) return
    if (this.#owner.isolated) {
      this.#scheduled = Math.min(this.#scheduled, this.appliedIndex)
      return
    }
    const entry = this.#world.log[index - 1]
    assert(entry !== undefined && index === this.appliedIndex + 1)
    this.appliedIndex = index
    const { command } = entry
    const { id, body } = command
    const { result, duplicate, changed } = this.ledger.apply(command, index)
    if (body.type === 'tick') this.#ticked()
    const applied = { index, id, body, result, duplicate, changed }
    // The order of these is the host's own affair: the service must not depend on it.
    const steps = [
      () => this.service?.applied(applied),
      () => this.#settle(id, { type: 'applied', result, duplicate }),
      () => {
        if (this.#offers.delete(id)) this.service?.settleOffer(id)
      },
    ]
    const first = index % 3
    for (let n = 0; n < 3; n++) steps[(first + n) % 3]?.()
  }

  #ticked(): void {
    const { tick, settings, servers } = this.ledger.state
    this.tickAppliedAt = this.clock.now()
    const record = servers.get(this.server)
    if (record !== undefined && record.incarnation === this.incarnation && this.incarnation > 0) {
      if (record.listedTick === tick) {
        const sentAt = this.#sentAt.get(record.listedNumber)
        const lease = settings.leaseTicks * settings.tickMs * 0.98
        if (sentAt !== undefined) this.leaseUntil = Math.max(this.leaseUntil, sentAt + lease)
        for (const number of this.#sentAt.keys()) {
          if (number < record.listedNumber) this.#sentAt.delete(number)
        }
      }
      if (record.downAt <= tick) this.#wentDown()
    }
    for (const [id, { command }] of this.#open) {
      if (command.deadline < tick) this.#settle(id, { type: 'expired' })
    }
    for (const [id, deadline] of this.#offers) {
      if (deadline >= tick) continue
      this.#offers.delete(id)
      this.service?.settleOffer(id)
    }
  }

  #wentDown(): void {
    this.incarnation = 0
    this.leaseUntil = 0
    this.service?.ended()
    if (!this.stopping) this.#hello()
  }

  #settle(id: string, outcome: Outcome): void {
    const open = this.#open.get(id)
    if (open === undefined) return
    this.#open.delete(id)
    open.done(outcome)
  }

  install(): void {
    this.ledger = Ledger.restore(this.#world.truth.snapshot())
    this.appliedIndex = this.#world.log.length
    this.#scheduled = this.appliedIndex
    const { results } = this.ledger.state
    this.service?.installed()
    for (const id of [...this.#open.keys()]) {
      const known = results.get(id)
      if (known !== undefined) {
        this.#settle(id, { type: 'applied', result: known.result, duplicate: false })
      }
    }
    for (const id of [...this.#offers.keys()]) {
      if (results.has(id)) {
        this.#offers.delete(id)
        this.service?.settleOffer(id)
      }
    }
    this.#ticked()
  }
}
