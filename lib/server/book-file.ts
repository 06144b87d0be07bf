/**
 * The seat book on its way from a clean stop to the next start (R7).
 *
 * It is good for one start: taking it deletes it, durably, before anything is granted, so that no seat book is
 * ever used twice. A book that cannot be read is no book: the server relearns its seats instead.
 */
import { Packr } from 'msgpackr'
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { unpackPlain } from '../../raft/msgpack.ts'
import { LicdError } from '../error.ts'

/** A book as handed over: whose it is, and what the seat service put into it. */
export interface HandedOver {
  readonly incarnation: number
  readonly data: Uint8Array
}

/** Where a server keeps it. `take` calls back with the book and has removed it; an error is for the log. */
export interface BookStore {
  take(done: (book: HandedOver | undefined, problem?: unknown) => void): void
  write(book: HandedOver, done: (problem?: unknown) => void): void
}

const version = 1
const packr = new Packr({ useRecords: false, int64AsType: 'number' })

export function fileBookStore(path: string): BookStore {
  return {
    take(done) {
      try {
        const bytes = readIfThere(path)
        if (bytes === undefined) return done(undefined)
        rmSync(path)
        syncFolder(path)
        return done(decodeBook(bytes))
      } catch (cause) {
        // It may still be there, so this start must not happen: the next one would find it again.
        return done(undefined, new LicdError('LICD_STORAGE', `Seat book ${path}.`, { cause }))
      }
    },
    write(book, done) {
      try {
        const draft = `${path}.new`
        const file = openSync(draft, 'w', 0o600)
        try {
          writeAll(file, encodeBook(book))
          fsyncSync(file)
        } finally {
          closeSync(file)
        }
        renameSync(draft, path)
        syncFolder(path)
        done()
      } catch (cause) {
        done(new LicdError('LICD_STORAGE', `Seat book ${path}.`, { cause }))
      }
    },
  }
}

export function encodeBook({ incarnation, data }: HandedOver): Uint8Array {
  const body = packr.pack([version, incarnation, data])
  const bytes = new Uint8Array(body.length + 4)
  bytes.set(body)
  new DataView(bytes.buffer).setUint32(body.length, crc32(body))
  return bytes
}

/** `undefined` for what is damaged or of another version. */
export function decodeBook(bytes: Uint8Array): HandedOver | undefined {
  if (bytes.length < 5) return undefined
  const body = bytes.subarray(0, -4)
  const checksum = new DataView(bytes.buffer, bytes.byteOffset + body.length, 4).getUint32(0)
  if (crc32(body) !== checksum) return undefined
  const fields = unpackPlain(packr, body)
  if (!isList(fields) || fields[0] !== version) return undefined
  const [, incarnation, data] = fields
  if (
    typeof incarnation !== 'number' ||
    !Number.isSafeInteger(incarnation) ||
    !(data instanceof Uint8Array)
  )
    return undefined
  return { incarnation, data: new Uint8Array(data) }
}

/** `Array.isArray` would make its elements `any`. */
function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += writeSync(file, bytes, written)
}

function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
