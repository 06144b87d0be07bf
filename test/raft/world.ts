/**
 * A small simulated world for the node's shell: virtual time, a lossy bus, disks with a delay, processes that
 * crash and pause. One seed, one run.
 *
 * The node, its codec and its memory storage are the real ones; only the ports are made up here.
 */
import {
  bootstrap,
  configurationOf,
  defaultSettings,
  memoryDisk,
  memoryStorage,
  type RaftError,
  silentLogger,
  startNode,
  type Bus,
  type BusMessage,
  type Clock,
  type MemoryDisk,
  type NodeOptions,
  type NodeStatus,
  type ProposeOutcome,
  type RaftNode,
  type Random,
  type Storage,
} from '../../raft/index.ts'
import { Counter } from './counter.ts'

interface Event {
  readonly at: number
  readonly order: number
  readonly owner: Process | undefined
  run: (() => void) | undefined
}

interface Subscriber {
  readonly owner: Process
  readonly pattern: string
  readonly handle: (message: BusMessage) => void
}

export interface Process {
  readonly id: string
  readonly disk: MemoryDisk
  alive: boolean
  /** Nothing of it runs before this time; what is due waits. */
  pausedUntil: number
  /** Cut off from the bus, without being told. */
  isolated: boolean
  /** How long a write takes; Infinity hangs. */
  diskMs: number
  diskError: RaftError | undefined
  /** What its disk has left. */
  freeBytes: number
  /** Reads of chunks that wait for `releaseReads`; `undefined` when they need not. */
  heldReads: (() => void)[] | undefined
  connected: boolean
  /** Milliseconds that its host slept. */
  suspendedMs: number
  readonly node: RaftNode
  readonly machine: Counter
  readonly fatal: RaftError[]
  readonly outcomes: Map<string, ProposeOutcome>
}

export const worldSettings = { ...defaultSettings, electionTimeoutMs: 1000, heartbeatMs: 100 }

export class World {
  now = 0
  /** Of messages that are lost. */
  loss = 0
  readonly processes = new Map<string, Process>()
  readonly disks = new Map<string, MemoryDisk>()
  /** All that happened, in words: two runs of one seed must agree on it. */
  readonly trace: string[] = []
  readonly random: () => number
  readonly #extra: Partial<NodeOptions>
  #events: Event[] = []
  #order = 0
  #subscribers: Subscriber[] = []

  constructor(seed: number, extra: Partial<NodeOptions> = {}) {
    this.random = mulberry(seed)
    this.#extra = extra
  }

  /** Bootstraps and starts servers. */
  found(ids: readonly string[]): void {
    for (const id of ids) {
      const disk = memoryDisk()
      this.disks.set(id, disk)
      const storage = memoryStorage({ disk, schedule: run => this.#add(undefined, 0, run) })
      bootstrap(storage, { configuration: configurationOf(ids), commands: [] }, error => {
        if (error !== undefined) throw error
      })
    }
    this.run(1)
    for (const id of ids) this.start(id)
  }

  start(id: string): Process {
    const disk = this.disks.get(id) ?? memoryDisk()
    this.disks.set(id, disk)
    const machine = new Counter(7)
    const state: Omit<Process, 'node'> = {
      id,
      disk,
      alive: true,
      pausedUntil: 0,
      isolated: false,
      diskMs: 2,
      diskError: undefined,
      freeBytes: Infinity,
      heldReads: undefined,
      connected: true,
      suspendedMs: 0,
      machine,
      fatal: [],
      outcomes: new Map(),
    }
    const process = state as Process
    const node = startNode({
      id,
      cluster: 'sim.raft',
      settings: worldSettings,
      storage: this.#storage(process),
      bus: this.#bus(process),
      clock: this.#clock(process),
      random: this.#randomOf(),
      machine,
      log: silentLogger,
      snapshotEveryEntries: 40,
      ...this.#extra,
    })
    Object.assign(process, { node })
    node.onFatal(error => process.fatal.push(error))
    node.onStatus(status => this.#note(`${id} ${describe(status)}`))
    this.processes.set(id, process)
    return process
  }

  /** The process is gone, with all that it had not yet written. */
  crash(id: string): void {
    const process = this.process(id)
    process.alive = false
    this.processes.delete(id)
    this.#subscribers = this.#subscribers.filter(({ owner }) => owner !== process)
    this.#note(`${id} crashed`)
  }

  process(id: string): Process {
    const process = this.processes.get(id)
    if (process === undefined) throw new Error(`${id} does not run`)
    return process
  }

  releaseReads(process: Process): void {
    const held = process.heldReads ?? []
    process.heldReads = undefined
    for (const read of held) read()
  }

  get leader(): Process | undefined {
    return [...this.processes.values()].find(
      ({ node, isolated, pausedUntil }) =>
        node.status.role === 'leader' &&
        node.status.quorate &&
        !isolated &&
        pausedUntil <= this.now,
    )
  }

  propose(process: Process, text: string): void {
    process.node.propose(Buffer.from(text), outcome => {
      process.outcomes.set(text, outcome)
      this.#note(`${process.id} ${text} ${outcome.outcome}`)
    })
  }

  /** Lets `ms` go by. */
  run(ms: number): void {
    const end = this.now + ms
    for (let next = this.#next(); next !== undefined && next.at <= end; next = this.#next()) {
      this.#events.shift()
      this.now = Math.max(this.now, next.at)
      const { owner, run } = next
      if (owner !== undefined && !owner.alive) continue
      if (owner !== undefined && owner.pausedUntil > this.now) {
        // In the order in which they were due, when it goes on.
        this.#insert({ ...next, at: owner.pausedUntil })
      } else run?.()
    }
    this.now = end
  }

  /** Lets time go by until `test` holds, at most `ms`. */
  until(test: () => boolean, ms = 30_000): boolean {
    const end = this.now + ms
    while (!test() && this.now < end) this.run(10)
    return test()
  }

  /** Puts bytes on the bus, from nobody. */
  inject(subject: string, data: Uint8Array): void {
    this.#deliver(subject, data, undefined, 1)
  }

  #note(text: string): void {
    this.trace.push(`${this.now.toFixed(3)} ${text}`)
  }

  #next(): Event | undefined {
    return this.#events[0]
  }

  #add(owner: Process | undefined, ms: number, run: () => void): Event {
    const event = { at: this.now + ms, order: this.#order++, owner, run }
    this.#insert(event)
    return event
  }

  #insert(event: Event): void {
    const { at, order } = event
    const before = (other: Event): boolean =>
      other.at < at || (other.at === at && other.order < order)
    let low = 0
    let high = this.#events.length
    while (low < high) {
      const middle = (low + high) >> 1
      const other = this.#events[middle]
      if (other !== undefined && before(other)) low = middle + 1
      else high = middle
    }
    this.#events.splice(low, 0, event)
  }

