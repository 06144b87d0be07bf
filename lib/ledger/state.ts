/**
 * The ledger's state: who owns what. Everything here is changed by `apply` alone, on every server alike (I5).
 *
 * Invariant I1, per feature: `free + sum(share) = allocations + owed`, none of them below zero.
 *
 * Maps are read in the order of their sorted keys wherever the order can be seen from outside.
 */
import type { CodeContent, CodeLimits, Result, Settings, VendorKey } from './command.ts'
import type { History } from './history.ts'

/** What operators want of a server: to vote, to follow without a vote, or to be gone. All own shares (R3). */
export type ServerRole = 'voter' | 'learner' | 'removed'

export interface ServerRecord {
  readonly name: string
  /** `removed`: it gives, is given nothing, and is forgotten once it is down (R3). */
  role: ServerRole
  /** The run of the server, numbered from 1; 0 before its first `hello` (R7). */
  incarnation: number
  bootId: string
  /** Incarnations up to this one ended by going down: their tokens prove nothing. */
  endedIncarnation: number
  /** Tick at which the current incarnation was made. */
  helloTick: number
  /** A `hello` counts as a listing in the tick that follows it. */
  helloPending: boolean
  /** It stops cleanly: nothing is given to it any more, until its next `hello` (R7). */
  leaving: boolean
  /** Its whole share counts as in use until this tick (R7); 0 when it need not relearn. */
  relearnUntil: number
  /** Last tick that listed it, and the keepalive's number there. */
  listedTick: number
  listedNumber: number
  /** From this tick on it is down (R3). 0 before its first `hello`: down as well. */
  downAt: number
  wallMs: number
  /** Ids of the MAC keys that its present run said it holds; absent when it said nothing. */
  keys?: readonly string[]
}

/** `up`: listed in the last 3 ticks. `silent`: not, but its lease may run. `down`: `downAt` has come, or never started. */
export type ServerState = 'up' | 'silent' | 'down'

export interface Demand {
  readonly server: string
  readonly incarnation: number
  count: number
  /** Order in the queue: index of the entry that made it. */
  readonly since: number
}

export interface FeatureUsage {
  inUse: number
  granted: number
  denied: number
}

export interface Feature {
  /** `cad` or `cad@2026.1`. 1 to 64 characters of `A-Z a-z 0-9 _ -`, then at most one `@` and as many, `.` too. */
  readonly name: string
  /** Key id of the vendor whose codes may add to it; absent for the pool's own. */
  readonly vendor?: string
  allocations: number
  /** Allocations that no longer exist but are still owned (R9). */
  owed: number
  free: number
  /** Server -> share. No entry means 0. */
  readonly shares: Map<string, number>
  /** Distribution criteria: target share per server, or an even split of what there is. */
  targets: 'even' | Map<string, number>
  defaultThreshold: number
  readonly thresholds: Map<string, number>
  /** First come, first served (R12). At most one per server. */
  readonly demand: Demand[]
  /**
   * Per server: in use as of its last listing (0 once it is down), and the sum of what its listings said was
   * granted and denied.
   */
  readonly usage: Map<string, FeatureUsage>
  /**
   * Calendar time at which the feature's allocations shrink next because a code ends and nothing takes its
   * place; absent when none does. No seat is granted beyond it (R4).
   */
  endsAt?: number
  /** The strictest limits among its active codes; absent when none has any. */
  limits?: Pick<CodeLimits, 'leaseMs' | 'seatMs'>
  /** Other features whose clients get seats of this one, by its active codes; sorted; absent for none. */
  serves?: readonly string[]
}

/** A vendor's key as the pool keeps it. */
export interface VendorRecord extends VendorKey {
  /** The vendor's first key, whose features this one signs for; absent for a first key. */
  readonly root?: string
  /** By which a key of the same vendor vouched for it. */
  readonly certificate?: string
  /** Id of the key that signed the certificate. */
  readonly certifiedBy?: string
  readonly revoked?: true
}

