/**
 * The seat book: one server's own record of the seats it granted. It lives in memory and is not replicated.
 *
 * It decides what may be granted now, and nothing else does: whoever grants from it grants no allocation twice
 * (I2). It is a pure part: time comes as `now` (the server's monotonic clock, milliseconds) and `tick` (the pool
 * clock as applied here), both never backwards; it reads no clock and performs no I/O.
 *
 * Invariant I2, per feature: a grant or promise leaves `in use <= limit <= share as applied`.
 */
import assert from 'node:assert/strict'
import { FreshMap } from '../fresh-map.ts'
import { DueHeap } from './heap.ts'
import { Seat, Stock, type Holder } from './seat.ts'

/** Who asks for a seat. */
export interface Client {
  readonly clientId: string
  readonly user: string
  readonly host: string
}

/** What a grant or renewal promised: R4's expiry by this server's clock, and the token's last tick. */
export interface Term {
  readonly expiresAt: number
  readonly lastTick: number
}

/**
 * How long the server counts a seat beyond what the client was told: twice the margin of two clocks that are each
 * true within 1 % (R4). So the client's time is over first, whichever clock is fast.
 */
export const expiryFactor = 1.04

export class SeatBook {
  readonly #stocks = new Map<string, Stock>()
  readonly #seats = new FreshMap<string, Seat>()
  readonly #holders = new Map<string, Holder>()
  /** Mostly the next seat is of the same holder. One without seats is forgotten. */
  #lastHolder: Holder | undefined
  /** By client id: how many seats it holds. */
  readonly #clients = new Map<string, { seats: number }>()
  /** Held seats, by when they may have expired: an entry may be early, for renewals do not reorder. */
  readonly #byClock = new DueHeap<Seat>()
  /** Dark seats, by the last tick at which they count. */
  readonly #byTick = new DueHeap<Seat>()
  /** Promise id -> what was promised away. */
  readonly #promises = new Map<string, { readonly stock: Stock; readonly count: number }>()
  /** Seats that came by a move and were released while the ledger remembers it: not counted again (R6). */
  readonly #spentMoves = new Map<string, number>()
  #tick = 0
  #relearnUntil = 0

  get tick(): number {
    return this.#tick
  }

  get size(): number {
    return this.#seats.size
  }

  /** True until the seats of the incarnation before are known or over (R7). */
  get isRelearning(): boolean {
    return this.#relearnUntil > 0
  }

  get relearnUntil(): number {
    return this.#relearnUntil
  }

  /** The stock of a feature, made when there is none. The caller has seen that the feature exists. */
  stock(feature: string): Stock {
    let stock = this.#stocks.get(feature)
    if (stock === undefined) this.#stocks.set(feature, (stock = new Stock(feature)))
    return stock
  }

