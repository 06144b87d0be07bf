/**
 * What may stand in the log, and what applying it can answer.
 *
 * Every input of the ledger is here: identity, time and chance arrive inside a command or not at all, so each
 * server that applies the same entries reaches the same state (I5). A command carries an id and the last tick
 * at which it may be applied (R8); the ledger remembers ids with results until `deadline + 600` ticks, or for as long
 * as there is room, which makes it take effect exactly once (I4). A refusal is a result like any other.
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
  /**
   * Ids remembered for exactly-once. Beyond it the oldest whose deadline has passed is forgotten early; where there is
   * none (and before level 3) commands are refused with LICD_TOO_BUSY.
   */
  results: 200_000,
  /** Unexpired moves (R6); beyond it a move is no source. */
  moves: 200_000,
  /** Ticks that an id is remembered beyond its deadline (R8). */
  resultTicks: 600,
  /** A deadline lies at most this many ticks ahead, and less than `leaseTicks` (R8). */
  deadlineTicks: 30,
  /** The calendar moves at most this far in one tick (R10), in milliseconds. */
  calendarStepMs: 60_000,
  /** Records of the audit log; beyond it the oldest goes. */
  audit: 10_000,
  /** Seconds of the longest lease or seat that a code’s limit names: ten years; and days offline. */
  limitSeconds: 10 * 366 * 86_400,
  offlineDays: 3_660,
  /** MAC keys that one server holds; that are heard beside the one in use; whose ids are remembered as used up. */
  heldKeys: 8,
  oldKeys: 4,
  retiredKeys: 256,
  /** Operators' keys that were revoked. */
  revoked: 1_000,
  /** Other features that a code serves. */
  serves: 16,
} as const

export interface Settings {
  /** Milliseconds of the leader's monotonic clock between ticks; 20 to 60,000. */
  readonly tickMs: number
  /** Ticks that a listing extends a server's lease by (R3); 3 to 1,000,000. */
  readonly leaseTicks: number
  /** Ticks that a token proves its seat (R4, R5); 2 to `leaseTicks`. */
  readonly seatTicks: number
}

/**
 * What the rules of a pool are: 1 as first, 2 with the audit log, codes with limits, renewals and versions, and
 * keys (of vendors, and of tokens) that are rotated and revoked, 3 with results that are forgotten early where their memory is full, and moves that tell seats of one id apart. A pool is raised
 * (`set-level`) once all of its servers know the level, so that no two servers ever read one entry differently (I5). New
 * pools begin at the highest.
 */
export const levelMax = 3

export interface VendorKey {
  /** RFC 7638 thumbprint of the key: the `kid` of the codes it signs. */
  readonly kid: string
  readonly name: string
  /** The Ed25519 public key, base64url (the `x` of its JWK). */
  readonly publicKey: string
}

/** What a vendor allows a pool to do with a code. Clipped to, whatever the pool's settings are. */
export interface CodeLimits {
  /** A server that has heard from the pool for no longer than this grants and renews seats; milliseconds. */
  readonly leaseMs?: number
  /** No seat is promised for longer than this at a time; milliseconds. */
  readonly seatMs?: number
  /** Days that a seat may be taken offline. Carried and shown; nothing grants offline seats yet. */
  readonly offlineDays?: number
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
  /** What follows is of level 2. */
  readonly limits?: CodeLimits
  /** Features that clients may ask for and get seats of `feature`: `cad@2025`, for a code of `cad@2026`. Sorted. */
  readonly serves?: readonly string[]
  /** Id of the code that this one follows: it starts when that one ends, never before, and counts once. */
  readonly renews?: string
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
  /** The same by reason, in the order of `denialReasons`; absent from servers that did not tell them apart. */
  readonly reasons?: readonly number[]
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
      /** 1 where absent. */
      readonly level?: number
    }
  | { readonly type: 'hello'; readonly server: string; readonly bootId: string }
  /** A clean stop begins (R7): the server gives from here on and is given nothing. */
  | { readonly type: 'leave'; readonly server: string; readonly incarnation: number }
  | { readonly type: 'tick'; readonly tick: number; readonly listings: readonly Listing[] }
  /**
   * Level 2: `sameAs` is the id of a key of the same vendor, whose features the new key may then sign for. That it is
   * the same vendor says the operator, or `certificate`, signed by that key.
   */
  | {
      readonly type: 'add-vendor'
      readonly vendor: VendorKey
      readonly sameAs?: string
      readonly certificate?: string
    }
  /** Level 2: the key signs nothing any more, and the codes it signed end. For good. */
  | { readonly type: 'revoke-vendor'; readonly kid: string }
  /** From here on the pool goes by the rules of `level`. Never lower. */
  | { readonly type: 'set-level'; readonly level: number }
  /** Level 2: ids of the MAC keys that a server holds, instead of those that it named before. Forgotten at its `hello`. */
  | {
      readonly type: 'hold-keys'
      readonly server: string
      readonly incarnation: number
      readonly kids: readonly string[]
    }
  /** Level 2: tokens are made with key `kid` from here on, and no longer with `before`. */
  | { readonly type: 'use-key'; readonly kid: string; readonly before: string }
  /** Level 2: commands signed by this key (a public nkey, `U...`) are taken no more. For good. */
  | { readonly type: 'revoke-operator'; readonly operator: string }
  /** Level 2: says in the audit log that an operator had something done that is no command. */
  | { readonly type: 'note'; readonly action: string; readonly detail: string }
  /**
   * `text` was verified against the pool's trusted keys before it was proposed; `content` is what it says. From level
   * 2 on every server verifies it again when it is applied.
   */
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
  /** Level 2: the public key by which the operator `by` proved to be that; absent where nobody did. */
  readonly key?: string
  /**
   * Level 3, of operators' commands, whose copies differ in their deadlines: a tick of before the first copy was made.
   * Absent where that is not known (0). Copies of servers' commands are all alike: their deadline says it.
   */
  readonly since?: number
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
