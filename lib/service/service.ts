/**
 * The seat service: the clients of one server, and its part in the pool's distribution.
 *
 * Wiring only. Messages come in, the parts decide (`acquire`, `renew`, `failover`, `balance`), answers leave
 * together; what the ledger applied is adopted before anything else is granted. Invariant I2 is the book's.
 */
import type { BusMessage, Subscription, Timer } from '../../raft/ports.ts'
import { makeSigningKey } from '../code/jws.ts'
import type { Offer, Usage } from '../ledger/command.ts'
import type { Decoded } from '../protocol/seat-codec.ts'
import { seatBounds, type AcquireItem } from '../protocol/seat.ts'
import { inboxOf } from '../protocol/subject.ts'
import type {
  AppliedCommand,
  Host,
  SeatPage,
  SeatQuery,
  SeatService,
  SeatServiceCounts,
} from '../server/parts.ts'
import { Acquire } from './acquire.ts'
import { answerQuestion } from './ask.ts'
import { Balance, type Lines } from './balance.ts'
import { Desk } from './desk.ts'
import { Doorway, crowded } from './doorway.ts'
import { Explain } from './explain.ts'
import { Failover } from './failover.ts'
import { answerFind } from './find.ts'
import { Giving } from './giving.ts'
import { BookReader, encodeHandOver, takeOver } from './hand-over.ts'
import { Prove } from './prove.ts'
import { Renew } from './renew.ts'
import { listSeats } from './seat-list.ts'
import { Waiting } from './waiting.ts'
import { publishResults, readAcquire, readRelease, readRenew, replyOf, type Reply } from './wire.ts'

/** How often waiting requests are looked through for those whose time is over. */
const sweepMs = 100

export function createSeatService(
  host: Host,
): SeatService & { readonly counts: SeatServiceCounts } {
  return new Service(host)
}

class Service implements SeatService {
  readonly counts: SeatServiceCounts = {
    ...{ malformed: 0, replyless: 0, crowdedOut: 0 },
    messages: { find: 0, acquire: 0, renew: 0, release: 0, prove: 0 },
  }
  readonly #host: Host
  readonly #desk: Desk
  readonly #waiting = new Waiting()
  readonly #balance: Balance
  readonly #giving: Giving
  readonly #acquire: Acquire
  readonly #renew: Renew
  readonly #failover: Failover
  readonly report: Explain
  readonly #prove: Prove
  readonly #doorway: Doorway
  readonly #books = new BookReader()
  #subscriptions: Subscription[] = []
  #sweep: Timer | undefined
  /** Moves away from here that were counted while relearning: a snapshot may show them again. */
  readonly #movesSeen = new Set<string>()

