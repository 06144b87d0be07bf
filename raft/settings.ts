/**
 * Whether settings of Raft (`core/settings.ts`) are within their bounds: checked once, before anything runs.
 */
import type { RaftSettings } from './core/settings.ts'

/** Least and greatest value of each setting. */
export const settingBounds: {
  readonly [K in keyof RaftSettings]: readonly [min: number, max: number]
} = {
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
  if (settings.heartbeatMs * 3 <= settings.electionTimeoutMs) return undefined
  return 'heartbeatMs must be at most a third of electionTimeoutMs'
}
