/**
 * The message broker between simulated nodes: NATS's semantics for what a Raft link uses of it, and all that may go
 * wrong with it.
 *
 * At most once, in order per pair of connections unless told otherwise, `false` when the link is down, and the
 * broker's own answer when nobody listens. Messages may be lost, repeated, reordered, damaged and late; links may be cut
 * one way, clogged (held, not lost) or down; the broker may stand still and go on with all it holds; and what was sent
 * long ago may be sent again.
 */
import type { Bus, BusMessage, PublishOptions, Subscription } from '../../raft/ports.ts'
import type { SimProcess } from './node-process.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualTime } from './virtual-clock.ts'

/** What happens to any message, as probabilities. */
export interface Noise {
  readonly loss: number
  readonly repeat: number
  /** Overtaken by later ones of the same pair. */
  readonly reorder: number
  readonly late: number
  /** A late one comes up to so much later. */
  readonly lateMs: number
  readonly garble: number
  /** The broker says that nobody listens, though somebody does; the message is lost. */
  readonly spurious: number
}

export const quiet: Noise = {
  loss: 0,
  repeat: 0,
  reorder: 0,
  late: 0,
  lateMs: 0,
  garble: 0,
  spurious: 0,
}

interface Parcel {
  readonly from: SimBus
  readonly to: string
  readonly subject: string
  readonly data: Uint8Array
  readonly reply: string | undefined
}

/** Old messages kept for a replay. */
const maxMemory = 256
/** What a broker that stands still holds; beyond it the newest are lost. */
const maxHeld = 20_000
const nothing = new Uint8Array()

export interface NetworkOptions {
  readonly time: VirtualTime
  readonly random: SeededRandom
  readonly latencyMs: readonly [number, number]
  readonly onDelivered: () => void
}

export class SimNetwork {
  readonly prefix = 'sim.'
  readonly #options: NetworkOptions
  /** The connection of each server that runs. */
  readonly #buses = new Map<string, SimBus>()
  /** The same of another cluster that uses the same names. */
  readonly #strangers = new Map<string, SimBus>()
  readonly #cuts = new Set<string>()
  /** Pairs that hold what they carry. */
  readonly #clogged = new Map<string, Parcel[]>()
  /** While the broker stands still. */
  #frozen: Parcel[] | undefined
  readonly #memory: Parcel[] = []
  #remembered = 0
  noise = quiet
  maxPayload = Infinity
  published = 0

  constructor(options: NetworkOptions) {
    this.#options = options
  }

  connect(id: string, process: SimProcess, run: number, whose?: 'strangers'): SimBus {
    const bus = new SimBus(this, id, process, `_INBOX.${whose ?? ''}${id}-${run}`)
    const buses = whose === undefined ? this.#buses : this.#strangers
    buses.set(id, bus)
    return bus
  }

