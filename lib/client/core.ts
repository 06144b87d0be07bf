/**
 * The client as a machine over ports: everything `connect` gives, in callbacks and without promises, so that a
 * simulator runs the same code over virtual time.
 *
 * It has one subscription for all answers, one for hints that a server is gone, and one timer. What arrives is
 * checked and given to the part that awaits it; what nobody awaits is dropped, except seats granted unheard,
 * which are given back. No message can make it throw.
 */
import type { Bus, BusMessage, Clock, Random, Subscription, Timer } from '../../raft/ports.ts'
import type { Code } from '../error.ts'
import { decodeAnswer, decodeFound } from '../protocol/seat-codec.ts'
import type { Answer, SeatResult } from '../protocol/seat.ts'
import { anyServer, isServerName, subjects } from '../protocol/subject.ts'
import { Acquiring } from './acquiring.ts'
import { HeldSeats, type Hold } from './hold.ts'
import { Holding } from './holding.ts'
import { Outbox, type Sent } from './outbox.ts'
import type { AcquireOutcome, AcquireRequest, HoldHandlers, Refusal } from './record.ts'
import { Releasing } from './releasing.ts'
import { Servers } from './servers.ts'
import { SteadyClock } from './steady-clock.ts'
import { Unheard } from './unheard.ts'

export type { Hold } from './hold.ts'
export type { AcquireRequest, HoldHandlers, Refusal } from './record.ts'

/** The longest the timer lags behind what an event asks for; bounds its cost under load. */
const pulseMs = 50
/** Between two pulses, at least. */
const pulseMinMs = 5
/** All clients of a server hear of its end at once; they ask spread over this long. */
const hintJitterMs = 100
const linkJitterMs = 200
/** How long `close` waits for answers to its releases. */
const closeMs = 1_000

export type Outcome =
  { readonly ok: true; readonly hold: Hold } | ({ readonly ok: false } & Refusal)

/** What the results of one message have in common. */
interface Answered {
  readonly server: string
  readonly batch: number
  readonly sent: Sent | undefined
  readonly now: number
}

export interface ClientPorts {
  readonly bus: Bus
  readonly clock: Clock
  readonly random: Random
}

export class ClientCore {
  readonly clientId: string
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #time: SteadyClock
  readonly #outbox: Outbox
  readonly #servers: Servers
  readonly #releasing: Releasing
  readonly #unheard: Unheard
  readonly #acquiring: Acquiring
  readonly #holding: Holding
  readonly #pool: string
  readonly #subscriptions: Subscription[]
  readonly #onServer: (server: string | undefined) => void
  readonly #wakeSoon = (): void => this.#wake(pulseMs)
  #timer: Timer | undefined
  #timerAt = Infinity
  #timerSetAt = 0
  #epoch: number
  #state: 'open' | 'closing' | 'closed' = 'open'
  #whenClosed: (() => void)[] = []
  #closeAt = Infinity
  #dropped = 0
  #homeTold: string | undefined

