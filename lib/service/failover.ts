/**
 * Seats on their way to this server: the client has confirmed that it wants its seat here (R6, R7).
 *
 * In this order: the server that holds it is asked whether it does; a seat of an earlier incarnation of this
 * server is learned again; own spare; a borrow for a fail-over update, which takes the seat's own allocation
 * along where nothing else is found (claims 13, 14, 28). Until the outcome is known here the client is told
 * `pending`, and then the one outcome there is: the command's id is made from the challenge, so a client that
 * confirms twice moves once. Bounded: beyond `pendingMax`, and beyond its own part of that, a client is told to come again.
 */
import type { Timer } from '../../raft/ports.ts'
import type { SeatProof } from '../ledger/command.ts'
import { seatBounds, type RenewItem } from '../protocol/seat.ts'
import type { Outcome } from '../server/parts.ts'
import { challengeCommandId } from '../token.ts'
import { decodeHolding, encodeQuestion, type Holding } from './ask.ts'
import type { Balance } from './balance.ts'
import type { Desk } from './desk.ts'
import type { Reply } from './wire.ts'

const pendingMax = 10_000
/** How long the other server's answer is awaited. */
const askMs = 250
/** A server that the broker said is gone is not asked again for this long. */
const goneMs = 1_000

export interface Confirmed {
  readonly item: RenewItem
  readonly proof: SeatProof
  readonly clientId: string
  readonly nonce: Uint8Array
  /** The last tick at which the move may be applied. */
  readonly lastTick: number
  readonly reply: Reply | undefined
}

interface Pending extends Confirmed {
  readonly run: number
  reply: Reply | undefined
  stage: 'asking' | 'borrowing' | 'waiting'
  question: number
  timer: Timer | undefined
}

export class Failover {
  readonly #desk: Desk
  readonly #balance: Balance
  readonly #pending = new Map<string, Pending>()
  /** Client id -> its seats on their way here. */
  readonly #clients = new Map<string, number>()
  readonly #questions = new Map<number, Pending>()
  /** Feature -> seats that nothing was found for yet: they come before requests (R12). */
  readonly #short = new Map<string, Set<Pending>>()
  /** Server -> when the broker said that it is gone. */
  readonly #gone = new Map<string, number>()
  readonly #inbox: string
  #questionCount = 0

  constructor(desk: Desk, balance: Balance) {
    this.#desk = desk
    this.#balance = balance
    this.#inbox = `${desk.host.bus.inbox}.holds`
  }

  get size(): number {
    return this.#pending.size
  }

  /** Where the answers to this server's questions come: one part is added, the question's number. */
  get inbox(): string {
    return this.#inbox
  }

  /** Seats of the feature that wait for an allocation. */
  short(feature: string): number {
    return this.#short.get(feature)?.size ?? 0
  }

  /** True when the seat is on its way already: the answer then goes to the newest message. */
  repeat(seatId: string, token: Uint8Array, reply: Reply | undefined): boolean {
    const pending = this.#pending.get(seatId)
    if (pending === undefined) return false
    // Another token is another renewal: the older one is decided first.
    if (Buffer.compare(pending.item.token, token) === 0) pending.reply = reply
    this.#desk.answer(reply, { kind: 'pending', seatId })
    return true
  }

