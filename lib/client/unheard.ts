/**
 * Seats that a server gives or keeps and nobody here awaits: given up meanwhile, or thought lost. They are given back.
 *
 * Not those that may have been moved. A server that is behind does not know yet that a seat was moved away from it, with
 * its allocation (R6), and goes on renewing it; what a release would set free there is in use, or given on, elsewhere.
 * Unsaid, the seat ends there by itself.
 *
 * Bound: what is older than any answer that is still believed is forgotten.
 */
import type { Sent } from './outbox.ts'
import type { SeatRecord } from './record.ts'
import type { Releasing } from './releasing.ts'
import type { SteadyClock } from './steady-clock.ts'

/** Answers to messages half as old are not believed any more (`Outbox`). */
const rememberMs = 60_000

export class Unheard {
  readonly #releasing: Releasing
  /** Seats that are over here and may have been moved -> until when they are remembered; the oldest first. */
  readonly #roamed = new Map<string, number>()

  constructor(releasing: Releasing) {
    this.#releasing = releasing
  }

  /** The seat is over here. */
  over({ seatId, roams }: SeatRecord, time: SteadyClock): void {
    if (!roams) return
    const now = time.now()
    this.#roamed.set(seatId, now + rememberMs)
    for (const [oldest, until] of this.#roamed) {
      if (until > now) break
      this.#roamed.delete(oldest)
    }
  }

  /** `sent`: the message that is answered; undefined for one that is forgotten. */
  giveBack(
    { seatId, token }: { readonly seatId: string; readonly token: Uint8Array },
    server: string,
    sent: Sent | undefined,
  ): void {
    if (sent === undefined || this.#roamed.has(seatId)) return
    this.#releasing.seat(server, seatId, token, { by: 'token' })
  }
}
