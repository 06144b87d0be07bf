/**
 * The disk below a `LogStore`, in parts small enough that a simulator can lie with each of them: a database, two
 * small files, and a marker that makes the hand-over to a new database survive a crash.
 *
 * All logic (checks, quarantine) lies above these ports and has no promise, timer or file in it; LevelDB and the
 * real files lie below (`level-disk.ts`). A callback comes once, never within the call.
 *
 * An error with RAFT_DAMAGED says that the data is broken, any other that the disk cannot be used now.
 */
import type { RaftError } from './error.ts'

export type Operation =
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: Buffer }

export type Done = (error: RaftError | undefined) => void

export type Got<T> = (error: RaftError | undefined, value?: T) => void

export type Pair = readonly [key: Buffer, value: Buffer]

export interface Range {
  readonly from: Buffer
  readonly to: Buffer
  readonly limit: number
}

export interface BatchOptions {
  readonly sync: boolean
}

/** All that a store writes: what it was told is done, it promises to others. */
export const synced: BatchOptions = { sync: true }

/** Sorted by the bytes of the keys. One `batch` at a time; reads may go beside it. */
export interface Database {
  /** Atomic; with `sync` it survives a power cut once `done` is called without an error. */
  batch(operations: readonly Operation[], options: BatchOptions, done: Done): void
  /** `undefined` when there is none. */
  get(key: Buffer, done: Got<Buffer>): void
  /** From `from` up to, but not including, `to`: the first `limit`. */
  scan(range: Range, done: Got<readonly Pair[]>): void
  /** All keys in between, without the values: chunks of a snapshot are not read to learn that they are there. */
  keys(from: Buffer, to: Buffer, done: Got<readonly Buffer[]>): void
}

export const slotBytes = 512

/** A file of two slots of `slotBytes`. One `write` at a time; a crash in it may spoil that slot alone. */
export interface SlotFile {
  /** Both slots, one after the other; zeros where nothing was ever written or the file is missing. */
  read(done: Got<Buffer>): void
  /** Synced when `done` is called without an error, if the file promises to be (see `Disk`). */
  write(slot: 0 | 1, bytes: Buffer, done: Done): void
}

/** A small file that is there, whole and synced, or is not. */
export interface Marker {
  /** `undefined` when it is not there. */
  read(done: Got<string>): void
  write(text: string, done: Done): void
  /** It goes; a real disk keeps it with database number `aside` (if not 0) as a note of what was found. */
  remove(aside: number, done: Done): void
}

/** What `open` found. */
export interface Opened {
  /** Missing when it cannot, or should not, be opened: then there is evidence. */
  readonly database: Database | undefined
  /** What speaks against the database, in words for an operator. Empty when nothing does. */
  readonly evidence: readonly string[]
}

/** Where one store lives. */
export interface Disk {
  /** Synced. */
  readonly vote: SlotFile
  /** Not synced: it may be behind by whatever the system had not yet written when it went down. */
  readonly mark: SlotFile
  readonly marker: Marker
  /** Opens the database, a new one where there is none. Not called again while it is open. */
  open(done: Got<Opened>): void
  /** Numbers of the databases that were set aside and are still kept, ascending. */
  listAside(done: Got<readonly number[]>): void
  /**
   * Closes the database if it is open, and moves it aside as number `aside`, from 1 up; nothing to move: nothing
   * happens. Nothing is ever deleted.
   */
  setAside(aside: number, done: Done): void
  /** How much more it takes, where that is known. An error ends in no call: whoever writes will learn of it. */
  freeBytes?(done: (bytes: number) => void): void
  /** Runs it soon, never within the call. */
  later(run: () => void): void
  /** Ends what is under way as far as it can, and closes. */
  close(done: () => void): void
}
