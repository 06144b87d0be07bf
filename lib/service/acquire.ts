/**
 * How a client gets seats: granted at once from the share, or after a wait.
 *
 * The plain path is one look at the stock and one entry in the book; nothing waits for the leader while there is
 * spare. Requests of a feature are served in the order of their arrival, whatever their count. A repeated request
 * is the same request (its id is the seat's id), so it never takes a second allocation.
 */
import type { Client } from '../book/book.ts'
import type { Seat, Stock } from '../book/seat.ts'
import {
  anonymous,
  seatBounds,
  seatIds,
  type AcquireItem,
  type ReleaseItem,
} from '../protocol/seat.ts'
import { seconds } from '../seconds.ts'
import type { Balance } from './balance.ts'
import type { Desk, Grant } from './desk.ts'
import { endingText } from './ending.ts'
import { denyNotServing } from './lease-reason.ts'
import type { Waiter, Waiting } from './waiting.ts'
import type { Reply } from './wire.ts'

/**
 * A request that does not wish to wait is held this long at most: while a borrow for it is under way, or
 * another server may still send its spare.
 */
const briefMs = 1_500
/** A request withdrawn so shortly before its time is over was given up because of it. */
const overMs = 1_000

export class Acquire {
  readonly #desk: Desk
  readonly #waiting: Waiting
  readonly #balance: Balance

  constructor(desk: Desk, waiting: Waiting, balance: Balance) {
    this.#desk = desk
    this.#waiting = waiting
    this.#balance = balance
  }

