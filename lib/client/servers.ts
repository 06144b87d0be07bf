/**
 * The servers a client knows, and the one it lives at: its home.
 *
 * No list is configured: `find` is answered by any server, and the client stays with the first that serves. A
 * server that says nothing for `silentMs` (`doubtedMs` after the link broke), or at whose subject nobody listens, is
 * left: it is avoided for a while, and another home is sought at once.
 */
import type { Random } from '../../raft/ports.ts'
import type { Code } from '../error.ts'
import type { FoundServer } from '../protocol/seat.ts'
import { retryMs } from './record.ts'

interface Known {
  incarnation: number
  /** Since when it owes an answer; undefined when it owes none. */
  silentFrom: number | undefined
  /** When it answered anything last, and the newest message that it answered. */
  heardAt: number
  answered: number
  /** The link broke since it was heard last: its host may be what is gone. */
  isDoubted: boolean
  /** Answers of this server to `find` are ignored until then, unless it has started anew. */
  avoidUntil: number
}

/** A server that owes an answer this long is left. What it was asked was repeated once by then. */
export const silentMs = 2_000
/**
 * After the link broke, this long: a host that is lost takes its broker along, and its clients have waited once for
 * that. One that lives answers in a fraction; to leave it wrongly costs a move.
 */
export const doubtedMs = 700
const avoidMs = 5_000
/** One that answers but may not serve now is asked again sooner. */
const avoidIdleMs = 500
const findFirstMs = 100
/** Nothing comes back: so often several are sent at once, for whoever gets one may be hung. */
const findMaxMs = 500
const findsMax = 3
/**
 * The broker, or a server that may not serve yet, answers: one at a time does. A pool that starts is found about this late.
 * Either way a thousand clients without a server cost its broker 5,000 to 6,000 messages a second.
 */
const findAnsweredMaxMs = 200
/** Between two finds, and the start of one server after another. */
const desertedMs = 1_000
/** A pool has at most 32 servers at a time (`bounds.servers` of the ledger); beyond this, names are not remembered. */
const knownMax = 128

export class Servers {
  readonly #known = new Map<string, Known>()
  readonly #find: (round: number) => void
  readonly #random: Random
  readonly #onHome: (home: string | undefined) => void
  #home: string | undefined
  #homelessFrom: number | undefined
  /** Round of the search under way, 0 when there is none. */
  #round = 0
  #findAt = Infinity
  /** When the broker said last that no server of the pool listens. */
  #desertedAt = -Infinity
  /** Something came back to the last `find`, if only that it was in vain. */
  #isAnswered = false
  /** Answered, but without the right to serve: why, as the last one said. */
  #idle: { readonly code: Code; readonly detail: string } | undefined

  constructor(options: {
    readonly now: number
    /** Sends a `find`; the search's first round is 1. */
    readonly find: (round: number) => void
    readonly random: Random
    readonly onHome: (home: string | undefined) => void
  }) {
    this.#homelessFrom = options.now
    this.#find = options.find
    this.#random = options.random
    this.#onHome = options.onHome
  }

  get home(): string | undefined {
    return this.#home
  }

