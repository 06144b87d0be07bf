/**
 * Giving back: seats by their token, and requests by their id.
 *
 * A release is repeated while it is unanswered, `triesMax` times in all; then it is left to expiry, which gives
 * the allocation back as well, only later. Nobody has to wait for it.
 */
import type { Outbox } from './outbox.ts'
import { retryMs, type ReleaseRecord } from './record.ts'

const triesMax = 3
/** Beyond it a release is not sent at all but left to expiry: something is very wrong by then. */
const openMax = 100_000
const noToken = new Uint8Array(0)

export class Releasing {
  readonly #outbox: Outbox
  readonly #open = new Map<string, ReleaseRecord>()

  constructor(outbox: Outbox) {
    this.#outbox = outbox
  }

  get size(): number {
    return this.#open.size
  }

  /** `done` is called once: when the server has answered, or is given up. */
  seat(server: string, seatId: string, token: Uint8Array, done?: () => void): void {
    const key = keyOf(server, seatId)
    const open = this.#open.get(key)
    if (open !== undefined || this.#open.size >= openMax) {
      // A withdrawal crossed by the grant: now there is a token to give back.
      if (open?.token.length === 0 && token.length > 0) {
        open.token = token
        this.#outbox.release(open)
      }
      done?.()
      return
    }
    const record: ReleaseRecord = {
      target: server,
      seatId,
      token,
      batch: 0,
      askedAt: undefined,
      tries: 0,
      nextAt: 0,
      done,
    }
    this.#open.set(key, record)
    this.#outbox.release(record)
  }

  /** Withdraws a request: whether it waits or was granted unheard. */
  request(server: string, requestId: string): void {
    this.seat(server, requestId, noToken)
  }

  /** The server answered, whatever it said: it does not hold the seat any more. */
  answered(server: string, id: string): boolean {
    return this.#finish(keyOf(server, id))
  }

  leave(server: string): void {
    for (const [key, { target }] of this.#open) if (target === server) this.#finish(key)
  }

  pulse(now: number): void {
    for (const [key, record] of this.#open) {
      if (record.askedAt === undefined || record.askedAt + retryMs > now) continue
      if (record.tries >= triesMax) this.#finish(key)
      else {
        record.askedAt = undefined
        this.#outbox.release(record)
      }
    }
  }

  nextAt(): number {
    let at = Infinity
    for (const { askedAt } of this.#open.values()) {
      if (askedAt !== undefined) at = Math.min(at, askedAt + retryMs)
    }
    return at
  }

  #finish(key: string): boolean {
    const record = this.#open.get(key)
    if (record === undefined) return false
    this.#open.delete(key)
    record.done?.()
    return true
  }
}

function keyOf(server: string, id: string): string {
  return `${server} ${id}`
}
