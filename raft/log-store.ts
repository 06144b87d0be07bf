/**
 * A node's storage over a database and its two small files: what each batch writes, and what is told to whom.
 *
 * No promise, timer or file in here: LevelDB below it is real, a simulator's disk lies, the code is the same. How a
 * store is opened and checked is `open-store.ts`.
 *
 * Invariant: after the first error nothing is written any more. LevelDB itself would go on acknowledging synced
 * writes after a full disk, and lose them all at the next crash.
 */
import assert from 'node:assert/strict'
import type { Persist } from './core/effect.ts'
import type { PersistedState } from './core/input.ts'
import type { SnapshotMeta } from './core/message.ts'
import { synced, type Database, type Disk, type Done, type Operation } from './database.ts'
import { RaftError } from './error.ts'
import { Leftovers } from './leftovers.ts'
import { markerText } from './marker.ts'
import type { Slots } from './slots.ts'
import type { Batch, Chunk, Storage } from './storage.ts'
import { readStore, type Store } from './store-check.ts'
import {
  chunkKey,
  damaged,
  emptyTail,
  entryKey,
  openChunk,
  partialKey,
  sealChunk,
  sealEntry,
  sealSnapshot,
  sealTail,
  snapshotKey,
  tailKey,
  type Tail,
} from './store-layout.ts'
import type { Mark, Vote } from './vote-file.ts'

/** What is open, checked, and in what state it was found. */
export interface LogStoreParts {
  readonly disk: Disk
  readonly database: Database
  readonly vote: Slots<Vote>
  readonly mark: Slots<Mark>
  /** `undefined` when the database is empty. */
  readonly store: Store | undefined
  /** The newest, from wherever it was found. */
  readonly newestVote: Vote | undefined
  /** Number of the last stored chunk, by snapshot id. */
  readonly chunks: Map<string, number>
  /** A snapshot of which the first chunks are there. */
  readonly partial: PersistedState['partial']
}

export class LogStore implements Storage {
  readonly #disk: Disk
  readonly #database: Database
  readonly #vote: Slots<Vote>
  readonly #mark: Slots<Mark>
  readonly #chunks: Map<string, number>
  /** What was read at open, until it is asked for or outdated: the log is not kept here twice. */
  #fresh: { readonly state: PersistedState | undefined } | undefined
  #tail: Tail
  #snapshot: SnapshotMeta | undefined
  /** Being received. */
  #partial: SnapshotMeta | undefined
  #crcs: number[]
  readonly #leftovers = new Leftovers()
  #writing = false
  /** A write of the mark is under way, and the one that is to follow it. */
  #marking: { next: Mark | undefined } | undefined
  #failed: RaftError | undefined

  constructor({ disk, database, vote, mark, store, newestVote, chunks, partial }: LogStoreParts) {
    this.#disk = disk
    this.#database = database
    this.#vote = vote
    this.#mark = mark
    this.#chunks = chunks
    this.#tail = { ...(store?.tail ?? emptyTail), ...newestVote }
    this.#snapshot = store?.snapshot
    this.#crcs = [...(store?.crcs ?? [])]
    this.#partial = partial?.snapshot
    if (store?.leftFrom !== undefined) {
      this.#leftovers.entries(store.leftFrom, this.#tail.firstIndex - 1)
    }
    const state = this.#stateOf(store)
    this.#fresh = { state: state && partial ? { ...state, partial } : state }
  }

  get damage(): string | undefined {
    return this.#tail.trust.kind === 'full' ? undefined : this.#tail.damage
  }