  /** Why there has been no home for as long as `ms`; undefined when there is or was one. */
  absence(now: number, ms: number): { readonly code: Code; readonly detail: string } | undefined {
    if (this.#homelessFrom === undefined || now - this.#homelessFrom < ms) return undefined
    return this.#idle ?? { code: 'LICD_NO_SERVER', detail: '' }
  }

  /** Looks for a home, or, when there is one, for other servers; does nothing while it is looking. */
  seek(now: number): void {
    if (this.#round > 0) return
    this.#round = 1
    this.#findAt = now
  }

  /** A message to the server was sent. */
  asked(server: string, at: number): void {
    const known = this.#remember(server)
    if (known !== undefined) known.silentFrom ??= at
  }

  /** It answered message `batch`, or a part of it. */
  heard(server: string, incarnation: number, batch: number, now: number): void {
    const known = this.#remember(server)
    if (known === undefined) return
    known.heardAt = now
    known.answered = Math.max(known.answered, batch)
    known.silentFrom = undefined
    known.isDoubted = false
    known.incarnation = incarnation
  }

  /**
   * Whether an unanswered message is to be taken for lost. Messages are taken in the order in which they were sent: a
   * server that still answers earlier ones is busy, and asking it again would only make it busier.
   */
  isOverdue(server: string, batch: number, now: number): boolean {
    const known = this.#known.get(server)
    return known === undefined || known.answered > batch || now - known.heardAt >= retryMs
  }

  found(found: FoundServer, now: number): void {
    const { server, incarnation, serving, reason } = found
    const known = this.#remember(server)
    if (known === undefined) return
    if (!serving) {
      const code = reason?.code === 'LICD_NO_LEASE' ? reason.code : 'LICD_NOT_SERVING'
      this.#idle = { code, detail: reason?.detail ?? '' }
      this.#inVain(now)
      return
    }
    if (now < known.avoidUntil && incarnation === known.incarnation) return
    known.incarnation = incarnation
    known.avoidUntil = 0
    known.silentFrom = undefined
    known.isDoubted = false
    const seeking = this.#round > 0
    this.#round = 0
    this.#findAt = Infinity
    this.#idle = undefined
    this.#home ??= server
    this.#homelessFrom = undefined
    if (seeking) this.#onHome(this.#home)
  }

  /** Leaves a server that does not answer or (`isIdle`) may not serve. */
  leave(server: string, now: number, isIdle: boolean): void {
    const known = this.#remember(server)
    if (known !== undefined) {
      known.avoidUntil = now + (isIdle ? avoidIdleMs : avoidMs)
      known.silentFrom = undefined
    }
    if (this.#home !== server) return
    this.#home = undefined
    this.#homelessFrom = now
    this.seek(now)
    this.#onHome(undefined)
  }

  /** Another server says that this one, which was left, serves again. */
  welcome(server: string): void {
    const known = this.#known.get(server)
    if (known !== undefined) known.avoidUntil = 0
  }

  isAvoided(server: string, now: number): boolean {
    return now < (this.#known.get(server)?.avoidUntil ?? 0)
  }

  /** Known servers that are not avoided, in the order of their names. */
  usable(now: number): string[] {
    return [...this.#known.keys()].filter(name => !this.isAvoided(name, now)).sort()
  }

  /** The broker says that no server of the pool listens at all. */
  nobody(now: number): void {
    this.#desertedAt = now
    this.#inVain(now)
  }

  /** A moment ago there was no server at all: those that are missing yet may be starting with the one that was found. */
  wasDeserted(now: number): boolean {
    return now - this.#desertedAt < desertedMs
  }

  /** The host slept: nobody owes an answer. */
  excuse(): void {
    for (const known of this.#known.values()) known.silentFrom = undefined
  }

  /** The link is down: nobody can owe an answer, and nobody is known to be there still. Who was left stays left. */
  doubt(): void {
    this.excuse()
    for (const known of this.#known.values()) known.isDoubted = true
  }

  /** The link is back. */
  resume(now: number): void {
    if (this.#round > 0) this.#findAt = now
  }

  /** Servers to be left by now; sends a `find` when one is due. */
  pulse(now: number): string[] {
    if (now >= this.#findAt) {
      const finds = this.#isAnswered ? 1 : Math.min(this.#round, findsMax)
      this.#isAnswered = false
      for (let n = 0; n < finds; n++) this.#find(this.#round)
      this.#findAt = now + this.#pauseMs()
      this.#round++
    }
    return [...this.#known].filter(([, known]) => silentUntil(known) <= now).map(([name]) => name)
  }

  /** When `pulse` has something to do. */
  nextAt(): number {
    let at = this.#findAt
    for (const known of this.#known.values()) at = Math.min(at, silentUntil(known))
    return at
  }

  /** What was found may not serve, or there is nobody: whoever is next is looked for soon. */
  #inVain(now: number): void {
    if (this.#round === 0) return
    this.#isAnswered = true
    this.#findAt = Math.min(this.#findAt, now + this.#pauseMs())
  }

  #pauseMs(): number {
    const max = this.#isAnswered ? findAnsweredMaxMs : findMaxMs
    const full = Math.min(max, findFirstMs * 2 ** Math.min(this.#round, 10))
    return full * (0.75 + this.#random.next() / 2)
  }

  #remember(server: string): Known | undefined {
    let known = this.#known.get(server)
    if (known === undefined && this.#known.size < knownMax) {
      known = {
        ...{ incarnation: 0, silentFrom: undefined, isDoubted: false, avoidUntil: 0 },
        ...{ heardAt: -Infinity, answered: 0 },
      }
      this.#known.set(server, known)
    }
    return known
  }
}

/** When it is to be left, unless it says something. */
function silentUntil({ silentFrom = Infinity, isDoubted }: Known): number {
  return silentFrom + (isDoubted ? doubtedMs : silentMs)
}