  constructor(
    ports: ClientPorts,
    options: {
      readonly pool: string
      /** Asked first, in this order, whenever a home is sought. */
      readonly prefer?: readonly string[]
      /** The server it lives at has changed; undefined while there is none. */
      readonly onServer?: (server: string | undefined) => void
    },
  ) {
    const { bus, clock, random } = ports
    const { prefer = [] } = options
    this.#bus = bus
    this.#clock = clock
    this.#pool = options.pool
    this.#onServer = options.onServer ?? (() => {})
    this.clientId = random.id()
    const time = new SteadyClock(clock)
    this.#time = time
    this.#epoch = time.epoch
    const names = subjects(options.pool)
    const outbox = new Outbox({
      bus,
      clock,
      time,
      subjects: names,
      clientId: this.clientId,
      onAsked: (server, at) => this.#servers.asked(server, at),
      onFlush: this.#wakeSoon,
    })
    this.#outbox = outbox
    const servers = new Servers({
      now: time.now(),
      // One round for each preferred server that is not avoided; after that any is as good.
      find: round => {
        const fit = prefer.filter(server => !servers.isAvoided(server, time.now()))
        outbox.find(fit[round - 1])
      },
      random,
      onHome: home => this.#moveHome(home),
    })
    this.#servers = servers
    const releasing = new Releasing(outbox)
    this.#releasing = releasing
    const unheard = new Unheard(releasing)
    this.#unheard = unheard
    const parts = { time, random, outbox, servers, releasing, unheard }
    this.#acquiring = new Acquiring(parts)
    this.#holding = new Holding(parts)
    this.#subscriptions = [
      bus.subscribe(`${outbox.replyPrefix}>`, message => this.#receive(message)),
      bus.subscribe(names.goneEvent('*'), message => this.#hint(message)),
      bus.onStatus(status => this.#link(status)),
    ]
    servers.seek(time.now())
    this.#pulse()
  }

  /** The server it lives at, if any. */
  get server(): string | undefined {
    return this.#servers.home
  }

  /** Holds with seats still known to servers, requests under way and messages dropped: for tests and reports. */
  get counts(): { seats: number; requests: number; releases: number; dropped: number } {
    return {
      seats: this.#holding.size,
      requests: this.#acquiring.size,
      releases: this.#releasing.size,
      dropped: this.#dropped,
    }
  }

  /**
   * Asks for seats. `done` is called once, never from within this call. The returned function gives up: `done`
   * then gets its refusal, and a grant under way is given back.
   */
  acquire(
    request: AcquireRequest,
    handlers: HoldHandlers,
    done: (outcome: Outcome) => void,
  ): (refusal: { code: Code; detail: string }) => void {
    if (this.#state !== 'open') {
      this.#clock.defer(() => done({ ok: false, code: 'LICD_CLOSED', detail: '' }))
      return () => {}
    }
    const record = this.#acquiring.add(request, outcome => {
      done(outcome.ok ? this.#take(outcome, handlers) : outcome)
    })
    this.#wake(pulseMs)
    return refusal => this.#acquiring.cancel(record, refusal)
  }

  #take(outcome: AcquireOutcome & { ok: true }, handlers: HoldHandlers): Outcome {
    const record = outcome.hold
    record.handlers = handlers
    this.#holding.add(record, outcome.at)
    this.#wake(pulseMs)
    return { ok: true, hold: new HeldSeats(record, this.#holding, this.#wakeSoon) }
  }

  /** Releases all seats, gives up all requests, then ends. `done` after `closeMs` at the latest. */
  close(done: () => void): void {
    if (this.#state === 'closed') {
      done()
      return
    }
    this.#whenClosed.push(done)
    if (this.#state === 'closing') return
    this.#state = 'closing'
    this.#closeAt = this.#time.now() + closeMs
    this.#acquiring.cancelAll({ code: 'LICD_CLOSED', detail: '' })
    for (const hold of this.#holding.holds()) this.#holding.release(hold)
    // Not from within this call, and after what it queued was sent.
    this.#clock.defer(() => this.#clock.defer(() => this.#pulse()))
  }

  #finish(): void {
    this.#state = 'closed'
    this.#timer?.cancel()
    this.#timer = undefined
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
    this.#outbox.flush()
    this.#outbox.close()
    for (const done of this.#whenClosed.splice(0)) done()
  }

  #receive(message: BusMessage): void {
    if (this.#state === 'closed') return
    const [server = '', operation, number] = message.subject
      .slice(this.#outbox.replyPrefix.length)
      .split('.')
    const batch = Number(number)
    const sent = this.#outbox.sent(batch)
    if (message.noResponders) {
      if (operation === 'find') this.#nobodyFound(server)
      else if (isServerName(server)) this.#nobodyAt(server, batch)
    } else if (operation === 'find') {
      const found = decodeFound(message.data)
      if (found?.pool === this.#pool && sent !== undefined) {
        this.#servers.found(found, this.#time.now())
      } else this.#dropped++
    } else {
      const answer = decodeAnswer(message.data)
      // The subject says who was asked: nobody answers for another.
      if (answer?.server === server && answer.batch <= batch) this.#answer(answer)
      else this.#dropped++
    }
    this.#settle()
  }

  #answer(answer: Answer): void {
    const { server, incarnation, batch, results } = answer
    const sent = this.#outbox.sent(batch)
    if (sent !== undefined && sent.server !== server) return void this.#dropped++
    // One look for all: what is made of it is kept for seconds, and whoever uses a seat looks anew (R4).
    const now = this.#time.now()
    this.#servers.heard(server, incarnation, batch, now)
    const to: Answered = { server, batch, sent, now }
    for (const result of results) this.#result(result, to)
  }

  #result(result: SeatResult, { server, batch, sent, now }: Answered): void {
    switch (result.kind) {
      case 'granted':
        if (!this.#acquiring.granted(result, server, sent, now)) {
          this.#returnUnheard(result, server, sent)
        }
        return
      case 'waiting':
        this.#acquiring.waiting(result.requestId, server)
        return
      case 'renewed':
        this.#holding.renewed(result, server, batch, sent)
        return
      case 'challenge':
        this.#holding.challenged(result, server, batch)
        return
      case 'pending':
        this.#holding.pending(result.seatId, server, batch)
        return
      case 'released':
        this.#releasing.answered(server, result.seatId)
        return
      case 'refused':
        this.#refused(result, server, batch)
    }
  }

  /** Granted to a request that is no more, or that went to another server. */
  #returnUnheard(
    { seats }: SeatResult & { kind: 'granted' },
    server: string,
    sent: Sent | undefined,
  ): void {
    for (const seat of seats) {
      if (!this.#holding.has(seat.seatId)) this.#unheard.giveBack(seat, server, sent)
    }
  }

  #refused(result: SeatResult & { kind: 'refused' }, server: string, batch: number): void {
    const { id } = result
    if (id === '') {
      this.#acquiring.refusedBatch(batch, server, result)
      this.#holding.refusedBatch(batch, server, result)
      return
    }
    if (this.#releasing.answered(server, id)) return
    const isSeat = this.#holding.refused(id, server, batch, result)
    if (result.code === 'LICD_NOT_SERVING' || result.code === 'LICD_NO_LEASE') {
      // Said of the server, not of the seat: everything goes elsewhere.
      if (!this.#servers.isAvoided(server, this.#time.now())) this.#leave(server, result)
    } else if (!isSeat) this.#acquiring.refused(id, server, result)
  }

  /** No server at all: later. A server that was asked first is not there: any other, at once. */
  #nobodyFound(server: string): void {
    const now = this.#time.now()
    if (server === anyServer) this.#servers.nobody(now)
    else this.#servers.resume(now)
    this.#wake(0)
  }

  /** Nobody listens at the server's subject: it is gone, and the message was not delivered. */
  #nobodyAt(server: string, batch: number): void {
    this.#holding.undelivered(batch, server)
    this.#releasing.leave(server)
    this.#leave(server)
  }

  #leave(server: string, refusal?: Refusal): void {
    this.#servers.leave(server, this.#time.now(), refusal !== undefined)
    this.#acquiring.leave(server, refusal)
    this.#holding.leave(server)
    this.#wake(0)
  }

  #moveHome(home: string | undefined): void {
    if (home !== undefined) {
      this.#acquiring.atHome()
      this.#holding.atHome()
    }
    if (home === this.#homeTold) return
    this.#homeTold = home
    this.#onServer(home)
  }

  #hint(message: BusMessage): void {
    const server = message.subject.slice(message.subject.lastIndexOf('.') + 1)
    this.#acquiring.hurry(hintJitterMs, server)
    this.#holding.hurry(hintJitterMs, server)
    this.#wake(0)
  }

