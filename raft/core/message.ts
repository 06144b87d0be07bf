/**
 * What servers say to each other: the RPCs of Figures 2 and 13 of the paper as one-way messages, with pre-vote
 * (thesis 9.6), ReadIndex (6.4) and TimeoutNow (3.10).
 *
 * Any message may be lost, repeated, late or out of order. `term` is always the sender's current term; a reply
 * of another term than the receiver's never counts as one (but PreVoteReply, which goes by `nextTerm`). `round` numbers what a leader sends within its term:
 * an answer that echoes round r was given after r began, however late it arrives (thesis 6.4).
 */
import type { Configuration } from './configuration.ts'
import type { Entry } from './entry.ts'

export type Message =
  | PreVote
  | PreVoteReply
  | RequestVote
  | RequestVoteReply
  | AppendEntries
  | AppendEntriesReply
  | Heartbeat
  | HeartbeatReply
  | InstallSnapshot
  | InstallSnapshotReply
  | ReadIndex
  | ReadIndexReply
  | TimeoutNow
  | Teach
  | TeachReply
  | Distrust

export type MessageType = Message['type']

interface Envelope {
  readonly from: string
  readonly to: string
  /** The sender's `currentTerm`. */
  readonly term: number
}

/**
 * Why the sender's word does not count, in every answer it gives: see `trust.ts`. `cleared` may be made a voter, and
 * counts from then on. Absent where it counts.
 */
export interface Candour {
  readonly untrusted?: Untrusted
}

export type Untrusted = 'relearning' | 'unknown' | 'cleared'

/** Would you vote for me in `nextTerm`? Changes nothing at the receiver. */
export interface PreVote extends Envelope {
  readonly type: 'preVote'
  /** `term` + 1. */
  readonly nextTerm: number
  readonly lastLogIndex: number
  readonly lastLogTerm: number
  /** The sender was told that its leader is gone; the receiver then looks for itself. */
  readonly leaderGone: boolean
}

export interface PreVoteReply extends Envelope {
  readonly type: 'preVoteReply'
  /** As asked. */
  readonly nextTerm: number
  readonly voteGranted: boolean
}

export interface RequestVote extends Envelope {
  readonly type: 'requestVote'
  readonly lastLogIndex: number
  readonly lastLogTerm: number
  /** The leader itself asked for this election: do not protect it (thesis 4.2.3). */
  readonly transfer: boolean
}

export interface RequestVoteReply extends Envelope {
  readonly type: 'requestVoteReply'
  readonly voteGranted: boolean
}

export interface AppendEntries extends Envelope {
  readonly type: 'appendEntries'
  readonly prevLogIndex: number
  readonly prevLogTerm: number
  /** Contiguous from `prevLogIndex` + 1; may be empty. */
  readonly entries: readonly Entry[]
  readonly leaderCommit: number
  readonly round: number
}

export interface AppendEntriesReply extends Envelope, Candour {
  readonly type: 'appendEntriesReply'
  readonly round: number
  readonly result:
    | { readonly success: true; readonly matchIndex: number }
    | {
        readonly success: false
        /** The `prevLogIndex` that did not match. */
        readonly rejectedIndex: number
        /** The largest index at or below it whose term here is at most the one asked for, and that term. */
        readonly hintIndex: number
        readonly hintTerm: number
      }
}

export interface Heartbeat extends Envelope {
  readonly type: 'heartbeat'
  readonly leaderCommit: number
  /** Of the entry at `leaderCommit`: whoever has it has everything before it as well (log matching, 5.3). */
  readonly commitTerm: number
  /** 0 wants no answer: the message only carries `leaderCommit`. */
  readonly round: number
}

export interface HeartbeatReply extends Envelope, Candour {
  readonly type: 'heartbeatReply'
  readonly round: number
  /** Where the sender's log ends, durable or not: tells the leader what was lost on the way, promises nothing. */
  readonly lastLogIndex: number
}

/** A snapshot, wherever it was taken. `id` names its bytes: two snapshots at one index may differ in them. */
export interface SnapshotMeta {
  readonly id: string
  readonly lastIncludedIndex: number
  readonly lastIncludedTerm: number
  /** In force at `lastIncludedIndex`. */
  readonly configuration: Configuration
  readonly bytes: number
  /** At least 1; an empty state is one empty chunk. */
  readonly chunks: number
}

/** What the core says of a chunk; whoever holds the snapshot adds `data` (Figure 13). */
export interface InstallSnapshotHeader extends Envelope {
  readonly type: 'installSnapshot'
  readonly snapshot: SnapshotMeta
  /** 0 up to `snapshot.chunks` - 1. */
  readonly chunk: number
  readonly round: number
}

/** The checksum of a chunk is checked before the core sees the message: a damaged one is a lost one. */
export interface InstallSnapshot extends InstallSnapshotHeader {
  readonly data: Uint8Array
}

export interface InstallSnapshotReply extends Envelope, Candour {
  readonly type: 'installSnapshotReply'
  readonly round: number
  readonly snapshotId: string
  /** Differs each time the receiver begins anew, so that the sender knows to go back. */
  readonly session: number
  /** All chunks below are stored: the sender's credit is this plus the window. */
  readonly nextChunk: number
  /** Set when the receiver needs no more of it: its log matches the leader's up to here, durably. */
  readonly matchIndex?: number
}

/** A follower asks for a read point on behalf of its own callers. */
export interface ReadIndex extends Envelope {
  readonly type: 'readIndex'
  /** Never used twice by one server, its earlier runs included (chance). */
  readonly key: number
}

export interface ReadIndexReply extends Envelope {
  readonly type: 'readIndexReply'
  readonly key: number
  /** Absent when refused. */
  readonly index?: number
}

/** Start an election at once: the leader hands over (thesis 3.10). */
export interface TimeoutNow extends Envelope {
  readonly type: 'timeoutNow'
}

/** An untrusted server asks the leader up to where it has to learn the log before its word can count again. */
export interface Teach extends Envelope {
  readonly type: 'teach'
  /** As for ReadIndex; repeated with the question. */
  readonly key: number
  readonly untrusted: Untrusted
  readonly lastLogIndex: number
}

export interface TeachReply extends Envelope {
  readonly type: 'teachReply'
  readonly key: number
  /** Where the leader's log ended after it was asked: the target. */
  readonly lastIndex: number
}

/** The leader saw that the receiver lost what it had acknowledged: it must not trust itself any longer. */
export interface Distrust extends Envelope {
  readonly type: 'distrust'
}