  request(asked: AcquireItem, clientId: string, reply: Reply | undefined, now: number): void {
    const item = this.#served(asked, clientId)
    const { requestId, feature: name, count, user, host } = item
    const desk = this.#desk
    const feature = desk.feature(name)
    if (feature === undefined) {
      desk.deny(
        item,
        reply,
        'LICD_UNKNOWN_FEATURE',
        desk.ended.sentence(name, desk.host.ledger.state),
      )
      return
    }
    const client: Client = { clientId, user, host }
    if (this.#isHeld(item)) {
      this.#repeat(item, client, reply, now)
      return
    }
    const waiter = this.#waiting.find(requestId)
    if (waiter !== undefined) {
      this.#stay(waiter, clientId, reply, now)
      return
    }
    if (desk.released.has(requestId, clientId, now)) {
      desk.refuse(reply, requestId, 'LICD_SEAT_LOST', 'The request was released already.')
      return
    }
    if (this.#isElsewhere(item)) {
      const detail = 'A seat of this id was moved to another server.'
      desk.refuse(reply, requestId, 'LICD_BAD_REQUEST', detail)
      return
    }
    if (count > feature.allocations) {
      this.#tooMany(item, feature.allocations, reply)
      return
    }
    if (this.#hasEnough(item, clientId, reply)) return
    const grant = desk.state === 'open' ? desk.term(name, now) : undefined
    if (grant === undefined && (desk.state !== 'open' || !desk.isServing(now))) {
      denyNotServing(desk, item, reply, now)
      return
    }
    const stock = desk.book.stock(name)
    const isFirst = this.#waiting.first(name) === undefined
    if (grant !== undefined && isFirst && this.#grantable(stock) >= count) {
      this.#grant(stock, item, client, grant, reply, now)
    } else this.#wait(stock, item, clientId, reply, now)
  }

  /**
   * The request as one of the feature that it gets seats of. Mostly the one it names; where codes of others serve that
   * version too, the first that has spare here: the one named, then the newest. It counts against that feature alone.
   */
  #served(item: AcquireItem, clientId: string): AcquireItem {
    const { host, book } = this.#desk
    const others = host.ledger.serving(item.feature)
    if (others.length === 0) return item
    const of = (feature: string): AcquireItem => ({ ...item, feature })
    for (const seatId of idsOf(item)) {
      const seat = book.find(seatId)
      if (seat !== undefined && others.includes(seat.stock.feature)) return of(seat.stock.feature)
    }
    const owned = [item.feature, ...others].filter(
      name => (this.#desk.feature(name)?.allocations ?? 0) > 0,
    )
    const ready = owned.find(
      name =>
        this.#waiting.first(name) === undefined && this.#grantable(book.stock(name)) >= item.count,
    )
    const waiter = this.#waiting.find(item.requestId)
    if (waiter !== undefined) {
      if (ready === undefined || waiter.clientId !== clientId) return of(waiter.item.feature)
      // It waited for one version, and another that serves it has become free.
      this.#waiting.remove(waiter)
    }
    return of(ready ?? owned[0] ?? item.feature)
  }

  /** Serves who waits for the feature, first come, first served, as far as the spare goes. */
  serve(name: string, now: number): void {
    const desk = this.#desk
    const stock = desk.book.stock(name)
    const allocations = desk.feature(name)?.allocations ?? 0
    for (const waiter of this.#waiting.line(name)) {
      const { item, clientId, reply } = waiter
      if (item.count > allocations) {
        // The pool owns less than when it came: it would be first for as long as it waits, and all others behind it.
        this.#waiting.remove(waiter)
        this.#tooMany(item, allocations, reply)
        continue
      }
      if (this.#hasEnough(item, clientId, reply)) {
        this.#waiting.remove(waiter)
        continue
      }
      if (this.#grantable(stock) < item.count) return
      const grant = desk.state === 'open' ? desk.term(name, now) : undefined
      if (grant === undefined) return
      this.#waiting.remove(waiter)
      const { user, host, requestId } = item
      desk.host.log.debug('request-served', { requestId, feature: name, count: item.count })
      if (this.#isHeld(item)) {
        // A seat of that id was moved here meanwhile: the next repeat of the request is told of it.
        continue
      }
      this.#grant(stock, item, { clientId, user, host }, grant, reply, now)
    }
  }

  /** R9: what is owed is paid first, or it would never be. */
  #grantable(stock: Stock): number {
    return stock.spare - (this.#desk.feature(stock.feature)?.owed ?? 0)
  }

  /** Nothing was found in any source: who did not wish to wait hears so. */
  refuseBrief(name: string): void {
    for (const waiter of this.#waiting.line(name)) {
      if (waiter.isBrief) this.#deny(waiter)
    }
  }

  /** Lets go of requests whose time is over or whose client is gone. */
  sweep(now: number): void {
    for (const waiter of this.#waiting.all()) {
      const gone = !waiter.isBrief && now - waiter.seenAt > seatBounds.waitingForgetMs
      if (gone) this.#waiting.remove(waiter)
      else if (now < waiter.deadline) continue
      else if (waiter.isBrief) this.#deny(waiter)
      else {
        this.#waiting.remove(waiter)
        this.#desk.refuse(waiter.reply, waiter.item.requestId, 'LICD_TIMEOUT')
        this.#noteWaited(waiter, 'LICD_TIMEOUT')
      }
      this.#desk.touch(waiter.item.feature)
    }
    this.#waiting.number()
  }

  /** This server serves nobody any more: the clients go elsewhere at once. */
  refuseAll(detail: string): void {
    for (const waiter of this.#waiting.all()) {
      this.#waiting.remove(waiter)
      this.#desk.refuse(waiter.reply, waiter.item.requestId, 'LICD_NOT_SERVING', detail)
    }
  }

  /** A seat is given back; or, under the id of a request, the request that waits or all that it was granted. */
  release(item: ReleaseItem, clientId: string, reply: Reply | undefined, now: number): void {
    const { seatId, token } = item
    const desk = this.#desk
    if (token.byteLength === 0) this.#withdraw(seatId, clientId, now)
    else {
      const seat = desk.book.find(seatId)
      // The holder's id is as good as the token: nobody else knows it. Else the MAC decides, which costs more.
      if (seat !== undefined && isHolder(seat, clientId)) this.#free(seat)
      else {
        const proof = desk.host.keys.read(token)
        if (proof === undefined || proof.seatId !== seatId) {
          desk.refuse(reply, seatId, 'LICD_BAD_TOKEN')
          return
        }
        const isOfIt = seat?.stock.feature === proof.feature
        if (isOfIt && desk.isProvenBy(seat, proof, clientId)) this.#free(seat)
      }
    }
    desk.released.add(seatId, clientId, now)
    desk.answer(reply, { kind: 'released', seatId })
  }

  /** Without a token only what this client asked for under its own id: it may not have heard of its seats yet. */
  #withdraw(requestId: string, clientId: string, now: number): void {
    const { book, released } = this.#desk
    const waiter = this.#waiting.find(requestId)
    if (waiter?.clientId === clientId) {
      this.#waiting.remove(waiter)
      // The client's time is over a moment before the server's.
      const isOver = now > waiter.deadline - overMs
      this.#noteWaited(waiter, isOver ? 'LICD_TIMEOUT' : 'LICD_ABORTED')
      this.#desk.touch(waiter.item.feature)
    }
    const single = book.find(requestId)
    if (single !== undefined && isHolder(single, clientId)) {
      this.#free(single)
      // A request has one seat of its own name or several of longer ones.
      return
    }
    for (let n = 0; n < seatBounds.countMax; n++) {
      const seat = book.find(`${requestId}/${n}`)
      // A request's seats are one client's. Another's are not looked through: a thousand a time, for an item of 20 bytes.
      if (seat === undefined || !isHolder(seat, clientId)) break
      this.#free(seat)
      released.add(seat.seatId, clientId, now)
    }
  }

  #free(seat: Seat): void {
    const { feature } = seat.stock
    this.#desk.book.release(seat)
    if (this.#balance.isAwaited(feature)) this.#desk.touch(feature)
  }

  /** True when this server's book has a seat of the request. */
  #isHeld(item: AcquireItem): boolean {
    const { book } = this.#desk
    if (item.count === 1) return book.find(item.requestId) !== undefined
    return idsOf(item).some(seatId => book.find(seatId) !== undefined)
  }

