/**
 * The operators' protocol: what travels on `ctl.<operation>` (any server answers) and
 * `ctl.<operation>.<server>` (that server answers).
 *
 * Requests and answers are msgpack maps, or JSON where the request's `Content-Type` says so. Every change
 * carries a command id chosen by the operator's program: repeated through any server it takes effect once (I4),
 * and `outcome` tells how it ended.
 *
 * A server whose answer to a change says `atOnce` takes so many changes of one kind in one message: a msgpack array of
 * requests instead of a request. It answers by arrays of pairs, place in the array (from 0) and answer, as many to a message
 * as ended in one turn; a map instead refuses the message as a whole. Servers of before say no `atOnce`, and refuse so.
 *
 * What grows with the pool is answered in pages to whoever names a `limit`: at most so many, of the names after `after`,
 * in their order; fewer where a message takes no more. `next`, to be sent as `after`, says that there are more. A `limit`
 * of 0 asks for none, and `next` is absent then. Without a `limit` the answer is whole, or LICD_TOO_LARGE where no message
 * takes it. Servers of before know no `limit` there, and always answer whole.
 */
import type { Code } from '../error.ts'
import type { CodeContent, CodeLimits, Result, Settings, VendorKey } from '../ledger/command.ts'
import type { AuditRecord, VendorRecord } from '../ledger/state.ts'
import type { UsageBlock, UsageUnit } from '../ledger/history.ts'
import type { AccountPushed, AccountStanding } from './account.ts'
import type { KeyList } from './keys.ts'
import type { Now, Signed } from './signed.ts'
import type { Dark, Denial, Standing, TurnedAway } from './why.ts'

export const ctlBounds = {
  messageBytes: 512 * 1024,
  /** Shares told on one page of features: one a server, each about 100 bytes. */
  pageShares: 3_000,
  /** Changes of one kind in one message. */
  changesAtOnce: 64,
  pageMax: 1_000,
  auditPageMax: 500,
  usagePageBytes: 256 * 1024,
} as const

/** Fields common to every change. */
export interface Change {
  /** Command id: 1 to 64 characters of `A-Z a-z 0-9 . _ -`. */
  readonly id: string
  readonly by: string
  /** How long to wait for the outcome, milliseconds, at most 60,000. */
  readonly timeoutMs: number
  /** The id is new, and sent for the first time: nobody needs to be asked whether it is known. */
  readonly fresh?: boolean
  /**
   * A tick of the pool clock (`now`) of before the id was used first. Absent: not known, or, of what is fresh, the present
   * one. In a pool with roles the signed statement says it. What it is for: `Memory`.
   */
  readonly since?: number
  /** In a pool with roles, of every change. `by` is then whom it proves. */
  readonly signed?: Signed
  /** Never read from a message: whose key it was. */
  readonly provenKey?: string
}

/** Of lists by name. */
export interface PageRequest {
  readonly after?: string
  /** 0 to `pageMax`. */
  readonly limit?: number
}