  /** As the broker sees a process that is gone. */
  forget(bus: SimBus): void {
    for (const buses of [this.#buses, this.#strangers]) {
      if (buses.get(bus.id) === bus) buses.delete(bus.id)
    }
  }

  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`)
  }

  heal(from: string, to: string): void {
    this.#cuts.delete(`${from}>${to}`)
  }

  clog(from: string, to: string): void {
    const pair = `${from}>${to}`
    if (!this.#clogged.has(pair)) this.#clogged.set(pair, [])
  }

  unclog(from: string, to: string): void {
    const pair = `${from}>${to}`
    const held = this.#clogged.get(pair) ?? []
    this.#clogged.delete(pair)
    this.release(held)
  }

  freeze(): void {
    this.#frozen ??= []
  }

  thaw(): void {
    const held = this.#frozen ?? []
    this.#frozen = undefined
    this.release(held)
  }

  /** Everything that is in the way goes; what was held arrives. */
  healAll(): void {
    this.#cuts.clear()
    for (const pair of [...this.#clogged.keys()]) {
      const [from = '', to = ''] = pair.split('>')
      this.unclog(from, to)
    }
    this.thaw()
    this.noise = quiet
    this.maxPayload = Infinity
    for (const bus of this.#buses.values()) bus.setLink('up')
  }

  /** Sends up to `count` old messages once more. */
  replay(count: number): void {
    const { random } = this.#options
    if (this.#memory.length === 0) return
    for (let n = 0; n < count; n++) this.#carry(random.pick(this.#memory), true)
  }

  /** Whoever listens at `ids` is said to be gone to all others. */
  accuse(ids: readonly string[]): void {
    for (const bus of this.#buses.values()) {
      for (const id of ids) if (id !== bus.id) this.#notice(bus, `${bus.inbox}.gone.${id}`)
    }
  }

  /** @internal */
  publish(from: SimBus, subject: string, data: Uint8Array, reply: string | undefined): boolean {
    if (data.length > this.maxPayload) return false
    const to = subject.slice(this.prefix.length, subject.lastIndexOf('.'))
    const parcel = { from, to, subject, data, reply }
    this.published++
    if (this.#memory.length < maxMemory) this.#memory.push(parcel)
    else this.#memory[this.#remembered++ % maxMemory] = parcel
    if (from.link === 'half') from.hold(parcel)
    else if (this.#frozen === undefined) this.#route(parcel)
    else if (this.#frozen.length < maxHeld) this.#frozen.push(parcel)
    return true
  }

  /** @internal What was held comes after all. */
  release(parcels: readonly Parcel[]): void {
    for (const parcel of parcels) this.#route(parcel)
  }

  #route(parcel: Parcel): void {
    const { from, to, reply } = parcel
    const { random } = this.#options
    const pair = this.#cuts.size > 0 || this.#clogged.size > 0 ? `${from.id}>${to}` : ''
    if (pair !== '') {
      if (this.#cuts.has(pair)) return
      const held = this.#clogged.get(pair)
      if (held !== undefined) {
        if (held.length < maxHeld) held.push(parcel)
        return
      }
    }
    const { noise } = this
    const isHeard = this.#buses.get(to)?.listening ?? this.#strangers.get(to)?.listening
    if (isHeard !== true) {
      if (reply !== undefined && random.chance(0.9)) this.#notice(from, reply)
      return
    }
    if (noise === quiet) {
      this.#carry(parcel, false)
      return
    }
    if (random.chance(noise.loss)) return
    if (reply !== undefined && random.chance(noise.spurious)) {
      this.#notice(from, reply)
      return
    }
    this.#carry(parcel, random.chance(noise.reorder))
    if (random.chance(noise.repeat)) this.#carry(parcel, true)
  }

  #carry(parcel: Parcel, mayOvertake: boolean): void {
    const { time, random, latencyMs } = this.#options
    const { noise } = this
    const [low, high] = latencyMs
    let at = time.now + low + random.next() * (high - low)
    const isLate = noise !== quiet && random.chance(noise.late)
    if (isLate) at += random.next() * noise.lateMs
    if (!mayOvertake && !isLate) {
      // Order is kept per pair of connections.
      at = Math.max(at, parcel.from.arrivals.get(parcel.to) ?? 0)
      parcel.from.arrivals.set(parcel.to, at)
    }
    time.at(at, () => this.#arrive(parcel))
  }

  #arrive(parcel: Parcel): void {
    // Whoever listens there hears it, of whichever cluster it is.
    const [bus, stranger] = [this.#buses.get(parcel.to), this.#strangers.get(parcel.to)]
    if (bus !== undefined) this.#hand(bus, parcel)
    if (stranger !== undefined) this.#hand(stranger, parcel)
  }

  #hand(bus: SimBus, { subject, data, reply }: Parcel): void {
    const { random, onDelivered } = this.#options
    if (!bus.listening || bus.link !== 'up') return
    const { noise } = this
    const garbled = noise !== quiet && random.chance(noise.garble)
    const bytes = garbled ? flipped(data, random) : data
    bus.process.enter(() => {
      onDelivered()
      bus.receive(subject, bytes, reply, false)
    })
  }

  #notice(to: SimBus, subject: string): void {
    const { time, random, latencyMs, onDelivered } = this.#options
    const [low, high] = latencyMs
    time.after(low + random.next() * (high - low), () => {
      if (to.link !== 'up') return
      to.process.enter(() => {
        onDelivered()
        to.receive(subject, nothing, undefined, true)
      })
    })
  }
}

function flipped(data: Uint8Array, random: SeededRandom): Uint8Array {
  const copy = Uint8Array.from(data)
  const at = random.between(0, copy.length - 1)
  copy[at] = (copy[at] ?? 0) ^ (1 << random.between(0, 7))
  return copy
}

interface Listener {
  readonly prefix: string
  readonly handle: (message: BusMessage) => void
}

/** The connection of one process. */
export class SimBus implements Bus {
  readonly id: string
  readonly inbox: string
  readonly process: SimProcess
  /** When the newest message to each server arrives. */
  readonly arrivals = new Map<string, number>()
  readonly #network: SimNetwork
  readonly #listeners: Listener[] = []
  readonly #watchers = new Set<(status: 'up' | 'down' | 'closed') => void>()
  readonly #held: Parcel[] = []
  /** `half`: gone, and the client does not know it yet. */
  #link: 'up' | 'half' | 'down' = 'up'

  constructor(network: SimNetwork, id: string, process: SimProcess, inbox: string) {
    this.#network = network
    this.id = id
    this.process = process
    this.inbox = inbox
  }

  get link(): 'up' | 'half' | 'down' {
    return this.#link
  }

  get listening(): boolean {
    return this.#listeners.length > 0 && this.process.alive
  }

  get connected(): boolean {
    return this.#link !== 'down'
  }

  readonly maxPayload = 1_048_576

  publish(subject: string, data: Uint8Array, options: PublishOptions = {}): boolean {
    if (!this.process.ask() || this.#link === 'down') return false
    return this.#network.publish(this, subject, data, options.reply)
  }

  subscribe(subject: string, handle: (message: BusMessage) => void): Subscription {
    if (!subject.endsWith('.*')) throw new Error(`The simulated bus does not know ${subject}.`)
    const listener = { prefix: subject.slice(0, -1), handle }
    this.#listeners.push(listener)
    const unsubscribe = (): void => {
      const at = this.#listeners.indexOf(listener)
      if (at >= 0) this.#listeners.splice(at, 1)
    }
    return { unsubscribe }
  }

  onStatus(handle: (status: 'up' | 'down' | 'closed') => void): Subscription {
    this.#watchers.add(handle)
    return { unsubscribe: () => this.#watchers.delete(handle) }
  }

  /** What was sent while it was half open comes late when it is up again. */
  setLink(link: 'up' | 'half' | 'down'): void {
    if (this.#link === link || !this.process.alive) return
    const before = this.connected
    this.#link = link
    if (before !== this.connected) {
      for (const handle of [...this.#watchers]) handle(this.connected ? 'up' : 'down')
    }
    if (link === 'up') this.#network.release(this.#held.splice(0))
  }

  /** @internal */
  hold(parcel: Parcel): void {
    if (this.#held.length < maxHeld) this.#held.push(parcel)
  }

  /** @internal */
  receive(subject: string, data: Uint8Array, reply: string | undefined, nobody: boolean): void {
    for (const { prefix, handle } of this.#listeners) {
      if (!subject.startsWith(prefix)) continue
      handle({
        subject,
        data,
        noResponders: nobody,
        header: noHeader,
        ...(reply === undefined ? {} : { reply }),
      })
      return
    }
  }
}

const noHeader = (): undefined => undefined
