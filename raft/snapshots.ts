/**
 * The bytes of snapshots: taking one of the own state machine, sending and storing chunks, deleting old ones.
 *
 * The core knows snapshots by their description alone. Here their chunks move between machine, disk and wire,
 * one slice at a time, so that no heartbeat waits for a large state.
 *
 * Invariant: a snapshot is published only after all its chunks were given to the writer before it, and deleted
 * only when it is neither the newest, nor being sent, taken, received, read or restored.
 */
import type { Configuration } from './core/configuration.ts'
import type { StoreChunk } from './core/effect.ts'
import type { InstallSnapshot, InstallSnapshotHeader, SnapshotMeta } from './core/message.ts'
import { RaftError } from './error.ts'
import type { Clock, Logger, Random } from './ports.ts'
import type { StateMachine } from './state-machine.ts'
import type { Storage } from './storage.ts'
import type { Writer } from './writer.ts'

export interface SnapshotsOptions {
  readonly machine: StateMachine
  readonly storage: Storage
  readonly writer: Writer
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** A slice of the machine may have so many bytes. */
  readonly chunkBytes: number
  /** The newest snapshot on the disk, if any. */
  readonly newest: SnapshotMeta | undefined
  readonly onSaved: (snapshot: SnapshotMeta) => void
  readonly onStored: (snapshotId: string, chunk: number) => void
  readonly onChunk: (message: InstallSnapshot) => void
  readonly onError: (error: RaftError) => void
}

/** Where the state machine stands when a snapshot of it is taken. */
export interface SnapshotPoint {
  readonly index: number
  readonly term: number
  readonly configuration: Configuration
}

/** A snapshot being taken. */
interface Taking {
  readonly id: string
  readonly at: SnapshotPoint
  readonly slices: Iterator<Uint8Array>
  bytes: number
  chunks: number
  /** Chunks given to the writer and not yet durable. */
  unwritten: number
}

/** A chunk that is to be sent. */
interface Sending {
  readonly header: InstallSnapshotHeader
  /** Once it was read. */
  data: Uint8Array | undefined
}

/** The disk is this many chunks behind at most, so that a large state is not held in memory a second time. */
const maxUnwritten = 2

export class Snapshots {
  readonly #options: SnapshotsOptions
  readonly #known = new Set<string>()
  /** Reads under way, by snapshot. */
  readonly #reading = new Map<string, number>()
  /** In the order of the calls. Bounded by the core's windows. */
  readonly #sending: Sending[] = []
  #newest: SnapshotMeta | undefined
  #receiving: string | undefined
  #taking: Taking | undefined
  #stopped = false

  constructor(options: SnapshotsOptions) {
    this.#options = options
    this.#newest = options.newest
    if (options.newest !== undefined) this.#known.add(options.newest.id)
  }

  get taking(): boolean {
    return this.#taking !== undefined
  }

  /** Size of the newest snapshot, 0 when there is none. */
  get newestBytes(): number {
    return this.#newest?.bytes ?? 0
  }

  /** Starts a snapshot of the machine as it is now; ends in `onSaved`, unless a received one overtakes it. */
  take(at: SnapshotPoint): void {
    const id = this.#options.random.id()
    this.#known.add(id)
    try {
      const slices = this.#options.machine.snapshot()
      this.#taking = { id, at, slices, bytes: 0, chunks: 0, unwritten: 0 }
    } catch (cause) {
      this.#options.onError(new RaftError('RAFT_STATE_MACHINE', 'In a snapshot.', { cause }))
      return
    }
    this.#pullLater()
  }

  /** Ends a snapshot that is being taken; its chunks go with the next `sweep`. */
  abort(): void {
    const taking = this.#taking
    this.#taking = undefined
    taking?.slices.return?.()
  }

