/**
 * The real disk: LevelDB in `db/`, the small files beside it, databases set aside as `damaged-<n>/`.
 *
 * LevelDB tells of dropped records only in the log of the very open that dropped them, ignores a hole of zeros, and
 * makes a new database where the file that names its parts is gone. So its files are looked at before it may
 * touch them, and its log is read after.
 *
 * Invariant: what `open` gives without evidence, LevelDB has opened without dropping anything it could tell of.
 */
import { fdatasync, write } from 'node:fs'
import {
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  statfs,
  type FileHandle,
} from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import {
  slotBytes,
  type BatchOptions,
  type Database,
  type Disk,
  type Done,
  type Got,
  type Marker,
  type Opened,
  type Operation,
  type Pair,
  type Range,
  type SlotFile,
} from './database.ts'
import { RaftError } from './error.ts'
import { suspicion } from './level-log.ts'
import { syncFolder, writeWhole } from './whole-file.ts'

type Handle = Level<Buffer, Buffer>

/** How long a close waits for a disk that hangs. The process is about to end then; the system does the rest. */
const closeMs = 2_000

export class LevelDisk implements Disk {
  readonly vote: FileSlots
  readonly mark: FileSlots
  readonly marker: Marker
  readonly #folder: string
  readonly #unlock: () => Promise<void>
  #level: Handle | undefined
  #closing: Promise<void> | undefined

