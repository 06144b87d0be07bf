/**
 * Everything that can happen to the core. One input, one step, no other way in: the same state and the same
 * input give the same effects, always.
 *
 * Ids of proposals, reads, transfers and changes are the caller's; each must be used once per start.
 */
import type { ConfigurationChange } from './configuration.ts'
import type { Entry } from './entry.ts'
import type { Message, SnapshotMeta } from './message.ts'

export type Input =
  /** So many ms (0 and up, fractions allowed) went by since the last one. */
  | { readonly type: 'elapse'; readonly ms: number }
  /** To this server, and such that a correct one can have sent it: checked by the codec. */
  | { readonly type: 'message'; readonly message: Message }
  /** Taken or refused one by one, in order; taken ones travel and are written together. */
  | { readonly type: 'propose'; readonly proposals: readonly Proposal[] }
  /** A linearizable read point is wanted. */
  | { readonly type: 'read'; readonly id: number }
  /** Everything up to and including persist number `seq` is on disk. */
  | { readonly type: 'persisted'; readonly seq: number }
  /** The state machine has applied everything up to and including `index`. */
  | { readonly type: 'applied'; readonly index: number }
  /** A snapshot of the own state machine, taken at an applied index, is durable. */
  | { readonly type: 'snapshotSaved'; readonly snapshot: SnapshotMeta }
  /** A chunk handed out by `storeChunks` is stored (it need not be synced), in whatever order. */
  | { readonly type: 'chunkStored'; readonly snapshotId: string; readonly chunk: number }
  /** The broker says that nobody listens at `peer`. A hint: it may be wrong, and safety never rests on it. */
  | { readonly type: 'unreachable'; readonly peer: string }
  | {
      readonly type: 'changeConfiguration'
      readonly id: number
      readonly change: ConfigurationChange
    }
  /** Hand leadership to `to`, or to the voter that is furthest. */
  | { readonly type: 'transfer'; readonly id: number; readonly to: string | undefined }
  /** The process did not run for `ms`: whatever it believes of its lease is void. Comes before the `elapse`. */
  | { readonly type: 'stalled'; readonly ms: number }
  /** The own disk does not answer, or the server is about to stop: lead no longer, and hand over if possible. */
  | { readonly type: 'stepDown' }
  /** Followers that have not been told that all up to `index` is committed are told now (`Raft.owesNews`). */
  | { readonly type: 'tell'; readonly index: number }

export interface Proposal {
  readonly id: number
  /** Not copied: must not change any more. */
  readonly data: Uint8Array
  /** Nobody waits at a follower for it to be applied there: that it is committed is told with what is sent next. */
  readonly patient?: boolean
}

/** Whether this server's word counts. */
export type Trust =
  | { readonly kind: 'full' }
  /**
   * It lost entries that it may have acknowledged, but knows its term and vote: neither votes, campaigns nor counts
   * until a leader has re-taught it everything it can have acknowledged.
   */
  | { readonly kind: 'relearning' }
  /**
   * It does not know how it voted (an empty disk, or one with the vote in doubt): as relearning, and after that still
   * no vote and no count until a configuration makes it a voter that was none before. `cleared`: it has been taught,
   * and was no voter then: its past is over, and the next configuration that has it as voter makes its word count.
   */
  | { readonly kind: 'unknown'; readonly cleared?: true }

/** What the disk holds, as it was read and checked at start. */
export interface PersistedState {
  /** Absent: full. */
  readonly trust?: Trust
  readonly currentTerm: number
  readonly votedFor: string | undefined
  readonly snapshot: SnapshotMeta | undefined
  /** Contiguous; begins at 1, or at or before the entry after the snapshot. */
  readonly entries: readonly Entry[]
  /** A snapshot whose first `stored` chunks were received: its transfer goes on from there. */
  readonly partial?: { readonly snapshot: SnapshotMeta; readonly stored: number }
}

/** What a server knows that has never been part of any cluster: it joins as a learner, and waits to be added. */
export const blankState: PersistedState = {
  trust: { kind: 'unknown' },
  currentTerm: 0,
  votedFor: undefined,
  snapshot: undefined,
  entries: [],
}
