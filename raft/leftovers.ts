/**
 * What the store needs no more and has still to delete: a log behind a snapshot, chunks of snapshots that are past.
 *
 * A snapshot may end tens of thousands of entries at once. To delete them in one batch would keep heartbeats waiting,
 * so that each batch takes a part of them along. Nobody reads what is left over; a start finds it and goes on.
 *
 * Invariant: a key that is put again is deleted no more. Entries are numbered upwards for good, so only chunks can be.
 */
import type { Operation } from './database.ts'
import { chunkKey, entryKey } from './store-layout.ts'

interface Leftover {
  /** Of chunks. */
  readonly snapshotId?: string
  /** Entries, or chunks, from here on. */
  next: number
  readonly last: number
}

/** In one batch. */
export const maxDeleted = 256

export class Leftovers {
  /** Runs of keys: few, however many keys. */
  #runs: Leftover[] = []

  entries(first: number, last: number): void {
    if (first <= last) this.#runs.push({ next: first, last })
  }

  /** All up to chunk `last`. */
  chunks(snapshotId: string, last: number): void {
    if (last >= 0) this.#runs.push({ snapshotId, next: 0, last })
  }

  /** Its chunks are being stored again: what is still there of them is put anew, or goes at the next start. */
  spare(snapshotId: string): void {
    this.#runs = this.#runs.filter(run => run.snapshotId !== snapshotId)
  }

  /** Adds the next deletions to a batch. */
  stage(operations: Operation[]): void {
    for (let left = maxDeleted; left > 0; left--) {
      const [run] = this.#runs
      if (run === undefined) return
      const { snapshotId, next, last } = run
      const key = snapshotId === undefined ? entryKey(next) : chunkKey(snapshotId, next)
      operations.push({ type: 'del', key })
      run.next++
      if (next === last) this.#runs.shift()
    }
  }
}
