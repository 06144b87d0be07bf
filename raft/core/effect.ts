/**
 * What the core wants done after a step: plain data, carried out by the driver in the order of the fields below.
 *
 * The one rule that safety rests on: writes happen in the order of `seq`, and a message with `after` leaves only
 * when everything up to that `seq` is on disk (paper, 5.1; "persistent state ... before responding").
 */
import type { Configuration } from './configuration.ts'
import type { Entry } from './entry.ts'
import type { Trust } from './input.ts'
import type { InstallSnapshotHeader, Message, SnapshotMeta } from './message.ts'

export interface Effects {
  /** To be answered with `persisted{seq}`. Several may be merged into one synced batch, in order. */
  readonly persist?: Persist
  readonly send: readonly Send[]
  /** Add the chunk's bytes and send it. `Raft.snapshotsInUse` must not be deleted. */
  readonly sendChunks: readonly InstallSnapshotHeader[]
  /** Store, then answer with `chunkStored`. A chunk 0 starts the snapshot anew; all others of a peer may go. */
  readonly storeChunks: readonly StoreChunk[]
  /** Replace the state machine by this received snapshot, after `persist` is done and before `apply`. */
  readonly restore?: SnapshotMeta
  /** Committed and on the own disk, in order, without gaps. To be answered with `applied{index}`. */
  readonly apply: readonly Entry[]
  readonly proposals: readonly ProposalResult[]
  readonly reads: readonly ReadResult[]
  readonly transfers: readonly TransferResult[]
  readonly changes: readonly ChangeResult[]
  /** A configuration came into force, or was rolled back to this one. */
  readonly configuration?: Configuration
  /** Whether this server's word counts has changed, to this. */
  readonly trust?: Trust
  /** Leader: these servers lost what they had acknowledged, and did not know. Operators should know. */
  readonly regressed: readonly string[]
  /** A committed configuration no longer has this server: it may stop. */
  readonly removed: boolean
  /** Messages that were refused, for no correct server sends them. A defect somewhere, or a forgery: be loud. */
  readonly violations: readonly Violation[]
}

/** What the sender would have broken, by its name in Figure 3 of the paper. Nothing came of the message. */
export interface Violation {
  readonly property:
    /** It speaks as leader in a term in which this server knows another one. */
    | 'election-safety'
    /** It has another entry where one is committed here. */
    | 'leader-completeness'
    /** It acknowledges what this leader never had. */
    | 'log-matching'
  readonly from: string
  readonly term: number
}

export interface Persist {
  /** 1 and up, each one more than the last. */
  readonly seq: number
  readonly currentTerm: number
  readonly votedFor: string | undefined
  /** Absent: as it was written last, and full if never. */
  readonly trust?: Trust
  /** A received snapshot whose chunks are all stored becomes the snapshot, in this very write. */
  readonly snapshot?: SnapshotMeta
  /** Delete entries from here to the end, before `entries` are written. */
  readonly truncateFrom?: number
  /** Delete entries up to and including this one. */
  readonly compactTo?: number
  readonly entries: readonly Entry[]
}

export interface Send {
  readonly message: Exclude<Message, { readonly type: 'installSnapshot' }>
  /** Hold until `persisted{seq}` with at least this. Messages to one peer may overtake one another. */
  readonly after?: number
}

export interface StoreChunk {
  readonly snapshot: SnapshotMeta
  readonly chunk: number
  readonly data: Uint8Array
}

export type ProposeRefusal =
  | 'not-leader'
  /** Leads, but has not heard a quorum lately. Nothing was appended. */
  | 'no-quorum'
  | 'busy'
  | 'transferring'
  | 'too-large'

/**
 * `accepted` says where the command stands; it is committed when `apply` brings that index with that term.
 * What else may become of it, `raft/fate.ts` tells.
 */
export type ProposalResult =
  | {
      readonly id: number
      readonly outcome: 'accepted'
      readonly index: number
      readonly term: number
    }
  | {
      readonly id: number
      readonly outcome: 'refused'
      readonly reason: ProposeRefusal
      readonly leader: string | undefined
    }

export type ReadRefusal =
  'no-leader' | 'no-quorum' | 'busy' | 'transferring' | 'leader-changed' | 'timeout'

/** With `ready`, a state machine that has applied `index` answers linearizably (thesis 6.4). */
export type ReadResult =
  | { readonly id: number; readonly outcome: 'ready'; readonly index: number }
  | { readonly id: number; readonly outcome: 'refused'; readonly reason: ReadRefusal }

export type TransferRefusal = 'not-leader' | 'busy' | 'no-target' | 'timeout'

export type TransferResult =
  | { readonly id: number; readonly outcome: 'done' }
  | { readonly id: number; readonly outcome: 'refused'; readonly reason: TransferRefusal }

export type ChangeRefusal =
  | 'not-leader'
  | 'no-quorum'
  /** The leader has not yet committed an entry of its term (thesis errata, 4). Try again. */
  | 'not-ready'
  | 'in-progress'
  | 'transferring'
  /** A server to be made voter is no learner, or is too far behind. Try again. */
  | 'not-caught-up'
  | 'invalid'

/** `done` when the final configuration is committed; `unknown` when leadership was lost before. */
export type ChangeResult =
  | { readonly id: number; readonly outcome: 'done' | 'unknown' }
  | { readonly id: number; readonly outcome: 'refused'; readonly reason: ChangeRefusal }

export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader'