/** One command of an operator, as the audit log tells it. */
export interface AuditRecord {
  /** Counts from 1 without a gap; what is missing at the front was dropped at the bound. */
  readonly seq: number
  readonly tick: number
  /** The pool's calendar, milliseconds since 1970. */
  readonly at: number
  /** The command's id. */
  readonly id: string
  /** Who asked: proven, with `key`; else nothing proves it but the permission to ask. */
  readonly by: string
  readonly key?: string
  readonly action: string
  /** What it was done to: a feature, server, code or key. */
  readonly subject?: string
  readonly detail?: string
  /** `ok`, or the code of the refusal. */
  readonly outcome: string
}

export interface CodeRecord {
  readonly content: CodeContent
  readonly text: string
  readonly addedTick: number
  state: 'pending' | 'active' | 'ended'
}

/** A seat that was moved with its allocation (R6). Kept until `until`; its taker counts it as in use till then. */
export interface Move {
  readonly seatId: string
  readonly feature: string
  readonly from: string
  readonly to: string
  readonly toIncarnation: number
  readonly tick: number
  /** Tick from which it is forgotten: its own tick + `seatTicks` + 1. */
  readonly until: number
}

export interface Remembered {
  readonly result: Result
  readonly forgetAt: number
}

/** Which MAC key tokens are made with, by its id, and which are heard beside it. Replaced, never changed. */
export interface TokenKeyUse {
  readonly current: string
  /** The tick of the switch. */
  readonly since: number
  /** Keys of before, each heard below tick `until`. */
  readonly before: readonly { readonly kid: string; readonly until: number }[]
  /** Keys that are heard no more, the oldest first; they are never used again. */
  readonly retired: readonly string[]
}

export interface LedgerState {
  /** By which rules the pool goes, see `levelMax`. */
  level: number
  pool: string
  fingerprint: string
  settings: Settings
  /** The pool clock: ticks applied. */
  tick: number
  /** Wall time by the median of the servers, milliseconds since 1970 (R10). */
  calendar: number
  /**
   * Seats granted under settings that ruled before may live until this tick, whatever `seatTicks` is now; 0 when
   * none lived longer than the present settings allow. A change of settings rules for new listings and tokens only (R2).
   */
  tokensUntil: number
  /**
   * The longest that a lease and one tick took by settings that ruled before, milliseconds; 0 when they never changed.
   * No promise is longer.
   */
  promisedMs: number
  /**
   * A pool that was restored or recovered serves from this tick on: until then allocations may be in use that it
   * knows nothing of (R11). 0 for a pool that never was.
   */
  heldUntil: number
  /** No incarnation of a server that was forgotten is above it: a later server of that name starts above. */
  incarnationFloor: number
  /** Counts the changes of the distribution (claims 6, 20): any change of free, shares, allocations, criteria or codes. */
  revision: number
  /** Level 2. `undefined` in a pool that never changed its key: each server has one. */
  tokenKeys: TokenKeyUse | undefined
  readonly servers: Map<string, ServerRecord>
  readonly vendors: Map<string, VendorRecord>
  readonly features: Map<string, Feature>
  readonly codes: Map<string, CodeRecord>
  /** By seat id. */
  readonly moves: Map<string, Move>
  readonly results: Map<string, Remembered>
  /**
   * Level 3: results of commands that ended (see `Memory`) at this tick or later may be forgotten early. Those kept by
   * the rules of before may not: when they ended is not known so well.
   */
  forgettableFrom: number
  /** Level 3: commands that ended before this tick may have been forgotten early; 0 while none was. */
  forgottenBefore: number
  /** Keys of operators that are trusted no more. */
  readonly revoked: Set<string>
  /** Records ever made in the audit log. */
  audited: number
  /** The last of them, the oldest first. */
  readonly audit: AuditRecord[]
  readonly history: History
}
