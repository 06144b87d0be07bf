/**
 * Whoever watches a simulated pool from within: what the ledgers apply, what the books do, what clients are told.
 *
 * The product knows nothing of it. Its classes' methods are wrapped here once, when this module is loaded; while nobody
 * observes, they do what they did.
 */
import { SeatBook } from '../../lib/book/book.ts'
import type { Seat, Stock } from '../../lib/book/seat.ts'
import type { Command } from '../../lib/ledger/command.ts'
import { Ledger, type Applied } from '../../lib/ledger/ledger.ts'
import type { SeatResult } from '../../lib/protocol/seat.ts'
import { Desk, type Grant } from '../../lib/service/desk.ts'
import { Failover, type Confirmed } from '../../lib/service/failover.ts'

export interface PoolObserver {
  /** Called before a command is applied; what it answers is called after. */
  applying(ledger: Ledger, command: Command, index: number): (applied: Applied) => void
  /** A seat was granted, renewed or relearned in some book: then nothing may be over its limit. */
  booked(stock: Stock, how: 'grant' | 'renew' | 'relearn'): void
  released(seat: Seat, wasRelearned: boolean): void
  /** A seat whose time was over, and that was not free yet, was renewed. */
  renewedDark(seat: Seat): void
  /** A share was adopted. */
  adopted(stock: Stock): void
  /** A limit was lowered for something that is to be given away (R1). */
  promised(id: string, stock: Stock, count: number): void
  movedAway(stock: Stock, found: 'seat' | 'unknown' | 'none'): void
  /** `server` answers a client, whose replies go to `subject`. */
  answered(server: string, result: SeatResult, subject: string | undefined): void
  /** A client has answered a challenge. */
  confirmed(confirmed: Confirmed): void
  /** What the server that was asked for a seat says; `undefined`: nobody is there. */
  asked(answer: Uint8Array | undefined): void
  /** A token was made. */
  signed(grant: Grant): void
}

let observer: PoolObserver | undefined

/** From now on this one, and no other. */
export function observe(next: PoolObserver | undefined): void {
  observer = next
}

/** Puts something around a method of all objects of a class. */
function around<Of extends object, Name extends keyof Of>(
  prototype: Of,
  name: Name,
  make: (method: Of[Name]) => Of[Name],
): void {
  prototype[name] = make(prototype[name])
}

around(
  Ledger.prototype,
  'apply',
  apply =>
    function (this: Ledger, command, index) {
      const done = observer?.applying(this, command, index)
      const applied = apply.call(this, command, index)
      done?.(applied)
      return applied
    },
)
around(
  SeatBook.prototype,
  'grant',
  grant =>
    function (this: SeatBook, stock, ...rest) {
      const seat = grant.call(this, stock, ...rest)
      observer?.booked(stock, 'grant')
      return seat
    },
)
around(
  SeatBook.prototype,
  'renew',
  renew =>
    function (this: SeatBook, seat, ...rest) {
      if (seat.state === 'expired') observer?.renewedDark(seat)
      renew.call(this, seat, ...rest)
      observer?.booked(seat.stock, 'renew')
    },
)
around(
  SeatBook.prototype,
  'relearn',
  relearn =>
    function (this: SeatBook, stock, ...rest) {
      const seat = relearn.call(this, stock, ...rest)
      observer?.booked(stock, 'relearn')
      return seat
    },
)
around(
  SeatBook.prototype,
  'release',
  release =>
    function (this: SeatBook, seat) {
      const wasRelearned = seat.relearned && this.isRelearning
      release.call(this, seat)
      observer?.released(seat, wasRelearned)
    },
)
around(
  SeatBook.prototype,
  'adopt',
  adopt =>
    function (this: SeatBook, feature, share) {
      adopt.call(this, feature, share)
      if (share > 0) observer?.adopted(this.stock(feature))
    },
)
around(
  SeatBook.prototype,
  'promise',
  promise =>
    function (this: SeatBook, id, stock, count) {
      promise.call(this, id, stock, count)
      observer?.promised(id, stock, count)
    },
)
around(
  SeatBook.prototype,
  'moveAway',
  moveAway =>
    function (this: SeatBook, seatId, feature) {
      const found = moveAway.call(this, seatId, feature)
      observer?.movedAway(this.stock(feature), found)
      return found
    },
)
around(
  Desk.prototype,
  'answer',
  answer =>
    function (this: Desk, reply, result) {
      observer?.answered(this.host.server, result, reply?.subject)
      answer.call(this, reply, result)
    },
)
around(
  Desk.prototype,
  'token',
  token =>
    function (this: Desk, seatId, feature, grant) {
      observer?.signed(grant)
      return token.call(this, seatId, feature, grant)
    },
)
around(
  Failover.prototype,
  'begin',
  begin =>
    function (this: Failover, confirmed) {
      observer?.confirmed(confirmed)
      begin.call(this, confirmed)
    },
)
around(
  Failover.prototype,
  'heard',
  heard =>
    function (this: Failover, question, message) {
      observer?.asked(message.noResponders ? undefined : message.data)
      heard.call(this, question, message)
    },
)
