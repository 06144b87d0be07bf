/**
 * What an operator may set of Raft, checked once before anything runs.
 *
 * Safety rests on none of these values; they trade speed, memory and how soon a dead leader is replaced.
 * All servers of a cluster should have the same `electionTimeoutMs`: check-quorum counts on it.
 */
import assert from 'node:assert/strict'

/** Of each setting: its value when nothing is said, the least and the greatest. */
const table = {
  /** T, in ms. A server waits between T and 2T without a leader before it asks for votes (9.3). */
  electionTimeoutMs: [1000, 10, 600_000],
  /** In ms, at most a third of T. */
  heartbeatMs: [100, 1, 200_000],
  maxEntriesPerMessage: [256, 1, 65_536],
  /** At most 256 KiB. A single larger entry is refused when proposed. */
  maxBytesPerMessage: [256 * 1024, 64, 256 * 1024],
  /** Unacknowledged AppendEntries per follower. */
  maxInflightMessages: [64, 1, 4096],
  maxInflightBytes: [4 * 1024 * 1024, 64, 64 * 1024 * 1024],
  /** Beyond it the leader refuses proposals as `busy`. */
  maxUncommittedBytes: [16 * 1024 * 1024, 64, 1024 * 1024 * 1024],
  /** Committed entries given to the state machine and not yet reported applied; beyond it no more are given. */
  maxUnappliedBytes: [4 * 1024 * 1024, 64, 1024 * 1024 * 1024],
  /** At most 128 KiB. Used by whoever cuts snapshots; the core only counts chunks. */
  snapshotChunkBytes: [128 * 1024, 16, 128 * 1024],
  /** Chunks in flight to one follower. */
  snapshotWindow: [4, 1, 64],
  /** Entries kept behind a snapshot, so that a follower a little behind needs no snapshot. */
  trailingEntries: [1024, 0, 10_000_000],
  /** Reads waiting at one server; beyond it a read is refused as `busy`. */
  maxPendingReads: [4096, 1, 1_000_000],
} as const

export type RaftSettings = { readonly [K in keyof typeof table]: number }

type Bounds = { readonly [K in keyof RaftSettings]: readonly [number, number] }

const rows = Object.entries(table)

export const defaultSettings = Object.fromEntries(
  rows.map(([name, [value]]) => [name, value]),
) as RaftSettings

/** Least and greatest value of each setting. */
export const settingBounds = Object.fromEntries(
  rows.map(([name, [, min, max]]): [string, readonly [number, number]] => [name, [min, max]]),
) as Bounds

/** What is wrong with `settings`, in words for the operator, or `undefined` when nothing is. */
export function settingsProblem(settings: RaftSettings): string | undefined {
  for (const name of Object.keys(table).sort() as (keyof RaftSettings)[]) {
    const [min, max] = settingBounds[name]
    const value = settings[name]
    const whole = name.endsWith('Ms') ? Number.isFinite(value) : Number.isSafeInteger(value)
    if (!whole || value < min || value > max) {
      return `${name} must be between ${min} and ${max}, not ${String(value)}`
    }
  }
  if (settings.heartbeatMs * 3 <= settings.electionTimeoutMs) return undefined
  return 'heartbeatMs must be at most a third of electionTimeoutMs'
}

export function assertSettings(settings: RaftSettings): void {
  assert.equal(settingsProblem(settings), undefined)
}
