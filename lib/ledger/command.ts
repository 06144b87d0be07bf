/**
 * What may stand in the log, and what applying it can answer.
 *
 * Every input of the ledger is here: identity, time and chance arrive inside a command or not at all, so each
 * server that applies the same entries reaches the same state (I5). A command carries an id and the last tick
 * at which it may be applied (R8); the ledger remembers ids with results until `deadline + 600` ticks, which
 * makes it take effect exactly once (I4). A refusal is a result like any other.
 */
import type { Code } from '../error.ts'

/** Bounds of the ledger. A command beyond one is refused with LICD_TOO_MANY or LICD_BAD_COUNT. */
export const bounds = {
  /** Allocations of one feature, and any count in a command. */
  allocationsMax: 1_000_000_000,
  features: 10_000,
  codes: 100_000,
  /** Of a pool, voters and learners; of them vote at most `voters`. */
  servers: 32,
  voters: 7,
  vendors: 1_000,
  /** Ids remembered for exactly-once; beyond it commands are refused with LICD_TOO_BUSY. */
  results: 200_000,
  /** Unexpired moves (R6); beyond it a move is no source. */
  moves: 200_000,
  /** Ticks that an id is remembered beyond its deadline (R8). */
  resultTicks: 600,
  /** A deadline lies at most this many ticks ahead, and less than `leaseTicks` (R8). */
  deadlineTicks: 30,
  /** The calendar moves at most this far in one tick (R10), in milliseconds. */
  calendarStepMs: 60_000,
} as const

export interface Settings {
  /** Milliseconds of the leader's monotonic clock between ticks; 20 to 60,000. */
  readonly tickMs: number
  /** Ticks that a listing extends a server's lease by (R3); 3 to 1,000,000. */
  readonly leaseTicks: number
  /** Ticks that a token proves its seat (R4, R5); 2 to `leaseTicks`. */
  readonly seatTicks: number
}

export interface VendorKey {
  /** RFC 7638 thumbprint of the key: the `kid` of the codes it signs. */
  readonly kid: string
  readonly name: string
  /** The Ed25519 public key, base64url (the `x` of its JWK). */
  readonly publicKey: string
}

/** The verified content of a license code. Times are milliseconds since 1970; `expiresAt` absent means never. */
export interface CodeContent {
  readonly codeId: string
  readonly kid: string
  readonly vendor: string
  readonly customer: string
  /** Feature id, version included where there is one: `cad` or `cad@2026`. */
  readonly feature: string
  /** Signed text adds a feature with its allocations, or allocations of one that exists. */
  readonly kind: 'feature' | 'allocations'
  readonly allocations: number
  readonly startsAt: number
  readonly expiresAt?: number
  readonly issuedAt: number
}

/** What a token says: the allocation that seat `seatId` stands on belongs to `server`, provable until `lastTick`. */
export interface SeatProof {
  readonly seatId: string
  readonly feature: string
  readonly server: string
  readonly incarnation: number
  /** The tick last applied at the server when it made the token (the seat's tick). */
  readonly seatTick: number
  /** The last tick at which the token proves the seat; 0 when it proves nothing to others (R5). */
  readonly lastTick: number
}

/** Allocations of the leader's own, put into a borrow after it lowered its limit by as many (R1). */
export interface Offer {
  readonly server: string
  readonly incarnation: number
  readonly count: number
}

/** One server's keepalive as the leader saw it, listed by a tick (R2, R3). */
export interface Listing {
  readonly server: string
  readonly incarnation: number
  readonly number: number
  readonly wallMs: number
  /** Per feature, absolute in use and counters since the listing before; capped in size by the sender. */
  readonly usage: readonly Usage[]
}

export interface Usage {
  readonly feature: string
  readonly inUse: number
  readonly granted: number
  readonly denied: number
}