/** Operation -> its request. */
export interface CtlRequests {
  /**
   * All features, or a page of them. `feature`: that one alone, or none where the pool has it not. `own`: only what the
   * answering server has in use or dark itself, in features where that is anything. Servers of before know neither.
   */
  status: PageRequest & { readonly feature?: string; readonly own?: boolean }
  /** What the answering server may grant of a feature, and what it denied lately, of all or of one user. */
  why: { readonly feature: string; readonly user?: string }
  /** Seats held at the answering server, a page of them, by seat id. */
  seats: {
    readonly feature?: string
    /** Text in user, host, feature or seat id, whatever the case. Servers of an earlier version do not know it. */
    readonly search?: string
    readonly after?: string
    readonly limit?: number
  }
  /** By id. */
  'code-list': PageRequest
  'vendor-list': PageRequest
  /**
   * Usage history whose units begin in [`from`, `to`), milliseconds since 1970, as the answering server has applied it:
   * a page of blocks, by time and feature, those after `after`.
   */
  usage: {
    readonly unit: UsageUnit
    readonly from: number
    readonly to: number
    readonly feature?: string
    readonly after?: string
  }
  /** Of the audit log: what follows record `after`, or the last ones; at most `limit`. */
  audit: { readonly after?: number; readonly limit?: number }
  outcome: { readonly id: string }
  /** What a signature is bound to. */
  now: Record<string, never>
  'operators-revoke': Change & { readonly operator: string }
  'feature-add': Change & { readonly feature: string; readonly allocations: number }
  'code-add': Change & { readonly text: string }
  'code-remove': Change & { readonly codeId: string }
  'allocations-add': Change & { readonly feature: string; readonly count: number }
  'criteria-set': Change & {
    readonly feature: string
    readonly targets: 'even' | Readonly<Record<string, number>>
    readonly thresholds?: Readonly<Record<string, number>>
  }
  'threshold-set': Change & {
    readonly feature: string
    readonly server?: string
    readonly threshold: number
  }
  /** `sameAs`: id of a key of the same vendor; `certificate`: by that key, where it vouches for the new one. */
  'vendor-add': Change & {
    readonly vendor: VendorKey
    readonly sameAs?: string
    readonly certificate?: string
  }
  'vendor-revoke': Change & { readonly kid: string }
  /** By which rules the pool goes. Ask every server's `status` first whether it knows them. */
  'level-set': Change & { readonly level: number }
  /** Which MAC keys there are: the answering server looks at its file first, and tells the pool. */
  'key-list': Record<string, never>
  /** `before`: what tokens are made with as far as the operator knows. */
  'key-use': Change & { readonly kid: string; readonly before?: string }
  /** Which NATS account the answering server has; `have`: the one who asks, to be given a newer one. Of servers: one to take. */
  account: { readonly have?: number; readonly account?: string; readonly waitMs?: number }
  /** Takes a newer one, and hands it to all others. Signed; at a server that the client chooses, or any. */
  'account-push': { readonly account: string; readonly by?: string }
  'settings-set': Change & { readonly settings: Settings }
  /** `by`, here and below: who asks, for the audit log. */
  'transfer-leader': { readonly to?: string; readonly timeoutMs: number; readonly by?: string }
  /** Who belongs to the pool. Any server answers; only the leader knows who lags. */
  servers: Record<string, never>
  /** Takes a server in, as a voter as soon as it has caught up, or as a learner. */
  'servers-add': Change & { readonly server: string; readonly role?: MemberRole }
  'servers-promote': Change & { readonly server: string }
  'servers-demote': Change & { readonly server: string }
  'servers-remove': Change & { readonly server: string }
  /** Begins a snapshot of the ledger as it is once everything committed before is applied. */
  'snapshot-open': { readonly by?: string }
  /** Of the server that opened it. `chunk` is 0, or the one read last, or the next. */
  'snapshot-read': { readonly session: string; readonly chunk: number }
}

export type CtlOperation = keyof CtlRequests

export interface CtlFailure {
  readonly ok: false
  readonly code: Code
  readonly detail: string
  /** The server that answered. */
  readonly server: string
}

export type CtlReply<Data> = ({ readonly ok: true; readonly server: string } & Data) | CtlFailure

export interface ServerStatus {
  readonly name: string
  readonly state: 'up' | 'silent' | 'down'
  readonly leader: boolean
  readonly incarnation: number
  /** Ticks since it was last listed. */
  readonly listedTicksAgo: number
  /** Ticks until it is down if it is listed no more; 0 when down. */
  readonly downInTicks: number
}

export type MemberRole = 'voter' | 'learner'

/** One server of the pool: what the pool wants of it, and what it is by now. */
export interface Member {
  readonly name: string
  /** What operators decided; `removed` until its share has gone to the free pool. */
  readonly role: MemberRole | 'removed'
  /** In Raft's configuration now; `leaving` votes until the change is over. */
  readonly member: MemberRole | 'leaving' | 'none'
  readonly state: 'up' | 'silent' | 'down'
  readonly leader: boolean
  readonly incarnation: number
  readonly listedTicksAgo: number
  readonly downInTicks: number
  /** Allocations it owns, over all features. */
  readonly share: number
  /** As of its last listing. */
  readonly inUse: number
  /** The leader's word alone: log entries that it is known to have, how many it lacks, whether it answers. */
  readonly matchIndex?: number
  readonly lag?: number
  readonly reachable?: boolean
  /** Of a server that lost its log: it is counted in no majority until it is well again. */
  readonly trust?: 'full' | 'relearning' | 'unknown'
}

