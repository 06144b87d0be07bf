/**
 * The disk of a server: LevelDB in a folder, opened by one process, checked at start, synced at every write.
 *
 * The folder holds `db/` (the database), `vote` (term and vote once more, see `vote-file.ts`), `owner` (see
 * `folder-lock.ts`), and after a damage was seen `DAMAGED`: LevelDB tells of dropped records only in the log of
 * the very open that dropped them, so the next start must not believe it is well.
 *
 * Invariant: after the first error nothing is written any more. LevelDB itself would go on acknowledging
 * synced writes after a full disk, and lose them all at the next crash.
 */
import assert from 'node:assert/strict'
import { mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import type { Persist } from './core/effect.ts'
import type { SnapshotMeta } from './core/message.ts'
import type { PersistedState } from './core/input.ts'
import { RaftError } from './error.ts'
import { lockFolder, storageCall } from './folder-lock.ts'
import {
  chunkKey,
  damaged,
  entryKey,
  openChunk,
  readChunkOwners,
  readStore,
  sealChunk,
  sealEntry,
  sealSnapshot,
  sealTail,
  snapshotKey,
  tailKey,
  type Database,
  type Store,
  type Tail,
} from './level-layout.ts'
import { findHole } from './level-log.ts'
import type { Batch, Storage } from './storage.ts'
import { VoteFile } from './vote-file.ts'

type Operation = { type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer }

const emptyTail: Tail = {
  firstIndex: 1,
  baseCrc: 0,
  lastIndex: 0,
  lastCrc: 0,
  currentTerm: 0,
  votedFor: undefined,
}

/**
 * Opens the folder (made if absent), and checks all that is in it but the bytes of the snapshot.
 *
 * @throws RaftError RAFT_LOCKED, RAFT_DAMAGED, RAFT_STORE_VERSION, RAFT_STORAGE
 */
export async function openLevelStorage(folder: string): Promise<Storage> {
  const unlock = await lockFolder(folder)
  const opened: (() => Promise<void>)[] = [unlock]
  const closeAll = async (): Promise<void> => {
    for (const close of opened.toReversed()) await close()
  }
  try {
    await refuseDamaged(folder)
    const db = await openDatabase(join(folder, 'db'))
    opened.push(() => db.close().catch(() => {}))
    await refuseDropped(join(folder, 'db'))
    const vote = await VoteFile.open(join(folder, 'vote'))
    opened.push(() => vote.close())
    await syncFolder(folder)
    const store = reconcile(await storageCall(() => readStore(db)), vote)
    const chunks = await removeOrphans(db, store?.state.snapshot)
    return new LevelStorage({ db, vote, store, chunks, closeAll })
  } catch (error) {
    await closeAll()
    if (error instanceof RaftError && error.code === 'RAFT_DAMAGED') await mark(folder, error)
    throw error
  }
}

/** What is open, and in what state it was found. */
interface Parts {
  readonly db: Database
  readonly vote: VoteFile
  readonly store: Store | undefined
  /** Number of the last stored chunk, by snapshot id. */
  readonly chunks: Map<string, number>
  readonly closeAll: () => Promise<void>
}

class LevelStorage implements Storage {
  readonly #db: Database
  readonly #vote: VoteFile
  readonly #closeAll: () => Promise<void>
  readonly #chunks: Map<string, number>
  /** What was read at open, until it is asked for or outdated: the log is not kept here twice. */
  #fresh: { readonly state: PersistedState | undefined } | undefined
  #tail: Tail
  #snapshot: SnapshotMeta | undefined
  #crcs: number[]
  #writing = false
  #failed: RaftError | undefined
  #closing: Promise<void> | undefined

  constructor({ db, vote, store, chunks, closeAll }: Parts) {
    this.#db = db
    this.#vote = vote
    this.#closeAll = closeAll
    this.#chunks = chunks
    this.#fresh = { state: store?.state }
    this.#tail = store?.tail ?? emptyTail
    this.#snapshot = store?.state.snapshot
    this.#crcs = store?.crcs ?? []
  }

  read(done: (error: RaftError | undefined, state?: PersistedState) => void): void {
    const fresh = this.#fresh
    this.#fresh = undefined
    const reading =
      fresh === undefined
        ? this.#readAgain()
        : Promise.resolve<PersistedState | undefined>(fresh.state)
    this.#settle<PersistedState | undefined>(reading, done)
  }

  write(batch: Batch, done: (error: RaftError | undefined) => void): void {
    assert(!this.#writing, 'one write at a time')
    this.#writing = true
    this.#fresh = undefined
    // Staged at once, so that a batch that breaks the invariant fails in its caller's face.
    const writing =
      this.#failed === undefined ? this.#commit(this.#stage(batch)) : Promise.resolve()
    this.#settle(writing, error => {
      this.#writing = false
      done(error)
    })
  }

  readChunk(
    snapshotId: string,
    chunk: number,
    done: (error: RaftError | undefined, data?: Uint8Array) => void,
  ): void {
    const key = chunkKey(snapshotId, chunk)
    const reading = this.#db.get(key).then(value => {
      const data = value && openChunk(key, value)
      if (data === undefined) throw damaged(`chunk ${chunk} of snapshot ${snapshotId} is broken`)
      return data
    })
    this.#settle(reading, done)
  }

  close(done: () => void): void {
    this.#failed ??= new RaftError('RAFT_CLOSED')
    this.#closing ??= this.#closeAll()
    void this.#closing.then(done)
  }

  /** Passes the outcome on, and makes the first error the answer to everything after it. */
  #settle<T>(work: Promise<T>, done: (error: RaftError | undefined, value?: T) => void): void {
    const settled = storageCall(() => work).then(
      value => ({ value, error: undefined }),
      (error: unknown) => ({ value: undefined, error }),
    )
    void settled.then(({ value, error }) => {
      if (error instanceof RaftError) this.#failed ??= error
      if (this.#failed === undefined) done(undefined, value)
      else done(this.#failed)
    })
  }

  /** The newest term and vote may be in the vote file alone (see `reconcile`). */
  async #readAgain(): Promise<PersistedState | undefined> {
    const store = await readStore(this.#db)
    return reconcile(store, this.#vote)?.state
  }

  #stage(batch: Batch): Operation[] {
    const operations: Operation[] = []
    for (const { snapshotId, chunk, data } of batch.chunks ?? []) {
      const key = chunkKey(snapshotId, chunk)
      operations.push({ type: 'put', key, value: sealChunk(key, data) })
      this.#chunks.set(snapshotId, Math.max(chunk, this.#chunks.get(snapshotId) ?? 0))
    }
    for (const persist of batch.persists ?? []) this.#stagePersist(persist, operations)
    if (batch.snapshot !== undefined) this.#stageSnapshot(batch.snapshot, operations)
    for (const id of batch.remove ?? []) this.#stageRemoval(id, operations)
    this.#assertContiguous()
    operations.push({ type: 'put', key: tailKey, value: sealTail(this.#tail) })
    return operations
  }

  async #commit(operations: Operation[]): Promise<void> {
    const { currentTerm, votedFor } = this.#tail
    const last = this.#vote.last
    if (last?.currentTerm !== currentTerm || last.votedFor !== votedFor) {
      await this.#vote.write({ currentTerm, votedFor })
    }
    await this.#db.batch(operations, { sync: true })
  }

  #stagePersist(persist: Persist, operations: Operation[]): void {
    const { currentTerm, votedFor, snapshot, truncateFrom, compactTo, entries } = persist
    assert(currentTerm >= this.#tail.currentTerm)
    this.#tail = { ...this.#tail, currentTerm, votedFor }
    if (snapshot !== undefined) this.#stageSnapshot(snapshot, operations)
    if (truncateFrom !== undefined) this.#truncate(truncateFrom, operations)
    if (compactTo !== undefined) this.#compact(compactTo, operations)
    for (const entry of entries) {
      assert.equal(entry.index, this.#tail.lastIndex + 1)
      const { value, crc } = sealEntry(entry, this.#tail.lastCrc)
      operations.push({ type: 'put', key: entryKey(entry.index), value })
      this.#crcs.push(crc)
      this.#tail = { ...this.#tail, lastIndex: entry.index, lastCrc: crc }
    }
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

  #compact(to: number, operations: Operation[]): void {
    const { firstIndex, lastIndex, lastCrc } = this.#tail
    if (to < firstIndex) return
    assert(to <= (this.#snapshot?.lastIncludedIndex ?? 0), 'compacted what no snapshot holds')
    for (let index = firstIndex; index <= Math.min(to, lastIndex); index++) {
      operations.push({ type: 'del', key: entryKey(index) })
    }
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
    operations.push({ type: 'put', key: snapshotKey, value: sealSnapshot(meta) })
  }

  #stageRemoval(id: string, operations: Operation[]): void {
    assert.notEqual(id, this.#snapshot?.id)
    const last = this.#chunks.get(id) ?? -1
    for (let chunk = 0; chunk <= last; chunk++) {
      operations.push({ type: 'del', key: chunkKey(id, chunk) })
    }
    this.#chunks.delete(id)
  }

  #assertContiguous(): void {
    const { firstIndex, lastIndex } = this.#tail
    const included = this.#snapshot?.lastIncludedIndex ?? 0
    assert(firstIndex <= included + 1, 'a gap between the snapshot and the log')
    assert(lastIndex >= included, 'a log that ends before the snapshot')
    assert.equal(this.#crcs.length, lastIndex - firstIndex + 1)
  }
}

async function openDatabase(path: string): Promise<Database> {
  await storageCall(() => mkdir(path, { recursive: true }))
  const db: Database = new Level(path, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  try {
    await db.open()
    return db
  } catch (error) {
    const cause: unknown = error instanceof Error && error.cause !== undefined ? error.cause : error
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    const text = cause instanceof Error ? cause.message : String(cause)
    if (code === 'LEVEL_LOCKED') throw new RaftError('RAFT_LOCKED', `${path}:`, { cause })
    const broken = code === 'LEVEL_CORRUPTION'
    throw new RaftError(broken ? 'RAFT_DAMAGED' : 'RAFT_STORAGE', `${text}.`, { cause })
  }
}

/** Refuses a folder in which damage was seen before, by us or by the open of the run before this one. */
async function refuseDamaged(folder: string): Promise<void> {
  const found = await readFile(join(folder, 'DAMAGED'), 'utf8').catch(() => undefined)
  if (found !== undefined) throw new RaftError('RAFT_DAMAGED', found.split('\n', 1)[0])
  await refuseDropped(join(folder, 'db'))
  const name = await storageCall(() => findHole(join(folder, 'db')))
  if (name !== undefined) throw damaged(`the database's log ${name} has a hole`)
}

/** Looks into the log that LevelDB keeps of its own doings: nowhere else does it tell what it dropped. */
async function refuseDropped(path: string): Promise<void> {
  const text = await readFile(join(path, 'LOG'), 'utf8').catch(() => '')
  const line = text.split('\n').find(one => /dropping \d+ bytes|corruption/i.test(one))
  if (line !== undefined) throw damaged(`the database dropped data when it was opened: "${line}"`)
}

async function mark(folder: string, error: RaftError): Promise<void> {
  try {
    const file = await open(join(folder, 'DAMAGED'), 'wx')
    await file.write(`${error.message}\n`)
    await file.sync()
    await file.close()
    await syncFolder(folder)
  } catch {
    // Marked before, or the disk refuses: the damage is reported either way.
  }
}

/** A new file is not there for good before its folder is synced. */
async function syncFolder(folder: string): Promise<void> {
  await storageCall(async () => {
    const handle = await open(folder, 'r')
    await handle.sync().finally(() => handle.close())
  })
}

/** Takes the vote from where it is newest: the file is written first, so it may be ahead, but never behind. */
function reconcile(store: Store | undefined, file: VoteFile): Store | undefined {
  const vote = file.last
  const { currentTerm, votedFor } = store?.tail ?? emptyTail
  if (vote === undefined) {
    if (currentTerm > 0) throw damaged('the vote file is missing or broken')
    return store
  }
  if (store === undefined && vote.seq > 1) throw damaged('the database is missing')
  const changed =
    vote.currentTerm === currentTerm && votedFor !== undefined && votedFor !== vote.votedFor
  if (vote.currentTerm < currentTerm || changed) throw damaged('the vote file is outdated')
  const { state, tail, crcs } = store ?? {
    state: { snapshot: undefined, entries: [] },
    tail: emptyTail,
    crcs: [],
  }
  const newest = { currentTerm: vote.currentTerm, votedFor: vote.votedFor }
  return { state: { ...state, ...newest }, tail: { ...tail, ...newest }, crcs }
}

/** Deletes chunks that belong to no published snapshot: of transfers that a stop cut short. */
async function removeOrphans(
  db: Database,
  snapshot: SnapshotMeta | undefined,
): Promise<Map<string, number>> {
  return storageCall(async () => {
    const owners = await readChunkOwners(db)
    const operations: Operation[] = []
    for (const [id, last] of owners) {
      if (id === snapshot?.id) continue
      for (let chunk = 0; chunk <= last; chunk++) {
        operations.push({ type: 'del', key: chunkKey(id, chunk) })
      }
      owners.delete(id)
    }
    if (operations.length > 0) await db.batch(operations, { sync: true })
    if (snapshot !== undefined && owners.get(snapshot.id) !== snapshot.chunks - 1) {
      throw damaged('the snapshot is not whole')
    }
    return owners
  })
}
