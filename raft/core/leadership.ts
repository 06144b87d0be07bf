/**
 * What exists only while a server leads: gone when it steps down, so that nothing of an old term can leak into a
 * new one (the volatile state of leaders in Figure 2, and what reads, transfers and changes add to it).
 */
import type { SnapshotMeta } from './message.ts'
import type { Progress } from './progress.ts'

export interface Leadership {
  /** One for each other member, in the order of ids. */
  progress: Map<string, Progress>
  /** The newest round begun. Never repeated within a term. */
  round: number
  /** When some of the rounds began, ascending; bounded by age. */
  roundTimes: RoundTime[]
  sinceHeartbeat: number
  /** A quorum has 2T from here to be heard: from the election, the last stall of the process or change of voters. */
  graceFrom: number
  readWaiting: ReadRequest[]
  readBatch: ReadBatch | undefined
  transfer: Transfer | undefined
  /** Id of the configuration change under way. */
  change: number | undefined
  /** That these are committed is told at once; of later ones with what is sent next, or when the driver says so. */
  hurryTo: number
  /** Somebody was not told yet. */
  owesNews: boolean
}

export interface RoundTime {
  readonly round: number
  readonly at: number
}

/** A caller's on this server. */
export interface OwnRead {
  readonly from: 'self'
  readonly id: number
  /** When it came. */
  readonly at: number
}

/** Own caller's, or a follower's; a pupil wants the end of the log, not of what is committed (trust.ts). */
export type ReadRequest =
  OwnRead | { readonly from: 'peer' | 'pupil'; readonly peer: string; readonly key: number }

export interface ReadBatch {
  /** Any round at or above it, answered by a quorum, confirms the batch. */
  readonly round: number
  readonly index: number
  readonly reads: readonly ReadRequest[]
}

export interface Transfer {
  readonly id: number
  readonly target: string
  readonly startedAt: number
  sent: boolean
}

/** Snapshots that some follower is being sent now. */
export function snapshotsBeingSent(leadership: Leadership): SnapshotMeta[] {
  return [...leadership.progress.values()].flatMap(({ mode }) =>
    mode.kind === 'snapshot' ? [mode.snapshot] : [],
  )
}
