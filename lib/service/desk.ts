/**
 * What the parts of the seat service share: the book as of now, the right to grant, the answers on their way, and
 * the features that need a second look once the present message is done.
 *
 * The right to grant is asked for each seat, when its answer is built: nothing is granted or renewed after the
 * lease (R3, R4), and a feature found over its limit grants nothing. Answers of one turn to one message leave in
 * one message.
 */
import { codes, type Code } from '../error.ts'
import { SeatBook, expiryFactor, type Term } from '../book/book.ts'
import type { Seat, Stock } from '../book/seat.ts'
import type { SeatProof } from '../ledger/command.ts'
import type { Feature } from '../ledger/state.ts'
import type { AcquireItem, RenewItem, SeatEnd, SeatResult } from '../protocol/seat.ts'
import type { Tried } from '../protocol/why.ts'
import type { Host } from '../server/parts.ts'
import { unseenMs } from '../standstill.ts'
import { Denials, type Asked } from './denials.ts'
import { EndedFeatures } from './ended.ts'
import { Endings } from './ending.ts'
import { ReleasedIds } from './released.ts'
import { TurnedAwayCount } from './turned-away.ts'
import { denialReasonOf, UsageCounters } from './usage.ts'
import type { Reply } from './wire.ts'

/** Two clocks, each true within 1 % (R3, R4). */
const margin = 0.02
/** A seat that would be valid for a smaller part of the usual time is not worth granting. */
const termMin = 0.03

/** What a seat granted now is promised. `ms` is what the client is told. */
export interface Grant extends Term {
  readonly ms: number
  /** The code that it stands on ends soon. */
  readonly end: SeatEnd | undefined
}

export class Desk {
  readonly host: Host
  readonly released: ReleasedIds
  readonly denials = new Denials()
  readonly turnedAway = new TurnedAwayCount()
  readonly ended = new EndedFeatures()
  readonly endings = new Endings(() => this.host.ledger)
  usage = new UsageCounters()
  book = new SeatBook()
  /** `closed` until the `hello` was applied, after going down, and once stopped. */
  state: 'closed' | 'open' | 'stopping' = 'closed'
  /** Counts the runs of the book; what was begun in an earlier one has no effect on this one. */
  run = 0
  readonly #publish: (reply: Reply, results: readonly SeatResult[]) => void
  readonly #look: (feature: string) => void
  readonly #explain: (asked: Asked) => Tried[]
  readonly #dirty = new Set<string>()
  #outbox = new Map<Reply, SeatResult[]>()
  /** From `advance` to `flush`: what a seat is promised in it, see `term`. */
  #turn: { readonly at: number; usual: Grant | undefined; isKnown: boolean } | undefined
  #lastReply: Reply | undefined
  #lastResults: SeatResult[] = []
  #awake = false

  constructor(
    host: Host,
    options: {
      readonly publish: (reply: Reply, results: readonly SeatResult[]) => void
      /** Serves who waits for the feature, and borrows, returns, lends: once per turn and feature. */
      readonly look: (feature: string) => void
      /** Where a seat was looked for, and why there was none. */
      readonly explain: (asked: Asked) => Tried[]
    },
  ) {
    this.host = host
    this.released = new ReleasedIds()
    this.#publish = options.publish
    this.#look = options.look
    this.#explain = options.explain
  }

  get now(): number {
    return this.host.clock.now()
  }

  feature(name: string): Feature | undefined {
    return this.host.ledger.state.features.get(name)
  }

  /** The stock with the share as applied at this moment. */
  refresh(name: string): Stock {
    const share = this.feature(name)?.shares.get(this.host.server) ?? 0
    this.book.adopt(name, share)
    return this.book.stock(name)
  }

  /** Lets go of what is over. Before every decision that counts seats, and so at the beginning of every turn. */
  advance(now: number): void {
    this.#turn = { at: now, usual: undefined, isKnown: false }
    this.book.advance(now, this.host.ledger.state.tick)
  }

  /** True when this server may grant and renew at `now`, for long enough to be worth it, and holds what tokens are made with. */
  isServing(now: number): boolean {
    if (this.host.keys.making === undefined) return false
    return this.state !== 'closed' && this.host.leaseUntil - now > this.#usualMs * termMin
  }

