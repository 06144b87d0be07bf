/**
 * What the client keeps of its requests and seats. Plain records: each is changed by the one part that owns it
 * (`acquiring.ts`, `holding.ts`, `releasing.ts`), and written to the wire by `outbox.ts`.
 *
 * What is made for each seat is of a class, though it has no methods: of literals that lived through the first
 * collections V8 makes all later ones in the old space, where they and what they refer to stay until a full collection
 * (docs/performance.md).
 */
import type { Random } from '../../raft/ports.ts'
import type { AcquireItem, RenewItem, SeatEnd, SeatResult } from '../protocol/seat.ts'
import { isCut, momentOf } from '../protocol/seat-end.ts'

/** An answer that has not come for so long is asked for again. */
export const retryMs = 1_000

/** A renewal is due when this part of the promised time is over. */
const renewPart = 1 / 3
/** While a busy server makes an answer late it is looked for this often. */
const lookMs = 50

/** `at`; when it is over and nothing was done about it, the next look. */
export function later(at: number, now: number): number {
  return at > now ? at : now + lookMs
}

/** All times below are `SteadyClock.now()`, milliseconds. */
export interface Asking {
  /** The server it is asked of; undefined while there is none. */
  target: string | undefined
  /** The newest message that asked. */
  batch: number
  /** When that was sent, while it is unanswered. */
  askedAt: number | undefined
  /** Messages sent since the last answer. */
  tries: number
  /** When to ask (again), while nothing is unanswered. */
  nextAt: number
  /** The server whose message of this turn it is to go with. */
  queuedAt: string | undefined
}

export interface AcquireRequest {
  readonly feature: string
  readonly count: number
  readonly user: string
  readonly host: string
  /** How long to wait for a seat, milliseconds; undefined: not at all, only for an answer. */
  readonly waitMs: number | undefined
}

/** How long a request that does not wait for a seat waits for a server's answer. */
export const answerMs = 10_000

export interface Refusal {
  readonly code: string
  readonly detail: string
  readonly retryAfterMs?: number
}

export type AcquireOutcome =
  /** `at`: when the grant arrived. */
  | { readonly ok: true; readonly hold: HoldRecord; readonly at: number }
  | ({ readonly ok: false } & Refusal)

export class AcquireRecord implements Asking {
  target: string | undefined
  batch = 0
  askedAt: number | undefined
  tries = 0
  nextAt = Infinity
  queuedAt: string | undefined
  /** Fresh at each server: a withdrawal that comes late can then hit no later grant. */
  requestId: string
  readonly feature: string
  readonly count: number
  readonly user: string
  readonly host: string
  /** Whether to wait at the server for a seat; else only for its answer. */
  readonly waits: boolean
  /** How long it is waited for: for a seat, or for an answer. */
  readonly patienceMs: number
  /** What the server is told of that, as of the newest message; 0 for one that does not wait for a seat. */
  waitMs = 0
  readonly deadline: number
  /** Servers that refused in a way that another may not. */
  tried: Set<string> | undefined
  refusal: Refusal | undefined
  done: ((outcome: AcquireOutcome) => void) | undefined

  constructor(
    requestId: string,
    request: AcquireRequest,
    now: number,
    done: (outcome: AcquireOutcome) => void,
  ) {
    const { waitMs } = request
    this.requestId = requestId
    this.feature = request.feature
    this.count = request.count
    this.user = request.user
    this.host = request.host
    this.waits = waitMs !== undefined
    this.patienceMs = waitMs ?? answerMs
    this.deadline = now + this.patienceMs
    this.done = done
  }
}

/** A move that was confirmed at a server and whose outcome is not known (R6). */
export interface OpenMove {
  /** The last tick at which it may be applied. */
  readonly lastTick: number
  /** The messages that carried the confirmation. */
  readonly batches: Set<number>
}

/** Kept for a seat only while it is on its way to another server, or was refused. */
export interface Journey {
  nonce: { readonly server: string; readonly bytes: Uint8Array; readonly until: number } | undefined
  lastTick: number
  /** Server -> the move confirmed there. While any is open, nothing is said to the seat's own server. */
  readonly open: Map<string, OpenMove>
  /** Servers that refused on this round. */
  readonly tried: Set<string>
  redirects: number
  challenges: number
  /** Its own server, which was left and may have started again, is to be asked first; false when it was, once a journey. */
  returns: boolean | undefined
  /** What the last server that refused said: the reason, where no other renews the seat. */
  refusal: Refusal | undefined
}

