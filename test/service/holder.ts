/**
 * A plain client of the seat protocol for tests: one seat request at a time, renewed and failed over by the rules.
 *
 * Written apart from the SDK, so that a misreading of the protocol shows. `believes` is what I3 counts: the client's
 * own view, by its own clock, of whether its seat is valid.
 */
import {
  decodeAnswer,
  encodeAcquire,
  encodeRelease,
  encodeRenew,
} from '../../lib/protocol/seat-codec.ts'
import { seatIds, type AcquireItem, type SeatResult } from '../../lib/protocol/seat.ts'
import type { BusMessage } from '../../raft/ports.ts'
import type { MemoryBus } from '../sim/memory-bus.ts'
import type { SeededRandom } from '../sim/seeded-random.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'
import { poolSubjects } from './names.ts'
import type { World } from './world.ts'

interface HeldSeat {
  readonly seatId: string
  token: Uint8Array
  /** By this client's clock, counted from before the request was sent (R4). */
  validUntil: number
  /** The server asked now. */
  server: string
  /** Batch and time of the newest renewal at `server`; answers to others are ignored after a fail-over. */
  sinceBatch: number
  moving: boolean
  /** Who granted or renewed it last. */
  origin: string
  /** Servers where a move was confirmed and its outcome is not known: not back to the origin till then (R6). */
  readonly unknown: Set<string>
  unanswered: number
  nonce: Uint8Array | undefined
  renewAt: number
}

/** Another server may grant what this one does not now. */
const elsewhere = new Set(['LICD_NOT_SERVING', 'LICD_NO_LEASE', 'LICD_OVER_LIMIT'])

export interface HolderOptions {
  readonly servers: readonly string[]
  readonly drift?: number
  /** Of its clock, instead. */
  readonly rate?: number
  readonly renewMs?: number
  /** How often it looks after its seats; all its waits are multiples of it. */
  readonly beatMs?: number
}

export class Holder {
  readonly world: World
  readonly name: string
  readonly clock: VirtualClock
  readonly bus: MemoryBus
  readonly seats = new Map<string, HeldSeat>()
  readonly results: SeatResult[] = []
  readonly lost: string[] = []
  state: 'idle' | 'asking' | 'holding' = 'idle'
  server: string
  alive = true
  refusal: string | undefined
  readonly #random: SeededRandom
  readonly #options: HolderOptions
  readonly #beatMs: number
  readonly #sent = new Map<number, { readonly at: number; readonly server: string }>()
  #batch = 0
  #request: AcquireItem | undefined
  #askedAt = 0
  #told = false
  #giveUpAt = 0

