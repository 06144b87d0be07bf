/**
 * Group commit: one synced batch is under way while the next one fills.
 *
 * No timer decides when to write. A write that finds the disk idle leaves at once; what comes meanwhile waits and
 * leaves together, so that the busier the node, the fewer syncs per entry (thesis 10.2.2). The leader's
 * entries travel to the followers at the same time as to its own disk (10.2.1).
 *
 * Invariant: effects reach the disk in the order of the calls, and callbacks come in that order, once durable.
 */
import type { Persist } from './core/effect.ts'
import { sizeOf } from './core/entry.ts'
import type { SnapshotMeta } from './core/message.ts'
import type { RaftError } from './error.ts'
import type { Clock } from './ports.ts'
import type { Batch, Chunk, Storage } from './storage.ts'

export interface WriterOptions {
  readonly storage: Storage
  readonly clock: Clock
  /** Everything up to this `seq` is durable. */
  readonly onPersisted: (seq: number) => void
  /** The first error; nothing is written any more. */
  readonly onError: (error: RaftError) => void
  /** How long each batch took to be durable, in ms. */
  readonly onSynced?: ((ms: number) => void) | undefined
}

/** Parts in the order in which a `Batch` carries them out. */
const order = { chunk: 0, persist: 1, snapshot: 2, remove: 3 } as const

type Item =
  | { readonly kind: 'persist'; readonly persist: Persist }
  | { readonly kind: 'chunk'; readonly chunk: Chunk; readonly done: () => void }
  | { readonly kind: 'snapshot'; readonly snapshot: SnapshotMeta; readonly done: () => void }
  | { readonly kind: 'remove'; readonly id: string }

/**
 * A batch takes no further part once it is this large: a ms or two of work, most of it for memory never touched before.
 * A single part may exceed it: the entries of one message, or one chunk.
 */
export const maxBatchBytes = 48 * 1024
export const maxBatchEntries = 128

export class Writer {
  readonly #options: WriterOptions
  #queue: Item[] = []
  #since: number | undefined
  #stopped = false
  #onIdle: (() => void) | undefined

  constructor(options: WriterOptions) {
    this.#options = options
  }

  /** Since when the write under way has been under way, by the clock; `undefined` when the disk is idle. */
  get since(): number | undefined {
    return this.#since
  }

  persist(persist: Persist): void {
    this.#add({ kind: 'persist', persist })
  }

  chunk(chunk: Chunk, done: () => void): void {
    this.#add({ kind: 'chunk', chunk, done })
  }

  /** Makes a snapshot, whose chunks were given before, the one to start from. */
  publish(snapshot: SnapshotMeta, done: () => void): void {
    this.#add({ kind: 'snapshot', snapshot, done })
  }

  remove(id: string): void {
    this.#add({ kind: 'remove', id })
  }

  /** Takes nothing more; `done` is called when nothing is under way. What still waits is dropped. */
  stop(done: () => void): void {
    this.#stopped = true
    this.#queue = []
    if (this.#since === undefined) done()
    else this.#onIdle = done
  }

  #add(item: Item): void {
    if (this.#stopped) return
    this.#queue.push(item)
    if (this.#since === undefined) this.#write()
  }

  #write(): void {
    const items = this.#take()
    if (items.length === 0) return
    this.#since = this.#options.clock.now()
    this.#options.storage.write(batchOf(items), error => this.#written(items, error))
  }

  /**
   * The first items that one batch can carry out without changing their order. A chunk of an own snapshot may stand before
   * entries that came sooner: it has nothing to do with them, and a batch is written whole or not at all.
   */
  #take(): Item[] {
    let bytes = 0
    let entries = 0
    let rank = 0
    let count = 0
    let mayFollow = true
    for (const item of this.#queue) {
      if (bytes >= maxBatchBytes || entries >= maxBatchEntries) break
      if (order[item.kind] < rank && !(mayFollow && isOwnChunk(item))) break
      rank = Math.max(rank, order[item.kind])
      mayFollow = mayFollow && (isOwnChunk(item) || isOfLog(item))
      bytes += bytesOf(item)
      if (item.kind === 'persist') entries += item.persist.entries.length
      count++
    }
    return this.#queue.splice(0, count)
  }

  #written(items: readonly Item[], error: RaftError | undefined): void {
    const { onPersisted, onError, onSynced, clock } = this.#options
    if (error === undefined && this.#since !== undefined) onSynced?.(clock.now() - this.#since)
    this.#since = undefined
    if (error !== undefined) {
      this.#stopped = true
      this.#queue = []
      onError(error)
    } else if (!this.#stopped) {
      // The disk goes on with what came meanwhile while we tell of what is done.
      this.#write()
      for (const item of items) if ('done' in item) item.done()
      const seq = items.findLast(item => item.kind === 'persist')?.persist.seq
      if (seq !== undefined) onPersisted(seq)
    }
    if (this.#stopped) this.#onIdle?.()
  }
}

function isOwnChunk(item: Item): boolean {
  return item.kind === 'chunk' && item.chunk.of === undefined
}

/** It touches no snapshot, nor what one is made of. */
function isOfLog(item: Item): boolean {
  return item.kind === 'persist' && item.persist.snapshot === undefined
}

function bytesOf(item: Item): number {
  switch (item.kind) {
    case 'persist':
      return item.persist.entries.reduce((sum, entry) => sum + sizeOf(entry), 0)
    case 'chunk':
      return item.chunk.data.length
    case 'snapshot':
    case 'remove':
      return 0
  }
}

function batchOf(items: readonly Item[]): Batch {
  const chunks: Chunk[] = []
  const persists: Persist[] = []
  const remove: string[] = []
  let snapshot: SnapshotMeta | undefined
  for (const item of items) {
    if (item.kind === 'chunk') chunks.push(item.chunk)
    else if (item.kind === 'persist') persists.push(item.persist)
    else if (item.kind === 'remove') remove.push(item.id)
    else snapshot = item.snapshot
  }
  return { chunks, persists, remove, ...(snapshot === undefined ? {} : { snapshot }) }
}