  read(done: (error: RaftError | undefined, state?: PersistedState) => void): void {
    const fresh = this.#fresh
    this.#fresh = undefined
    if (fresh !== undefined || this.#failed !== undefined) {
      this.#disk.later(() => this.#tell(undefined, done, fresh?.state))
      return
    }
    readStore(this.#database, (error, store) => {
      this.#tell(error, done, error === undefined ? this.#stateOf(store) : undefined)
    })
  }

  write(batch: Batch, done: Done): void {
    assert(!this.#writing, 'one write at a time')
    this.#writing = true
    this.#fresh = undefined
    const finish: Done = error => {
      this.#writing = false
      this.#tell(error, done)
    }
    if (this.#failed !== undefined) {
      this.#disk.later(() => finish(undefined))
      return
    }
    // Staged at once, so that a batch that breaks the invariant fails in its caller's face.
    const operations = this.#stage(batch)
    const { currentTerm, votedFor } = this.#tail
    const last = this.#vote.last
    if (last?.currentTerm === currentTerm && last.votedFor === votedFor) {
      this.#commit(operations, finish)
      return
    }
    this.#vote.write({ currentTerm, votedFor }, error => {
      if (error === undefined && this.#failed === undefined) this.#commit(operations, finish)
      else finish(error)
    })
  }

  readChunk(
    snapshotId: string,
    chunk: number,
    done: (error: RaftError | undefined, data?: Uint8Array) => void,
  ): void {
    if (this.#failed !== undefined) {
      this.#disk.later(() => this.#tell(undefined, done))
      return
    }
    const key = chunkKey(snapshotId, chunk)
    const isStored = chunk <= (this.#chunks.get(snapshotId) ?? -1)
    this.#database.get(key, (error, value) => {
      const data = value && openChunk(key, value)
      const broken = damaged(`chunk ${chunk} of snapshot ${snapshotId} is broken or missing`)
      if (error !== undefined || data !== undefined) this.#tell(error, done, data)
      else if (isStored) this.#tell(broken, done)
      else {
        // Never stored, or removed before the call: no fault of the disk, but of who asks.
        this.#failed ??= broken
        done(this.#failed)
      }
    })
  }

  condemn(reason: string, done: Done): void {
    this.#failed ??= damaged(reason)
    this.#disk.marker.write(markerText({ reason }), done)
  }

  freeBytes(done: (bytes: number) => void): void {
    this.#disk.freeBytes?.(done)
  }

  close(done: () => void): void {
    this.#failed ??= new RaftError('RAFT_CLOSED')
    this.#disk.close(done)
  }

  /**
   * Passes an outcome on, and makes the first error the answer to everything after it. What the data is to blame
   * for is noted on the disk first, so that the next start does not believe it again.
   */
  #tell<T>(
    error: RaftError | undefined,
    done: (error: RaftError | undefined, value?: T) => void,
    value?: T,
  ): void {
    if (error?.code === 'RAFT_DAMAGED' && this.#failed === undefined) {
      this.condemn(error.detail ?? error.message, () => done(this.#failed))
      return
    }
    this.#failed ??= error
    if (this.#failed === undefined) done(undefined, value)
    else done(this.#failed)
  }

  #stateOf(store: Store | undefined): PersistedState | undefined {
    const { currentTerm, votedFor, trust } = this.#tail
    if (store === undefined && currentTerm === 0) return undefined
    const { snapshot, entries = [] } = store ?? {}
    return { currentTerm, votedFor, trust, snapshot, entries }
  }

  #commit(operations: readonly Operation[], done: Done): void {
    const value = sealTail(this.#tail)
    const mark = { seq: this.#tail.seq, crc: value.readUInt32BE(0) }
    const all = [...operations, { type: 'put', key: tailKey, value } as const]
    this.#database.batch(all, synced, error => {
      // What waits for the batch goes first: of the mark nobody is told.
      done(error)
      if (error === undefined && this.#failed === undefined) this.#putMark(mark)
    })
  }

  /** Nobody waits for it. While one is being written, only the newest of those that come waits. */
  #putMark(mark: Mark): void {
    if (this.#marking !== undefined) {
      this.#marking.next = mark
      return
    }
    this.#marking = { next: undefined }
    this.#mark.write(mark, error => {
      const next = this.#marking?.next
      this.#marking = undefined
      this.#failed ??= error
      if (next !== undefined && this.#failed === undefined) this.#putMark(next)
    })
  }

  #stage(batch: Batch): Operation[] {
    const operations: Operation[] = []
    for (const chunk of batch.chunks ?? []) this.#stageChunk(chunk, operations)
    for (const persist of batch.persists ?? []) this.#stagePersist(persist, operations)
    if (batch.snapshot !== undefined) this.#stageSnapshot(batch.snapshot, operations)
    for (const id of batch.remove ?? []) this.#stageRemoval(id, operations)
    this.#leftovers.stage(operations)
    this.#assertContiguous()
    this.#tail = { ...this.#tail, seq: this.#tail.seq + 1 }
    return operations
  }

  #stageChunk({ snapshotId, chunk, data, of }: Chunk, operations: Operation[]): void {
    const key = chunkKey(snapshotId, chunk)
    if (of !== undefined && of.id !== this.#partial?.id) {
      // One is received at a time: what there is of another is of no more use.
      if (this.#partial !== undefined) this.#stageRemoval(this.#partial.id, operations)
      this.#partial = of
      operations.push({ type: 'put', key: partialKey, value: sealSnapshot(of) })
    }
    this.#leftovers.spare(snapshotId)
    operations.push({ type: 'put', key, value: sealChunk(key, data) })
    this.#chunks.set(snapshotId, Math.max(chunk, this.#chunks.get(snapshotId) ?? 0))
  }

  #stagePersist(persist: Persist, operations: Operation[]): void {
    const { currentTerm, votedFor, snapshot, truncateFrom, compactTo, entries } = persist
    assert(currentTerm >= this.#tail.currentTerm)
    const trust = persist.trust ?? this.#tail.trust
    const damage = trust.kind === 'full' ? undefined : this.#tail.damage
    this.#tail = { ...this.#tail, currentTerm, votedFor, trust, damage }
    if (snapshot !== undefined) this.#stageSnapshot(snapshot, operations)
    if (truncateFrom !== undefined) this.#truncate(truncateFrom, operations)
    if (compactTo !== undefined) this.#compact(compactTo)
    let { lastIndex, lastCrc } = this.#tail
    for (const entry of entries) {
      assert.equal(entry.index, ++lastIndex)
      const { value, crc } = sealEntry(entry, lastCrc)
      operations.push({ type: 'put', key: entryKey(entry.index), value })
      this.#crcs.push(crc)
      lastCrc = crc
    }
    this.#tail = { ...this.#tail, lastIndex, lastCrc }
  }

  #truncate(from: number, operations: Operation[]): void {
    const { firstIndex, lastIndex, baseCrc } = this.#tail
    const keepTo = Math.max(from, firstIndex) - 1
    if (keepTo >= lastIndex) return
    for (let index = keepTo + 1; index <= lastIndex; index++) {
      operations.push({ type: 'del', key: entryKey(index) })
    }
    this.#crcs.length = keepTo - firstIndex + 1
    this.#tail = { ...this.#tail, lastIndex: keepTo, lastCrc: this.#crcs.at(-1) ?? baseCrc }
  }

  #compact(to: number): void {
    const { firstIndex, lastIndex, lastCrc } = this.#tail
    if (to < firstIndex) return
    assert(to <= (this.#snapshot?.lastIncludedIndex ?? 0), 'compacted what no snapshot holds')
    this.#leftovers.entries(firstIndex, Math.min(to, lastIndex))
    if (to > lastIndex) {
      // A received snapshot goes beyond the log: it begins anew behind it, and so does the chain.
      this.#crcs = []
      const fresh = { firstIndex: to + 1, baseCrc: 0, lastIndex: to, lastCrc: 0 }
      this.#tail = { ...this.#tail, ...fresh }
      return
    }
    const baseCrc = this.#crcs[to - firstIndex] ?? lastCrc
    this.#crcs = this.#crcs.slice(to - firstIndex + 1)
    this.#tail = { ...this.#tail, firstIndex: to + 1, baseCrc }
  }

  #stageSnapshot(meta: SnapshotMeta, operations: Operation[]): void {
    assert(meta.lastIncludedIndex >= (this.#snapshot?.lastIncludedIndex ?? 0))
    assert.equal(this.#chunks.get(meta.id), meta.chunks - 1, 'published before it was stored')
    this.#snapshot = meta
    this.#endPartial(meta.id, operations)
    operations.push({ type: 'put', key: snapshotKey, value: sealSnapshot(meta) })
  }

  #stageRemoval(id: string, operations: Operation[]): void {
    assert.notEqual(id, this.#snapshot?.id)
    this.#leftovers.chunks(id, this.#chunks.get(id) ?? -1)
    this.#chunks.delete(id)
    this.#endPartial(id, operations)
  }

  #endPartial(id: string, operations: Operation[]): void {
    if (this.#partial?.id !== id) return
    this.#partial = undefined
    operations.push({ type: 'del', key: partialKey })
  }

  #assertContiguous(): void {
    const { firstIndex, lastIndex } = this.#tail
    const included = this.#snapshot?.lastIncludedIndex ?? 0
    assert(firstIndex <= included + 1, 'a gap between the snapshot and the log')
    assert(lastIndex >= included, 'a log that ends before the snapshot')
    assert.equal(this.#crcs.length, lastIndex - firstIndex + 1)
  }
}
