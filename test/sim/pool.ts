/**
 * A whole pool in one simulated world: real license servers (Raft, ledger, seat service and all) over virtual
 * time, an in-memory broker and in-memory disks. One seed, one run.
 *
 * A crash takes everything of a process but what its disk had synced; a start makes a new process on that disk.
 * After every event the ledgers are compared: servers that applied the same entry have the same hash (I5).
 */
import assert from 'node:assert/strict'
import { Packr } from 'msgpackr'
import {
  bootstrap,
  configurationOf,
  defaultSettings,
  memoryDisk,
  memoryStorage,
  silentLogger,
  type Logger,
  type MemoryDisk,
  type RaftSettings,
} from '../../raft/index.ts'
import { commandCodec } from '../../lib/command-codec.ts'
import type { LicdError } from '../../lib/error.ts'
import type { Settings, VendorKey } from '../../lib/ledger/command.ts'
import { genesisOf } from '../../lib/pool-files.ts'
import type { CtlOperation, CtlReply, CtlAnswers, CtlRequests } from '../../lib/protocol/ctl.ts'
import { subjects, type Subjects } from '../../lib/protocol/subject.ts'
import type { HandedOver } from '../../lib/server/book-file.ts'
import type { Judge } from '../../lib/ledger/outcome.ts'
import type { Host, SeatService } from '../../lib/server/parts.ts'
import type { AccountStore } from '../../lib/server/account-holder.ts'
import { LicenseServer } from '../../lib/server/server.ts'
import { createSeatService } from '../../lib/service/service.ts'
import { memoryBooks } from './memory-books.ts'
import { MemoryBroker, type MemoryBus } from './memory-bus.ts'
import { SeededRandom } from './seeded-random.ts'
import { VirtualClock, VirtualTime, type ClockOptions } from './virtual-clock.ts'

export interface PoolOptions {
  readonly seed: number
  readonly servers: readonly string[]
  readonly pool?: string
  readonly settings?: Settings
  readonly vendors?: readonly VendorKey[]
  /** 1: a pool that was founded by the version before. */
  readonly level?: number
  readonly raft?: Partial<RaftSettings>
  readonly snapshotEveryEntries?: number
  readonly createService?: (host: Host) => SeatService
  readonly judge?: Judge
  /** Clock of a server's process, chosen at each of its starts. */
  readonly clockOf?: (server: string, random: SeededRandom) => ClockOptions
  /** Milliseconds that a synced write takes, least and most. */
  readonly syncMs?: readonly [number, number]
  readonly log?: (server: string) => Logger
  /** Whose credentials are the pool's own; absent where there are none. */
  readonly doors?: { readonly issuer?: string }
  /** The configuration of the nats-server beside each; absent where there is none. */
  readonly accountStore?: (server: string) => AccountStore | undefined
  /** False: whoever runs the pool compares the ledgers itself (I5). */
  readonly comparesHashes?: boolean
}

/** One process of a server: from its start to its end. */
export interface SimulatedProcess {
  readonly server: LicenseServer
  readonly clock: VirtualClock
  readonly bus: MemoryBus
  /** Set when it stopped by itself. */
  fatal: LicdError | undefined
}

interface Machine {
  readonly name: string
  disk: MemoryDisk
  book: { content: HandedOver | undefined }
  /** How many times as long as usual its disk takes. */
  slowness: number
  /** Writes that a disk which hangs has not done. */
  stalled: (() => void)[] | undefined
  starts: number
  /** Its own, newest first, where they are not the pool's. */
  macKeys: readonly Uint8Array[] | undefined
  process: SimulatedProcess | undefined
}

export class SimulatedPool {
  readonly options: PoolOptions
  readonly time = new VirtualTime()
  readonly random: SeededRandom
  readonly broker: MemoryBroker
  readonly subjects: Subjects
  readonly fingerprint = 'simulated-pool'
  readonly macKey: Uint8Array
  /** Called after every event, after the pool's own checks. Throws what it finds. */
  check: () => void = () => {}

  readonly #machines = new Map<string, Machine>()
  readonly #hashes = new Map<number, string>()
  readonly #seen = new Map<string, number>()
  readonly #operator: { bus: MemoryBus; clock: VirtualClock }
  readonly #packr = new Packr({ useRecords: false })
  #asked = 0