  /** `unlock` gives the folder free; it is called when all is closed. */
  constructor(folder: string, unlock: () => Promise<void>) {
    this.#folder = folder
    this.#unlock = unlock
    this.vote = new FileSlots(join(folder, 'vote'), true)
    this.mark = new FileSlots(join(folder, 'mark'), false)
    this.marker = {
      read: done => settle(readText(this.#markerPath), done),
      write: (text, done) => settle(writeWhole(this.#markerPath, text), done),
      remove: (aside, done) => settle(this.#removeMarker(aside), done),
    }
  }

  open(done: Got<Opened>): void {
    settle(this.#open(), done)
  }

  listAside(done: Got<readonly number[]>): void {
    settle(this.#listAside(), done)
  }

  setAside(aside: number, done: Done): void {
    settle(this.#setAside(aside), done)
  }

  freeBytes(done: (bytes: number) => void): void {
    statfs(this.#folder).then(
      ({ bavail, bsize }) => done(bavail * bsize),
      () => {},
    )
  }

  later(run: () => void): void {
    setImmediate(run)
  }

  /** A disk that hangs is not waited for; then the folder stays locked until the process ends. */
  close(done: () => void): void {
    this.#closing ??= this.#close()
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>(resolve => (timer = setTimeout(resolve, closeMs)))
    void Promise.race([this.#closing, patience]).then(() => {
      clearTimeout(timer)
      done()
    })
  }

  async #close(): Promise<void> {
    await this.#level?.close().catch(() => {})
    await this.vote.close()
    await this.mark.close()
    await this.#unlock()
  }

  get #path(): string {
    return join(this.#folder, 'db')
  }

  get #markerPath(): string {
    return join(this.#folder, 'DAMAGED')
  }

  #asidePath(aside: number): string {
    return join(this.#folder, `damaged-${aside}`)
  }

  async #open(): Promise<Opened> {
    await mkdir(this.#path, { recursive: true })
    const before = await suspicion(this.#path)
    if (before !== undefined) return { database: undefined, evidence: [before] }
    const level: Handle = new Level(this.#path, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
    try {
      await level.open()
    } catch (cause) {
      const error = asRaftError(cause)
      if (error.code !== 'RAFT_DAMAGED') throw error
      return { database: undefined, evidence: [error.detail ?? error.message] }
    }
    this.#level = level
    await syncFolder(this.#folder)
    const after = await suspicion(this.#path)
    return { database: new LevelDatabase(level), evidence: after === undefined ? [] : [after] }
  }

  async #listAside(): Promise<number[]> {
    const numbers = (await readdir(this.#folder)).map(
      name => /^damaged-([1-9]\d*)$/.exec(name)?.[1],
    )
    return numbers
      .filter(text => text !== undefined)
      .map(Number)
      .sort((a, b) => a - b)
  }

  async #setAside(aside: number): Promise<void> {
    await this.#level?.close()
    this.#level = undefined
    try {
      await rename(this.#path, this.#asidePath(aside))
    } catch (cause) {
      if (!isMissing(cause)) throw cause
    }
    await syncFolder(this.#folder)
  }

  async #removeMarker(aside: number): Promise<void> {
    try {
      await rename(this.#markerPath, join(this.#asidePath(aside), 'FOUND'))
    } catch {
      // Nothing was set aside.
      await rm(this.#markerPath, { force: true })
    }
    await syncFolder(this.#folder)
  }
}

class LevelDatabase implements Database {
  readonly #level: Handle

  constructor(level: Handle) {
    this.#level = level
  }

  batch(operations: readonly Operation[], options: BatchOptions, done: Done): void {
    settle(this.#write(operations, options), done)
  }

  get(key: Buffer, done: Got<Buffer>): void {
    settle(this.#level.get(key), done)
  }

  scan({ from, to, limit }: Range, done: Got<readonly Pair[]>): void {
    settle(this.#level.iterator({ gte: from, lt: to, limit }).all(), done)
  }

  keys(from: Buffer, to: Buffer, done: Got<readonly Buffer[]>): void {
    settle(this.#level.keys({ gte: from, lt: to }).all(), done)
  }

  /** Chained: a tenth of the work of `batch(operations)`, which copies and checks each of what may be thousands. */
  async #write(operations: readonly Operation[], { sync }: BatchOptions): Promise<void> {
    const batch = this.#level.batch()
    for (const operation of operations) {
      if (operation.type === 'put') batch.put(operation.key, operation.value)
      else batch.del(operation.key)
    }
    await batch.write({ sync })
  }
}

class FileSlots implements SlotFile {
  readonly #path: string
  readonly #isSynced: boolean
  #file: FileHandle | undefined

  constructor(path: string, isSynced: boolean) {
    this.#path = path
    this.#isSynced = isSynced
  }

  read(done: Got<Buffer>): void {
    settle(this.#read(), done)
  }

  /** In callbacks where the file is open: the mark follows each batch, and a handle's promises cost more than the write. */
  write(slot: 0 | 1, bytes: Buffer, done: Done): void {
    const finish = (cause: Error | null): void =>
      done(cause === null ? undefined : asRaftError(cause))
    const writeTo = ({ fd }: FileHandle): void => {
      write(fd, bytes, 0, slotBytes, slot * slotBytes, cause => {
        if (cause === null && this.#isSynced) fdatasync(fd, finish)
        else finish(cause)
      })
    }
    if (this.#file === undefined) {
      settle(this.#opened(), (error, file) => {
        if (file === undefined) done(error)
        else writeTo(file)
      })
    } else writeTo(this.#file)
  }

  async close(): Promise<void> {
    await this.#file?.close().catch(() => {})
  }

  async #read(): Promise<Buffer> {
    const bytes = Buffer.alloc(2 * slotBytes)
    await (await this.#opened()).read(bytes, 0, bytes.length, 0)
    return bytes
  }

  async #opened(): Promise<FileHandle> {
    if (this.#file === undefined) {
      // 'r+' does not make the file, 'a+' does not write where it is told.
      await (await open(this.#path, 'a')).close()
      this.#file = await open(this.#path, 'r+')
    }
    return this.#file
  }
}

/** A promise into a callback; what it throws is RAFT_DAMAGED where LevelDB says so, else RAFT_STORAGE. */
function settle<T>(work: Promise<T | undefined>, done: Got<T>): void {
  const outcome = work.then(
    value => ({ value, error: undefined }),
    (cause: unknown) => ({ value: undefined, error: asRaftError(cause) }),
  )
  void outcome.then(({ value, error }) => {
    if (error === undefined) done(undefined, value)
    else done(error)
  })
}

function asRaftError(cause: unknown): RaftError {
  if (cause instanceof RaftError) return cause
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  const text = inner instanceof Error ? inner.message : String(inner)
  const code = inner instanceof Error && 'code' in inner ? inner.code : undefined
  if (code === 'LEVEL_LOCKED') return new RaftError('RAFT_LOCKED', `${text}.`, { cause })
  const isBroken = code === 'LEVEL_CORRUPTION'
  return new RaftError(isBroken ? 'RAFT_DAMAGED' : 'RAFT_STORAGE', `${text}.`, { cause })
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw cause
  }
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
}
