/**
 * A seat as the program that holds it sees it: the handle that `client.acquire` gives.
 *
 * It renews itself until it is released. `valid` is read from the clock at each look, so that a program that was
 * stopped and goes on never believes in a seat whose time is over.
 */
import { EventEmitter } from 'node:events'
import { isCode, LicdError, type Code } from '../error.ts'
import type { SeatEnd } from '../protocol/seat.ts'
import type { Hold, HoldHandlers, Refusal } from './core.ts'
import type { Prover } from './prove.ts'

export interface SeatEvents {
  /**
   * The seat is over, and not by `release`. Stop using the feature, or acquire a new seat. Once. The error's code is
   * LICD_CODE_EXPIRED when its license code ended, else LICD_SEAT_LOST or LICD_BAD_TOKEN.
   */
  readonly lost: [error: LicdError]
  /** The seat is at another server now, and was valid throughout. */
  readonly moved: [server: string]
  /** A server has confirmed the seat anew. */
  readonly renewed: []
  /** The license code that the seat stands on ends within an hour, and nothing takes its place. Once for each code. */
  readonly ending: [end: LicenseEnd]
}

/** When a license code ends. */
export interface LicenseEnd {
  /** Id of the license code. */
  readonly code: string
  /** By the pool's calendar. */
  readonly at: Date
}

/**
 * Seats of one `acquire`, under one handle.
 *
 * @example
 * ```ts
 * await using seat = await client.acquire('cad')
 * seat.on('lost', error => console.error(error.message))
 * while (seat.valid) await work(seat.signal)
 * ```
 */
export class Seat extends EventEmitter<SeatEvents> {
  readonly #hold: Hold
  readonly #prover: Prover
  /** Made when it is asked for: it costs more than all else of a seat that nobody asks it of. */
  #abort: AbortController | undefined
  #ended: 'released' | LicdError | undefined
  #released: Promise<void> | undefined

  /** @internal */
  constructor(hold: Hold, link: SeatLink, prover: Prover) {
    super()
    this.#hold = hold
    this.#prover = prover
    link.handle = event => this.#take(event)
  }

  /** Unique in the pool. For a count above 1 it stands for all its seats. */
  get id(): string {
    return this.#hold.id
  }

  get feature(): string {
    return this.#hold.feature
  }

  get count(): number {
    return this.#hold.count
  }

  /** The server the seat is at. */
  get server(): string {
    return this.#hold.server()
  }

  /** Whether the feature may be used now. Computed anew at each look; cheap. */
  get valid(): boolean {
    return this.#hold.remainingMs() > 0
  }

  /** Milliseconds the seat stays valid if no server renews it; 0 when it is not valid. */
  get remainingMs(): number {
    return this.#hold.remainingMs()
  }

  /** The end of its license code, known from an hour ahead; undefined while none is near. See `ending`. */
  get ends(): LicenseEnd | undefined {
    const end = this.#hold.end()
    return end && licenseEnd(end)
  }

  /** Aborted, with the error as its reason, when the seat is lost or released. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#ended !== undefined) this.#end(this.#ended)
    }
    return this.#abort.signal
  }

  /**
   * A proof of the seat, to be checked offline with `verifySeatProof`: that a server of a pool to which the vendor
   * sold holds it, and until when. `nonce`: 16 to 64 bytes, at random, fresh for each proof. `index`: which of
   * its seats, for a count above 1.
   *
   * @throws LicdError LICD_SEAT_LOST, LICD_NO_PROOF (the pool's own feature, without a code), LICD_BAD_REQUEST
   *   (nonce), LICD_TIMEOUT (10 s)
   */
  prove(nonce: Uint8Array, index = 0): Promise<string> {
    return this.#prover.prove(this.#hold, index, nonce)
  }

  /**
   * Gives the seat back. It is invalid from this call on; the promise says when the servers know (at most a few
   * seconds) and never rejects. It need not be awaited, and twice does no harm.
   */
  release(): Promise<void> {
    this.#released ??= new Promise(resolve => this.#hold.release(resolve))
    this.#end('released')
    return this.#released
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }

  #end(why: 'released' | LicdError): void {
    this.#ended ??= why
    this.#abort?.abort(
      why === 'released' ? new LicdError('LICD_SEAT_LOST', 'The seat was released.') : why,
    )
  }

  /** Events come in a turn of their own: what a listener throws is its program's, and stops no work here. */
  #take(event: HoldEvent): void {
    if (event.type === 'lost') this.#end(event.error)
    queueMicrotask(() => {
      if (event.type === 'lost') this.emit('lost', event.error)
      else if (event.type === 'moved') this.emit('moved', event.server)
      else if (event.type === 'ending') this.emit('ending', event.end)
      else this.emit('renewed')
    })
  }
}

type HoldEvent =
  | { readonly type: 'lost'; readonly error: LicdError }
  | { readonly type: 'moved'; readonly server: string }
  | { readonly type: 'ending'; readonly end: LicenseEnd }
  | { readonly type: 'renewed' }

/** Leads from the core's hold to the handle, which is made once the hold is granted. @internal */
export class SeatLink implements HoldHandlers {
  handle: ((event: HoldEvent) => void) | undefined

  lost(refusal: Refusal): void {
    this.handle?.({ type: 'lost', error: errorOf(refusal) })
  }

  moved(server: string): void {
    this.handle?.({ type: 'moved', server })
  }

  ending(end: SeatEnd): void {
    this.handle?.({ type: 'ending', end: licenseEnd(end) })
  }

  renewed(): void {
    this.handle?.({ type: 'renewed' })
  }
}

function licenseEnd({ code, at }: SeatEnd): LicenseEnd {
  return { code, at: new Date(at) }
}

/** @internal */
export function errorOf({ code, detail, retryAfterMs }: Refusal): LicdError {
  const known: Code = isCode(code) ? code : 'LICD_INTERNAL'
  const text = known === code ? detail : `A server refused with ${code}. ${detail}`
  const options = retryAfterMs === undefined ? {} : { retryAfterMs }
  return new LicdError(known, text === '' ? undefined : text, options)
}
