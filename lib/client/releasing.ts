/**
 * Giving back: seats by their token, and requests by their id.
 *
 * A release is repeated while it is unanswered, `triesMax` times in all; then it is left to expiry, which gives
 * the allocation back as well, only later. Nobody has to wait for it.
 */
import { FreshMap } from '../fresh-map.ts'
import type { Outbox } from './outbox.ts'
import { ReleaseRecord, retryMs } from './record.ts'

const triesMax = 3
/** Beyond it a release is not sent at all but left to expiry: something is very wrong by then. */
const openMax = 100_000
const noToken = new Uint8Array(0)

export class Releasing {
  readonly #outbox: Outbox
  /** Server -> seat or request id -> what is given back there. */
  readonly #open = new Map<string, FreshMap<string, ReleaseRecord>>()
  #size = 0

  constructor(outbox: Outbox) {
    this.#outbox = outbox
  }

  get size(): number {
    return this.#size
  }

  /**
   * `done` is called once: when the server has answered, or is given up. By `id`: to a server that granted or renewed the
   * seat to this very client the id says as much as the token, in a third of the bytes; only repeated is it shown the token.
   */
  seat(
    server: string,
    seatId: string,
    token: Uint8Array,
    { by, done }: { readonly by: 'id' | 'token'; readonly done?: () => void },
  ): void {
    const there = this.#at(server)
    const open = there.get(seatId)
    if (open !== undefined || this.#size >= openMax) {
      // A withdrawal crossed by the grant: now there is a token to give back.
      if (open?.token.length === 0 && token.length > 0) {
        open.token = token
        this.#outbox.release(open)
      }
      done?.()
      return
    }
    const shown = { token: by === 'id' ? noToken : token, proof: token }
    const record = new ReleaseRecord(server, seatId, shown, done)
    there.set(seatId, record)
    this.#size++
    this.#outbox.release(record)
  }

  /** Withdraws a request: whether it waits or was granted unheard. */
  request(server: string, requestId: string): void {
    this.seat(server, requestId, noToken, { by: 'id' })
  }

  /** The server answered, whatever it said: it does not hold the seat any more. */
  answered(server: string, id: string): boolean {
    const record = this.#open.get(server)?.get(id)
    if (record !== undefined) this.#finish(record)
    return record !== undefined
  }

  leave(server: string): void {
    for (const record of this.#open.get(server)?.values() ?? []) this.#finish(record)
  }

  pulse(now: number): void {
    for (const there of this.#open.values()) {
      there.refresh()
      for (const record of there.values()) {
        if (record.askedAt === undefined || record.askedAt + retryMs > now) continue
        if (record.tries >= triesMax) this.#finish(record)
        else {
          record.askedAt = undefined
          record.token = record.proof
          this.#outbox.release(record)
        }
      }
    }
  }

  nextAt(): number {
    let at = Infinity
    for (const there of this.#open.values()) {
      for (const { askedAt } of there.values()) {
        if (askedAt !== undefined) at = Math.min(at, askedAt + retryMs)
      }
    }
    return at
  }

  #at(server: string): FreshMap<string, ReleaseRecord> {
    let there = this.#open.get(server)
    if (there === undefined) this.#open.set(server, (there = new FreshMap()))
    return there
  }

  #finish(record: ReleaseRecord): void {
    if (this.#open.get(record.target)?.delete(record.seatId) !== true) return
    this.#size--
    record.done?.()
  }
}
