/**
 * What the client keeps of its requests and seats. Plain records: each is changed by the one part that owns it
 * (`acquiring.ts`, `holding.ts`, `releasing.ts`), and written to the wire by `outbox.ts`.
 */
import type { Random } from '../../raft/ports.ts'
import type { AcquireItem, RenewItem } from '../protocol/seat.ts'

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

export interface Refusal {
  readonly code: string
  readonly detail: string
  readonly retryAfterMs?: number
}

export type AcquireOutcome =
  /** `at`: when the grant arrived. */
  | { readonly ok: true; readonly hold: HoldRecord; readonly at: number }
  | ({ readonly ok: false } & Refusal)

export interface AcquireRecord extends Asking {
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
  waitMs: number
  readonly deadline: number
  /** Servers that refused in a way that another may not. */
  tried: Set<string> | undefined
  refusal: Refusal | undefined
  done: ((outcome: AcquireOutcome) => void) | undefined
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
}

export interface SeatRecord extends Asking {
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
  sinceBatch: number
  journey: Journey | undefined
  /** A move of it was confirmed somewhere, once: servers may differ on where it is. */
  roams: boolean
}

/** When something is due for a seat: its expiry, or, while there is a link, what is to be asked. */
export function dueAt(seat: SeatRecord, now: number, connected: boolean): number {
  const { target, expiresAt, askedAt, nextAt } = seat
  if (!connected) return expiresAt
  // What this turn asks is sent at its end.
  const sentAt = askedAt ?? (target !== undefined && nextAt === Infinity ? now : undefined)
  return Math.min(expiresAt, sentAt === undefined ? nextAt : later(sentAt + retryMs, now))
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

export interface HoldHandlers {
  /** The hold is over and not by `release`. Called once. */
  lost(refusal: Refusal): void
  /** All its seats are at another server now. */
  moved(server: string): void
  renewed(): void
}

/** The seats of one acquire: all of them or none. */
export interface HoldRecord {
  readonly id: string
  readonly feature: string
  readonly user: string
  readonly host: string
  readonly seats: SeatRecord[]
  /** The server where all its seats were last. */
  server: string
  /** `releasing`: given up by the user, and being told to servers. */
  state: 'held' | 'releasing' | 'over'
  handlers: HoldHandlers | undefined
  /** Releases sent and not yet answered or given up. */
  releases: number
  whenOver: (() => void)[] | undefined
}

export interface ReleaseRecord extends Asking {
  readonly target: string
  readonly seatId: string
  /** As it is sent. Empty: given back by its id, by who asked for it. */
  token: Uint8Array
  /** The seat's own; empty for a request. */
  readonly proof: Uint8Array
  done: (() => void) | undefined
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
