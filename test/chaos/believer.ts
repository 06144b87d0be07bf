/**
 * Holds seats through the SDK and writes down what it says of each, and when (`history.ts`).
 */
import { type Client, LicdError, type Seat } from '../../lib/index.ts'
import { type HistoryWriter, now } from './history.ts'

export interface Wish {
  readonly feature: string
  readonly count: number
  readonly timeout: number
  readonly signal?: AbortSignal
}

/** An SDK's word is looked at this often where no event tells that it has changed. */
const lookMs = 250
const noticeMs = 20

export class Believer {
  readonly #history: HistoryWriter
  readonly #held = new Map<Seat, { until: number; confirmedAt: number }>()
  readonly #timer: NodeJS.Timeout

  constructor(history: HistoryWriter) {
    this.#history = history
    this.#timer = setInterval(() => {
      for (const seat of this.#held.keys()) this.#believe(seat, false)
    }, lookMs)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** When each seat that is held was confirmed last. */
  confirmations(): number[] {
    return [...this.#held.values()].map(({ confirmedAt }) => confirmedAt)
  }

  /** Resolves with a seat, or undefined when none was to be had. */
  async acquire(client: Client, who: string, wish: Wish): Promise<Seat | undefined> {
    const { feature, ...options } = wish
    const asked = now()
    try {
      const seat = await client.acquire(feature, { ...options, user: who })
      const t = now()
      const until = t + seat.remainingMs
      this.#held.set(seat, { until, confirmedAt: t })
      const grant = { seat: seat.id, client: who, feature, count: seat.count, at: seat.server }
      this.#history.write({ k: 'grant', t, until, askedMs: Math.round(t - asked), ...grant })
      this.#watch(seat)
      return seat
    } catch (error) {
      const code = error instanceof LicdError ? error.code : String(error)
      if (code !== 'LICD_ABORTED') this.#history.write({ k: 'deny', t: now(), feature, code })
      return undefined
    }
  }

  #watch(seat: Seat): void {
    const { id } = seat
    seat.on('renewed', () => this.#believe(seat, true))
    seat.on('moved', at => this.#history.write({ k: 'move', t: now(), seat: id, at }))
    seat.once('lost', ({ code }) => {
      this.#held.delete(seat)
      this.#history.write({ k: 'end', t: now(), seat: id, why: 'lost', code })
    })
  }

  /** The clock first: a stop between the two must not lengthen the belief. */
  #believe(seat: Seat, isConfirmed: boolean): void {
    const known = this.#held.get(seat)
    const t = now()
    const left = seat.remainingMs
    if (known === undefined || left === 0) return
    const until = t + left
    if (!isConfirmed && Math.abs(until - known.until) < noticeMs) return
    known.until = until
    known.confirmedAt = t
    this.#history.write({ k: 'renew', t, seat: seat.id, until })
  }

  /** Written before it is given up, for it may be another's a moment later. */
  async release(seat: Seat): Promise<void> {
    if (!this.#held.delete(seat)) return
    this.#history.write({ k: 'end', t: now(), seat: seat.id, why: 'release' })
    await seat.release()
  }
}
