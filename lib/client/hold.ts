/**
 * The seats of one acquire as the client's core hands them out. A class, since there is one for each acquire.
 */
import type { SeatEnd } from '../protocol/seat.ts'
import type { Holding } from './holding.ts'
import type { HoldRecord } from './record.ts'

/** The seats of one acquire, as long as they last. */
export interface Hold {
  readonly id: string
  readonly feature: string
  readonly count: number
  /** Where the seats are now. */
  server(): string
  /** The license code that they stand on ends soon: which, and when, as of the newest renewal. */
  end(): SeatEnd | undefined
  /** Milliseconds they may still be believed in; 0 when they may not. Computed anew at each call (R4). */
  remainingMs(): number
  /** Id and newest token of one of the seats, 0 and up. */
  shown(index: number): { readonly seatId: string; readonly token: Uint8Array } | undefined
  /** Gives them back. `done` when the servers know, or were given up. Twice does no harm. */
  release(done?: () => void): void
}

export class HeldSeats implements Hold {
  readonly #record: HoldRecord
  readonly #holding: Holding
  readonly #wake: () => void

  constructor(record: HoldRecord, holding: Holding, wake: () => void) {
    this.#record = record
    this.#holding = holding
    this.#wake = wake
  }

  get id(): string {
    return this.#record.id
  }

  get feature(): string {
    return this.#record.feature
  }

  get count(): number {
    return this.#record.seats.length
  }

  server(): string {
    return this.#record.server
  }

  end(): SeatEnd | undefined {
    return this.#record.end
  }

  remainingMs(): number {
    return this.#holding.remainingMs(this.#record)
  }

  shown(index: number): { readonly seatId: string; readonly token: Uint8Array } | undefined {
    return this.#record.seats[index]
  }

  release(done?: () => void): void {
    this.#holding.release(this.#record, done)
    this.#wake()
  }
}
