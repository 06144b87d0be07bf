/**
 * Two processes must not run under one server name: both would grant from the same share.
 *
 * The ledger alone makes that safe (one incarnation ends the other); this makes it plain. A starting process asks
 * whether its name is taken, and one that hears of another later finds out who is the older. The younger stops.
 *
 * A claim may be late, of a process that is gone. So none stops at one: it asks, under a number of its own, and stops
 * when that question is answered, for only who lives can do so.
 */
import type { Bus, BusMessage, Clock, Subscription, Timer } from '../../raft/ports.ts'
import { decodeClaim, encodeClaim, type Claim } from './peer-codec.ts'

/** How long a starting process waits for an answer where the broker does not say that nobody listens. */
const answerMs = 500
/** An answer that comes later may be of a process that has ended since: it is asked again. */
const freshMs = 5_000

export interface DuplicateWatchOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly server: string
  /** Random, of this process. */
  readonly processId: string
  /** Subject on which processes of this server's name hear each other. */
  readonly subject: string
  /** Another process has the better claim: this one must not run. */
  readonly stop: () => void
}

export class DuplicateWatch {
  readonly #options: DuplicateWatchOptions
  /** Answers come to it, each under the number of its question. */
  readonly #inbox: string
  #questions = 0
  #askedAt = -Infinity
  /** First incarnation of this process; 0 while it has none. */
  #since = 0
  #subscriptions: Subscription[] = []
  #timer: Timer | undefined
  #closed = false

  constructor(options: DuplicateWatchOptions) {
    this.#options = options
    this.#inbox = `${options.bus.inbox}.claim`
  }

  /** Asks whether somebody runs under this name, then stays on watch. */
  start(done: (taken: boolean) => void): void {
    const { bus, clock } = this.#options
    let answered = false
    const answer = (taken: boolean): void => {
      if (answered || this.#closed) return
      answered = true
      this.#timer?.cancel()
      if (!taken) this.#watch()
      done(taken)
    }
    const replies = bus.subscribe(`${this.#inbox}.*`, message => {
      if (message.noResponders) answer(false)
      else if (answered) this.#heard(message)
      else if (this.#isOther(decodeClaim(message.data))) answer(true)
    })
    this.#subscriptions.push(replies)
    this.#ask()
    this.#timer = clock.after(answerMs, () => answer(false))
  }

  /** This process got its incarnation. Only the first counts: age does not change. */
  since(incarnation: number): void {
    if (this.#since === 0) this.#since = incarnation
  }

  /** Something done under this name was not done here: tell whoever it was. */
  challenge(): void {
    if (!this.#closed) this.#ask()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    for (const subscription of this.#subscriptions.splice(0)) subscription.unsubscribe()
  }

  #watch(): void {
    const { bus, subject } = this.#options
    this.#subscriptions.push(bus.subscribe(subject, message => this.#heard(message)))
    // Two that start in the same instant both found nobody: now they hear each other.
    bus.publish(subject, this.#claim())
  }

  #heard(message: BusMessage): void {
    const claim = decodeClaim(message.data)
    if (!this.#isOther(claim)) return
    const { bus, subject } = this.#options
    // One that asks before it runs is younger whatever its claim says.
    const isAsking = message.reply !== undefined && claim.since === 0
    if (isAsking || !this.#isOlder(claim)) bus.publish(message.reply ?? subject, this.#claim())
    else if (this.#isAnswer(message)) this.#options.stop()
    else this.#ask()
  }

  #ask(): void {
    const { bus, clock, subject } = this.#options
    this.#askedAt = clock.now()
    bus.publish(subject, this.#claim(), { reply: `${this.#inbox}.${++this.#questions}` })
  }

  /** To the question asked last, and soon: whoever sent it lives. */
  #isAnswer({ subject }: BusMessage): boolean {
    if (subject !== `${this.#inbox}.${this.#questions}`) return false
    return this.#options.clock.now() - this.#askedAt <= freshMs
  }

  #isOther(claim: Claim | undefined): claim is Claim {
    const { server, processId } = this.#options
    return claim !== undefined && claim.server === server && claim.bootId !== processId
  }

  /** Who has an incarnation is older than who has none; then the lower; between two without, the lower id. */
  #isOlder(claim: Claim): boolean {
    if (claim.since !== this.#since) {
      if (this.#since === 0 || claim.since === 0) return this.#since === 0
      return claim.since < this.#since
    }
    return claim.bootId < this.#options.processId
  }

  #claim(): Uint8Array {
    const { server, processId } = this.#options
    return encodeClaim({ server, bootId: processId, since: this.#since })
  }
}