/** What a snapshot file says of itself. */
export interface SnapshotHeader {
  readonly pool: string
  readonly fingerprint: string
  readonly clusterId: string
  readonly epoch: number
  /** Of the last entry in it. */
  readonly index: number
  readonly term: number
  readonly tick: number
  /** Of the ledger at that index. */
  readonly hash: string
  /** Wall time of the server that made it, milliseconds since 1970. */
  readonly savedAt: number
}

export interface ShareStatus {
  readonly server: string
  readonly share: number
  /** The answering server's own figure is live, the others' as of their last listing. */
  readonly inUse: number
  readonly target: number
  readonly threshold: number
  /** Requests waiting there, as entered in the ledger. */
  readonly demand: number
}

export interface FeatureStatus {
  readonly name: string
  /** Name of the vendor, or absent for the pool's own. */
  readonly vendor?: string
  readonly allocations: number
  readonly owed: number
  readonly free: number
  readonly endsAt?: number
  /** The strictest limits of its codes. */
  readonly limits?: Pick<CodeLimits, 'leaseMs' | 'seatMs'>
  /** Other features whose clients get seats of this one. */
  readonly serves?: readonly string[]
  readonly even: boolean
  /** Allocations that may not be granted now. Absent in events. */
  readonly dark?: readonly Dark[]
  readonly shares: readonly ShareStatus[]
}

/** How the answering server itself is. */
export interface Health {
  /** `full`, or its disk lost something: then it counts in no majority until it has been taught again. */
  readonly trust: 'full' | 'relearning' | 'unknown'
  /** What was found to be wrong with its disk, until it is well again. */
  readonly damage?: string
  /** Servers whose ledger differs from its own. Should be empty; else please report it with the logs. */
  readonly differing: readonly string[]
  /** How late its heartbeats left in the last one to two minutes, milliseconds. */
  readonly lateP50Ms: number
  readonly lateP99Ms: number
  readonly lateMaxMs: number
  /** The longest that its process stood still since it started, milliseconds. */
  readonly longestStallMs: number
}

export interface PoolStatus {
  readonly pool: string
  readonly fingerprint: string
  readonly leader?: string
  readonly term: number
  readonly tick: number
  readonly calendar: number
  readonly revision: number
  readonly commitIndex: number
  readonly lastApplied: number
  readonly settings: Settings
  /** Milliseconds since the answering server applied a tick; how old what it says is. */
  readonly tickAgeMs: number
  /** Ticks until a pool that was restored or recovered serves; absent for one that may. */
  readonly heldTicks?: number
  /** Milliseconds the answering server may still grant; 0 when it may not. */
  readonly leaseLeftMs: number
  /** By which rules the pool goes, and the newest that the answering server knows; absent from servers of before. */
  readonly level?: number
  readonly levelMax?: number
  /** The version of the answering server's program, and its wall clock, milliseconds since 1970; absent from servers of before. */
  readonly version?: string
  readonly wall?: number
  readonly hash: string
  /** Absent before the server has read its disk. */
  readonly health?: Health
  /** The answering server's connection for clients, and how often it ended in the last hour; absent where it has none of its own. */
  readonly clientLink?: { readonly up: boolean; readonly lost: number }
  /** Where the answering server has its page and figures (see docs/http.md); absent where it has none. */
  readonly http?: string
  readonly servers: readonly ServerStatus[]
  readonly features: readonly FeatureStatus[]
}