  #link(status: 'up' | 'down' | 'closed'): void {
    if (status === 'up') {
      this.#servers.resume(this.#time.now())
      this.#acquiring.hurry(linkJitterMs)
      this.#holding.hurry(linkJitterMs)
    } else this.#servers.doubt()
    if (status === 'closed') this.#acquiring.cancelAll({ code: 'LICD_CLOSED', detail: '' })
    this.#wake(0)
  }

  /** After an event: a suspension may have shown, and something may be due earlier than the timer. */
  #settle(): void {
    if (this.#time.epoch !== this.#epoch) this.#wake(0)
    else this.#wake(this.#state === 'closing' ? 0 : pulseMs)
    // A seat granted at the end of a lease may be due within a pulse.
    this.#arm(this.#holding.nextAt)
  }

  #wake(withinMs: number): void {
    // The timer was early enough when it was set, so it is now: no look at the clock on the busy path.
    const isSoon = this.#timer !== undefined && this.#timerAt <= this.#timerSetAt + withinMs
    if (this.#state !== 'closed' && !isSoon) this.#arm(this.#time.now() + withinMs)
  }

  #arm(at: number): void {
    if (this.#timer !== undefined && this.#timerAt <= at) return
    this.#timer?.cancel()
    this.#timerAt = at
    this.#timerSetAt = this.#time.now()
    this.#timer = this.#clock.after(Math.max(0, at - this.#timerSetAt), () => this.#pulse())
  }

  /** Does what is due and sets the timer to what is due next. */
  #pulse(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#state === 'closed') return
    const now = this.#time.now()
    if (this.#time.epoch !== this.#epoch) {
      // R4: the host slept. Nothing is believed until it is renewed.
      this.#epoch = this.#time.epoch
      this.#servers.excuse()
      this.#holding.hurry(hintJitterMs)
    }
    const { connected } = this.#bus
    if (connected) for (const server of this.#servers.pulse(now)) this.#leave(server)
    this.#acquiring.pulse(now, connected)
    this.#holding.pulse(now, connected)
    this.#releasing.pulse(now)
    const isIdle = this.#holding.size === 0 && this.#releasing.size === 0
    if (this.#state === 'closing' && (isIdle || !connected || now >= this.#closeAt)) {
      this.#finish()
      return
    }
    this.#arm(Math.max(now + pulseMinMs, this.#nextAt(connected, now)))
  }

  #nextAt(connected: boolean, now: number): number {
    const parts = [this.#acquiring.nextAt(connected, now), this.#holding.nextAt]
    if (connected) parts.push(this.#servers.nextAt())
    parts.push(this.#releasing.nextAt())
    if (this.#state === 'closing') parts.push(this.#closeAt)
    return Math.min(...parts)
  }
}
