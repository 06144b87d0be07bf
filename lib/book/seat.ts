/**
 * What the seat book holds: seats, and per feature how many of the server's share are in use.
 *
 * Plain data, changed by `book.ts` alone. There may be hundreds of thousands of seats, so a seat keeps few fields and
 * shares what it can with the others of its client.
 */
import type { Slotted } from './heap.ts'

/** Who holds a seat; one object for all seats of a client with the same labels. */
export interface Holder {
  readonly clientId: string
  readonly user: string
  readonly host: string
  /** Seats that refer to it. */
  seats: number
  /** Shared by all of the client's, whatever their labels. */
  readonly client: { seats: number }
}

/**
 * `held`: granted or renewed, its time not over on this server's clock. `expired`: its time is over, but some other
 * server may yet be shown its token (R5). `moved`: it was moved here and its client has not renewed yet (R6).
 * The last two are dark: they count as in use.
 */
export type SeatState = 'held' | 'expired' | 'moved'

/** A class, though it has no methods: see `client/record.ts` for what V8 does with literals. */
export class Seat implements Slotted {
  readonly seatId: string
  readonly stock: Stock
  /** Absent for a moved seat that its client has not renewed here yet. */
  holder: Holder | undefined
  state: SeatState = 'held'
  /** Monotonic time at which its time is over for this server (R4); it never goes back. */
  expiresAt = 0
  /** Last tick at which its newest token proves it; 0: it proves nothing to others. */
  lastTick = 0
  /** Tick until which the ledger remembers its move to here (R6); 0 when it did not come by a move. */
  movedUntil = 0
  /** Tick and monotonic time at which it came into this book. */
  readonly sinceTick: number
  readonly since: number
  /** Learned again from a token of an earlier incarnation (R7). */
  relearned = false
  due = 0
  slot = -1

  constructor(stock: Stock, seatId: string, at: { readonly tick: number; readonly now: number }) {
    this.seatId = seatId
    this.stock = stock
    this.sinceTick = at.tick
    this.since = at.now
  }
}

/**
 * One feature at this server. Invariant I2: `in use <= limit <= share`, where what the rules allow to be found
 * over its limit grants and renews nothing until it is not.
 */
export class Stock {
  readonly feature: string
  /** Allocations of the feature that this server owns, as applied here. */
  share = 0
  /** Allocations promised away: offers, returns and lends under way (R1). */
  promised = 0
  /** Seats in the book, dark ones included. */
  seats = 0
  /** Seats of the incarnation before that have not been learned again yet (R7). */
  unknown = 0
  /** Highest `inUse` since it was last set back by whoever balances shares. */
  peak = 0

  constructor(feature: string) {
    this.feature = feature
  }

  get inUse(): number {
    return this.seats + this.unknown
  }

  /** What may be in use here now; below zero when shares left that were promised already. */
  get limit(): number {
    return this.share - this.promised
  }

  /** How many more may be granted; zero or less for none. */
  get spare(): number {
    return this.limit - this.inUse
  }

  get isOverLimit(): boolean {
    return this.inUse > this.limit
  }
}
