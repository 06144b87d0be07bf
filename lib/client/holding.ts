/**
 * Seats held: believing in them, renewing them, and taking them along to another server (R4, R6).
 *
 * A seat stands at the server that made its newest token, and is asked of its `target`: the same server, or
 * another one while it moves. Until that one has confirmed it, the seat is good for what the old one promised.
 *
 * Invariants: a seat is believed only until the time its newest promise gives, counted from before the asking
 * message was sent, and only in the clock's epoch of that message. While a confirmed move is open, nothing is
 * said to the seat's own server.
 */
import type { Random } from '../../raft/ports.ts'
import { FreshMap } from '../fresh-map.ts'
import { seatBounds, type SeatResult } from '../protocol/seat.ts'
import {
  Journeys,
  closeMoves,
  dropConfirm,
  mayReturn,
  redirectsMax,
  returnMs,
  startJourney,
  waitsForOwn,
} from './journey.ts'
import type { Outbox, Sent } from './outbox.ts'
import * as records from './record.ts'
import { retryMs, type HoldRecord, type Journey, type Refusal, type SeatRecord } from './record.ts'
import type { Releasing } from './releasing.ts'
import type { Servers } from './servers.ts'
import type { SteadyClock } from './steady-clock.ts'
import type { Unheard } from './unheard.ts'

type Renewed = Extract<SeatResult, { kind: 'renewed' }>
type Challenge = Extract<SeatResult, { kind: 'challenge' }>

/** Unanswered so often by a server that answers other things: another one is asked. */
const triesMax = 5
const ownTriesMax = 3
/** Challenges in a row after which the seat pauses: each is answered at once. */
const challengesMax = 5
const endings = new Set(['LICD_SEAT_LOST', 'LICD_BAD_TOKEN'])

export class Holding {
  readonly #time: SteadyClock
  readonly #random: Random
  readonly #outbox: Outbox
  readonly #servers: Servers
  readonly #releasing: Releasing
  readonly #journeys: Journeys
  readonly #seats = new FreshMap<string, SeatRecord>()
  readonly #unheard: Unheard
  /** No seat has anything due before this: a client may hold many, and is woken often. */
  #lookAt = Infinity

  constructor(parts: {
    readonly time: SteadyClock
    readonly random: Random
    readonly outbox: Outbox
    readonly servers: Servers
    readonly releasing: Releasing
    readonly unheard: Unheard
  }) {
    this.#time = parts.time
    this.#random = parts.random
    this.#outbox = parts.outbox
    this.#servers = parts.servers
    this.#releasing = parts.releasing
    this.#unheard = parts.unheard
    this.#journeys = new Journeys(parts.servers)
  }

  /** Seats, those included that are being released. */
  get size(): number {
    return this.#seats.size
  }

  has(seatId: string): boolean {
    return this.#seats.has(seatId)
  }