  constructor(host: Host) {
    this.#host = host
    this.#desk = new Desk(host, {
      publish: (reply, results) => publishResults(host.clientBus, reply, host, results),
      look: feature => this.#look(feature),
      explain: asked => this.report.tried(asked),
    })
    const lines: Lines = {
      asked: feature => {
        const { all, lasting } = this.#waiting.asked(feature)
        const short = this.#failover.short(feature)
        return { all: all + short, lasting: lasting + short }
      },
      first: feature => {
        if (this.#failover.short(feature) > 0) return 1
        return this.#waiting.first(feature)?.item.count ?? 0
      },
      firstId: feature => this.#waiting.first(feature)?.item.requestId,
      features: () => [...this.#waiting.features(), ...this.#failover.features()],
      nothingFound: feature => this.#acquire.refuseBrief(feature),
    }
    this.#balance = new Balance(this.#desk, lines)
    this.#giving = new Giving(this.#desk, lines, this.#balance)
    this.#acquire = new Acquire(this.#desk, this.#waiting, this.#balance)
    this.#failover = new Failover(this.#desk, this.#balance)
    this.#renew = new Renew(this.#desk, this.#failover)
    this.#prove = new Prove(this.#desk, makeSigningKey)
    this.#doorway = new Doorway(host, this.counts)
    this.report = new Explain(this.#desk, this.#balance, lines, this.counts)
  }

  readAhead(book: Uint8Array): void {
    this.#books.readAhead(book)
  }

  start({ relearn, book: handedOver }: { relearn: boolean; book?: Uint8Array }): void {
    const { server, ledger, incarnation, clock } = this.#host
    const desk = this.#desk
    const { state } = ledger
    this.#close('The server starts anew.')
    desk.reset()
    desk.state = 'open'
    const { book } = desk
    book.advance(clock.now(), state.tick)
    for (const [name, feature] of state.features) book.adopt(name, feature.shares.get(server) ?? 0)
    const given = this.#books.take(relearn ? handedOver : undefined)
    const fits = given?.server === server && given.incarnation === incarnation - 1
    if (given !== undefined && fits) takeOver(book, given, state, clock.now())
    for (const move of state.moves.values()) if (move.to === server) book.recall(move)
    if (relearn && !fits) book.startRelearning(state.servers.get(server)?.relearnUntil ?? 0)
    // The share that it starts from is without them already: no snapshot may count them again.
    for (const move of state.moves.values()) if (move.from === server) this.#isUnseen(move)
    desk.advance(clock.now())
    this.#host.log.info('seats-open', { incarnation, relearn: book.isRelearning, seats: book.size })
    this.#listen()
    for (const stock of book.stocks()) desk.touch(stock.feature)
  }

  applied(command: AppliedCommand): void {
    const desk = this.#desk
    if (desk.state === 'closed') return
    for (const feature of command.changed) {
      desk.refresh(feature)
      desk.touch(feature)
    }
    const { body } = command
    if (body.type === 'borrow' && !command.duplicate) this.#moved(command)
    if (body.type === 'tick') {
      desk.advance(desk.now)
      if (!desk.book.isRelearning) this.#movesSeen.clear()
      this.#balance.ticked()
      this.#giving.ticked()
    } else if ('feature' in body) desk.touch(body.feature)
  }

  installed(): void {
    const desk = this.#desk
    if (desk.state === 'closed') return
    const { server, ledger } = this.#host
    const { state } = ledger
    const { book } = desk
    for (const stock of book.stocks()) desk.refresh(stock.feature)
    for (const feature of state.features.keys()) desk.refresh(feature)
    desk.advance(desk.now)
    const helloTick = state.servers.get(server)?.helloTick ?? 0
    for (const move of state.moves.values()) {
      if (move.to === server) book.recall(move)
      if (move.from !== server) continue
      const seat = book.find(move.seatId)
      // A seat that came after the move is another one; in the same tick it is taken for that, the safe case.
      if (seat !== undefined && move.tick > seat.sinceTick) book.moveAway(move.seatId, move.feature)
      else if (seat === undefined && move.tick > helloTick && this.#isUnseen(move)) {
        book.moveAway(move.seatId, move.feature)
      }
    }
    for (const stock of book.stocks()) desk.touch(stock.feature)
  }

  ended(): void {
    this.#close('The server went down.')
    this.#desk.reset()
    this.#movesSeen.clear()
  }

  offer(offerId: string, borrow: Parameters<SeatService['offer']>[1]): Offer | undefined {
    return this.#giving.offer(offerId, borrow)
  }

  settleOffer(offerId: string): void {
    this.#giving.settle(offerId)
  }

  usage(max: number): Usage[] {
    const desk = this.#desk
    if (desk.state === 'closed') return []
    desk.advance(desk.now)
    const rows = desk.book.stocks().map(stock => [stock.feature, stock.inUse] as const)
    return desk.usage.take(rows, max)
  }

  inUse(feature: string): number {
    this.#desk.advance(this.#desk.now)
    return this.#desk.book.inUse(feature)
  }

  seats(options: SeatQuery): SeatPage {
    this.#desk.advance(this.#desk.now)
    return listSeats(this.#desk.book, options, this.#desk.now)
  }

  stop(done: (book: Uint8Array | undefined) => void): void {
    const desk = this.#desk
    if (desk.state !== 'open') {
      this.#host.clock.defer(() => done(undefined))
      return
    }
    desk.state = 'stopping'
    this.#acquire.refuseAll('The server stops.')
    this.#failover.stop()
    desk.flush()
    const { run } = desk
    this.#giving.returnAll(() => {
      // It went down meanwhile: there is nothing to hand over.
      const isOver = run !== desk.run
      const { server, incarnation, ledger } = this.#host
      if (!isOver) desk.advance(desk.now)
      const from = { server, incarnation }
      const bytes = isOver ? undefined : encodeHandOver(desk.book, from, ledger.state, desk.now)
      this.#close('The server stops.')
      done(bytes)
    })
  }

  /** R6: what a borrow did to seats. The shares were adopted. */
  #moved({ body, result }: AppliedCommand): void {
    if (body.type !== 'borrow' || body.move === undefined || !result.ok) return
    if (!('taken' in result)) return
    if (!result.taken.some(taken => taken.source === 'move' && taken.count > 0)) return
    const { server, ledger, log } = this.#host
    const move = ledger.state.moves.get(body.move.seatId)
    if (move === undefined) return
    const { seatId, feature, from, to } = move
    const { book } = this.#desk
    if (to === server) book.moveIn(move)
    if (from !== server) return
    if (book.isRelearning) this.#movesSeen.add(`${seatId}:${move.tick}`)
    if (book.moveAway(seatId, feature) === 'none') {
      // Its client claimed what this server does not know: released, or expired and given on.
      log.warn('unknown-seat-moved-away', { seatId, feature, to })
    }
  }

  #isUnseen({ seatId, tick }: { readonly seatId: string; readonly tick: number }): boolean {
    const key = `${seatId}:${tick}`
    if (!this.#desk.book.isRelearning || this.#movesSeen.has(key)) return false
    this.#movesSeen.add(key)
    return true
  }

  #look(feature: string): void {
    const { now } = this.#desk
    // Fail-over first: their users have work open (R12: before requests).
    this.#failover.serve(feature)
    this.#acquire.serve(feature, now)
    this.#balance.look(feature)
    this.#giving.look(feature)
    this.#armSweep()
  }

  #armSweep(): void {
    if (this.#sweep !== undefined) return
    if (this.#waiting.size === 0 && this.#failover.features().length === 0) return
    this.#sweep = this.#host.clock.after(sweepMs, () => {
      this.#sweep = undefined
      const { now } = this.#desk
      this.#acquire.sweep(now)
      for (const feature of this.#waiting.features()) this.#desk.touch(feature)
      for (const feature of this.#failover.features()) this.#desk.touch(feature)
      this.#armSweep()
      this.#desk.flush()
    })
  }

  #listen(): void {
    const { bus, subjects, server } = this.#host
    const { inbox } = this.#failover
    const door = this.#doorway
    const tell = (message: BusMessage): void => this.#crowdedOut(message)
    const desk = this.#desk
    this.#subscriptions.push(
      ...door.listen('find', message => this.#found(message)),
      ...door.listen('acquire', message => this.#acquired(message), tell),
      ...door.listen('renew', message => this.#renewed(message)),
      ...door.listen('release', message => this.#released(message)),
      ...door.listen('prove', message => this.#prove.request(message)),
      bus.subscribe(subjects.peer(server, 'ask'), message => answerQuestion(desk, message)),
      bus.subscribe(`${inbox}.*`, message => {
        this.#failover.heard(Number(message.subject.slice(inbox.length + 1)), message)
      }),
    )
  }

  #close(detail: string): void {
    if (this.#desk.state === 'closed') return
    this.#acquire.refuseAll(detail)
    this.#failover.end()
    this.#balance.end()
    this.#giving.end()
    this.#desk.flush()
    this.#desk.state = 'closed'
    for (const subscription of this.#subscriptions.splice(0)) subscription.unsubscribe()
    this.#doorway.close()
    this.#sweep?.cancel()
    this.#sweep = undefined
  }

  #found(message: BusMessage): void {
    const reply = inboxOf(message.reply)
    if (reply === undefined) this.counts.replyless++
    else answerFind(this.#desk, message, reply, request => this.#open(message, request))
  }

  #acquired(message: BusMessage): void {
    const request = readAcquire(message)
    let seats = 0
    this.#each(message, request, (item, clientId, reply, now) => {
      seats += item.count
      if (seats > seatBounds.seatsPerMessage) this.#tooLarge(item, reply)
      else this.#acquire.request(item, clientId, reply, now)
    })
  }

  #tooLarge({ requestId }: AcquireItem, reply: Reply): void {
    const detail = `One message asks for at most ${seatBounds.seatsPerMessage} seats.`
    this.#desk.refuse(reply, requestId, 'LICD_TOO_LARGE', detail)
  }

  #renewed(message: BusMessage): void {
    this.#each(message, readRenew(message), (item, clientId, reply, now) => {
      this.#renew.request(item, clientId, reply, now)
    })
  }

  /** There is no room for it. Nothing of it is carried out, what it gives back included: that would be out of its turn. */
  #crowdedOut(message: BusMessage): void {
    const request = readAcquire(message)
    const reply = this.#open(message, request)
    if (!request.ok || reply === undefined) return
    const { code, detail, more } = crowded
    for (const { requestId } of request.items) {
      this.#desk.refuse(reply, requestId, code, detail, more)
    }
    this.#desk.flush()
  }

  /** Takes the items of a request that wants an answer, all at one time. */
  #each<Item>(
    message: BusMessage,
    request: Decoded<Item>,
    take: (item: Item, clientId: string, reply: Reply, now: number) => void,
  ): void {
    const reply = this.#open(message, request)
    if (!request.ok) return
    if (reply === undefined) {
      this.counts.replyless++
      return
    }
    const { now } = this.#desk
    this.#desk.advance(now)
    const { items, clientId, released = [] } = request
    for (const item of released) this.#acquire.release(item, clientId, reply, now)
    for (const item of items) take(item, clientId, reply, now)
    this.#desk.flush()
  }

  #released(message: BusMessage): void {
    const request = readRelease(message)
    const reply = this.#open(message, request)
    if (!request.ok) return
    const { now } = this.#desk
    this.#desk.advance(now)
    for (const item of request.items) this.#acquire.release(item, request.clientId, reply, now)
    this.#desk.flush()
  }

  /** Where the answers go; what could not be read is answered at once. */
  #open(message: BusMessage, request: Decoded<unknown>): Reply | undefined {
    const reply = replyOf(message, request.batch)
    if (request.ok) {
      this.counts.malformed += request.refused.length
      for (const refused of request.refused) this.#desk.answer(reply, refused)
      return reply
    }
    this.counts.malformed++
    this.#desk.refuse(reply, '', request.code, request.detail)
    this.#desk.flush()
    return reply
  }
}