  constructor(world: World, name: string, options: HolderOptions) {
    this.world = world
    this.name = name
    this.#options = options
    this.#beatMs = options.beatMs ?? 100
    this.#random = world.random.split(name)
    const drift = options.drift ?? 0
    const rate = options.rate ?? 1 + (this.#random.next() * 2 - 1) * drift
    this.clock = new VirtualClock(world.time, { rate, origin: this.#random.between(1, 1e6) })
    this.bus = world.broker.connect(name, this.clock)
    this.server = options.servers[0] ?? ''
    this.bus.subscribe(`${this.bus.inbox}.*.*`, message => this.#heard(message))
    const turn = (): void => {
      this.#turn()
      this.clock.after(this.#beatMs, turn)
    }
    this.clock.after(this.#random.between(1, this.#beatMs), turn)
  }

  /** Seats that this client believes valid now. */
  believes(feature: string): number {
    if (!this.alive || this.#request?.feature !== feature) return 0
    const now = this.clock.now()
    let count = 0
    for (const seat of this.seats.values()) if (seat.validUntil > now) count++
    return count
  }

  acquire(
    feature: string,
    options: { count?: number; waitMs?: number; server?: string; id?: string } = {},
  ): string {
    const { count = 1, waitMs = 0, server = this.server } = options
    const requestId = options.id ?? this.#random.id()
    this.server = server
    this.#request = { requestId, feature, count, user: this.name, host: 'h', waitMs }
    this.state = 'asking'
    this.refusal = undefined
    this.#giveUpAt = this.clock.now() + waitMs + 50 * this.#beatMs
    this.#ask()
    return requestId
  }

  release(): void {
    const byServer = new Map<string, { seatId: string; token: Uint8Array }[]>()
    for (const { seatId, token, server, moving } of this.seats.values()) {
      // It does not know where the seat stands: it leaves it to expire (R6).
      if (moving) continue
      const items = byServer.get(server) ?? []
      items.push({ seatId, token })
      byServer.set(server, items)
    }
    this.seats.clear()
    for (const [server, items] of byServer) {
      const batch = this.#next(server)
      this.#publish(server, 'release', batch, encodeRelease(batch, this.name, items))
    }
    this.state = 'idle'
  }

  /** Withdraws a request whose answer is not known. */
  withdraw(): void {
    if (this.#request === undefined) return
    const { requestId } = this.#request
    const batch = this.#next(this.server)
    const item = { seatId: requestId, token: new Uint8Array(0) }
    this.#publish(this.server, 'release', batch, encodeRelease(batch, this.name, [item]))
    this.state = 'idle'
  }

  crash(): void {
    this.alive = false
    this.clock.end()
    this.bus.close()
  }

  #next(server: string): number {
    const batch = ++this.#batch
    this.#sent.set(batch, { at: this.clock.now(), server })
    this.#sent.delete(batch - 500)
    return batch
  }

  #publish(
    server: string,
    operation: 'acquire' | 'renew' | 'release',
    batch: number,
    data: Uint8Array,
  ): void {
    const reply = `${this.bus.inbox}.${server}.${batch}`
    this.bus.publish(poolSubjects.seat(server, operation), data, { reply })
  }

  #ask(): void {
    if (this.#request === undefined) return
    this.#askedAt = this.clock.now()
    const batch = this.#next(this.server)
    const data = encodeAcquire(batch, this.name, [this.#request])
    this.#publish(this.server, 'acquire', batch, data)
  }

  #turn(): void {
    const now = this.clock.now()
    if (this.state === 'asking') {
      if (now > this.#giveUpAt) {
        this.withdraw()
        this.refusal = 'LICD_TIMEOUT'
      } else if (now - this.#askedAt > 15 * this.#beatMs) {
        // It stays where it was told that it waits.
        if (!this.#told && this.#random.chance(0.3)) this.server = this.#other(this.server)
        this.#told = false
        this.#ask()
      }
    }
    for (const seat of [...this.seats.values()]) {
      if (seat.validUntil <= now) this.#lose(seat, 'expired')
      else if (now >= seat.renewAt) this.#renew(seat)
    }
  }

  #lose(seat: HeldSeat, why: string): void {
    this.seats.delete(seat.seatId)
    this.lost.push(`${seat.seatId} ${why}`)
    if (this.seats.size === 0 && this.state === 'holding') this.state = 'idle'
  }

  #renew(seat: HeldSeat): void {
    if (seat.unanswered >= 2) this.#leave(seat)
    seat.unanswered++
    seat.renewAt = this.clock.now() + (seat.moving ? 5 : 10) * this.#beatMs
    this.#sendRenewal(seat)
  }

  #sendRenewal(seat: HeldSeat): void {
    if (this.#request === undefined) return
    const { seatId, token, server, moving, nonce } = seat
    const batch = this.#next(server)
    const { feature, user, host } = this.#request
    const item = { seatId, feature, token, user, host, failover: moving }
    const confirmed = nonce === undefined ? item : { ...item, confirm: nonce }
    if (seat.sinceBatch === 0) seat.sinceBatch = batch
    this.#publish(server, 'renew', batch, encodeRenew(batch, this.name, [confirmed]))
  }

  /** Leaves a server that does not answer, or refuses; its late answers are dropped. */
  #leave(seat: HeldSeat): void {
    if (seat.nonce !== undefined) seat.unknown.add(seat.server)
    const origin = seat.unknown.size > 0 ? seat.origin : undefined
    seat.server = this.#other(seat.server, origin)
    seat.moving = true
    seat.nonce = undefined
    seat.unanswered = 0
    seat.sinceBatch = 0
    this.server = seat.server
  }

  #other(not: string, origin?: string): string {
    const { servers } = this.#options
    const others = servers.filter(server => server !== not && server !== origin)
    return others.length > 0 ? this.#random.pick(others) : not
  }

  #heard(message: BusMessage): void {
    const [server = '', batchText = ''] = message.subject
      .slice(this.bus.inbox.length + 1)
      .split('.')
    const batch = Number(batchText)
    if (message.noResponders) {
      this.#gone(server, batch)
      return
    }
    const answer = decodeAnswer(message.data)
    const sent = this.#sent.get(batch)
    if (answer === undefined || sent === undefined || answer.batch !== batch) return
    for (const result of answer.results) {
      this.results.push(result)
      this.#result(result, sent, batch)
    }
  }

  #gone(server: string, batch: number): void {
    for (const seat of this.seats.values()) {
      if (seat.server !== server || seat.sinceBatch === 0 || batch < seat.sinceBatch) continue
      this.#leave(seat)
      seat.renewAt = this.clock.now() + this.#beatMs
    }
    if (this.state === 'asking' && this.server === server) this.server = this.#other(server)
  }

  #result(
    result: SeatResult,
    sent: { readonly at: number; readonly server: string },
    batch: number,
  ): void {
    switch (result.kind) {
      case 'granted':
        this.#granted(result, sent)
        return
      case 'waiting':
        if (result.requestId === this.#request?.requestId) this.#told = true
        return
      case 'released':
        return
      case 'refused':
        this.#refused(result, sent.server, batch)
        return
      case 'renewed':
      case 'challenge':
      case 'pending': {
        const seat = this.#seatOf(result.seatId, sent.server, batch)
        if (seat !== undefined) this.#renewal(seat, result, sent)
      }
    }
  }

  /** The seat, if the answer is from the server that it is with now. */
  #seatOf(seatId: string, server: string, batch: number): HeldSeat | undefined {
    const seat = this.seats.get(seatId)
    if (seat?.server !== server || seat.sinceBatch === 0 || batch < seat.sinceBatch) {
      return undefined
    }
    return seat
  }

  #granted(
    { requestId, expiresInMs, seats }: Extract<SeatResult, { kind: 'granted' }>,
    sent: { readonly at: number; readonly server: string },
  ): void {
    if (requestId !== this.#request?.requestId || this.state !== 'asking') return
    if (sent.at + expiresInMs <= this.clock.now()) return
    this.state = 'holding'
    this.server = sent.server
    for (const { seatId, token } of seats) {
      this.seats.set(seatId, {
        seatId,
        token,
        validUntil: sent.at + expiresInMs,
        server: sent.server,
        sinceBatch: this.#batch + 1,
        moving: false,
        origin: sent.server,
        unknown: new Set(),
        unanswered: 0,
        nonce: undefined,
        renewAt: sent.at + this.#renewMs(expiresInMs),
      })
    }
  }

  #renewMs(expiresInMs: number): number {
    return this.#options.renewMs ?? (expiresInMs / 3) * (0.8 + 0.4 * this.#random.next())
  }