export type CommandBody =
  | {
      readonly type: 'genesis'
      readonly pool: string
      readonly fingerprint: string
      readonly settings: Settings
      readonly servers: readonly string[]
      readonly vendors: readonly VendorKey[]
      readonly wallMs: number
    }
  | { readonly type: 'hello'; readonly server: string; readonly bootId: string }
  /** A clean stop begins (R7): the server gives from here on and is given nothing. */
  | { readonly type: 'leave'; readonly server: string; readonly incarnation: number }
  | { readonly type: 'tick'; readonly tick: number; readonly listings: readonly Listing[] }
  | { readonly type: 'add-vendor'; readonly vendor: VendorKey }
  /** `text` was verified against the pool's trusted keys before it was proposed; `content` is what it says. */
  | { readonly type: 'add-code'; readonly text: string; readonly content: CodeContent }
  | { readonly type: 'remove-code'; readonly codeId: string }
  | { readonly type: 'add-feature'; readonly feature: string; readonly allocations: number }
  /** Only for the pool's own features; a vendor's are added by code. */
  | { readonly type: 'add-allocations'; readonly feature: string; readonly count: number }
  /** The new distribution criteria (claim 7). Servers not named get 0; `even` divides whatever the total is. */
  | {
      readonly type: 'change-criteria'
      readonly feature: string
      readonly targets: 'even' | Readonly<Record<string, number>>
      readonly thresholds?: Readonly<Record<string, number>>
    }
  /** Claim 17. Without `server` for all servers. */
  | {
      readonly type: 'set-threshold'
      readonly feature: string
      readonly server?: string
      readonly threshold: number
    }
  | {
      readonly type: 'borrow'
      readonly feature: string
      readonly to: string
      readonly incarnation: number
      readonly needed: number
      readonly wanted: number
      /** A client's request, or a renewal in fail-over (claims 5, 14: they search in different order). */
      readonly cause: 'request' | 'update'
      readonly offer?: Offer
      /** R6: taken in the place of "down servers" when `cause` is `update`. */
      readonly move?: SeatProof
      /** Unmet requests to enter (or keep) as demand when nothing was found (R12); 0 for none. */
      readonly queue: number
    }
  /** States how many requests wait at `server` now; 0 withdraws. Keeps the entry's place (R12). */
  | {
      readonly type: 'demand'
      readonly feature: string
      readonly server: string
      readonly incarnation: number
      readonly count: number
    }
  | {
      readonly type: 'return'
      readonly feature: string
      readonly server: string
      readonly incarnation: number
      readonly count: number
    }
  | {
      readonly type: 'lend'
      readonly feature: string
      readonly server: string
      readonly incarnation: number
      readonly count: number
      readonly to: string
      readonly toIncarnation: number
    }
  | { readonly type: 'change-settings'; readonly settings: Settings }
  /** Takes a server in, or back in before it was forgotten. One that is there stays what it is. */
  | { readonly type: 'add-server'; readonly server: string; readonly role: 'voter' | 'learner' }
  /** What a server shall be from now on; the leader brings it about (joint consensus). */
  | {
      readonly type: 'set-role'
      readonly server: string
      readonly role: 'voter' | 'learner' | 'removed'
    }
  /**
   * Put into the log of a survivor by `licd recover`, never proposed: the servers not named are removed, all runs
   * are over, and nothing is served for the longest lease, or `holdTicks` if that is more, and one tick.
   */
  | {
      readonly type: 'recover'
      readonly servers: readonly string[]
      readonly holdTicks: number
      readonly wallMs: number
    }

export interface Command {
  /** Unique per command; a retry carries the same. 1 to 64 characters of `A-Z a-z 0-9 . _ -`. Ticks carry none. */
  readonly id: string
  /** The last tick at which it may be applied (R8). 0 for what is not proposed by anyone: genesis, ticks, recover. */
  readonly deadline: number
  /** Who asked, for the audit log: `server:alpha` or an operator's name; at most 128 characters. */
  readonly by: string
  readonly body: CommandBody
}

export type Source = 'free' | 'down' | 'offer' | 'move'

export interface Taken {
  readonly source: Source
  /** The server it was taken from; absent for the free pool. */
  readonly server?: string
  readonly count: number
}

/**
 * Result of applying one command. `ok: false` changed nothing but the memory of the id and, for a borrow with
 * `queue`, the demand, which what the pool has left may meet in part at once (R12).
 */
export type Result =
  | { readonly ok: true; readonly revision: number }
  | {
      readonly ok: true
      readonly revision: number
      readonly incarnation: number
      readonly relearn: boolean
    }
  | { readonly ok: true; readonly revision: number; readonly taken: readonly Taken[] }
  | {
      readonly ok: false
      readonly code: Code
      readonly detail?: string
      /** Place in the queue of demand, 1 and up, when a borrow found nothing and waits. */
      readonly queued?: number
    }
