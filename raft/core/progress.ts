/**
 * What a leader knows of one other server's log, and how it talks to it.
 *
 *   probe      does not know where the logs part: one message at a time
 *   replicate  knows: sends ahead, up to the window
 *   snapshot   the entries needed are compacted: sends chunks, up to the credit
 *
 * Invariant: matchIndex < nextIndex; matchIndex never falls within a term, for a server that acknowledged an entry
 * has it on its disk, unless that was damaged.
 */
import assert from 'node:assert/strict'
import type { SnapshotMeta, Untrusted } from './message.ts'

export interface Inflight {
  readonly lastIndex: number
  readonly round: number
  readonly sentAt: number
}

export interface Probe {
  readonly kind: 'probe'
  /** Sent one; wait for its answer or for the next heartbeat. */
  paused: boolean
}

export interface Replicate {
  readonly kind: 'replicate'
  /** Ascending. What is between matchIndex and nextIndex is in flight. */
  readonly inflight: Inflight[]
}

export interface Sending {
  readonly kind: 'snapshot'
  readonly snapshot: SnapshotMeta
  /** The receiver's, once it said so. */
  session: number | undefined
  /** All chunks below are stored there. */
  ackedChunks: number
  nextChunk: number
  /** Chunks that may be in flight: one after a stall. */
  window: number
  /** When the receiver last got further, or a chunk was last repeated. */
  movedAt: number
}

export interface Proof {
  readonly round: number
  readonly index: number
}

export class Progress {
  readonly id: string
  matchIndex = 0
  nextIndex: number
  mode: Probe | Replicate | Sending = { kind: 'probe', paused: false }
  /** The newest round it answered, and when that round began: send time, not time of arrival (thesis 6.4.1). */
  ackedRound = 0
  ackedAt: number
  /** When its last answer of this term arrived. */
  heardAt: number
  /** The commit index it was last told. */
  toldCommit = 0
  /** Why its word does not count, as it last said (trust.ts). */
  untrusted: Untrusted | undefined
  /** It lost something and has not admitted it yet. */
  isAccused = false
  teachKey: number | undefined
  /** Answers to earlier rounds were given before it lost its log. */
  since = 0
  /** Answers to this round and later ones must show a log up to this index; and this is for rounds to come. */
  proven: Proof = { round: 0, index: 0 }
  nextProof: Proof = { round: 0, index: 0 }

  constructor(id: string, nextIndex: number, heardAt: number) {
    this.id = id
    this.nextIndex = nextIndex
    this.ackedAt = heardAt
    this.heardAt = heardAt
  }

  get isTrusted(): boolean {
    return this.untrusted === undefined && !this.isAccused
  }

  /** What counts in a quorum. */
  get countedIndex(): number {
    return this.isTrusted ? this.matchIndex : 0
  }

  /** It lost what it had: nothing is known of it but what it answers to round `since` and later. */
  startOver(nextIndex: number, since: number): void {
    this.matchIndex = 0
    this.ackedRound = 0
    this.ackedAt = -Infinity
    this.since = since
    this.proven = this.nextProof = { round: since, index: 0 }
    this.probe(nextIndex)
  }

  /** Start over from what is known for certain, or from `nextIndex`. */
  probe(nextIndex = this.matchIndex + 1, paused = false): void {
    this.nextIndex = Math.max(this.matchIndex + 1, nextIndex)
    this.mode = { kind: 'probe', paused }
  }

  /** Its log matches up to `index`, durably. */
  matched(index: number): void {
    this.matchIndex = Math.max(this.matchIndex, index)
    if (this.mode.kind === 'replicate') {
      const { inflight } = this.mode
      while (inflight[0] !== undefined && inflight[0].lastIndex <= this.matchIndex) inflight.shift()
      this.nextIndex = Math.max(this.nextIndex, this.matchIndex + 1)
    } else {
      this.nextIndex = this.matchIndex + 1
      this.mode = { kind: 'replicate', inflight: [] }
    }
    assert(this.matchIndex < this.nextIndex)
  }

  sendSnapshot(snapshot: SnapshotMeta, movedAt: number, window: number): Sending {
    assert(snapshot.lastIncludedIndex > this.matchIndex)
    const start = { session: undefined, ackedChunks: 0, nextChunk: 0 }
    this.mode = { kind: 'snapshot', snapshot, ...start, window, movedAt }
    return this.mode
  }
}
