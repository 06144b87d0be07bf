/**
 * A message broker in memory with NATS's semantics, for tests and simulations over virtual time.
 *
 * At most once, in order per pair of connections, queue groups, `*` and `>`, and the broker's own answer when
 * nobody listens. Each connection belongs to one process and knows its link's state. What the network does to a
 * message from one process to another is asked of `fault`: drop it, delay it, repeat it. A link cut on one side
 * loses messages silently; a connection that is closed (a crash) makes senders hear that nobody listens.
 */
import type {
  Bus,
  BusMessage,
  PublishOptions,
  SubscribeOptions,
  Subscription,
} from '../../raft/ports.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VirtualClock, VirtualTime } from './virtual-clock.ts'

export interface LinkFault {
  readonly drop?: boolean
  /** On top of the broker's latency, milliseconds. */
  readonly delayMs?: number
  /** Deliveries; 1 unless told. The later ones come after `delayMs` more each. */
  readonly copies?: number
  /** May overtake earlier messages of the same pair. Not what NATS does: for messages repeated from afar. */
  readonly reorder?: boolean
}

export interface BrokerOptions {
  readonly time: VirtualTime
  readonly random: SeededRandom
  /** One way, client to client: uniform between these, milliseconds. Default 0.2 to 1. */
  readonly latencyMs?: readonly [number, number]
  readonly maxPayload?: number
}

interface Listener {
  readonly connection: MemoryBus
  readonly pattern: readonly string[]
  readonly queue: string | undefined
  readonly handle: (message: BusMessage) => void
  readonly admit: SubscribeOptions['admit']
  live: boolean
}

export interface BrokerCounts {
  published: number
  delivered: number
  dropped: number
  noResponders: number
}

export class MemoryBroker {
  readonly time: VirtualTime
  readonly maxPayload: number
  readonly counts: BrokerCounts = { published: 0, delivered: 0, dropped: 0, noResponders: 0 }
  /** Asked for each message and receiver, by names of connections. The broker's own answers come from `''`. */
  fault: ((from: string, to: string, message: BusMessage) => LinkFault | undefined) | undefined
  /** Sees each message as it is published. */
  tap: ((from: string, message: BusMessage) => void) | undefined

  readonly #random: SeededRandom
  readonly #latency: readonly [number, number]
  /** `from>to` pairs that lose everything. */
  readonly #cuts = new Set<string>()
  readonly #exact = new Map<string, Listener[]>()
  /** Listeners with wildcards, by what stands before the first of them; and how many parts that can be. */
  readonly #wild = new Map<string, Listener[]>()
  readonly #depths = new Set<number>()
  /** Pair of connections -> when its newest message arrives: the order of a pair is kept. */
  readonly #arrivals = new Map<string, number>()
  #connections = 0

  constructor(options: BrokerOptions) {
    this.time = options.time
    this.maxPayload = options.maxPayload ?? 1_048_576
    this.#random = options.random
    this.#latency = options.latencyMs ?? [0.2, 1]
  }

  /** A connection of the process `name`; several may bear one name. Ends with `close()`. */
  connect(name: string, clock: VirtualClock): MemoryBus {
    return new MemoryBus(this, name, clock, `_INBOX.${name}-${++this.#connections}`)
  }

