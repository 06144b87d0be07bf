/**
 * Which license code a feature's next end is that of: for clients, who are told ahead, and for people.
 *
 * Nothing is decided by it: when a seat ends is the ledger's `endsAt` (R4, R9).
 */
import type { Ledger } from '../ledger/ledger.ts'
import { aheadMs, momentOf } from '../protocol/seat-end.ts'
import type { SeatEnd } from '../protocol/seat.ts'

export class Endings {
  readonly #ledger: () => Ledger
  /** By feature, as of one tick: the codes of a feature, which may be many, are read once in it. */
  #codes = new Map<string, string | undefined>()
  #madeAt = -1

  constructor(ledger: () => Ledger) {
    this.#ledger = ledger
  }

  /** Of a feature that ends in so many milliseconds, where that is soon. */
  soon(feature: string, at: number, inMs: number): SeatEnd | undefined {
    if (inMs > aheadMs) return undefined
    const code = this.#codeOf(feature)
    return code === undefined ? undefined : { code, at, inMs: Math.max(0, Math.floor(inMs)) }
  }

  #codeOf(feature: string): string | undefined {
    const ledger = this.#ledger()
    if (this.#madeAt !== ledger.state.tick) {
      this.#madeAt = ledger.state.tick
      this.#codes = new Map()
    }
    let code = this.#codes.get(feature)
    if (code === undefined && !this.#codes.has(feature)) {
      code = ledger.endingCode(feature)
      this.#codes.set(feature, code)
    }
    return code
  }
}

/** What a client hears of which nothing can be renewed or granted for it. */
export function endingText({ code, at }: SeatEnd, feature: string): string {
  return `The license code ${code} of ${feature} ends at ${momentOf(at)}.`
}
