/**
 * How a client keeps its seats: by renewing them, at the server that granted them or at any other (R6, R7).
 *
 * A seat of this book is confirmed on the spot. Any other is proven by its token, and nothing is done for it
 * until the client has answered a challenge: a repeated old message alone moves nothing. Every refusal other than
 * LICD_SEAT_LOST and LICD_BAD_TOKEN leaves the seat valid where it is.
 */
import type { SeatProof } from '../ledger/command.ts'
import type { Seat } from '../book/seat.ts'
import { bounds } from '../ledger/command.ts'
import type { RenewItem } from '../protocol/seat.ts'
import type { Desk } from './desk.ts'
import type { Failover } from './failover.ts'
import { endingText } from './ending.ts'
import { denyNotServing } from './lease-reason.ts'
import type { Reply } from './wire.ts'

/** Ticks that a challenge may be answered in, and a move applied. */
const challengeTicks = 10
/**
 * So long after its `hello` a server's seats are sent back to it rather than moved, and a server that said `hello`
 * itself moves nobody: a pool that starts as a whole would otherwise move most of its seats, an entry each.
 */
const returnTicks = 3
const startTicks = 2
/** Of the time that a seat has, these pauses take at most this part. */
const pausePart = 1 / 8
const aheadDetail = 'The token is ahead of this server.'

export class Renew {
  readonly #desk: Desk
  readonly #failover: Failover

  constructor(desk: Desk, failover: Failover) {
    this.#desk = desk
    this.#failover = failover
  }

  request(asked: RenewItem, clientId: string, reply: Reply | undefined, now: number): void {
    const desk = this.#desk
    const { seatId, token } = asked
    const proof = desk.host.keys.read(token)
    if (proof === undefined || proof.seatId !== seatId || !isVersionOf(proof, asked)) {
      desk.deny(asked, reply, 'LICD_BAD_TOKEN')
      return
    }
    // The client knows the version that it asked for, the token the one that it has a seat of.
    const { feature } = proof
    const item = feature === asked.feature ? asked : { ...asked, feature }
    const seat = desk.book.find(seatId)
    if (seat !== undefined && seat.stock.feature === feature) {
      this.#confirm(seat, item, proof, clientId, reply, now)
    } else this.#foreign(item, proof, clientId, reply, now)
  }