  /** From now on nothing from `from` reaches `to` (one way). */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`)
  }

  heal(from: string, to: string): void {
    this.#cuts.delete(`${from}>${to}`)
  }

  healAll(): void {
    this.#cuts.clear()
  }

  /** @internal */
  listen(listener: Listener): void {
    const { table, key } = this.#placeOf(listener)
    const listeners = table.get(key)
    if (listeners === undefined) table.set(key, [listener])
    else listeners.push(listener)
  }

  #placeOf({ pattern }: Listener): { table: Map<string, Listener[]>; key: string } {
    const wild = pattern.findIndex(part => part === '*' || part === '>')
    if (wild < 0) return { table: this.#exact, key: pattern.join('.') }
    this.#depths.add(wild)
    return { table: this.#wild, key: pattern.slice(0, wild).join('.') }
  }

  /** @internal */
  leave(listener: Listener): void {
    listener.live = false
    const { table, key } = this.#placeOf(listener)
    const listeners = table.get(key)?.filter(other => other !== listener)
    if (listeners === undefined) return
    if (listeners.length === 0) table.delete(key)
    else table.set(key, listeners)
  }

  #listenersOf(subject: string): Listener[] {
    const found = [...(this.#exact.get(subject) ?? [])]
    const parts = subject.split('.')
    for (const depth of this.#depths) {
      if (depth >= parts.length) continue
      for (const listener of this.#wild.get(parts.slice(0, depth).join('.')) ?? []) {
        if (isMatch(listener.pattern, parts)) found.push(listener)
      }
    }
    return found
  }

  /** As `from` sent it once: what a network may repeat long after. */
  inject(from: string, message: BusMessage): void {
    for (const listener of this.#listenersOf(message.subject)) {
      if (listener.connection.connected) this.#send(from, listener, message)
    }
  }

  /** @internal */
  route(from: MemoryBus, message: BusMessage): void {
    this.counts.published++
    this.tap?.(from.name, message)
    const listeners = this.#listenersOf(message.subject).filter(
      listener => listener.live && listener.connection.connected,
    )
    const groups = new Map<string, Listener[]>()
    for (const listener of listeners) {
      if (listener.queue === undefined) {
        this.#send(from.name, listener, message)
        continue
      }
      const group = groups.get(listener.queue)
      if (group === undefined) groups.set(listener.queue, [listener])
      else group.push(listener)
    }
    for (const group of groups.values()) {
      this.#send(from.name, this.#random.pick(group), message)
    }
    if (listeners.length === 0 && message.reply !== undefined) this.#nobody(message.reply)
  }

  #nobody(reply: string): void {
    this.counts.noResponders++
    const notice = makeMessage(reply, new Uint8Array(0), undefined, true)
    for (const listener of this.#listenersOf(reply)) this.#send('', listener, notice)
  }

  #send(from: string, listener: Listener, message: BusMessage): void {
    const to = listener.connection.name
    const pair = `${from}>${to}`
    const fault = this.#cuts.has(pair) ? { drop: true } : this.fault?.(from, to, message)
    if (fault?.drop === true) {
      this.counts.dropped++
      return
    }
    const [low, high] = this.#latency
    const copies = fault?.copies ?? 1
    for (let copy = 1; copy <= copies; copy++) {
      let at = this.time.now + low + this.#random.next() * (high - low)
      at += copy * (fault?.delayMs ?? 0)
      if (copy === 1 && fault?.reorder !== true) {
        at = Math.max(at, this.#arrivals.get(pair) ?? 0)
        this.#arrivals.set(pair, at)
      }
      this.time.at(at, () => listener.connection.receive(listener, message))
    }
  }
}

/** One process's connection to a {@link MemoryBroker}. */
export class MemoryBus implements Bus {
  readonly name: string
  readonly inbox: string
  readonly #broker: MemoryBroker
  readonly #clock: VirtualClock
  readonly #watchers = new Set<(status: 'up' | 'down' | 'closed') => void>()
  readonly #listeners = new Set<Listener>()
  #state: 'up' | 'down' | 'closed' = 'up'

  constructor(broker: MemoryBroker, name: string, clock: VirtualClock, inbox: string) {
    this.#broker = broker
    this.name = name
    this.#clock = clock
    this.inbox = inbox
  }

  get connected(): boolean {
    return this.#state === 'up'
  }

  get maxPayload(): number {
    return this.#broker.maxPayload
  }

  publish(subject: string, data: Uint8Array, options: PublishOptions = {}): boolean {
    if (this.#state !== 'up' || data.byteLength > this.maxPayload) return false
    // A copy: what the sender does with its buffer afterwards does not reach the receiver.
    const message = makeMessage(subject, data.slice(), options, false)
    this.#broker.route(this, message)
    return true
  }

  subscribe(
    subject: string,
    handle: (message: BusMessage) => void,
    options: SubscribeOptions = {},
  ): Subscription {
    const listener: Listener = {
      connection: this,
      pattern: subject.split('.'),
      queue: options.queue,
      handle,
      admit: options.admit,
      live: true,
    }
    this.#listeners.add(listener)
    this.#broker.listen(listener)
    return {
      unsubscribe: () => {
        this.#listeners.delete(listener)
        this.#broker.leave(listener)
      },
    }
  }

  onStatus(handle: (status: 'up' | 'down' | 'closed') => void): Subscription {
    this.#watchers.add(handle)
    return { unsubscribe: () => this.#watchers.delete(handle) }
  }

  /** The link to the broker goes down or comes back; the broker knows at once. */
  setLink(up: boolean): void {
    if (this.#state === 'closed' || this.connected === up) return
    this.#state = up ? 'up' : 'down'
    for (const handle of [...this.#watchers]) handle(this.#state)
  }

  /** For good, as when the process ends. */
  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    for (const listener of this.#listeners) this.#broker.leave(listener)
    this.#listeners.clear()
    for (const handle of [...this.#watchers]) handle('closed')
  }

  /** @internal */
  receive(listener: Listener, message: BusMessage): void {
    this.#clock.whenRunning(() => {
      if (!listener.live || !this.connected) {
        this.#broker.counts.dropped++
        return
      }
      this.#broker.counts.delivered++
      const { admit, handle } = listener
      const reply = new TextEncoder().encode(message.reply)
      if (admit === undefined || admit(reply, message.data.length)) handle(message)
    })
  }
}

function makeMessage(
  subject: string,
  data: Uint8Array,
  options: PublishOptions | undefined,
  noResponders: boolean,
): BusMessage {
  const headers = options?.headers
  return {
    subject,
    data,
    ...(options?.reply === undefined ? {} : { reply: options.reply }),
    noResponders,
    header: name =>
      headers !== undefined && Object.hasOwn(headers, name) ? headers[name] : undefined,
  }
}

/** NATS's rule: `*` is one part, `>` one or more at the end. */
export function isMatch(pattern: readonly string[], parts: readonly string[]): boolean {
  for (const [index, part] of pattern.entries()) {
    if (part === '>') return parts.length > index
    if (index >= parts.length || (part !== '*' && part !== parts[index])) return false
  }
  return pattern.length === parts.length
}
