/**
 * Where what clients send comes in: counted, and, where more comes than is served at once, in lines (`turnstile.ts`).
 *
 * A turn is what one read of the link brought. Its first messages are taken as they come, so that a server that keeps up
 * has no lines at all; the rest waits until the turn is over, and then takes turns, with a look at the link in between.
 *
 * What one sender sent is served in its order. What is dropped is lost as the network loses, and asked again; an acquire
 * is refused now and then, so that an honest client hears why. A renewal is not: a refusal says how a move ended (R6), and
 * the confirmation of that move may be in line still.
 */
import type { BusMessage, Subscription } from '../../raft/ports.ts'
import { anyServer, type SeatOperation } from '../protocol/subject.ts'
import type { Host, SeatServiceCounts } from '../server/parts.ts'
import { Turnstile, type Verdict } from './turnstile.ts'

/**
 * After so long of a turn the rest waits for the next ones, one message of each sender at a time: some take a thousand times
 * as long as others, which nothing but the clock tells.
 */
const turnMs = 10
/** The log tells of what is dropped at most so often. */
const logEveryMs = 10_000
/** So much of a reply subject stands in the log. */
const shownMax = 80

/** What a message is refused with for which there is no room. */
export const crowded = {
  code: 'LICD_TOO_BUSY',
  detail:
    'More messages of this connection wait than a server keeps of one: send fewer, with more requests each, and await answers.',
  more: { retryAfterMs: 1_000 },
} as const

type Take = (message: BusMessage) => void

interface Door {
  readonly server: Host['server']
  readonly subjects: Host['subjects']
  readonly clientBus: Pick<Host['clientBus'], 'subscribe'>
  readonly clock: Pick<Host['clock'], 'now' | 'defer'>
  readonly random: Host['random']
  readonly log: Host['log']
}

interface Visit {
  readonly operation: SeatOperation
  readonly message: BusMessage
  readonly take: Take
}

export class Doorway {
  readonly #host: Door
  readonly #counts: SeatServiceCounts
  readonly #turnstile: Turnstile<Visit>
  #verdict: Verdict = 'now'
  #isTurn = false
  /** When the turn began, or its end did. */
  #since = 0
  #loggedAt = -Infinity
  #loggedCount = 0

  constructor(host: Door, counts: SeatServiceCounts) {
    this.#host = host
    this.#counts = counts
    this.#turnstile = new Turnstile(() => Math.floor(host.random.next() * 2 ** 32))
  }

  /** `tell` refuses a message for which there is no room; absent where it is dropped like the others. */
  listen(operation: SeatOperation, take: Take, tell?: Take): Subscription[] {
    const { clientBus, subjects, server } = this.#host
    const admit = (reply: Uint8Array, bytes: number): boolean => {
      this.#beginTurn()
      this.#verdict = this.#turnstile.judge(reply, bytes)
      if (this.#verdict === 'now' || this.#verdict === 'wait') return true
      this.#counts.crowdedOut++
      return this.#verdict === 'tell'
    }
    const handle = (message: BusMessage): void => {
      if (this.#verdict === 'now') {
        this.#take({ operation, message, take })
        if (this.#isLong()) this.#turnstile.close()
      } else if (this.#verdict === 'wait') {
        this.#turnstile.add({ operation, message: withoutBuffer(message), take })
      } else {
        this.#log(message)
        tell?.(message)
      }
    }
    const own = clientBus.subscribe(subjects.seat(server, operation), handle, { admit })
    // A seat is proven by the server that it is held at.
    if (operation === 'prove') return [own]
    const shared = { admit, queue: subjects.queue }
    return [own, clientBus.subscribe(subjects.seat(anyServer, operation), handle, shared)]
  }

  /** Nobody listens any more: what waits was sent to who listened. */
  close(): void {
    this.#turnstile.clear()
  }

  #beginTurn(): void {
    if (this.#isTurn) return
    this.#isTurn = true
    this.#since = this.#host.clock.now()
    this.#host.clock.defer(() => this.#endTurn())
  }

  #endTurn(): void {
    this.#isTurn = false
    this.#since = this.#host.clock.now()
    for (const visit of this.#turnstile.turn()) {
      this.#serve(visit)
      if (this.#isLong()) break
    }
    if (!this.#turnstile.isClear) this.#beginTurn()
  }

  #isLong(): boolean {
    return this.#host.clock.now() - this.#since >= turnMs
  }

  /** As the link does: one that fails is a defect, and costs the others nothing. */
  #serve(visit: Visit): void {
    try {
      this.#take(visit)
    } catch (error) {
      const text = error instanceof Error ? error.stack : String(error)
      this.#host.log.error('request-threw', { error: text })
    }
  }

  #take({ operation, message, take }: Visit): void {
    this.#counts.messages[operation]++
    take(message)
  }

  #log({ reply = '' }: BusMessage): void {
    const now = this.#host.clock.now()
    if (now - this.#loggedAt < logEveryMs) return
    const { crowdedOut } = this.#counts
    const dropped = crowdedOut - this.#loggedCount
    this.#loggedAt = now
    this.#loggedCount = crowdedOut
    this.#host.log.warn('client-crowded-out', { reply: reply.slice(0, shownMax), dropped })
  }
}

/** Headers are read at once: unread they keep the whole buffer that a message came in, many times its size. */
function withoutBuffer(message: BusMessage): BusMessage {
  const { subject, data, reply, noResponders } = message
  const contentType = message.header('Content-Type')
  return {
    ...{ subject, data, noResponders },
    ...(reply === undefined ? {} : { reply }),
    header: name => (name === 'Content-Type' ? contentType : undefined),
  }
}