/** What one answer gave to all of its seats. */
export interface Given {
  readonly server: string
  readonly expiresAt: number
  readonly epoch: number
  readonly batch: number
  readonly end: CodeEnd | undefined
}

/** The code that a seat stands on ends soon. */
export interface CodeEnd extends SeatEnd {
  /** What was promised ends for that. */
  readonly isCut: boolean
}

export function endIn({
  ends,
  expiresInMs,
}: Extract<SeatResult, { kind: 'granted' | 'renewed' }>): CodeEnd | undefined {
  return ends && { ...ends, isCut: isCut(expiresInMs, ends) }
}

export class SeatRecord implements Asking {
  target: string | undefined
  batch: number
  askedAt: number | undefined
  tries = 0
  nextAt = Infinity
  queuedAt: string | undefined
  readonly seatId: string
  readonly hold: HoldRecord
  token: Uint8Array
  /** The server that made the token. */
  server: string
  /** Counted from before the message was sent whose answer promised it (R4). */
  expiresAt: number
  /** The clock's epoch when that message was sent. */
  epoch: number
  /** The newest message whose token this is. */
  tokenBatch: number
  /** Only messages later than this one were sent to `target`. */
  sinceBatch = 0
  journey: Journey | undefined
  /** As its newest token was given. */
  end: CodeEnd | undefined
  /** A move of it was confirmed somewhere, once: servers may differ on where it is. */
  roams = false

  constructor(
    hold: HoldRecord,
    { seatId, token }: { readonly seatId: string; readonly token: Uint8Array },
    { server, expiresAt, epoch, batch, end }: Given,
  ) {
    this.target = server
    this.batch = batch
    this.seatId = seatId
    this.hold = hold
    this.token = token
    this.server = server
    this.expiresAt = expiresAt
    this.epoch = epoch
    this.tokenBatch = batch
    this.end = end
  }
}

/** What a server confirmed: the token, and the promise as counted from before the message was sent (R4). */
export function confirm(seat: SeatRecord, result: Renewed, given: Omit<Given, 'end'>): void {
  const { server, expiresAt, epoch, batch } = given
  const isMove = seat.server !== server
  if (isMove || batch >= seat.tokenBatch) {
    seat.token = result.token
    seat.tokenBatch = batch
    seat.end = endIn(result)
  }
  seat.server = server
  seat.roams ||= isMove
  // What was promised before stands. After a move only what the new server promises counts.
  seat.expiresAt = isMove || seat.epoch !== epoch ? expiresAt : Math.max(seat.expiresAt, expiresAt)
  seat.epoch = epoch
  seat.journey = undefined
  if (batch < seat.batch) return
  seat.askedAt = undefined
  seat.tries = 0
}

/** Tells who holds the seats that one was renewed, and before that, once, that their code ends soon. */
export function tellRenewed(hold: HoldRecord, { end }: SeatRecord): void {
  const isNews = end?.code !== hold.end?.code || end?.at !== hold.end?.at
  hold.end = end
  if (isNews && end !== undefined) hold.handlers?.ending?.(end)
  hold.handlers?.renewed()
}

/** Why a seat is over that nobody renewed. */
export function expired({ journey, end, hold }: SeatRecord): Refusal {
  if (end?.isCut === true) {
    const { code, at } = end
    const detail = `The license code ${code} ended at ${momentOf(at)}, and the seat of ${hold.feature} with it; what other codes of the pool bring can be acquired anew.`
    return { code: 'LICD_CODE_EXPIRED', detail }
  }
  const over = 'No server renewed the seat before it expired.'
  const refusal = journey?.refusal
  if (refusal === undefined) return { code: 'LICD_SEAT_LOST', detail: over }
  const why = [`The last refusal was ${refusal.code}.`, refusal.detail].filter(text => text !== '')
  return { code: 'LICD_SEAT_LOST', detail: [over, ...why].join(' ') }
}

