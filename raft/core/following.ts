/**
 * What a server keeps while it follows: of the snapshot it receives, of the reads it passes on, and of what it has
 * to learn again. (What a leader keeps is in `leadership.ts`.)
 */
import type { OwnRead } from './leadership.ts'
import type { SnapshotMeta } from './message.ts'

/** A snapshot being received. */
export interface Incoming {
  readonly snapshot: SnapshotMeta
  /** Of the leader that sends it now. */
  term: number
  readonly session: number
  /** The next chunk to take. */
  received: number
  /** All chunks below are stored; of those above, these. */
  stored: number
  readonly ahead: Set<number>
  /** The newest of that term that came with a chunk. */
  round: number
}

/** A transfer begins, or goes on with what the disk has of it; the last chunk is taken again, for it ends it. */
export function incomingOf(snapshot: SnapshotMeta, session: number, stored = 0): Incoming {
  const next = Math.min(stored, snapshot.chunks - 1)
  return { snapshot, term: 0, session, received: next, stored: next, ahead: new Set(), round: 0 }
}

/** Reads that this server asks the leader for, on behalf of its own callers. */
export interface Forward {
  waiting: OwnRead[]
  sent: { readonly key: number; readonly reads: OwnRead[]; readonly at: number } | undefined
}

/** What an untrusted server has learned from the leader of one term: of another's it has to be told anew. */
export interface Lesson {
  readonly term: number
  readonly key: number
  askedAt: number
  /** Where the leader's log ended, once it said so. */
  target: number | undefined
  /** The own log is known to match the leader's up to here. */
  matched: number
}
