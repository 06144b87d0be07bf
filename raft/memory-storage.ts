/**
 * A disk in memory: for tests, for the simulator, and as the plain statement of what a `Storage` does.
 *
 * A batch takes effect when its callback is due, all of it at once. A process that "crashed" is one whose
 * scheduled callbacks are never run; a new handle on the same `MemoryDisk` then finds what was durable.
 *
 * Invariant: as in `storage.ts`, asserted at every write.
 */
import assert from 'node:assert/strict'
import type { Persist } from './core/effect.ts'
import type { Entry } from './core/entry.ts'
import type { PersistedState, Trust } from './core/input.ts'
import type { SnapshotMeta } from './core/message.ts'
import { RaftError } from './error.ts'
import type { Batch, Storage } from './storage.ts'

/** What survives. Entries begin at any index; chunks are by snapshot id. */
export interface MemoryDisk {
  written: boolean
  currentTerm: number
  votedFor: string | undefined
  trust: Trust
  /** What the next start is to be told of: set by `condemn`. */
  damage: string | undefined
  condemned: boolean
  snapshot: SnapshotMeta | undefined
  /** Being received. */
  partial: SnapshotMeta | undefined
  entries: Entry[]
  chunks: Map<string, Map<number, Uint8Array>>
}

export function memoryDisk(): MemoryDisk {
  return {
    written: false,
    currentTerm: 0,
    votedFor: undefined,
    trust: { kind: 'unknown' },
    damage: undefined,
    condemned: false,
    snapshot: undefined,
    partial: undefined,
    entries: [],
    chunks: new Map(),
  }
}

export interface MemoryStorageOptions {
  readonly disk?: MemoryDisk
  /** Runs a callback later, never at once; the simulator gives the delay of its disk here. */
  readonly schedule?: (run: () => void) => void
}

/** Opens a disk: chunks of unpublished snapshots go, as a start does it. */
export function memoryStorage(options: MemoryStorageOptions = {}): Storage {
  const disk = options.disk ?? memoryDisk()
  const schedule = options.schedule ?? (run => void setImmediate(run))
  let failed: RaftError | undefined
  let writing = false
  if (disk.condemned) beginAnew(disk)
  const partial = tidy(disk)

  return {
    read(done) {
      schedule(() => {
        const { currentTerm, votedFor, trust, snapshot, entries } = disk
        if (failed !== undefined || !disk.written) done(failed)
        else {
          const rest = partial === undefined || disk.partial === undefined ? {} : { partial }
          done(undefined, {
            ...{ currentTerm, votedFor, trust, snapshot, ...rest },
            entries: [...entries],
          })
        }
      })
    },
    write(batch, done) {
      assert(!writing, 'one write at a time')
      writing = true
      schedule(() => {
        writing = false
        if (failed === undefined) applyBatch(disk, batch)
        done(failed)
      })
    },
    readChunk(snapshotId, chunk, done) {
      schedule(() => {
        const data = disk.chunks.get(snapshotId)?.get(chunk)
        if (failed !== undefined) done(failed)
        else if (data === undefined) {
          done(
            new RaftError('RAFT_DAMAGED', `Chunk ${chunk} of snapshot ${snapshotId} is missing.`),
          )
        } else done(undefined, data)
      })
    },
    condemn(reason, done) {
      disk.condemned = true
      disk.damage = reason
      failed ??= new RaftError('RAFT_DAMAGED', reason)
      schedule(() => done(undefined))
    },
    get damage() {
      return disk.trust.kind === 'full' ? undefined : disk.damage
    },
    close(done) {
      schedule(() => {
        failed ??= new RaftError('RAFT_CLOSED')
        done()
      })
    },
  }
}

/** Only term and vote are kept. */
function beginAnew(disk: MemoryDisk): void {
  const { currentTerm, votedFor, damage } = disk
  const trust = { kind: 'relearning' } as const
  Object.assign(disk, { ...memoryDisk(), written: true, currentTerm, votedFor, trust, damage })
}

/** Only chunks of the published snapshot stay, and those of the one being received as far as none is missing. */
function tidy(disk: MemoryDisk): PersistedState['partial'] {
  const { snapshot, partial, chunks } = disk
  for (const id of [...chunks.keys()]) {
    if (id !== snapshot?.id && id !== partial?.id) chunks.delete(id)
  }
  const isOf = partial && partial.lastIncludedIndex > (snapshot?.lastIncludedIndex ?? 0)
  if (isOf !== true) return undefined
  let stored = 0
  while (chunks.get(partial.id)?.has(stored) === true) stored++
  return stored === 0 ? undefined : { snapshot: partial, stored }
}

function applyBatch(disk: MemoryDisk, batch: Batch): void {
  for (const { snapshotId, chunk, data, of } of batch.chunks ?? []) {
    if (of !== undefined && of.id !== disk.partial?.id) {
      if (disk.partial !== undefined) disk.chunks.delete(disk.partial.id)
      disk.partial = of
    }
    const chunks = disk.chunks.get(snapshotId) ?? new Map<number, Uint8Array>()
    disk.chunks.set(snapshotId, chunks.set(chunk, data))
  }
  for (const persist of batch.persists ?? []) applyPersist(disk, persist)
  if (batch.snapshot !== undefined) publish(disk, batch.snapshot)
  for (const id of batch.remove ?? []) {
    assert.notEqual(id, disk.snapshot?.id)
    disk.chunks.delete(id)
    if (disk.partial?.id === id) disk.partial = undefined
  }
  assertContiguous(disk)
  disk.written = true
}

function applyPersist(disk: MemoryDisk, persist: Persist): void {
  const { snapshot, truncateFrom, compactTo, entries } = persist
  assert(persist.currentTerm >= disk.currentTerm)
  disk.currentTerm = persist.currentTerm
  disk.votedFor = persist.votedFor
  disk.trust = persist.trust ?? disk.trust
  if (snapshot !== undefined) publish(disk, snapshot)
  if (truncateFrom !== undefined) {
    disk.entries = disk.entries.filter(({ index }) => index < truncateFrom)
  }
  if (compactTo !== undefined) {
    disk.entries = disk.entries.filter(({ index }) => index > compactTo)
  }
  for (const entry of entries) {
    const last = disk.entries.at(-1)?.index ?? disk.snapshot?.lastIncludedIndex ?? 0
    assert.equal(entry.index, last + 1)
    disk.entries.push(entry)
  }
}

function publish(disk: MemoryDisk, snapshot: SnapshotMeta): void {
  const chunks = disk.chunks.get(snapshot.id)
  assert(snapshot.lastIncludedIndex >= (disk.snapshot?.lastIncludedIndex ?? 0))
  for (let n = 0; n < snapshot.chunks; n++) assert(chunks?.has(n), 'published before it was stored')
  disk.snapshot = snapshot
  if (disk.partial?.id === snapshot.id) disk.partial = undefined
}

function assertContiguous({ entries, snapshot }: MemoryDisk): void {
  const included = snapshot?.lastIncludedIndex ?? 0
  const first = entries[0]
  if (first === undefined) return
  assert(first.index <= included + 1, 'a gap between the snapshot and the log')
  assert((entries.at(-1)?.index ?? 0) >= included, 'a log that ends before the snapshot')
}
