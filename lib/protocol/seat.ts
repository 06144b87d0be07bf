/**
 * The client protocol: what travels on `seat.<server|any>.<operation>`.
 *
 * A message is a msgpack array `[version, batch, clientId, items]`; its answers come to the reply subject as
 * `[version, batch, server, incarnation, results]`. One message carries many items (all that a client asks of
 * a server in one turn), and one answer many results, in any order and split over any number of answers: the
 * client matches them by request id or seat id. An answer may come late: one to a waiting acquire, or to a
 * renewal that needed the leader, is sent when it is known and names the `batch` of the newest message that
 * asked for it, so that the client can count `expiresInMs` from before it *sent* that message (R4).
 *
 * Everything may be lost, repeated, late and out of order: an acquire repeated with its request id is the same
 * acquire, a renewal repeated is one renewal, a release repeated releases once.
 *
 * A request whose `Content-Type` header is `application/json` holds one item as a JSON object and is answered
 * by one JSON object, for plain NATS tools.
 */

export const protocolVersion = 1

export const seatBounds = {
  /** Bytes of one message, both ways. A larger one is answered LICD_TOO_LARGE. */
  messageBytes: 256 * 1024,
  /** Items in one message. */
  items: 1_000,
  /** Seats of one acquire. */
  countMax: 1_000,
  /** Seats that the acquires of one message may ask for together. */
  seatsPerMessage: 10_000,
  /** Characters of a request id, client id. */
  idMax: 40,
  /** Characters of user and host each. */
  labelMax: 128,
  /** Seats that one client may hold at one server, those that it moves there aside. */
  clientSeats: 100_000,
  /** Requests of one client that may wait at one server: a quarter of what may wait there in all. */
  clientWaiting: 2_500,
  /** Seats of one client that may be on their way to one server: half of what may be in all. */
  clientMoves: 5_000,
  /** Bytes of a token. */
  tokenMax: 512,
  /** The longest a request may wait at a server, milliseconds. */
  waitMaxMs: 24 * 3_600_000,
  /** A waiting acquire not repeated for this long is dropped: its client is gone. Repeat it every `repeatMs`. */
  waitingForgetMs: 10_000,
  repeatMs: 2_000,
} as const

/** The client id of who names none, which JSON allows. Many have it, so it proves nothing. */
export const anonymous = 'json'

/** `count` seats or none. Seat ids are `requestId` for a count of 1, else `requestId/0` .. `requestId/count-1`. */
export interface AcquireItem {
  readonly requestId: string
  readonly feature: string
  readonly count: number
  readonly user: string
  readonly host: string
  /** How long to wait for seats when there are none; 0 not at all. Milliseconds from arrival. */
  readonly waitMs: number
}

/** Seat ids of an acquire. */
export function seatIds(requestId: string, count: number): string[] {
  return count === 1 ? [requestId] : Array.from({ length: count }, (_, n) => `${requestId}/${n}`)
}

export interface RenewItem {
  readonly seatId: string
  readonly feature: string
  readonly token: Uint8Array
  readonly user: string
  readonly host: string
  /** The client left another server: this one did not grant the seat (R6). */
  readonly failover: boolean
  /** The answer to a challenge: its nonce. */
  readonly confirm?: Uint8Array
}

export interface ReleaseItem {
  readonly seatId: string
  readonly token: Uint8Array
}

export interface GrantedSeat {
  readonly seatId: string
  readonly token: Uint8Array
}

/** Told with a promise when the code ends within `aheadMs` and nothing takes its place. */
export interface SeatEnd {
  /** The license code's id. */
  readonly code: string
  /** By the pool's calendar, milliseconds since 1970. */
  readonly at: number
  /** From when the answer was made, milliseconds. */
  readonly inMs: number
}

/** On the wire each is an array that starts with its kind's number (`resultKinds`). */
export type SeatResult =
  /** Acquire: granted, all seats at once. */
  | {
      readonly kind: 'granted'
      readonly requestId: string
      readonly expiresInMs: number
      readonly seats: readonly GrantedSeat[]
      /** The code they stand on ends soon. */
      readonly ends?: SeatEnd
    }
  /** Acquire: waits; `position` 1 and up at this server. Repeat the request every `repeatMs` to stay in the queue. */
  | { readonly kind: 'waiting'; readonly requestId: string; readonly position: number }
  /** Renew: confirmed. The new token replaces the old one. */
  | {
      readonly kind: 'renewed'
      readonly seatId: string
      readonly expiresInMs: number
      readonly token: Uint8Array
      readonly ends?: SeatEnd
    }
  /**
   * Renew at a server that does not know the seat (R6, R7): it does nothing until the client, by repeating the
   * renewal with `confirm: nonce`, shows that it still wants it here. `lastTick`: the last tick at which a move
   * may be applied; `withinMs` says how long the nonce is good. A repeated old message alone moves nothing.
   */
  | {
      readonly kind: 'challenge'
      readonly seatId: string
      readonly nonce: Uint8Array
      readonly lastTick: number
      readonly withinMs: number
    }
  /** Renew: under way at the leader; the outcome follows. Ask again after `repeatMs`, here. */
  | { readonly kind: 'pending'; readonly seatId: string }
  | { readonly kind: 'released'; readonly seatId: string }
  /**
   * `id`: request or seat id. For a renewal, LICD_SEAT_LOST and LICD_BAD_TOKEN end the seat; every other code
   * leaves it valid until it expires. `server`: where the seat is now, when it was moved.
   */
  | {
      readonly kind: 'refused'
      readonly id: string
      readonly code: string
      readonly detail: string
      readonly server?: string
      readonly retryAfterMs?: number
    }

/** Characters of a refusal's detail on the wire; what is longer is cut. */
export const detailMax = 512

/** One answer message. */
export interface Answer {
  /** The newest message that asked for these results. */
  readonly batch: number
  readonly server: string
  readonly incarnation: number
  readonly results: readonly SeatResult[]
}

/** A result's number on the wire, by kind. Never reuse one. */
export const resultKinds = {
  granted: 0,
  waiting: 1,
  renewed: 2,
  challenge: 3,
  pending: 4,
  released: 5,
  refused: 6,
} as const satisfies Record<SeatResult['kind'], number>

/** Answer to `find`: who this is. */
export interface FoundServer {
  readonly pool: string
  readonly fingerprint: string
  readonly server: string
  readonly incarnation: number
  /** False when it may not grant now (no lease yet, or lost). */
  readonly serving: boolean
  /** Why it may not: LICD_NOT_SERVING or LICD_NO_LEASE, and what it has to say. */
  readonly reason?: { readonly code: string; readonly detail: string }
}