  constructor(options: PoolOptions) {
    this.options = options
    this.random = new SeededRandom(options.seed)
    this.broker = new MemoryBroker({ time: this.time, random: this.random.split('broker') })
    this.subjects = subjects(options.pool ?? 'simulated')
    this.macKey = Uint8Array.from({ length: 32 }, () => this.random.between(0, 255))
    const genesis = genesisOf(
      {
        pool: options.pool ?? 'simulated',
        servers: options.servers,
        vendors: options.vendors ?? [],
        settings: options.settings ?? { tickMs: 1_000, leaseTicks: 30, seatTicks: 30 },
        wall: () => 1_750_000_000_000,
        ...(options.level === undefined ? {} : { level: options.level }),
      },
      this.fingerprint,
    )
    for (const name of options.servers) {
      const disk = memoryDisk()
      const first = {
        configuration: configurationOf(options.servers),
        commands: [commandCodec.encode(genesis)],
      }
      bootstrap(memoryStorage({ disk, schedule: run => run() }), first, error => {
        assert.equal(error, undefined)
      })
      this.#machines.set(name, machineOf(name, disk))
    }
    this.#operator = this.connect('operator')
  }

  /** A process of another kind (a client, an operator): its own clock and connection. */
  connect(name: string, clock: ClockOptions = {}): { bus: MemoryBus; clock: VirtualClock } {
    const own = new VirtualClock(this.time, clock)
    return { clock: own, bus: this.broker.connect(name, own) }
  }