  #clock(process: Process): Clock {
    return {
      now: () => this.now,
      wall: () => this.now,
      uptime: () => this.now + process.suspendedMs,
      after: (ms, fire) => {
        const event = this.#add(process, ms, fire)
        return {
          cancel: () => {
            event.run = undefined
          },
        }
      },
      defer: run => void this.#add(process, 0, run),
    }
  }

  #randomOf(): Random {
    const next = this.random
    return { next, id: () => Math.floor(next() * 2 ** 48).toString(36) }
  }

  #storage(process: Process): Storage {
    const schedule = (run: () => void): void => {
      if (process.diskMs === Infinity) return
      this.#add(process, process.diskMs * (0.5 + this.random()), run)
    }
    const storage = memoryStorage({ disk: process.disk, schedule })
    return {
      ...storage,
      write(batch, done) {
        const { diskError } = process
        if (diskError === undefined) storage.write(batch, done)
        else schedule(() => done(diskError))
      },
      freeBytes: done => done(process.freeBytes),
      readChunk(id, chunk, done) {
        const read = (): void => storage.readChunk(id, chunk, done)
        if (process.heldReads === undefined) read()
        else process.heldReads.push(read)
      },
    }
  }

  #bus(process: Process): Bus {
    return {
      inbox: `_INBOX.${process.id}`,
      get connected() {
        return process.connected
      },
      maxPayload: 1024 * 1024,
      publish: (subject, data, options) => {
        if (!process.connected) return false
        if (!process.isolated) this.#deliver(subject, Uint8Array.from(data), options?.reply, 1)
        return true
      },
      subscribe: (pattern, handle) => {
        const subscriber = { owner: process, pattern, handle }
        this.#subscribers.push(subscriber)
        return {
          unsubscribe: () => {
            this.#subscribers = this.#subscribers.filter(one => one !== subscriber)
          },
        }
      },
      onStatus: () => ({ unsubscribe() {} }),
    }
  }

  #deliver(subject: string, data: Uint8Array, reply: string | undefined, ms: number): void {
    if (this.random() < this.loss) return
    const receivers = this.#subscribers.filter(({ pattern }) => matches(pattern, subject))
    const message = {
      subject,
      data,
      ...(reply === undefined ? {} : { reply }),
      noResponders: false,
      header: () => undefined,
    }
    if (receivers.length === 0 && reply !== undefined) {
      this.#answerNobody(reply)
      return
    }
    for (const { owner, handle } of receivers) {
      this.#add(owner, ms * (0.5 + this.random()), () => {
        if (!owner.isolated) handle(message)
      })
    }
  }

  #answerNobody(subject: string): void {
    const data = new Uint8Array()
    const message = { subject, data, noResponders: true, header: () => undefined }
    for (const { owner, pattern, handle } of this.#subscribers) {
      if (matches(pattern, subject)) this.#add(owner, 1, () => handle(message))
    }
  }
}

function matches(pattern: string, subject: string): boolean {
  const [want, have] = [pattern.split('.'), subject.split('.')]
  return want.length === have.length && want.every((token, i) => token === '*' || token === have[i])
}

function describe({ role, term, leader, quorate }: NodeStatus): string {
  return `${role} ${term} ${leader ?? '-'} ${String(quorate)}`
}

function mulberry(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let z = Math.imul(state ^ (state >>> 15), state | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32
  }
}
