/**
 * A license server that does what a test tells it, speaking the real protocol over the in-memory broker: for the
 * corners that a real server reaches only by bad luck (lost and late answers, challenges, refusals).
 *
 * Unless told otherwise it grants and renews everything for `ttlMs`.
 */
import {
  decodeAcquire,
  decodeFind,
  decodeRelease,
  decodeRenew,
  encodeAnswer,
  encodeFound,
  type Decoded,
} from '../../lib/protocol/seat-codec.ts'
import {
  seatIds,
  type AcquireItem,
  type ReleaseItem,
  type RenewItem,
  type SeatResult,
} from '../../lib/protocol/seat.ts'
import { subjects } from '../../lib/protocol/subject.ts'
import type { BusMessage } from '../../raft/ports.ts'
import type { MemoryBroker, MemoryBus } from '../sim/memory-bus.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'

/** One message as it came, and where its answers go. */
export interface Heard<Item> {
  readonly batch: number
  readonly reply: string
  readonly items: readonly Item[]
}

type Script<Item> = (item: Item, message: Heard<Item>) => SeatResult | undefined

export class ScriptedServer {
  readonly name: string
  readonly bus: MemoryBus
  readonly clock: VirtualClock
  readonly acquires: Heard<AcquireItem>[] = []
  readonly renewals: Heard<RenewItem>[] = []
  readonly releases: Heard<ReleaseItem>[] = []
  incarnation = 1
  serving = true
  ttlMs = 30_000
  /** What it answers to an item; undefined for nothing. */
  onAcquire: Script<AcquireItem> = item => this.grant(item)
  onRenew: Script<RenewItem> = item => this.renew(item)
  onRelease: Script<ReleaseItem> = ({ seatId }) => ({ kind: 'released', seatId })
  #tokens = 0

  constructor(broker: MemoryBroker, name: string, pool = 'default') {
    this.name = name
    this.clock = new VirtualClock(broker.time)
    this.bus = broker.connect(name, this.clock)
    const names = subjects(pool)
    const on = <Item>(
      operation: 'acquire' | 'renew' | 'release',
      decode: (data: Uint8Array) => Decoded<Item>,
      heard: Heard<Item>[],
      answer: Script<Item>,
    ): void => {
      this.bus.subscribe(names.seat(name, operation), message => {
        this.#answer(message, decode, heard, answer)
      })
    }
    on('acquire', decodeAcquire, this.acquires, (item, message) => this.onAcquire(item, message))
    on('renew', decodeRenew, this.renewals, (item, message) => this.onRenew(item, message))
    on('release', decodeRelease, this.releases, (item, message) => this.onRelease(item, message))
    const find = (message: BusMessage): void => {
      const request = decodeFind(message.data)
      const { incarnation, serving } = this
      const found = { pool, fingerprint: 'f', server: name, incarnation, serving }
      this.bus.publish(message.reply ?? '', encodeFound(request.batch, found))
    }
    this.bus.subscribe(names.seat('any', 'find'), find, { queue: names.queue })
  }

  #answer<Item>(
    message: BusMessage,
    decode: (data: Uint8Array) => Decoded<Item>,
    heard: Heard<Item>[],
    answer: Script<Item>,
  ): void {
    const request = decode(message.data)
    if (!request.ok) throw new Error(`The client sent what no server can read: ${request.detail}`)
    const { batch, items, released = [] } = request
    const reply = message.reply ?? ''
    const one = { batch, reply, items }
    heard.push(one)
    const along = { batch, reply, items: released }
    if (released.length > 0) this.releases.push(along)
    const results = [
      ...released.flatMap(item => this.onRelease(item, along) ?? []),
      ...items.flatMap(item => answer(item, one) ?? []),
    ]
    if (results.length > 0) this.say(one, results)
  }

  /** An answer, at any time. */
  say(
    to: { readonly batch: number; readonly reply: string },
    results: readonly SeatResult[],
  ): void {
    const { name: server, incarnation } = this
    this.bus.publish(to.reply, encodeAnswer({ batch: to.batch, server, incarnation, results }))
  }

  /** Each token names its server and is unlike any other. */
  token(): Uint8Array {
    return new TextEncoder().encode(`${this.name}-${++this.#tokens}`)
  }

  grant({ requestId, count }: AcquireItem): SeatResult {
    const seats = seatIds(requestId, count).map(seatId => ({ seatId, token: this.token() }))
    return { kind: 'granted', requestId, expiresInMs: this.ttlMs, seats }
  }

  renew({ seatId }: RenewItem): SeatResult {
    return { kind: 'renewed', seatId, expiresInMs: this.ttlMs, token: this.token() }
  }

  challenge({ seatId }: RenewItem, withinMs = 10_000): SeatResult {
    const nonce = new TextEncoder().encode(`nonce-${this.name}`)
    return { kind: 'challenge', seatId, nonce, lastTick: 100, withinMs }
  }

  /** Gone from one instant to the next. */
  kill(): void {
    this.clock.end()
    this.bus.close()
  }
}

export function refuse(id: string, code: string, more: { server?: string } = {}): SeatResult {
  return { kind: 'refused', id, code, detail: '', ...more }
}

export function tokenText(token: Uint8Array | undefined): string {
  return new TextDecoder().decode(token)
}