  #renewal(
    seat: HeldSeat,
    result: Extract<SeatResult, { kind: 'renewed' | 'challenge' | 'pending' }>,
    sent: { readonly at: number; readonly server: string },
  ): void {
    if (seat.validUntil <= this.clock.now()) return
    seat.unanswered = 0
    if (result.kind === 'pending') {
      seat.renewAt = this.clock.now() + 10 * this.#beatMs
    } else if (result.kind === 'challenge') {
      seat.nonce = result.nonce
      this.#sendRenewal(seat)
      seat.renewAt = this.clock.now() + 10 * this.#beatMs
    } else {
      seat.token = result.token
      seat.validUntil = sent.at + result.expiresInMs
      seat.moving = false
      seat.nonce = undefined
      seat.unknown.clear()
      seat.origin = seat.server
      seat.sinceBatch = Math.max(1, seat.sinceBatch)
      seat.renewAt = sent.at + this.#renewMs(result.expiresInMs)
    }
  }

  #refused(
    { id, code }: Extract<SeatResult, { kind: 'refused' }>,
    server: string,
    batch: number,
  ): void {
    if (this.state === 'asking' && id === this.#request?.requestId) {
      this.refusal = code
      if (elsewhere.has(code)) {
        this.server = this.#other(server)
        return
      }
      this.state = 'idle'
      return
    }
    const seat = this.#seatOf(id, server, batch)
    if (seat === undefined) return
    seat.unanswered = 0
    if (code === 'LICD_SEAT_LOST' || code === 'LICD_BAD_TOKEN') this.#lose(seat, code)
    else {
      if (code !== 'LICD_OVER_LIMIT') {
        // The outcome is known: it did not move.
        seat.nonce = undefined
        seat.unknown.delete(server)
        this.#leave(seat)
      }
      seat.renewAt = this.clock.now() + 5 * this.#beatMs
    }
  }

  /** Ids of the seats of the present request. */
  get seatIds(): string[] {
    return this.#request === undefined ? [] : seatIds(this.#request.requestId, this.#request.count)
  }
}
