/** Very many seats held at one server without a client for each: acquired by the protocol, and left alone. */
import { decodeAnswer, encodeAcquire } from '../lib/protocol/seat-codec.ts'
import { seatBounds } from '../lib/protocol/seat.ts'
import { subjects } from '../lib/protocol/subject.ts'
import { connectNats, systemRandom, type NatsBus } from '../raft/index.ts'

const seatsEach = 1_000
const silenceMs = 30_000

export class Holder {
  readonly #bus: NatsBus
  readonly #reply: string
  /** One client may hold only so many (`seatBounds.clientSeats`). */
  #clientId = systemRandom.id()
  readonly #waiting = new Map<string, (failure?: string) => void>()
  #batch = 0
  held = 0

  private constructor(bus: NatsBus) {
    this.#bus = bus
    this.#reply = `${bus.inbox}.holder`
    bus.subscribe(this.#reply, ({ data }) => {
      for (const result of decodeAnswer(data)?.results ?? []) {
        if (result.kind === 'granted') this.#waiting.get(result.requestId)?.()
        else if (result.kind === 'refused') this.#waiting.get(result.id)?.(result.code)
      }
    })
  }

  static async open(nats: string): Promise<Holder> {
    return new Holder(await connectNats({ servers: [nats], name: 'bench holder' }))
  }

  /** Acquires until `total` seats are held. Rejects when the server refuses or is silent. */
  async grow(server: string, feature: string, total: number): Promise<void> {
    while (this.held < total) {
      const count = Math.min(seatsEach, total - this.held)
      if (this.held % seatBounds.clientSeats === 0) this.#clientId = systemRandom.id()
      await this.#acquire(server, feature, count)
      this.held += count
    }
  }

  #acquire(server: string, feature: string, count: number): Promise<void> {
    const requestId = systemRandom.id()
    const item = { requestId, feature, count, user: 'bench', host: 'bench', waitMs: 0 }
    const data = encodeAcquire(++this.#batch, this.#clientId, [item])
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => done('silence'), silenceMs)
      const done = (failure?: string): void => {
        clearTimeout(timer)
        this.#waiting.delete(requestId)
        if (failure === undefined) resolve()
        else reject(new Error(`${server} refused ${count} seats of ${feature}: ${failure}`))
      }
      this.#waiting.set(requestId, done)
      this.#bus.publish(subjects('default').seat(server, 'acquire'), data, { reply: this.#reply })
    })
  }

  close(): Promise<void> {
    return this.#bus.close()
  }
}
