/**
 * What an operator may set of Raft. `raft/settings.ts` says within which bounds.
 *
 * Safety rests on none of these values; they trade speed, memory and how soon a dead leader is replaced.
 * All servers of a cluster should have the same `electionTimeoutMs`: check-quorum counts on it.
 */
export const defaultSettings = {
  /** T, in ms. A server waits between T and 2T without a leader before it asks for votes (9.3). */
  electionTimeoutMs: 1000,
  /** In ms, at most a third of T. */
  heartbeatMs: 100,
  maxEntriesPerMessage: 128,
  /** At most 256 KiB. A single larger entry is refused when proposed. */
  maxBytesPerMessage: 256 * 1024,
  /** Unacknowledged AppendEntries per follower. */
  maxInflightMessages: 64,
  maxInflightBytes: 4 * 1024 * 1024,
  /** Beyond it the leader refuses proposals as `busy`. */
  maxUncommittedBytes: 16 * 1024 * 1024,
  /** Committed entries given to the state machine and not yet reported applied; beyond it no more are given. */
  maxUnappliedBytes: 4 * 1024 * 1024,
  /** At most 128 KiB. Used by whoever cuts snapshots; the core only counts chunks. */
  snapshotChunkBytes: 128 * 1024,
  /** Chunks in flight to one follower. */
  snapshotWindow: 4,
  /** Entries kept behind a snapshot, so that a follower a little behind needs no snapshot. */
  trailingEntries: 1024,
  /** Reads waiting at one server; beyond it a read is refused as `busy`. */
  maxPendingReads: 4096,
} as const satisfies Record<string, number>

export type RaftSettings = { readonly [K in keyof typeof defaultSettings]: number }