  /** Stocks in the order of their features. */
  stocks(): Stock[] {
    return [...this.#stocks.values()].sort((a, b) => (a.feature < b.feature ? -1 : 1))
  }

  /** In use of a feature here; 0 for one that this book knows nothing of. */
  inUse(feature: string): number {
    return this.#stocks.get(feature)?.inUse ?? 0
  }

  /** Seats that the client holds here; those that fell silent stay its own until they are over. */
  seatsOf(clientId: string): number {
    return this.#clients.get(clientId)?.seats ?? 0
  }

  find(seatId: string): Seat | undefined {
    return this.#seats.get(seatId)
  }

  seats(): IterableIterator<Seat> {
    return this.#seats.values()
  }

  /** Dark seats in no order; each counts as in use until the tick after its `due`. Seldom many, unlike all seats. */
  darkSeats(): Iterable<Readonly<Seat>> {
    return this.#byTick.items()
  }

  spentMoves(): IterableIterator<[string, number]> {
    return this.#spentMoves.entries()
  }

  /** The share as applied; what is in use may be found over it (R4: then nothing is granted or renewed). */
  adopt(feature: string, share: number): void {
    assert(share >= 0)
    // A feature that is gone and unused takes no memory.
    if (share === 0 && !this.#stocks.has(feature)) return
    this.stock(feature).share = share
  }

  /** R1: lowers the limit by `count` spare allocations until `settle`. */
  promise(id: string, stock: Stock, count: number): void {
    assert(!this.#promises.has(id), 'A promise is made once')
    assert(count > 0 && count <= stock.spare, 'I2: only spare is promised')
    this.#promises.set(id, { stock, count })
    stock.promised += count
  }

  /** The promise was kept, refused, or can no longer be. The share as applied must have been adopted. */
  settle(id: string): Stock | undefined {
    const promise = this.#promises.get(id)
    if (promise === undefined) return undefined
    this.#promises.delete(id)
    promise.stock.promised -= promise.count
    assert(promise.stock.promised >= 0)
    return promise.stock
  }

  /** One allocation of the spare for a seat that this book does not hold. */
  grant(stock: Stock, seatId: string, client: Client, term: Term, now: number): Seat {
    assert(stock.spare >= 1, 'I2: in use <= limit')
    return this.#enter(stock, seatId, client, term, now)
  }

  /** R7: a seat of an earlier incarnation, proven by its token: one of those counted as unknown. */
  relearn(stock: Stock, seatId: string, client: Client, term: Term, now: number): Seat {
    assert(this.isRelearning && stock.unknown > 0)
    stock.unknown--
    const seat = this.#enter(stock, seatId, client, term, now)
    seat.relearned = true
    return seat
  }

  /**
   * Any seat of this book, dark or not, held (again) by its client. Its expiry never goes back, nor does the last
   * tick, since the client may hold any token made so far, the newest having been lost on its way. Only a client that
   * `shows` a token made after all that prove something to others has left those behind (R5).
   */
  renew(seat: Seat, client: Client, term: Term, shows: 'newest' | 'any'): void {
    assert.equal(this.#seats.get(seat.seatId), seat)
    assert(!seat.stock.isOverLimit, 'R4: nothing is renewed over the limit')
    if (seat.state !== 'held') {
      this.#byTick.remove(seat)
      seat.state = 'held'
      this.#byClock.push(seat, term.expiresAt)
    }
    const { holder } = seat
    if (holder?.clientId !== client.clientId || holder.user !== client.user) {
      this.#hold(seat, client)
    }
    seat.expiresAt = Math.max(seat.expiresAt, term.expiresAt)
    const last = shows === 'newest' ? 0 : seat.lastTick
    seat.lastTick = Math.max(last, term.lastTick)
  }

  /** The client gave it back: grantable at once, or, when it was learned again, once that is done (R5). */
  release(seat: Seat): void {
    if (seat.movedUntil > this.#tick) this.#spentMoves.set(seat.seatId, seat.movedUntil)
    this.#drop(seat)
    if (seat.relearned && this.isRelearning) seat.stock.unknown++
  }

  /** R6: a seat was moved here with its allocation; the share as applied includes it. */
  moveIn(move: {
    readonly seatId: string
    readonly feature: string
    readonly until: number
  }): void {
    const { seatId, feature, until } = move
    const seat = this.#seats.get(seatId)
    if (seat === undefined || seat.stock.feature !== feature) {
      // Of another feature: ids are the clients' choice. Counting both is the safe case, but one id is one seat.
      if (seat !== undefined || until <= this.#tick) return
      this.#spentMoves.delete(seatId)
      this.#enterMoved(this.stock(feature), seatId, until)
      return
    }
    seat.movedUntil = Math.max(seat.movedUntil, until)
    if (seat.state !== 'held') this.#byTick.reorder(seat, Math.max(seat.due, until - 1))
  }

  /** Counts a move that names this server unless it is counted or its seat was released (R6: started anew, or a snapshot). */
  recall(move: {
    readonly seatId: string
    readonly feature: string
    readonly until: number
  }): void {
    const spent = this.#spentMoves.get(move.seatId)
    if (spent !== undefined && spent >= move.until) return
    this.moveIn(move)
  }

  /**
   * R6: a seat was moved away with its allocation, and is in use here no more. `none`: this book does not know it,
   * so what is in use may stand over the limit now.
   */
  moveAway(seatId: string, feature: string): 'seat' | 'unknown' | 'none' {
    this.#spentMoves.delete(seatId)
    const seat = this.#seats.get(seatId)
    if (seat !== undefined && seat.stock.feature === feature) {
      this.#drop(seat)
      return 'seat'
    }
    const stock = this.stock(feature)
    if (stock.unknown === 0) return 'none'
    stock.unknown--
    return 'unknown'
  }

  /** R7: all of the share that the book does not account for counts as in use until tick `until`. */
  startRelearning(until: number): void {
    if (until <= this.#tick) return
    this.#relearnUntil = until
    for (const stock of this.#stocks.values())
      stock.unknown = Math.max(0, stock.share - stock.seats)
  }

  /** R7: goes on relearning where the incarnation before stopped. */
  resumeRelearning(until: number, unknown: Iterable<readonly [string, number]>): void {
    if (until <= this.#tick) return
    this.#relearnUntil = until
    for (const [feature, count] of unknown) this.stock(feature).unknown = count
  }

  /** R5: lets go of what may be granted again now. */
  advance(now: number, tick: number): void {
    assert(tick >= this.#tick, 'The pool clock does not go back')
    this.#seats.refresh()
    if (tick > this.#tick) {
      this.#tick = tick
      for (const [seatId, until] of this.#spentMoves) {
        if (until <= tick) this.#spentMoves.delete(seatId)
      }
      if (this.#relearnUntil > 0 && tick >= this.#relearnUntil) {
        this.#relearnUntil = 0
        for (const stock of this.#stocks.values()) stock.unknown = 0
      }
    }
    let seat = this.#byClock.peek()
    while (seat !== undefined && seat.due <= now) {
      if (seat.expiresAt > now) this.#byClock.reorder(seat, seat.expiresAt)
      else this.#expire(seat)
      seat = this.#byClock.peek()
    }
    seat = this.#byTick.peek()
    while (seat !== undefined && seat.due < tick) {
      // R7: the incarnation before may have renewed it since the move, with a token that this book does not know.
      if (seat.state === 'moved' && this.isRelearning) seat.stock.unknown++
      this.#drop(seat)
      seat = this.#byTick.peek()
    }
  }

  /** R7: puts a seat back as the incarnation before handed it over. */
  restore(
    row: Pick<Seat, 'seatId' | 'expiresAt' | 'lastTick' | 'movedUntil' | 'relearned' | 'since'> & {
      readonly feature: string
      readonly client: Client | undefined
    },
  ): void {
    const { seatId, feature, client, movedUntil, since } = row
    if (this.#seats.has(seatId)) return
    if (client === undefined) {
      this.moveIn({ seatId, feature, until: movedUntil })
      return
    }
    const seat = this.#enter(this.stock(feature), seatId, client, row, since)
    seat.movedUntil = movedUntil
    seat.relearned = row.relearned
  }

  /** R7: a move whose seat the incarnation before saw released. */
  restoreSpentMove(seatId: string, until: number): void {
    if (until > this.#tick) this.#spentMoves.set(seatId, until)
  }

  #enter(stock: Stock, seatId: string, client: Client, term: Term, now: number): Seat {
    assert(!this.#seats.has(seatId), 'A seat is exactly one allocation')
    const seat = this.#newSeat(stock, seatId, now)
    seat.expiresAt = term.expiresAt
    seat.lastTick = term.lastTick
    this.#hold(seat, client)
    this.#byClock.push(seat, term.expiresAt)
    return seat
  }

  #enterMoved(stock: Stock, seatId: string, until: number): void {
    const seat = this.#newSeat(stock, seatId, 0)
    seat.state = 'moved'
    seat.movedUntil = until
    this.#byTick.push(seat, until - 1)
  }

  #newSeat(stock: Stock, seatId: string, since: number): Seat {
    const seat = new Seat(stock, seatId, { tick: this.#tick, now: since })
    this.#seats.set(seatId, seat)
    stock.seats++
    if (stock.inUse > stock.peak) stock.peak = stock.inUse
    return seat
  }

  #expire(seat: Seat): void {
    // `lastTick` 0 was given by a server that no tick reached for so long that the clock alone decides (R5).
    const last = Math.max(seat.lastTick, seat.movedUntil - 1)
    this.#byClock.remove(seat)
    if (last <= 0 || this.#tick > last) {
      this.#drop(seat)
      return
    }
    seat.state = 'expired'
    this.#byTick.push(seat, last)
  }

  #drop(seat: Seat): void {
    if (seat.state === 'held') this.#byClock.remove(seat)
    else this.#byTick.remove(seat)
    this.#seats.delete(seat.seatId)
    seat.stock.seats--
    assert(seat.stock.seats >= 0)
    this.#letGo(seat)
  }

  #hold(seat: Seat, { clientId, user, host }: Client): void {
    this.#letGo(seat)
    const last = this.#lastHolder
    const isSame =
      last?.clientId === clientId && last.user === user && last.host === host && last.seats > 0
    const holder = isSame ? last : this.#holderOf(clientId, user, host)
    this.#lastHolder = holder
    holder.seats++
    holder.client.seats++
    seat.holder = holder
  }

  #holderOf(clientId: string, user: string, host: string): Holder {
    const key = `${clientId}\n${user}\n${host}`
    let holder = this.#holders.get(key)
    if (holder === undefined) {
      let of = this.#clients.get(clientId)
      if (of === undefined) this.#clients.set(clientId, (of = { seats: 0 }))
      holder = { clientId, user, host, seats: 0, client: of }
      this.#holders.set(key, holder)
    }
    return holder
  }

  #letGo(seat: Seat): void {
    const { holder } = seat
    if (holder === undefined) return
    seat.holder = undefined
    if (--holder.client.seats === 0) this.#clients.delete(holder.clientId)
    if (--holder.seats > 0) return
    this.#holders.delete(`${holder.clientId}\n${holder.user}\n${holder.host}`)
  }
}