  /** A seat of that id was here, or not, and is elsewhere now: its older tokens must not be those of a new seat here. */
  #isElsewhere(item: AcquireItem): boolean {
    const { server, ledger } = this.#desk.host
    const { moves } = ledger.state
    if (moves.size === 0) return false
    return idsOf(item).some(seatId => (moves.get(seatId)?.to ?? server) !== server)
  }

  #grant(
    stock: Stock,
    item: AcquireItem,
    client: Client,
    grant: Grant,
    reply: Reply | undefined,
    now: number,
  ): void {
    const { book } = this.#desk
    if (item.count === 1) book.grant(stock, item.requestId, client, grant, now)
    else for (const seatId of idsOf(item)) book.grant(stock, seatId, client, grant, now)
    this.#desk.usage.granted(stock.feature, item.count)
    this.#confirm(item, grant, reply)
    // Claims 2, 3, 17: in use / share is compared at every grant.
    if (this.#balance.isShort(stock)) this.#desk.touch(stock.feature)
  }

  #confirm(item: AcquireItem, grant: Grant, reply: Reply | undefined): void {
    const { requestId, feature, count } = item
    const granted = (seatId: string) => ({
      seatId,
      token: this.#desk.token(seatId, feature, grant),
    })
    const seats = count === 1 ? [granted(requestId)] : idsOf(item).map(granted)
    const { ms: expiresInMs, end } = grant
    if (end === undefined) {
      this.#desk.answer(reply, { kind: 'granted', requestId, expiresInMs, seats })
    } else this.#desk.answer(reply, { kind: 'granted', requestId, expiresInMs, seats, ends: end })
  }

  /** The answer was lost or is under way: the same seats, with new tokens. */
  #repeat(item: AcquireItem, client: Client, reply: Reply | undefined, now: number): void {
    const desk = this.#desk
    const { requestId, feature } = item
    const seats = idsOf(item).map(seatId => desk.book.find(seatId))
    for (const seat of seats) {
      if (seat?.stock.feature === feature && seat.holder?.clientId === client.clientId) continue
      desk.refuse(reply, requestId, 'LICD_BAD_REQUEST', 'The request id is in use already.')
      return
    }
    const grant = desk.term(feature, now, 'renewal')
    if (!desk.isServing(now)) denyNotServing(desk, item, reply, now)
    else if (grant === undefined || desk.book.stock(feature).isOverLimit)
      desk.deny(item, reply, 'LICD_OVER_LIMIT')
    else {
      for (const seat of seats) if (seat !== undefined) desk.book.renew(seat, client, grant, 'any')
      this.#confirm(item, grant, reply)
    }
  }

  /** Refuses who holds as many as one client may: it waits for what it has itself. */
  #hasEnough(item: AcquireItem, clientId: string, reply: Reply | undefined): boolean {
    const own = this.#desk.book.seatsOf(clientId)
    if (own + item.count <= seatBounds.clientSeats) return false
    const detail = `It holds ${own} seats here, and one client may hold ${seatBounds.clientSeats}.`
    this.#desk.deny(item, reply, 'LICD_TOO_MANY_SEATS', detail)
    return true
  }

  #tooMany(item: AcquireItem, allocations: number, reply: Reply | undefined): void {
    const { feature, count } = item
    if (allocations === 0) {
      const none = `The pool owns no allocation of ${feature} now.`
      const ended = this.#desk.ended.sentence(feature, this.#desk.host.ledger.state)
      this.#desk.deny(item, reply, 'LICD_NO_SEAT', ended === undefined ? none : `${ended} ${none}`)
      return
    }
    const detail = `${count} seats of ${feature} are asked for and the pool owns ${allocations}.`
    this.#desk.deny(item, reply, 'LICD_BAD_COUNT', detail)
  }

  #wait(
    stock: Stock,
    item: AcquireItem,
    clientId: string,
    reply: Reply | undefined,
    now: number,
  ): void {
    const desk = this.#desk
    const { requestId, feature, waitMs } = item
    const isBrief = waitMs === 0
    if (isBrief && !this.#balance.mayCome(stock, item.count, now)) {
      const code = stock.isOverLimit ? 'LICD_OVER_LIMIT' : 'LICD_NO_SEAT'
      desk.deny(item, reply, code)
      return
    }
    const full = this.#waiting.refusal(clientId)
    if (full !== undefined) {
      desk.deny(item, reply, 'LICD_TOO_MANY_WAITING', full)
      return
    }
    const deadline = now + (isBrief ? briefMs : waitMs)
    const waiter = this.#waiting.add({ item, clientId, deadline, isBrief, seenAt: now, reply })
    desk.host.log.debug('request-waits', { requestId, feature, count: item.count })
    if (!isBrief) {
      desk.answer(reply, { kind: 'waiting', requestId, position: waiter.position })
    }
    desk.touch(feature)
  }

  #stay(waiter: Waiter, clientId: string, reply: Reply | undefined, now: number): void {
    const { requestId } = waiter.item
    if (waiter.clientId !== clientId) {
      this.#desk.refuse(reply, requestId, 'LICD_BAD_REQUEST', 'The request id is in use already.')
      return
    }
    waiter.seenAt = now
    waiter.reply = reply
    if (waiter.isBrief) return
    this.#desk.answer(reply, { kind: 'waiting', requestId, position: waiter.position })
  }

  #deny(waiter: Waiter): void {
    const { feature } = waiter.item
    const end = this.#desk.endNow(feature, this.#desk.now)
    const detail = end === undefined ? '' : `${endingText(end, feature)} Till then none is granted.`
    this.#waiting.remove(waiter)
    this.#desk.deny(waiter.item, waiter.reply, 'LICD_NO_SEAT', detail)
  }

  /** It waited and got nothing; one that did not wish to is remembered where it is refused. */
  #noteWaited({ item, isBrief, position }: Waiter, code: 'LICD_TIMEOUT' | 'LICD_ABORTED'): void {
    if (!isBrief)
      this.#desk.note(item, code, `It waited ${seconds(item.waitMs)} at most.`, position)
  }
}

function isHolder({ holder }: Seat, clientId: string): boolean {
  return holder?.clientId === clientId && clientId !== anonymous
}

function idsOf({ requestId, count }: AcquireItem): string[] {
  return seatIds(requestId, count)
}