/** When something is due for a seat: its expiry, or, while there is a link, what is to be asked. */
function dueAt(seat: SeatRecord, now: number, connected: boolean): number {
  const { target, expiresAt, askedAt, nextAt } = seat
  if (!connected) return expiresAt
  // What this turn asks is sent at its end.
  const sentAt = askedAt ?? (target !== undefined && nextAt === Infinity ? now : undefined)
  return Math.min(expiresAt, sentAt === undefined ? nextAt : later(sentAt + retryMs, now))
}

export function dueFirst(seats: Iterable<SeatRecord>, now: number, connected: boolean): number {
  let at = Infinity
  for (const seat of seats) at = Math.min(at, dueAt(seat, now, connected))
  return at
}

/** Jittered, so that the clients of a pool do not beat in time. */
export function renewAt({ expiresAt }: SeatRecord, now: number, random: Random): number {
  return now + (expiresAt - now) * renewPart * (0.8 + 0.2 * random.next())
}

/** Milliseconds that the hold may still be believed in, 0 when it may not. */
export function remainingMs({ state, seats }: HoldRecord, now: number, epoch: number): number {
  if (state !== 'held') return 0
  let left = Infinity
  for (const seat of seats) {
    if (seat.epoch !== epoch) return 0
    left = Math.min(left, seat.expiresAt - now)
  }
  return Math.max(0, left)
}

/** Calls both, in this order. */
export function both(first: (() => void) | undefined, second: () => void): () => void {
  if (first === undefined) return second
  return () => {
    first()
    second()
  }
}

type Renewed = Extract<SeatResult, { kind: 'renewed' }>

export interface HoldHandlers {
  /** Told with a renewal, once for each code: it ends soon. Who need not know leaves it out. */
  ending?(end: SeatEnd): void
  /** The hold is over and not by `release`. Called once. */
  lost(refusal: Refusal): void
  /** All its seats are at another server now. */
  moved(server: string): void
  renewed(): void
}

/** The seats of one acquire: all of them or none. */
export class HoldRecord {
  readonly id: string
  readonly feature: string
  readonly user: string
  readonly host: string
  readonly seats: SeatRecord[]
  /** The server where all its seats were last. */
  server: string
  /** `releasing`: given up by the user, and being told to servers. */
  state: 'held' | 'releasing' | 'over' = 'held'
  handlers: HoldHandlers | undefined
  /** The end that was told last, to the handlers or with the grant. */
  end: CodeEnd | undefined
  /** Releases sent and not yet answered or given up. */
  releases = 0
  whenOver: (() => void) | undefined

  constructor(
    { requestId, feature, user, host }: AcquireRecord,
    seats: readonly { readonly seatId: string; readonly token: Uint8Array }[],
    given: Given,
  ) {
    this.id = requestId
    this.feature = feature
    this.user = user
    this.host = host
    this.server = given.server
    this.end = given.end
    this.seats = seats.map(seat => new SeatRecord(this, seat, given))
  }
}

export class ReleaseRecord implements Asking {
  readonly target: string
  batch = 0
  askedAt: number | undefined
  tries = 0
  nextAt = 0
  queuedAt: string | undefined
  readonly seatId: string
  /** As it is sent. Empty: given back by its id, by who asked for it. */
  token: Uint8Array
  /** The seat's own; empty for a request. */
  readonly proof: Uint8Array
  done: (() => void) | undefined

  constructor(
    target: string,
    seatId: string,
    shown: { readonly token: Uint8Array; readonly proof: Uint8Array },
    done: (() => void) | undefined,
  ) {
    this.target = target
    this.seatId = seatId
    this.token = shown.token
    this.proof = shown.proof
    this.done = done
  }
}

/** The record itself is the item. */
export function acquireItem(record: AcquireRecord, now: number): AcquireItem {
  record.waitMs = record.waits ? Math.max(0, Math.ceil(record.deadline - now)) : 0
  return record
}

export function renewItem(seat: SeatRecord, now: number): RenewItem {
  const { seatId, token, hold, target, server, journey } = seat
  const { feature, user, host } = hold
  const item = { seatId, feature, token, user, host, failover: target !== server }
  // What was given up only asks how its move ended; it does not ask to be moved.
  const nonce = hold.state === 'held' ? journey?.nonce : undefined
  if (nonce === undefined || nonce.server !== target || now >= nonce.until) return item
  return { ...item, confirm: nonce.bytes }
}
