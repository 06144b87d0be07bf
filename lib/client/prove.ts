/**
 * Asks the server where a seat is for a proof of it. Rare, so each request has a subscription of its own for as long as
 * it lasts.
 */
import type { Bus, Clock, Subscription, Timer } from '../../raft/ports.ts'
import { isCode, LicdError } from '../error.ts'
import { subjects } from '../protocol/subject.ts'
import type { Hold } from './hold.ts'

/** In all; a seat may be on its way to another server meanwhile. */
const withinMs = 10_000
const askMs = 1_000

/** Refusals that another server, or the same in a moment, may not repeat. */
const passing = new Set(['LICD_NOT_SERVING', 'LICD_TOO_BUSY', 'LICD_OVER_LIMIT', 'LICD_SEAT_LOST'])

export class Prover {
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #subjects: ReturnType<typeof subjects>
  #count = 0

  constructor({ bus, clock }: { readonly bus: Bus; readonly clock: Clock }, pool: string) {
    this.#bus = bus
    this.#clock = clock
    this.#subjects = subjects(pool)
  }

  /**
   * The proof of the hold's seat number `index`, 0 and up.
   *
   * @throws LicdError LICD_SEAT_LOST, LICD_NO_PROOF, LICD_BAD_REQUEST (nonce), LICD_TIMEOUT
   */
  prove(hold: Hold, index: number, nonce: Uint8Array): Promise<string> {
    const inbox = `${this.#bus.inbox}.prove.${this.#count++}`
    const end = this.#clock.now() + withinMs
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined
      let refusal: LicdError | undefined
      const finish = (settle: () => void): void => {
        timer?.cancel()
        subscription.unsubscribe()
        settle()
      }
      const ask = (): void => {
        const shown = hold.remainingMs() > 0 ? hold.shown(index) : undefined
        if (shown === undefined) return finish(() => reject(new LicdError('LICD_SEAT_LOST')))
        if (this.#clock.now() >= end) {
          return finish(() => reject(refusal ?? new LicdError('LICD_TIMEOUT', 'No proof came.')))
        }
        const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
        const { seatId, token } = shown
        const request = JSON.stringify({ seatId, token: text(token), nonce: text(nonce) })
        const subject = this.#subjects.seat(hold.server(), 'prove')
        this.#bus.publish(subject, Buffer.from(request), { reply: inbox })
        timer = this.#clock.after(askMs, ask)
        return undefined
      }
      const subscription: Subscription = this.#bus.subscribe(inbox, message => {
        const answer = message.noResponders ? undefined : read(message.data)
        if (answer === undefined) return
        if (answer.ok) return finish(() => resolve(answer.proof))
        const { code, detail } = answer
        const error = new LicdError(isCode(code) ? code : 'LICD_INTERNAL', detail)
        if (!passing.has(code)) return finish(() => reject(error))
        refusal = error
        return undefined
      })
      ask()
    })
  }
}

type Answer =
  | { readonly ok: true; readonly proof: string }
  | { readonly ok: false; readonly code: string; readonly detail: string }

function read(data: Uint8Array): Answer | undefined {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(data).toString())
  } catch {
    // No answer of this protocol: the next one is awaited.
    return undefined
  }
  if (typeof value !== 'object' || value === null || !('ok' in value)) return undefined
  if (value.ok === true && 'proof' in value && typeof value.proof === 'string') {
    return { ok: true, proof: value.proof }
  }
  if (!('code' in value) || typeof value.code !== 'string') return undefined
  const detail = 'detail' in value && typeof value.detail === 'string' ? value.detail : ''
  return { ok: false, code: value.code, detail }
}