  #confirm(
    seat: Seat,
    item: RenewItem,
    proof: SeatProof,
    clientId: string,
    reply: Reply | undefined,
    now: number,
  ): void {
    const desk = this.#desk
    const { seatId, feature, token, user, host } = item
    if (!desk.isProvenBy(seat, proof, clientId)) {
      const isOnItsWay = this.#failover.repeat(seatId, token, reply)
      const detail = 'Another client has a seat of this id here.'
      if (!isOnItsWay) desk.deny(item, reply, 'LICD_NOT_PROVEN', detail)
      return
    }
    const age = this.#ageOf(proof)
    if (age === 'unsure') return
    if (age === 'ahead') {
      desk.deny(item, reply, 'LICD_NOT_PROVEN', aheadDetail)
      return
    }
    const grant = desk.term(feature, now, 'renewal')
    if ((grant === undefined || seat.stock.isOverLimit) && this.#isNews(seat, proof)) return
    if (!desk.isServing(now)) denyNotServing(desk, item, reply, now)
    else if (grant === undefined || seat.stock.isOverLimit) {
      // Found over its limit, it borrows; or a code of it is just ending. The client may ask again in a moment.
      const retryAfterMs = desk.host.ledger.state.settings.tickMs
      const end = seat.stock.isOverLimit ? undefined : desk.endNow(feature, now)
      if (end?.inMs !== 0) desk.deny(item, reply, 'LICD_OVER_LIMIT', '', { retryAfterMs })
      else desk.deny(item, reply, 'LICD_CODE_EXPIRED', endingText(end, feature), { retryAfterMs })
      desk.touch(feature)
    } else {
      const shows = this.#isNewest(seat, proof) ? 'newest' : 'any'
      desk.book.renew(seat, { clientId, user, host }, grant, shows)
      desk.confirm(reply, seatId, feature, grant)
    }
  }

  /**
   * R6, R11: whether this server has applied all that led to the token. If not, the seat that stands in its book may have
   * been moved to where the token was made. Of the present tick only a part is known: then nothing is answered, for
   * what is refused here was not moved here either.
   */
  #ageOf({ seatId, server, seatTick }: SeatProof): 'known' | 'ahead' | 'unsure' {
    const { host } = this.#desk
    const { tick, moves } = host.ledger.state
    if (server === host.server || seatTick < tick) return 'known'
    if (seatTick > tick) return 'ahead'
    // The very token that brought it here, or one like it.
    const move = moves.get(seatId)
    return move?.to === host.server && move.from === server ? 'known' : 'unsure'
  }

  /**
   * R6: the seat moved here and its client does not know yet. A refusal would send it back to where it came from, to
   * a server that may not know either; unanswered it asks anywhere but there.
   */
  #isNews({ movedUntil }: Seat, { server }: SeatProof): boolean {
    const { host } = this.#desk
    return movedUntil > host.ledger.state.tick && server !== host.server
  }

  /** R5: the client shows a token that proves nothing to others, made later than all that do. */
  #isNewest(seat: Seat, { lastTick, seatTick, server, incarnation }: SeatProof): boolean {
    const { host } = this.#desk
    if (lastTick > 0 || server !== host.server || incarnation !== host.incarnation) return false
    return seatTick + host.ledger.state.settings.seatTicks >= seat.lastTick
  }

  /** A seat that this book does not hold. */
  #foreign(
    item: RenewItem,
    proof: SeatProof,
    clientId: string,
    reply: Reply | undefined,
    now: number,
  ): void {
    const desk = this.#desk
    const { host } = desk
    const { seatId, feature, token, failover } = item
    const { state } = host.ledger
    // R6: while its move is under way, "pending" is the only answer: any other says that it did not move.
    if (this.#failover.repeat(seatId, token, reply)) return
    if (desk.feature(feature) === undefined) {
      desk.deny(item, reply, 'LICD_UNKNOWN_FEATURE', desk.ended.sentence(feature, state))
      return
    }
    const movedTo = state.moves.get(seatId)?.to
    const elsewhere = movedTo === host.server ? undefined : movedTo
    if (proof.server === host.server && !(failover && elsewhere !== undefined)) {
      const isOver = proof.incarnation === host.incarnation || !desk.book.isRelearning
      if (isOver || elsewhere !== undefined) {
        this.#lost(item, elsewhere, reply)
        return
      }
    }
    if (desk.released.has(seatId, clientId, now)) this.#lost(item, undefined, reply)
    else if (proof.seatTick > state.tick) {
      desk.deny(item, reply, 'LICD_NOT_PROVEN', aheadDetail)
    } else if (desk.state !== 'open' || !desk.isServing(now)) {
      denyNotServing(desk, item, reply, now)
    } else if (desk.book.stock(feature).isOverLimit) {
      desk.deny(item, reply, 'LICD_OVER_LIMIT')
      desk.touch(feature)
    } else if (!desk.seesTicks(now)) {
      desk.deny(item, reply, 'LICD_NO_MOVE_NOW')
    } else if (movedTo === undefined && this.#isBack(proof)) {
      const detail = 'The server that granted it serves again.'
      desk.refuse(reply, seatId, 'LICD_NO_MOVE_NOW', detail, { server: proof.server })
    } else if (movedTo === undefined && this.#isAwaited(proof)) {
      const { tickMs } = state.settings
      const detail = 'The server that granted it may be starting, as this one is.'
      desk.refuse(reply, seatId, 'LICD_NO_MOVE_NOW', detail, { retryAfterMs: tickMs })
    } else this.#challenge(item, proof, clientId, reply)
  }

  /** R7: the server of the seat said `hello` a moment ago, after it granted it, and was not down meanwhile. */
  #isBack({ server, incarnation }: SeatProof): boolean {
    const record = this.#desk.host.ledger.state.servers.get(server)
    if (record === undefined || server === this.#desk.host.server) return false
    const knowsIt = record.incarnation > incarnation && record.endedIncarnation < incarnation
    return knowsIt && record.role !== 'removed' && this.#isWithin(returnTicks, record.helloTick)
  }

  /** The pool may be starting as a whole: this server said `hello` a moment ago, that of the seat not yet. */
  #isAwaited({ server, incarnation }: SeatProof): boolean {
    const { host } = this.#desk
    const { servers, tick } = host.ledger.state
    const record = servers.get(server)
    const own = servers.get(host.server)
    if (record === undefined || own === undefined || server === host.server) return false
    if (record.incarnation !== incarnation || record.downAt <= tick) return false
    return record.role !== 'removed' && this.#isWithin(startTicks, own.helloTick)
  }

  #isWithin(ticks: number, helloTick: number): boolean {
    const { tick, settings } = this.#desk.host.ledger.state
    // `hello` 0: none in this ledger; the first servers of a pool have nobody to wait for.
    const most = Math.min(ticks, Math.floor(settings.seatTicks * pausePart))
    return helloTick > 0 && tick - helloTick < most
  }

  #lost(item: RenewItem, server: string | undefined, reply: Reply | undefined): void {
    const more = server === undefined ? {} : { server }
    this.#desk.deny(item, reply, 'LICD_SEAT_LOST', '', more)
  }

  #challenge(item: RenewItem, proof: SeatProof, clientId: string, reply: Reply | undefined): void {
    const desk = this.#desk
    const { server, incarnation, ledger, keys } = desk.host
    const { tick, settings } = ledger.state
    const { seatId, token, confirm } = item
    const subject = { seatId, token, server, incarnation }
    const confirmed = confirm === undefined ? undefined : keys.readChallenge(subject, confirm)
    if (confirm !== undefined && confirmed !== undefined && tick <= confirmed) {
      this.#failover.begin({ item, proof, clientId, nonce: confirm, lastTick: confirmed, reply })
      return
    }
    const ticks = Math.min(challengeTicks, bounds.deadlineTicks, settings.leaseTicks - 1)
    const lastTick = tick + ticks
    const nonce = keys.challenge(subject, lastTick)
    const withinMs = ticks * settings.tickMs
    desk.answer(reply, { kind: 'challenge', seatId, nonce, lastTick, withinMs })
  }
}

/** The same feature, or another version of it. */
function isVersionOf(proof: SeatProof, { feature }: RenewItem): boolean {
  return proof.feature === feature || baseOf(proof.feature) === baseOf(feature)
}

function baseOf(feature: string): string {
  const at = feature.indexOf('@')
  return at < 0 ? feature : feature.slice(0, at)
}