export interface SeatStatus {
  readonly seatId: string
  readonly feature: string
  readonly user: string
  readonly host: string
  /** A mark of the client's id, which is a secret: the same wherever the client has seats (lib/service/seat-list.ts). */
  readonly clientId: string
  /** `held`, or dark: `expired` but not yet re-grantable, or `moved` here and not renewed yet. */
  readonly state: 'held' | 'expired' | 'moved'
  readonly heldMs: number
  readonly expiresInMs: number
}

export interface CodeStatus extends CodeContent {
  readonly state: 'pending' | 'active' | 'ended'
  /** Codes that take its place when it ends. */
  readonly renewedBy?: readonly string[]
  /** Of one that ended before its time; absent from servers of before. */
  readonly endedEarly?: 'removed' | 'revoked'
}

/** Operation -> what a successful answer holds. */
export interface CtlAnswers {
  /** `own`: it was asked for, and features that are missing have nothing in use or dark at this server. */
  status: { readonly status: PoolStatus; readonly next?: string; readonly own?: true }
  /**
   * `feature` and `standing` are absent where the server knows of no such feature; `ended` then says what became of it,
   * if it was there. `turnedAway`: in the last ten minutes. Neither comes from servers of before.
   */
  why: {
    readonly leader?: string
    readonly role: 'leader' | MemberRole | 'removed'
    readonly tick: number
    readonly tickMs: number
    readonly tickAgeMs: number
    readonly leaseLeftMs: number
    readonly feature?: FeatureStatus
    readonly standing?: Standing
    readonly ended?: string
    readonly denials: readonly Denial[]
    readonly turnedAway?: TurnedAway
  }
  /** `total`: how many fit, on this page or not; absent in the answers of earlier servers. */
  seats: { readonly seats: readonly SeatStatus[]; readonly next?: string; readonly total?: number }
  'code-list': {
    readonly codes: readonly CodeStatus[]
    readonly next?: string
    /** The pool's, milliseconds since 1970; absent from servers of before. */
    readonly calendar?: number
  }
  'vendor-list': { readonly vendors: readonly VendorRecord[]; readonly next?: string }
  /** `first` and `last`: numbers of the first record that is kept and of the newest. */
  audit: { readonly records: readonly AuditRecord[]; readonly first: number; readonly last: number }
  /** `calendar`: the pool's, milliseconds since 1970. `next`: there is more, after this. */
  usage: {
    readonly calendar: number
    readonly blocks: readonly Omit<UsageBlock, 'unit'>[]
    readonly next?: string
  }
  /** `unknown`: never seen, or forgotten; it will not take effect any more once `deadlinePassed`. */
  outcome: { readonly outcome: 'applied' | 'refused' | 'unknown'; readonly result?: Result }
  'feature-add': Applied
  'code-add': Applied & { readonly content: CodeContent }
  'code-remove': Applied
  'allocations-add': Applied
  'criteria-set': Applied
  'threshold-set': Applied
  'vendor-add': Applied
  'vendor-revoke': Applied
  'level-set': Applied
  now: Now
  'operators-revoke': Applied
  'key-list': KeyList
  'key-use': Applied
  account: AccountStanding
  'account-push': AccountPushed
  'settings-set': Applied
  'transfer-leader': { readonly leader?: string }
  servers: {
    readonly leader?: string
    readonly term: number
    readonly commitIndex: number
    readonly tickMs: number
    /** No change is under way, and every server is what it shall be. */
    readonly settled: boolean
    /** Ticks until a pool that was restored or recovered serves; 0 for one that may. */
    readonly heldTicks: number
    readonly servers: readonly Member[]
  }
  'servers-add': MemberChanged
  'servers-promote': MemberChanged
  'servers-demote': MemberChanged
  'servers-remove': MemberChanged
  'snapshot-open': { readonly session: string; readonly header: SnapshotHeader }
  /** `data` is base64; absent in the answer after the last chunk. */
  'snapshot-read': { readonly data?: string }
}

/** `unchanged`: it was so already; absent where that is not known any more. What was decided is carried out by whoever leads; see `servers`. */
export interface MemberChanged extends Applied {
  readonly unchanged?: boolean
}

export interface Applied {
  readonly revision: number
  /** True when the same command had been applied before. */
  readonly duplicate: boolean
}