  /**
   * Reads a chunk and hands on the whole message. Disks read several at once and end in any order; the messages
   * keep that of the calls, because a receiver drops what comes too early.
   */
  send(header: InstallSnapshotHeader): void {
    const { id } = header.snapshot
    const sending: Sending = { header, data: undefined }
    this.#sending.push(sending)
    this.#reading.set(id, (this.#reading.get(id) ?? 0) + 1)
    this.#options.storage.readChunk(id, header.chunk, (error, data) => {
      const left = (this.#reading.get(id) ?? 1) - 1
      if (left > 0) this.#reading.set(id, left)
      else this.#reading.delete(id)
      if (this.#stopped) return
      if (data === undefined) this.#options.onError(error ?? new RaftError('RAFT_DAMAGED'))
      else {
        sending.data = data
        this.#sendRead()
      }
    })
  }

  #sendRead(): void {
    for (let next = this.#sending[0]; next?.data !== undefined; next = this.#sending[0]) {
      const { header, data } = next
      this.#sending.shift()
      this.#options.onChunk({ ...header, data })
    }
  }

  /** Stores a chunk that a leader sent. */
  store({ snapshot, chunk, data }: StoreChunk): void {
    const { id } = snapshot
    this.#known.add(id)
    this.#receiving = id
    this.#options.writer.chunk({ snapshotId: id, chunk, data, of: snapshot }, () => {
      if (!this.#stopped) this.#options.onStored(id, chunk)
    })
  }

  /**
   * A received snapshot is being published by a write that was queued before this call. One being taken ends:
   * it is older, and its machine is about to be replaced.
   */
  published(snapshot: SnapshotMeta): void {
    this.abort()
    this.#newest = snapshot
    if (this.#receiving === snapshot.id) this.#receiving = undefined
  }

  /** Deletes what nobody needs; `inUse` are those that are being sent, or that the machine has still to take. */
  sweep(inUse: readonly string[]): void {
    for (const id of [...this.#known].sort()) {
      const needed = id === this.#newest?.id || id === this.#taking?.id || id === this.#receiving
      if (needed || inUse.includes(id) || this.#reading.has(id)) continue
      this.#known.delete(id)
      this.#options.writer.remove(id)
    }
  }

  stop(): void {
    this.#stopped = true
    this.abort()
  }

  #pullLater(): void {
    const taking = this.#taking
    this.#options.clock.defer(() => {
      if (taking !== undefined && taking === this.#taking) this.#pull(taking)
    })
  }

  /** One slice of the machine into one chunk. */
  #pull(taking: Taking): void {
    const { writer, chunkBytes, onError } = this.#options
    let data: Uint8Array | undefined
    try {
      const next = taking.slices.next()
      if (next.done !== true) data = next.value
    } catch (cause) {
      onError(new RaftError('RAFT_STATE_MACHINE', 'In a snapshot.', { cause }))
      return
    }
    if (data === undefined && taking.chunks > 0) {
      this.#publish(taking)
      return
    }
    const bytes = data ?? new Uint8Array()
    if (bytes.length > chunkBytes) {
      const text = `A slice of a snapshot has ${bytes.length} bytes, more than ${chunkBytes}.`
      onError(new RaftError('RAFT_STATE_MACHINE', text))
      return
    }
    const chunk = { snapshotId: taking.id, chunk: taking.chunks, data: bytes }
    taking.chunks++
    taking.bytes += bytes.length
    taking.unwritten++
    writer.chunk(chunk, () => this.#chunkWritten(taking))
    if (data === undefined) this.#publish(taking)
    else if (taking.unwritten < maxUnwritten) this.#pullLater()
  }

  #chunkWritten(taking: Taking): void {
    const waited = taking.unwritten === maxUnwritten
    taking.unwritten--
    if (waited && taking === this.#taking && !this.#stopped) this.#pullLater()
  }

  #publish(taking: Taking): void {
    const { id, bytes, chunks, at } = taking
    const snapshot: SnapshotMeta = {
      id,
      lastIncludedIndex: at.index,
      lastIncludedTerm: at.term,
      configuration: at.configuration,
      bytes,
      chunks,
    }
    this.#options.writer.publish(snapshot, () => {
      if (this.#taking === taking) this.#taking = undefined
      // A received one may have been queued behind it; then this one is history already.
      if (this.#stopped || at.index < (this.#newest?.lastIncludedIndex ?? 0)) return
      this.#newest = snapshot
      this.#options.log.info('raft-snapshot', { index: at.index, bytes, chunks })
      this.#options.onSaved(snapshot)
    })
  }
}