  /** A machine for a server that is to be taken in: its disk is empty. */
  addMachine(name: string): void {
    assert(!this.#machines.has(name))
    this.#machines.set(name, machineOf(name, memoryDisk()))
  }

  /** What stands in the key file of a server, newest first. */
  setKeys(name: string, macKeys: readonly Uint8Array[]): void {
    this.#machine(name).macKeys = macKeys
  }

  /** Names of all machines, sorted. */
  get names(): string[] {
    return [...this.#machines.keys()].sort()
  }

  startAll(): this {
    for (const name of this.options.servers) this.start(name)
    return this
  }

  /** Starts a process on the server's disk. The one before must have ended. */
  start(name: string): SimulatedProcess {
    const machine = this.#machine(name)
    assert.equal(machine.process, undefined, `${name} runs already`)
    machine.starts++
    const random = new SeededRandom(`${this.options.seed}:${name}:${machine.starts}`)
    const clock = new VirtualClock(
      this.time,
      this.options.clockOf?.(name, random) ?? { rate: 1 + (random.next() - 0.5) * 0.02 },
    )
    const bus = this.broker.connect(name, clock)
    const [least, most] = this.options.syncMs ?? [0.5, 3]
    const { snapshotEveryEntries } = this.options
    const server = new LicenseServer({
      identity: {
        pool: this.options.pool ?? 'simulated',
        server: name,
        fingerprint: this.fingerprint,
        clusterId: 'simulated-cluster',
        macKeys: machine.macKeys ?? [this.macKey],
        ...this.options.doors,
      },
      bus,
      clock,
      random: random.split('server'),
      storage: memoryStorage({
        disk: machine.disk,
        schedule: run => {
          const ms = (least + random.next() * (most - least)) * machine.slowness
          clock.after(ms, () => {
            if (machine.stalled === undefined) run()
            else machine.stalled.push(run)
          })
        },
      }),
      raft: { ...defaultSettings, ...this.options.raft },
      ...(snapshotEveryEntries === undefined ? {} : { snapshotEveryEntries }),
      books: memoryBooks(machine.book),
      keyStore: { read: done => void clock.after(1, () => done(machine.macKeys ?? [this.macKey])) },
      accountStore: this.options.accountStore?.(name),
      judge: this.options.judge ?? refuseCodes,
      createService: this.options.createService ?? createSeatService,
      log: this.options.log?.(name) ?? silentLogger,
      onFatal: error => {
        process.fatal = error
      },
    })
    const process: SimulatedProcess = { server, clock, bus, fatal: undefined }
    machine.process = process
    this.#seen.delete(name)
    server.start()
    return process
  }

  /** The process is gone from one instant to the next; its disk keeps what was synced. */
  crash(name: string): void {
    const machine = this.#machine(name)
    machine.process?.clock.end()
    machine.process?.bus.close()
    machine.process = undefined
    // What hung was of that process.
    if (machine.stalled !== undefined) machine.stalled = []
  }

  /** The disk of a server that does not run is lost with all that was on it. */
  wipe(name: string): void {
    const machine = this.#machine(name)
    assert.equal(machine.process, undefined, `${name} runs`)
    machine.disk = memoryDisk()
    machine.book = { content: undefined }
  }

  /** The disk takes `slowness` times as long; Infinity: it hangs until it is told otherwise. */
  slowDisk(name: string, slowness: number): void {
    const machine = this.#machine(name)
    machine.slowness = slowness === Infinity ? 1 : slowness
    const { stalled, process } = machine
    machine.stalled = slowness === Infinity ? (stalled ?? []) : undefined
    if (machine.stalled !== undefined) return
    for (const run of stalled ?? []) process?.clock.after(0, run)
  }

  /** Begins a clean stop; `done` when the process is gone, by itself or when its time is over. */
  retire(name: string, withinMs: number, done: () => void): void {
    const { process } = this.#machine(name)
    const end = (): void => {
      if (process === undefined || this.#machine(name).process !== process) return
      this.crash(name)
      done()
    }
    if (process === undefined) return
    process.server.stop(() => this.time.after(0, end))
    this.time.after(withinMs, end)
  }

  /** Clean stop; true when it ended within `withinMs`. */
  stop(name: string, withinMs = 10_000): boolean {
    const { process } = this.#machine(name)
    if (process === undefined) return true
    let stopped = false
    process.server.stop(() => (stopped = true))
    const ended = this.runUntil(() => stopped, withinMs)
    this.crash(name)
    return ended
  }

  process(name: string): SimulatedProcess | undefined {
    return this.#machine(name).process
  }

  /** The running server of that name. */
  server(name: string): LicenseServer {
    const { process } = this.#machine(name)
    assert(process !== undefined, `${name} does not run`)
    return process.server
  }

  /** Servers whose process runs, in the order of their names. */
  get running(): readonly LicenseServer[] {
    return [...this.#machines.values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap(({ process }) => (process === undefined ? [] : [process.server]))
  }

  /** A handed-over book that waits for the server's next start. */
  book(name: string): HandedOver | undefined {
    return this.#machine(name).book.content
  }

  /** The leader in office of the highest term. */
  get leader(): LicenseServer | undefined {
    return this.running
      .filter(server => server.isLeader)
      .sort((a, b) => (b.raft?.term ?? 0) - (a.raft?.term ?? 0))[0]
  }

  run(ms: number): this {
    this.time.run(ms, () => this.#checkAll())
    return this
  }

  /** Runs until `done()` holds; false when it does not within `withinMs`. */
  runUntil(done: () => boolean, withinMs: number): boolean {
    return this.time.runUntil(done, withinMs, () => this.#checkAll())
  }

  /** Runs until every running server serves, with a lease, under one leader. */
  settle(withinMs = 60_000): boolean {
    return this.runUntil(
      () =>
        this.leader !== undefined &&
        this.running.every(server => server.leaseUntil > server.clock.now()),
      withinMs,
    )
  }

  /** An operator's request, run until its answer is there. `undefined`: none within `withinMs`. */
  ask<Operation extends CtlOperation>(
    operation: Operation,
    request: CtlRequests[Operation],
    options: { readonly at?: string; readonly withinMs?: number; readonly json?: boolean } = {},
  ): CtlReply<CtlAnswers[Operation]> | undefined {
    return this.askRaw(operation, request, options) as CtlReply<CtlAnswers[Operation]> | undefined
  }

  /** The same for requests that may be anything. */
  askRaw(
    operation: string,
    request: unknown,
    options: { readonly at?: string; readonly withinMs?: number; readonly json?: boolean } = {},
  ): unknown {
    const { bus } = this.#operator
    const reply = `${bus.inbox}.${++this.#asked}`
    let answer: unknown
    const subscription = bus.subscribe(reply, message => {
      const text = new TextDecoder()
      answer ??= options.json
        ? JSON.parse(text.decode(message.data))
        : this.#packr.unpack(message.data)
    })
    const subject =
      options.at === undefined
        ? this.subjects.ctl(operation)
        : this.subjects.ctlAt(operation, options.at)
    const data = options.json
      ? new TextEncoder().encode(JSON.stringify(request))
      : this.#packr.pack(request)
    const headers = options.json ? { headers: { 'Content-Type': 'application/json' } } : {}
    bus.publish(subject, data, { reply, ...headers })
    this.runUntil(() => answer !== undefined, options.withinMs ?? 70_000)
    subscription.unsubscribe()
    return answer
  }

  #machine(name: string): Machine {
    const machine = this.#machines.get(name)
    assert(machine !== undefined, `no server ${name}`)
    return machine
  }

  #checkAll(): void {
    if (this.options.comparesHashes !== false) this.#compareHashes()
    this.check()
  }

  #compareHashes(): void {
    for (const { name, process } of this.#machines.values()) {
      if (process === undefined) continue
      const { index, hash } = process.server.applied
      if (index === this.#seen.get(name)) continue
      this.#seen.set(name, index)
      const known = this.#hashes.get(index)
      if (known === undefined) this.#hashes.set(index, hash)
      else assert.equal(hash, known, `I5: ${name} differs at index ${index}`)
    }
  }
}

export function simulatePool(options: PoolOptions): SimulatedPool {
  return new SimulatedPool(options)
}

function machineOf(name: string, disk: MemoryDisk): Machine {
  const book = { content: undefined }
  const state = { slowness: 1, stalled: undefined, starts: 0, process: undefined }
  return { name, disk, book, macKeys: undefined, ...state }
}

const refuseCodes: Judge = {
  code: () => ({ ok: false, code: 'LICD_CODE_MALFORMED', detail: 'The simulation has no codes.' }),
  certificate: () => ({ ok: false, code: 'LICD_BAD_KEY' }),
}
