/**
 * What an operator may set of Raft, checked once before anything runs.
 *
 * Safety rests on none of these values; they trade speed, memory and how soon a dead leader is replaced.
 * All servers of a cluster should have the same `electionTimeoutMs`: check-quorum counts on it.
 */
import assert from 'node:assert/strict'

export interface RaftSettings {
  /** T, in ms. A server waits between T and 2T without a leader before it asks for votes (9.3). */
  readonly electionTimeoutMs: number
  /** In ms, at most a third of T. */
  readonly heartbeatMs: number
  readonly maxEntriesPerMessage: number
  /** At most 256 KiB. A single larger entry is refused when proposed. */
  readonly maxBytesPerMessage: number
  /** Unacknowledged AppendEntries per follower. */
  readonly maxInflightMessages: number
  readonly maxInflightBytes: number
  /** Beyond it the leader refuses proposals as `busy`. */
  readonly maxUncommittedBytes: number
  /** Committed entries given to the state machine and not yet reported applied; beyond it no more are given. */
  readonly maxUnappliedBytes: number
  /** At most 128 KiB. Used by whoever cuts snapshots; the core only counts chunks. */
  readonly snapshotChunkBytes: number
  /** Chunks in flight to one follower. */
  readonly snapshotWindow: number
  /** Entries kept behind a snapshot, so that a follower a little behind needs no snapshot. */
  readonly trailingEntries: number
  /** Reads waiting at one server; beyond it a read is refused as `busy`. */
  readonly maxPendingReads: number
}

export const defaultSettings: RaftSettings = {
  electionTimeoutMs: 1000,
  heartbeatMs: 100,
  maxEntriesPerMessage: 256,
  maxBytesPerMessage: 256 * 1024,
  maxInflightMessages: 64,
  maxInflightBytes: 4 * 1024 * 1024,
  maxUncommittedBytes: 16 * 1024 * 1024,
  maxUnappliedBytes: 4 * 1024 * 1024,
  snapshotChunkBytes: 128 * 1024,
  snapshotWindow: 4,
  trailingEntries: 1024,
  maxPendingReads: 4096,
}

/** Least and greatest value of each setting. */
export const settingBounds: Readonly<Record<keyof RaftSettings, readonly [number, number]>> = {
  electionTimeoutMs: [10, 600_000],
  heartbeatMs: [1, 200_000],
  maxEntriesPerMessage: [1, 65_536],
  maxBytesPerMessage: [64, 256 * 1024],
  maxInflightMessages: [1, 4096],
  maxInflightBytes: [64, 64 * 1024 * 1024],
  maxUncommittedBytes: [64, 1024 * 1024 * 1024],
  maxUnappliedBytes: [64, 1024 * 1024 * 1024],
  snapshotChunkBytes: [16, 128 * 1024],
  snapshotWindow: [1, 64],
  trailingEntries: [0, 10_000_000],
  maxPendingReads: [1, 1_000_000],
}

/** What is wrong with `settings`, in words for the operator, or `undefined` when nothing is. */
export function settingsProblem(settings: RaftSettings): string | undefined {
  for (const name of Object.keys(settingBounds).sort() as (keyof RaftSettings)[]) {
    const [min, max] = settingBounds[name]
    const value = settings[name]
    const whole = name.endsWith('Ms') ? Number.isFinite(value) : Number.isSafeInteger(value)
    if (!whole || value < min || value > max) {
      return `${name} must be between ${min} and ${max}, not ${String(value)}`
    }
  }
  if (settings.heartbeatMs * 3 > settings.electionTimeoutMs) {
    return 'heartbeatMs must be at most a third of electionTimeoutMs'
  }
  return undefined
}

export function assertSettings(settings: RaftSettings): void {
  assert.equal(settingsProblem(settings), undefined)
}