  holds(): HoldRecord[] {
    return [...new Set([...this.#seats.values()].map(seat => seat.hold))]
  }

  add(hold: HoldRecord, now: number): void {
    for (const seat of hold.seats) {
      this.#seats.set(seat.seatId, seat)
      this.#wait(seat, records.renewAt(seat, now, this.#random))
    }
  }

  /** Milliseconds that the hold may still be believed in, 0 when it may not. */
  remainingMs(hold: HoldRecord): number {
    return records.remainingMs(hold, this.#time.now(), this.#time.epoch)
  }

  release(hold: HoldRecord, done?: () => void): void {
    if (hold.state === 'over') return done?.()
    if (done !== undefined) hold.whenOver = records.both(hold.whenOver, done)
    if (hold.state === 'releasing') return
    hold.state = 'releasing'
    hold.handlers = undefined
    for (const seat of hold.seats) this.#giveBack(seat)
  }

  /** Where a move is open the seat is given back when its outcome is known (R6). */
  #giveBack(seat: SeatRecord): void {
    const { hold, seatId, server, token, journey } = seat
    if (journey !== undefined && journey.open.size > 0) return
    this.#seats.delete(seat.seatId)
    this.#unheard.over(seat, this.#time)
    hold.releases++
    const done = (): void => {
      hold.releases--
      this.#settle(hold)
    }
    // A server that counts a move which it has not seen its client renew does not know whose the seat is.
    this.#releasing.seat(server, seatId, token, { by: seat.roams ? 'token' : 'id', done })
  }

  #settle(hold: HoldRecord): void {
    if (hold.state === 'over' || hold.releases > 0) return
    if (hold.seats.some(seat => this.#seats.has(seat.seatId))) return
    hold.state = 'over'
    hold.whenOver?.()
    hold.whenOver = undefined
  }

  renewed(result: Renewed, server: string, batch: number, sent: Sent | undefined): void {
    if (!this.#seats.has(result.seatId)) {
      this.#unheard.giveBack(result, server, sent)
      return
    }
    const seat = this.#current(result.seatId, server, batch)
    if (seat === undefined || sent?.epoch !== this.#time.epoch) return
    const expiresAt = sent.at + result.expiresInMs
    if (expiresAt <= this.#time.now()) return
    const isMove = seat.server !== server
    records.confirm(seat, result, { server, expiresAt, epoch: sent.epoch, batch })
    this.#wait(seat, records.renewAt(seat, this.#time.now(), this.#random))
    const { hold } = seat
    if (hold.state === 'releasing') {
      this.#giveBack(seat)
      return
    }
    if (isMove && hold.seats.every(other => other.server === server) && hold.server !== server) {
      hold.server = server
      hold.handlers?.moved(server)
    }
    if (seat === hold.seats[0]) records.tellRenewed(hold, seat)
  }

  /**
   * The seat, if `server` is asked of it now and `batch` was sent since. A server that was left is not heard any
   * more, nor what it said before it was left when it is asked again: that may be older than a move (R6).
   */
  #current(seatId: string, server: string, batch: number): SeatRecord | undefined {
    const seat = this.#seats.get(seatId)
    return seat?.target === server && batch > seat.sinceBatch ? seat : undefined
  }

  challenged(result: Challenge, server: string, batch: number): void {
    const seat = this.#current(result.seatId, server, batch)
    if (seat === undefined || batch < seat.batch) return
    const journey = startJourney(seat)
    closeMoves(journey, server, result.lastTick)
    seat.askedAt = undefined
    if (seat.hold.state === 'releasing') {
      this.#giveBack(seat)
      return
    }
    const now = this.#time.now()
    seat.roams = true
    journey.nonce = { server, bytes: result.nonce, until: now + result.withinMs }
    journey.lastTick = result.lastTick
    journey.challenges++
    if (journey.challenges % challengesMax === 0) this.#wait(seat, now + retryMs)
    else this.#ask(seat, server)
  }

  pending(seatId: string, server: string, batch: number): void {
    const seat = this.#current(seatId, server, batch)
    if (seat === undefined) return
    seat.askedAt = undefined
    seat.tries = 0
    startJourney(seat)
    this.#wait(seat, this.#time.now() + seatBounds.repeatMs)
  }

  /** True when the id is a seat's. */
  refused(
    id: string,
    server: string,
    batch: number,
    refusal: Refusal & { readonly server?: string },
  ): boolean {
    if (!this.#seats.has(id)) return false
    const seat = this.#current(id, server, batch)
    // An answer to an older message says nothing about the newest one, which is still to be answered.
    if (seat !== undefined && batch >= seat.batch) this.#refuse(seat, server, refusal)
    return true
  }

  refusedBatch(batch: number, server: string, refusal: Refusal): void {
    for (const seat of [...this.#seats.values()]) {
      if (seat.batch === batch && seat.target === server) this.#refuse(seat, server, refusal)
    }
  }

  #refuse(seat: SeatRecord, server: string, refusal: Refusal & { readonly server?: string }): void {
    seat.askedAt = undefined
    const journey = startJourney(seat, refusal)
    journey.open.delete(server)
    if (endings.has(refusal.code)) {
      const there = refusal.server
      if (there === undefined || there === server || journey.redirects >= redirectsMax) {
        this.#lose(seat, refusal)
        return
      }
      this.#redirect(seat, journey, there)
      return
    }
    if (refusal.server === seat.server && mayReturn(seat, journey, server)) {
      this.#redirect(seat, journey, seat.server)
      return
    }
    if (seat.hold.state === 'releasing') this.#giveBack(seat)
    if (!this.#seats.has(seat.seatId)) return
    const now = this.#time.now()
    const pauseMs = Math.max(retryMs, refusal.retryAfterMs ?? 0)
    if (seat.server === server && seat.tries < ownTriesMax) {
      // Its own server may be able to again in a moment; it is the cheapest one to stay with.
      this.#wait(seat, now + Math.min(pauseMs, Math.max(0, (seat.expiresAt - now) / 4)))
      return
    }
    journey.tried.add(server)
    this.#route(seat, pauseMs)
  }

  #redirect(seat: SeatRecord, journey: Journey, there: string): void {
    journey.redirects++
    journey.tried.delete(there)
    this.#servers.welcome(there)
    this.#ask(seat, there)
  }

  /** Sends the seat to the best server it has not tried, or lets it pause where there is none. */
  #route(seat: SeatRecord, pauseMs: number): void {
    const now = this.#time.now()
    const next = this.#journeys.next(seat, now)
    if (next !== undefined) {
      this.#ask(seat, next)
      return
    }
    seat.target = undefined
    this.#wait(seat, now + pauseMs)
    this.#servers.seek(now)
  }

  /** The server is left: its seats go to another one, as soon as one is known. */
  leave(server: string): void {
    for (const seat of [...this.#seats.values()]) {
      if (seat.target !== server) continue
      seat.target = undefined
      seat.askedAt = undefined
      seat.tries = 0
      seat.nextAt = Infinity
      const journey = startJourney(seat)
      if (journey.nonce?.server === server) journey.nonce = undefined
    }
    this.atHome()
  }

  /** The broker said that nobody got this message: no confirmation in it counts. */
  undelivered(batch: number, server: string): void {
    for (const { journey } of this.#seats.values()) dropConfirm(journey, server, batch)
  }

  /** A home was found: seats without a server go there, or where their open move is. */
  atHome(): void {
    if (this.#servers.home === undefined) return
    const now = this.#time.now()
    const returnAt = now + returnMs * (0.5 + this.#random.next())
    for (const seat of [...this.#seats.values()]) {
      if (seat.target !== undefined) continue
      if (seat.hold.state === 'releasing') this.#giveBack(seat)
      if (!this.#seats.has(seat.seatId)) continue
      if (seat.journey?.returns === true) continue
      if (this.#servers.wasDeserted(now) && waitsForOwn(seat, now, this.#time.epoch)) {
        this.#wait(seat, returnAt)
        continue
      }
      // What pauses was refused by all that were known: only another one is news to it.
      const pauses = seat.nextAt !== Infinity && seat.nextAt > now
      if (!pauses || this.#journeys.next(seat, now) !== undefined) this.#route(seat, retryMs)
    }
  }

  /** Renews everything within `withinMs`: the link is back, the server may be gone, the host slept. */
  hurry(withinMs: number, server?: string): void {
    const at = this.#time.now() + this.#random.next() * withinMs
    this.#lookAt = Math.min(this.#lookAt, at)
    for (const seat of this.#seats.values()) {
      if (seat.target === undefined || (server !== undefined && seat.target !== server)) continue
      seat.askedAt = undefined
      seat.nextAt = Math.min(seat.nextAt, at)
    }
  }

  pulse(now: number, connected: boolean): void {
    this.#seats.refresh()
    if (now < this.#lookAt) return
    const due = new Set<string>()
    for (const seat of [...this.#seats.values()]) {
      if (now >= seat.expiresAt) this.#lose(seat, records.expired(seat))
      else if (connected) this.#pulseSeat(seat, now, due)
    }
    if (due.size > 0) this.#renewAll(due, now)
    this.#lookAt = records.dueFirst(this.#seats.values(), now, connected)
  }

  /** All seats of a server in one message, so that they stay together from then on. */
  #renewAll(due: ReadonlySet<string>, now: number): void {
    for (const seat of this.#seats.values()) {
      const pauses = seat.journey !== undefined && seat.nextAt > now
      if (seat.target === undefined || !due.has(seat.target)) continue
      if (seat.askedAt === undefined && !pauses) this.#ask(seat, seat.target)
    }
  }

  #pulseSeat(seat: SeatRecord, now: number, due: Set<string>): void {
    const { target, askedAt, journey } = seat
    if (target === undefined) {
      if (seat.nextAt > now) return
      journey?.tried.clear()
      this.#route(seat, retryMs)
    } else if (askedAt === undefined) {
      if (seat.nextAt > now) return
      // What only this seat waits for is no reason to renew the others.
      if (journey === undefined) due.add(target)
      else this.#ask(seat, target)
    } else if (askedAt + retryMs <= now && this.#servers.isOverdue(target, seat.batch, now)) {
      seat.askedAt = undefined
      if (seat.tries < triesMax) this.#ask(seat, target)
      else {
        startJourney(seat).tried.add(target)
        this.#route(seat, retryMs)
      }
    }
  }

  /** When `pulse` has something to do, or a little earlier. */
  get nextAt(): number {
    return this.#lookAt
  }

  /** The hold is over; what is left of it is given back. */
  #lose(seat: SeatRecord, refusal: Refusal): void {
    const { hold } = seat
    this.#seats.delete(seat.seatId)
    this.#unheard.over(seat, this.#time)
    if (hold.state === 'held') {
      const { handlers } = hold
      hold.state = 'releasing'
      hold.handlers = undefined
      for (const other of hold.seats) if (this.#seats.has(other.seatId)) this.#giveBack(other)
      handlers?.lost(refusal)
    }
    this.#settle(hold)
  }

  #ask(seat: SeatRecord, server: string): void {
    if (seat.target !== server) {
      seat.tries = 0
      seat.sinceBatch = this.#outbox.lastBatch
    }
    seat.target = server
    seat.nextAt = Infinity
    this.#lookAt = Math.min(this.#lookAt, this.#time.now() + retryMs)
    this.#outbox.renew(seat)
  }

  #wait(seat: SeatRecord, until: number): void {
    seat.nextAt = until
    this.#lookAt = Math.min(this.#lookAt, until, seat.expiresAt)
  }
}