  /** `seatTicks` ticks' time less the margin (R4). */
  get #usualMs(): number {
    const { seatTicks, tickMs } = this.host.ledger.state.settings
    return seatTicks * tickMs * (1 - margin)
  }

  /**
   * What a seat of the feature may be promised now (R4): at most the rest of the lease, `seatTicks` ticks' time
   * less the margin, what its codes' limits allow, and the time to the feature's end. `undefined`: nothing may be granted or renewed now, either by
   * this server (see `isServing`) or of this feature, until what ends has ended: a tick or two. A renewal takes
   * whatever time is left, a new seat none that is not worth it.
   */
  term(name: string, now: number, what: 'seat' | 'renewal' = 'seat'): Grant | undefined {
    const feature = this.feature(name)
    // Without limits and end of its own it is promised what all such features are: worked out once for a message.
    const isUsual =
      what === 'seat' && feature?.limits === undefined && feature?.endsAt === undefined
    const turn = this.#turn
    if (!isUsual || turn?.at !== now) return this.#termOf(feature, now, what)
    if (!turn.isKnown) turn.usual = this.#termOf(feature, now, what)
    turn.isKnown = true
    return turn.usual
  }

  #termOf(feature: Feature | undefined, now: number, what: 'seat' | 'renewal'): Grant | undefined {
    if (!this.isServing(now)) return undefined
    const { host } = this
    const { settings, tick } = host.ledger.state
    const { leaseMs, seatMs = Infinity } = feature?.limits ?? {}
    const usualMs = Math.min(this.#usualMs, seatMs)
    let ms = Math.min(usualMs, host.leaseUntil - now)
    // What its vendor allows, where the pool's settings allow more: this server heard from the pool so long ago at most.
    if (leaseMs !== undefined) ms = Math.min(ms, host.tickAppliedAt + leaseMs - now)
    const end = feature && this.endOf(feature, now)
    const endsAt = feature?.endsAt
    if (endsAt !== undefined) {
      ms = Math.min(ms, this.#endsInMs(endsAt, now))
    }
    ms = Math.floor(ms)
    if (ms < (what === 'renewal' ? 1 : usualMs * termMin)) return undefined
    // What ends early is not dark for the usual time: its token proves it about as long as it is valid (R5).
    const ticks = Math.ceil(ms / (settings.tickMs * (1 - margin))) + 1
    const lastTick = Math.min(this.#lastTick(now), tick + ticks)
    // A client's naps too short to show are no more than the last summand.
    return { ms, expiresAt: now + ms * expiryFactor + unseenMs, lastTick, end }
  }

  /** By the pool's calendar, which stands still from tick to tick (R10). */
  #endsInMs(endsAt: number, now: number): number {
    const { ledger, tickAppliedAt } = this.host
    return endsAt - ledger.state.calendar - Math.max(0, now - tickAppliedAt)
  }

  /** The end of a feature's code, where that is soon and nothing takes its place. */
  endOf({ name, endsAt }: Feature, now: number): SeatEnd | undefined {
    if (endsAt === undefined) return undefined
    return this.endings.soon(name, endsAt, this.#endsInMs(endsAt, now))
  }

  /** The same where it is what leaves no time to renew, or to grant, anything now. */
  endNow(feature: string, now: number): SeatEnd | undefined {
    const found = this.feature(feature)
    const end = found && this.endOf(found, now)
    return end !== undefined && end.inMs < this.#usualMs * termMin ? end : undefined
  }

  /** The last tick at which a token made now proves its seat (R5): its server is not down before it. */
  #lastTick(now: number): number {
    const { server, tickAppliedAt, ledger } = this.host
    const { settings, tick, servers } = ledger.state
    const downAt = servers.get(server)?.downAt ?? 0
    if (tickAppliedAt === 0 || now - tickAppliedAt > settings.seatTicks * settings.tickMs) return 0
    return Math.max(0, Math.min(tick + settings.seatTicks, downAt - 1))
  }

  token(seatId: string, feature: string, grant: Grant): Uint8Array {
    const { keys, server, incarnation, ledger } = this.host
    const seatTick = ledger.state.tick
    const { lastTick } = grant
    return keys.token({ seatId, feature, server, incarnation, seatTick, lastTick })
  }

  /**
   * Whether a token stands for the seat of that id and feature in this book. Ids are the clients' choice and no secret: what
   * another server made may be for a seat of its own under an id that somebody else has here. So it counts for the client
   * that has the seat, and for a seat that came by a move and was not renewed yet.
   */
  isProvenBy({ holder }: Seat, { server }: Pick<SeatProof, 'server'>, clientId: string): boolean {
    return server === this.host.server || holder === undefined || holder.clientId === clientId
  }

  /** True while the pool clock runs here: a tick was applied within 3 ticks' time (R6). */
  seesTicks(now: number): boolean {
    const { tickAppliedAt, ledger } = this.host
    return tickAppliedAt > 0 && now - tickAppliedAt <= 3 * ledger.state.settings.tickMs
  }

  /** Puts an answer on its way; it leaves with the others of its message at the end of the turn. */
  answer(reply: Reply | undefined, result: SeatResult): void {
    if (reply === undefined) return
    // Mostly the next result of the same message.
    if (reply !== this.#lastReply) {
      this.#lastReply = reply
      this.#lastResults = this.#outbox.get(reply) ?? []
      this.#outbox.set(reply, this.#lastResults)
    }
    this.#lastResults.push(result)
  }

  /** A renewal: the seat is good for what the grant says, and has a new token. */
  confirm(reply: Reply | undefined, seatId: string, feature: string, grant: Grant): void {
    const token = this.token(seatId, feature, grant)
    const { ms: expiresInMs, end } = grant
    if (end === undefined) this.answer(reply, { kind: 'renewed', seatId, expiresInMs, token })
    else this.answer(reply, { kind: 'renewed', seatId, expiresInMs, token, ends: end })
  }

  refuse(
    reply: Reply | undefined,
    id: string,
    code: Code,
    detail = '',
    more: { readonly server?: string; readonly retryAfterMs?: number } = {},
  ): void {
    this.answer(reply, { kind: 'refused', id, code, detail, ...more })
  }

  /** Refuses a client, and remembers why for those who ask (`licd ctl why`). */
  deny(
    item: AcquireItem | RenewItem,
    reply: Reply | undefined,
    code: Code,
    detail = '',
    more: { readonly server?: string; readonly retryAfterMs?: number } = {},
  ): void {
    const id = 'seatId' in item ? item.seatId : item.requestId
    this.host.log.debug('request-denied', { requestId: id, feature: item.feature, code })
    this.refuse(reply, id, code, detail, more)
    this.note(item, code, detail || codes[code])
  }

  /** `position`: of a request that waited, its place; 0 for one that did not wish to. */
  note(item: AcquireItem | RenewItem, code: Code, detail: string, position = 0): void {
    const { feature, user, host } = item
    const what = 'seatId' in item ? 'renew' : 'acquire'
    const count = 'seatId' in item ? 1 : item.count
    const denied = { what, feature, count, user, host, code, detail } as const
    const known = this.feature(feature) !== undefined
    // A name that the pool does not have may be any text at all: those are counted as one.
    this.usage.refused(known ? feature : '', code)
    if (what === 'acquire' && known) this.usage.denied(feature, denialReasonOf(code))
    this.denials.note(denied, this.now, () => this.#explain({ ...denied, position }))
  }

  flush(): void {
    this.#turn = undefined
    if (this.#outbox.size === 0) return
    const answers = this.#outbox
    // Not cleared: see `FreshMap`.
    this.#outbox = new Map()
    this.#lastReply = undefined
    for (const [reply, results] of answers) this.#publish(reply, results)
  }

  /** The feature is looked at once the present turn is done. */
  touch(feature: string): void {
    this.#dirty.add(feature)
    this.wake()
  }

  wake(): void {
    if (this.#awake) return
    this.#awake = true
    this.host.clock.defer(() => {
      this.#awake = false
      this.work()
    })
  }

  work(): void {
    if (this.state !== 'closed') {
      this.advance(this.now)
      // Sorted: the order of what is proposed follows (one seed, one run).
      const dirty = [...this.#dirty].sort()
      this.#dirty.clear()
      for (const feature of dirty) this.#look(feature)
    }
    this.#dirty.clear()
    this.flush()
  }

  /** A book of its own for each incarnation. */
  reset(): void {
    this.run++
    this.book = new SeatBook()
    this.#dirty.clear()
  }
}
