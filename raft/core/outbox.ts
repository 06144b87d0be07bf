/**
 * Collects the effects of one step, and numbers what is written.
 *
 * All writes have one total order. So "persisted up to seq" says all there is to say of durability: no pair of
 * index and term can be taken for another that was truncated meanwhile (etcd's ABA of async writes).
 */
import assert from 'node:assert/strict'
import type { Configuration } from './configuration.ts'
import type {
  ChangeResult,
  Effects,
  Persist,
  ProposalResult,
  ReadResult,
  Send,
  Status,
  StoreChunk,
  TransferResult,
} from './effect.ts'
import type { Entry } from './entry.ts'
import type { Trust } from './input.ts'
import type { InstallSnapshotHeader, SnapshotMeta } from './message.ts'

/** What a step changed of the persistent state, before it has a number. */
export interface Dirt {
  /** Term, vote or trust. */
  hardState: boolean
  snapshot: SnapshotMeta | undefined
  truncateFrom: number | undefined
  compactTo: number | undefined
  /** The first entry appended in this step. */
  stagedFrom: number | undefined
}

export class Outbox {
  readonly proposals: ProposalResult[] = []
  readonly reads: ReadResult[] = []
  readonly transfers: TransferResult[] = []
  readonly changes: ChangeResult[] = []
  readonly sendChunks: InstallSnapshotHeader[] = []
  readonly storeChunks: StoreChunk[] = []
  readonly apply: Entry[] = []
  restore: SnapshotMeta | undefined
  configuration: Configuration | undefined
  trust: Trust | undefined
  readonly regressed: string[] = []
  removed = false
  readonly dirt: Dirt = {
    hardState: false,
    snapshot: undefined,
    truncateFrom: undefined,
    compactTo: undefined,
    stagedFrom: undefined,
  }
  private readonly sends: { readonly message: Send['message']; readonly gated: boolean }[] = []

  get isDirty(): boolean {
    const { hardState, snapshot, truncateFrom, compactTo, stagedFrom } = this.dirt
    return (
      hardState ||
      snapshot !== undefined ||
      truncateFrom !== undefined ||
      compactTo !== undefined ||
      stagedFrom !== undefined
    )
  }

  /** With `gated`, the message waits until all that is dirty or being written now is on disk. */
  send(message: Send['message'], gated: boolean): void {
    this.sends.push({ message, gated })
  }

  /** `after` is the seq that gated messages wait for; absent when everything is on disk already. */
  finish(persist: Persist | undefined, after: number | undefined, status?: Status): Effects {
    assert.equal(persist !== undefined, this.isDirty)
    assert(persist === undefined || after === persist.seq)
    return {
      ...(persist && { persist }),
      send: this.sends.map(({ message, gated }) =>
        gated && after !== undefined ? { message, after } : { message },
      ),
      sendChunks: this.sendChunks,
      storeChunks: this.storeChunks,
      ...(this.restore && { restore: this.restore }),
      apply: this.apply,
      proposals: this.proposals,
      reads: this.reads,
      transfers: this.transfers,
      changes: this.changes,
      ...(status && { status }),
      ...(this.configuration && { configuration: this.configuration }),
      ...(this.trust && { trust: this.trust }),
      regressed: this.regressed,
      removed: this.removed,
    }
  }
}
