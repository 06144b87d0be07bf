/**
 * Seats proven on request: what a program can check offline, with its vendor's key (lib/code/seat-proof.ts).
 *
 * On `seat.<server>.prove`, apart from granting and renewing, which sign nothing and are no slower for it. A request is
 * `{"seatId","token","nonce"}` in JSON (bytes as base64url), its answer `{"ok":true,"proof"}` or
 * `{"ok":false,"code","detail"}`. Only who shows the seat's token gets a proof, and only of a seat that is held
 * here now: it says no more than what this server counts as in use.
 *
 * The server's own key is made at the first request of its process and certified by the pool's for a day at a time.
 * A signature costs some 50 microseconds, so there are bounds a second, for all and for each client. Only who holds a seat
 * counts: what is forged leaves the others theirs.
 */
import { expiryFactor } from '../book/book.ts'
import type { SigningKey } from '../code/jws.ts'
import { certifyServer, proofBounds, proveSeat, type ServerSeal } from '../code/seat-proof.ts'
import type { Code } from '../error.ts'
import type { CodeRecord } from '../ledger/state.ts'
import type { BusMessage } from '../../raft/ports.ts'
import { seatBounds } from '../protocol/seat.ts'
import { inboxOf } from '../protocol/subject.ts'
import { filled, isOf, loose, pattern } from '../shape.ts'
import { unseenMs } from '../standstill.ts'
import type { Desk } from './desk.ts'

const dayMs = 86_400_000
const perSecondMax = 1_000
const clientPerSecondMax = 100
const messageBytes = 4_096

const base64url = /^[A-Za-z0-9_-]+$/
const requestShape = loose({
  seatId: filled(64),
  token: pattern(base64url, Math.ceil((seatBounds.tokenMax * 4) / 3)),
  nonce: pattern(base64url, 86),
})

type Proven =
  | { readonly ok: true; readonly proof: string }
  | { readonly ok: false; readonly code: Code; readonly detail: string }

function refuse(code: Code, detail = ''): Proven {
  return { ok: false, code, detail }
}

export class Prove {
  readonly #desk: Desk
  readonly #makeKey: () => SigningKey
  #seal: ServerSeal | undefined
  #key: SigningKey | undefined
  /** In this second: how many in all, and of each client. */
  #second = 0
  #count = 0
  readonly #counts = new Map<string, number>()

  constructor(desk: Desk, makeKey: () => SigningKey) {
    this.#desk = desk
    this.#makeKey = makeKey
  }

  /** Answers a message. One that awaits no answer costs nothing. */
  request(message: BusMessage): void {
    const reply = inboxOf(message.reply)
    if (reply === undefined) return
    const answer = this.#answer(message.data)
    this.#desk.host.clientBus.publish(reply, Buffer.from(JSON.stringify(answer)))
  }

  #answer(data: Uint8Array): Proven {
    const { now } = this.#desk
    if (data.length > messageBytes) return refuse('LICD_TOO_LARGE')
    const request = read(data)
    if (request === undefined) return refuse('LICD_BAD_REQUEST', 'seatId, token and nonce.')
    const nonce = Buffer.from(request.nonce, 'base64url')
    const { nonceMin, nonceMax } = proofBounds
    if (nonce.length < nonceMin || nonce.length > nonceMax) {
      return refuse('LICD_BAD_REQUEST', `Field nonce has ${nonceMin} to ${nonceMax} bytes.`)
    }
    return this.#prove(request.seatId, Buffer.from(request.token, 'base64url'), nonce, now)
  }

  #prove(seatId: string, token: Uint8Array, nonce: Uint8Array, now: number): Proven {
    const { host, book } = this.#desk
    const shown = host.keys.read(token)
    if (shown?.seatId !== seatId) return refuse('LICD_BAD_TOKEN')
    if (!this.#desk.isServing(now)) return refuse('LICD_NOT_SERVING')
    this.#desk.advance(now)
    const seat = book.find(seatId)
    if (seat?.state !== 'held' || seat.stock.feature !== shown.feature) {
      return refuse('LICD_SEAT_LOST', 'It is not held here.')
    }
    if (!this.#desk.isProvenBy(seat, shown, '')) {
      return refuse('LICD_SEAT_LOST', 'The token was made by another server: renew first.')
    }
    if (seat.stock.isOverLimit) return refuse('LICD_OVER_LIMIT')
    if (!this.#isWithinBound(seat.holder?.clientId ?? '', now)) {
      return refuse('LICD_TOO_BUSY', 'Many proofs are asked for.')
    }
    const { poolKey, server, ledger, tickAppliedAt } = host
    const { feature } = shown
    const record = bestOf(ledger.activeCodes(feature))
    if (poolKey === undefined || record === undefined) {
      return refuse('LICD_NO_PROOF', `No vendor\u2019s code stands behind ${feature}.`)
    }
    const calendar = ledger.state.calendar + Math.max(0, now - tickAppliedAt)
    // No more than this server counts it as in use; what the client was told is a little less.
    const until = calendar + (seat.expiresAt - unseenMs - now) / expiryFactor
    const claim = { feature, seatId, server, nonce, from: calendar, until }
    const proof = proveSeat(claim, this.#sealed(poolKey, calendar), {
      code: record.text,
      keys: ledger.certificatesOf(record.content.kid),
      poolPublicKey: poolKey.publicKey,
    })
    return { ok: true, proof }
  }

  #sealed(poolKey: SigningKey, calendar: number): ServerSeal {
    const { server } = this.#desk.host
    if (this.#seal !== undefined && this.#seal.until - calendar > dayMs / 2) return this.#seal
    this.#key ??= this.#makeKey()
    const times = { from: calendar - dayMs / 24, until: calendar + dayMs }
    this.#seal = certifyServer({ server, key: this.#key, ...times }, poolKey)
    return this.#seal
  }

  #isWithinBound(clientId: string, now: number): boolean {
    const second = Math.floor(now / 1_000)
    if (second !== this.#second) {
      this.#second = second
      this.#count = 0
      this.#counts.clear()
    }
    const own = this.#counts.get(clientId) ?? 0
    if (this.#count >= perSecondMax || own >= clientPerSecondMax) return false
    this.#count++
    this.#counts.set(clientId, own + 1)
    return true
  }
}

function read(data: Uint8Array) {
  try {
    const value: unknown = JSON.parse(Buffer.from(data).toString())
    return isOf(requestShape, value) ? value : undefined
  } catch {
    // Whatever it is, it is no request: that is the answer.
    return undefined
  }
}

/** The code that lasts longest, so that no proof ends before its seat. */
function bestOf(records: readonly CodeRecord[]): CodeRecord | undefined {
  let best: CodeRecord | undefined
  for (const record of records) {
    const end = record.content.expiresAt ?? Infinity
    if (best === undefined || end > (best.content.expiresAt ?? Infinity)) best = record
  }
  return best
}