  begin(confirmed: Confirmed): void {
    const desk = this.#desk
    const { item, proof, clientId, reply } = confirmed
    const { seatId } = item
    const own = this.#clients.get(clientId) ?? 0
    if (this.#pending.size >= pendingMax || own >= seatBounds.clientMoves) {
      const detail = `${own} seats of this client and ${this.#pending.size} in all are on their way here.`
      const { tickMs } = desk.host.ledger.state.settings
      desk.deny(item, reply, 'LICD_LEASE_REFUSED', detail, { retryAfterMs: tickMs })
      return
    }
    const pending: Pending = {
      ...confirmed,
      run: desk.run,
      stage: 'asking',
      question: 0,
      timer: undefined,
    }
    this.#pending.set(seatId, pending)
    this.#clients.set(clientId, own + 1)
    const { host } = desk
    const holder = host.ledger.state.moves.get(seatId)?.to ?? proof.server
    if (holder === host.server || this.#isGone(holder)) this.#settleHere(pending)
    else this.#ask(pending, holder)
    if (this.#pending.has(seatId)) desk.answer(pending.reply, { kind: 'pending', seatId })
  }

  /** An answer to a question, or the broker's word that nobody is there to give one. */
  heard(question: number, message: { readonly noResponders: boolean; readonly data: Uint8Array }) {
    const pending = this.#questions.get(question)
    if (pending === undefined) return
    const { seatId } = pending.item
    const holding = message.noResponders ? undefined : decodeHolding(message.data)
    if (!message.noResponders && holding?.seatId !== seatId) return
    this.#asked(pending)
    if (holding === undefined) this.#gone.set(this.#holderOf(pending), this.#desk.now)
    if (holding?.held === 'no') this.#lost(pending, holding)
    else this.#settleHere(pending)
    this.#desk.flush()
  }

  /** Gives what spare there is to the seats that wait for it; then those whose time is over are refused. */
  serve(feature: string): void {
    const { tick } = this.#desk.host.ledger.state
    for (const pending of this.#short.get(feature) ?? []) {
      if (this.#take(pending)) continue
      if (tick > pending.lastTick) this.#giveUp(pending, 'LICD_NO_SEAT')
    }
  }

  /** Features with seats that wait. */
  features(): string[] {
    return [...this.#short.keys()].sort()
  }

  /** A clean stop: what is under way at the leader is told when it is known; the others go elsewhere at once. */
  stop(): void {
    for (const pending of [...this.#pending.values()]) {
      if (pending.stage !== 'borrowing') this.#giveUp(pending, 'LICD_NOT_SERVING')
    }
  }

  /** The run of the book is over: what is on its way here will not come. */
  end(): void {
    for (const pending of [...this.#pending.values()]) this.#giveUp(pending, 'LICD_NOT_SERVING')
    this.#gone.clear()
  }

  /**
   * R6: a client that is refused goes back to the server it came from, for a refusal says that its seat did not move.
   * Where that is not so, or not known, nothing is said: the seat is then asked for anywhere but there.
   */
  #giveUp(pending: Pending, code: Parameters<Desk['refuse']>[2]): void {
    const isHere = this.#desk.book.find(pending.item.seatId)?.stock.feature === pending.item.feature
    if (code === 'LICD_UNKNOWN_OUTCOME') this.#drop(pending)
    else if (isHere || pending.stage === 'borrowing') this.#drop(pending)
    else this.#refuse(pending, code)
  }

  #holderOf({ item, proof }: Pending): string {
    return this.#desk.host.ledger.state.moves.get(item.seatId)?.to ?? proof.server
  }

  #isGone(server: string): boolean {
    const goneAt = this.#gone.get(server)
    if (goneAt !== undefined && this.#desk.now - goneAt < goneMs) return true
    return this.#desk.host.ledger.serverState(server) === 'down'
  }

  #ask(pending: Pending, holder: string): void {
    const { host } = this.#desk
    const { seatId, feature } = pending.item
    pending.question = ++this.#questionCount
    this.#questions.set(pending.question, pending)
    const question = encodeQuestion({ seatId, feature, revision: host.ledger.state.revision })
    host.bus.publish(host.subjects.peer(holder, 'ask'), question, {
      reply: `${this.#inbox}.${pending.question}`,
    })
    pending.timer = host.clock.after(askMs, () => {
      if (!this.#isOpen(pending) || pending.stage !== 'asking') return
      this.#asked(pending)
      this.#settleHere(pending)
      this.#desk.flush()
    })
  }

  #asked(pending: Pending): void {
    this.#questions.delete(pending.question)
    pending.timer?.cancel()
    pending.timer = undefined
  }

  #lost(pending: Pending, { movedTo }: Holding): void {
    this.#desk.deny(
      pending.item,
      pending.reply,
      'LICD_SEAT_LOST',
      'The server that granted it does not hold it any more.',
      movedTo === undefined || movedTo === this.#desk.host.server ? {} : { server: movedTo },
    )
    this.#drop(pending)
  }

  /** What can be done without the leader; else the leader is asked. */
  #settleHere(pending: Pending): void {
    this.#desk.advance(this.#desk.now)
    if (this.#take(pending)) return
    pending.stage = 'borrowing'
    const { host } = this.#desk
    const { item, proof, lastTick, nonce } = pending
    const { feature } = item
    if (host.ledger.state.tick > lastTick) {
      this.#refuse(pending, 'LICD_LEASE_REFUSED')
      return
    }
    const body = {
      type: 'borrow',
      feature,
      to: host.server,
      incarnation: host.incarnation,
      needed: 1,
      wanted: this.#balance.wanted(feature),
      cause: 'update',
      move: proof,
      queue: this.#balance.unmet(feature) + 1,
    } as const
    const options = { id: challengeCommandId(nonce), deadline: lastTick }
    host.submit(body, options, outcome => this.#borrowed(pending, outcome))
  }

  #borrowed(pending: Pending, outcome: Outcome): void {
    const desk = this.#desk
    if (!this.#isOpen(pending)) return
    const { feature, seatId } = pending.item
    desk.refresh(feature)
    desk.advance(desk.now)
    if (outcome.type === 'unknown') {
      // Nothing more is heard of it here, yet it may be applied.
      this.#drop(pending)
      return
    }
    pending.stage = 'waiting'
    const result = outcome.type === 'applied' ? outcome.result : undefined
    if (result?.ok === true) this.#balance.borrowed(feature)
    // Its own allocation, or one of another source: where there was any, there is one for it now.
    const isTaken =
      (result?.ok === true || desk.book.find(seatId) !== undefined) && this.#take(pending)
    if (isTaken) {
      // Told already.
    } else if (result?.ok === true || result?.queued !== undefined) this.#wait(pending)
    else this.#giveUp(pending, result?.code ?? 'LICD_LEASE_REFUSED')
    desk.touch(feature)
  }

  /** Waits for what functioning servers send (claims 15, 29), for as long as the challenge named. */
  #wait(pending: Pending): void {
    if (this.#desk.state !== 'open') {
      this.#giveUp(pending, 'LICD_NOT_SERVING')
      return
    }
    const { feature } = pending.item
    const short = this.#short.get(feature)
    if (short === undefined) this.#short.set(feature, new Set([pending]))
    else short.add(pending)
  }

  /** True when the seat is in the book now and its client was told. */
  #take(pending: Pending): boolean {
    const desk = this.#desk
    const { item, clientId } = pending
    const { seatId, feature, user, host } = item
    const stock = desk.book.stock(feature)
    const now = desk.now
    const grant = desk.term(feature, now)
    if (grant === undefined || stock.isOverLimit) return false
    const client = { clientId, user, host }
    const seat = desk.book.find(seatId)
    if (seat !== undefined && seat.stock.feature === feature) {
      desk.book.renew(seat, client, grant, 'any')
    } else if (seat !== undefined) {
      this.#refuse(pending, 'LICD_BAD_REQUEST')
      return true
    } else if (this.#isOwnEarlier(pending) && stock.unknown > 0) {
      desk.book.relearn(stock, seatId, client, grant, now)
    } else if (stock.spare >= 1) desk.book.grant(stock, seatId, client, grant, now)
    else return false
    desk.usage.granted(feature, 1)
    desk.confirm(pending.reply, seatId, feature, grant)
    this.#drop(pending)
    if (this.#balance.isShort(stock)) desk.touch(feature)
    return true
  }

  /** R7: this server granted it in an earlier run, and the token still proves it. */
  #isOwnEarlier({ proof }: Pending): boolean {
    const { host, book } = this.#desk
    const { tick, moves, servers } = host.ledger.state
    if (!book.isRelearning || proof.server !== host.server) return false
    if (proof.incarnation >= host.incarnation || moves.has(proof.seatId)) return false
    const ended = servers.get(host.server)?.endedIncarnation ?? host.incarnation
    return proof.incarnation > ended && proof.seatTick <= tick && tick <= proof.lastTick
  }

  #refuse(pending: Pending, code: Parameters<Desk['refuse']>[2]): void {
    this.#desk.deny(pending.item, pending.reply, code)
    this.#drop(pending)
  }

  #drop(pending: Pending): void {
    const { seatId, feature } = pending.item
    this.#asked(pending)
    if (this.#pending.get(seatId) === pending) this.#forget(pending)
    const short = this.#short.get(feature)
    if (short?.delete(pending) === true) {
      if (short.size === 0) this.#short.delete(feature)
      this.#desk.touch(feature)
    }
  }

  #forget({ item, clientId }: Pending): void {
    this.#pending.delete(item.seatId)
    const own = (this.#clients.get(clientId) ?? 1) - 1
    if (own === 0) this.#clients.delete(clientId)
    else this.#clients.set(clientId, own)
  }

  #isOpen(pending: Pending): boolean {
    return pending.run === this.#desk.run && this.#pending.get(pending.item.seatId) === pending
  }
}
