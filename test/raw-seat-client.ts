/**
 * A client that keeps no rules: it speaks the client protocol by hand, for tests of what the SDK would never do
 * (an old token, a message repeated, two servers at once).
 */
import type { Bus } from '../raft/index.ts'
import { decodeAnswer, encodeAcquire, encodeRenew } from '../lib/protocol/seat-codec.ts'
import type { RenewItem, SeatResult } from '../lib/protocol/seat.ts'
import { subjects } from '../lib/protocol/subject.ts'

const names = subjects('default')

/** As the SDK: an answer that has not come for so long is asked for again. */
const againMs = 1_000

export class RawSeatClient {
  readonly #bus: Bus
  readonly #inbox: string
  readonly #listeners = new Set<(result: SeatResult) => void>()
  #batch = 0

  constructor(bus: Bus) {
    this.#bus = bus
    this.#inbox = `${bus.inbox}.raw`
    bus.subscribe(`${this.#inbox}.>`, ({ data }) => {
      for (const result of decodeAnswer(data)?.results ?? []) {
        for (const hear of this.#listeners) hear(result)
      }
    })
  }

  /** The token of a fresh seat. */
  async acquire(server: string, seatId: string, feature: string): Promise<Uint8Array> {
    const item = { requestId: seatId, feature, count: 1, user: 'raw', host: 'raw', waitMs: 0 }
    const heard = this.#next(seatId, ['granted', 'refused'])
    this.#send(names.seat(server, 'acquire'), batch => encodeAcquire(batch, 'raw-client', [item]))
    const result = await heard
    const token = result.kind === 'granted' ? result.seats[0]?.token : undefined
    if (token === undefined) throw new Error(JSON.stringify(result))
    return token
  }

  /** Renews, answers the challenge if there is one, and resolves with how it ended. */
  async renew(server: string, item: Omit<RenewItem, 'user' | 'host'>): Promise<SeatResult> {
    const first = await this.renewOnce(server, item)
    if (first.kind !== 'challenge') return first
    return await this.renewOnce(server, { ...item, confirm: first.nonce })
  }

  /**
   * One message, and the first result that is not `pending`. Unanswered it is sent again, as the protocol has it: a server
   * that cannot tell yet whether the seat moved away from it says nothing for a tick. So it is to a server that has
   * not heard yet of the tick in which the token was made: it cannot tell either, and says so.
   */
  async renewOnce(server: string, item: Omit<RenewItem, 'user' | 'host'>): Promise<SeatResult> {
    for (;;) {
      const result = await this.#ask(server, item)
      if (result.kind !== 'refused' || result.code !== 'LICD_NOT_PROVEN') return result
    }
  }

  async #ask(server: string, item: Omit<RenewItem, 'user' | 'host'>): Promise<SeatResult> {
    const heard = this.#next(item.seatId, ['renewed', 'challenge', 'refused'])
    const full = { ...item, user: 'raw', host: 'raw' }
    const send = (): void =>
      this.#send(names.seat(server, 'renew'), batch => encodeRenew(batch, 'raw-client', [full]))
    send()
    const again = setInterval(send, againMs)
    try {
      return await heard
    } finally {
      clearInterval(again)
    }
  }

  #send(subject: string, encode: (batch: number) => Uint8Array): void {
    const batch = ++this.#batch
    this.#bus.publish(subject, encode(batch), { reply: `${this.#inbox}.${batch}` })
  }

  #next(id: string, kinds: readonly SeatResult['kind'][]): Promise<SeatResult> {
    return new Promise(resolve => {
      const hear = (result: SeatResult) => {
        if (!kinds.includes(result.kind) || idOf(result) !== id) return
        this.#listeners.delete(hear)
        resolve(result)
      }
      this.#listeners.add(hear)
    })
  }
}

function idOf(result: SeatResult): string {
  switch (result.kind) {
    case 'granted':
    case 'waiting':
      return result.requestId
    case 'refused':
      return result.id
    case 'renewed':
    case 'challenge':
    case 'pending':
    case 'released':
      return result.seatId
  }
}
