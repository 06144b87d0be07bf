/**
 * The disk as a Raft node needs it: a log, the current term and vote, and snapshots.
 *
 * Everything a node promises rests on `write`: its callback means that the whole batch is durable, and that a
 * crash before it leaves all of the batch or nothing. `test/raft/storage.test.ts` holds every implementation to
 * that.
 *
 * Invariant: the log is contiguous and begins at or before the entry after the snapshot; once a call has failed,
 * every later call fails with the same error, because a disk that lost one write can vouch for none.
 */
import type { PersistedState } from './core/input.ts'
import type { Persist } from './core/effect.ts'
import type { SnapshotMeta } from './core/message.ts'
import type { RaftError } from './error.ts'

export interface Chunk {
  readonly snapshotId: string
  /** 0 and up. */
  readonly chunk: number
  readonly data: Uint8Array
  /** The snapshot, when it is being received: after a stop its transfer goes on (`PersistedState.partial`). */
  readonly of?: SnapshotMeta
}

/** One atomic, synced write; its parts take effect in the order of the fields. */
export interface Batch {
  readonly chunks?: readonly Chunk[]
  /** In the order of their `seq`. */
  readonly persists?: readonly Persist[]
  /** A snapshot of which all chunks are stored becomes the one that `read` tells of. */
  readonly snapshot?: SnapshotMeta
  /** Snapshots, whole or partial, whose chunks are deleted; never the one that `read` tells of. */
  readonly remove?: readonly string[]
}

export interface Storage {
  /**
   * All that was written, checked; `undefined` when nothing ever was. Chunks that belong neither to
   * the published snapshot nor to the one received last are gone after a start. `trust` says what the files cannot vouch for.
   */
  read(done: (error: RaftError | undefined, state?: PersistedState) => void): void
  /** One at a time: the caller waits for `done` before the next `write`. */
  write(batch: Batch, done: (error: RaftError | undefined) => void): void
  /** A chunk that was written, durable or not. Asking for one that was not is a damage (RAFT_DAMAGED). */
  readChunk(
    snapshotId: string,
    chunk: number,
    done: (error: RaftError | undefined, data?: Uint8Array) => void,
  ): void
  /**
   * Notes on the disk that what it holds must not be believed: the next start begins anew and relearns everything.
   * Every later call but `close` fails with RAFT_DAMAGED.
   */
  condemn(reason: string, done: (error: RaftError | undefined) => void): void
  /** What was found to be wrong, while the server is not yet trusted again because of it. For people. */
  readonly damage: string | undefined
  /** Tells how much more the disk takes; missing where nothing is known of that. An error is told by no call. */
  freeBytes?(done: (bytes: number) => void): void
  /**
   * Ends what is under way, then gives the folder free. Twice does no harm. A disk that hangs is not waited for
   * longer than two seconds; the folder then stays taken until the process ends.
   */
  close(done: () => void): void
}
