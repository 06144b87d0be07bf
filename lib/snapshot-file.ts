/**
 * A snapshot of a pool's ledger as a file: what `licd ctl snapshot save` writes and `restore` reads.
 *
 * A line that says what it is; then frames, each `length, CRC-32, payload` (32 bits, big-endian): the header as JSON,
 * the ledger's rows in slices, and a trailer with the SHA-256 of all before it. Whatever was cut off, altered or
 * is another file is found before anything is done with it.
 */
import { createHash, randomUUID } from 'node:crypto'
import { open, readFile, rename, rm, type FileHandle } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { crc32 } from 'node:zlib'
import { LicdError } from './error.ts'
import { isErrno, storageCall, syncFolder } from './folder.ts'
import { Ledger } from './ledger/ledger.ts'
import type { LedgerState } from './ledger/state.ts'
import type { SnapshotHeader } from './protocol/ctl.ts'
import { isFields } from './server/ctl-request.ts'
import { rowsOf } from './server/ledger-machine.ts'

const magic = Buffer.from('licd snapshot 1\n')
const frameBytesMax = 1024 * 1024
const frameHead = 8

export interface Snapshot {
  readonly header: SnapshotHeader
  readonly chunks: readonly Uint8Array[]
  /** What the chunks hold. */
  readonly state: LedgerState
  readonly bytes: number
}

/**
 * Writes what `chunks` gives, under a name of its own until it is whole and on disk; then it takes the place of what
 * may be at `path`. Returns its size.
 *
 * @throws LicdError LICD_STORAGE, and what `chunks` throws; then nothing is left
 */
export async function writeSnapshotFile(
  path: string,
  header: SnapshotHeader,
  chunks: AsyncIterable<Uint8Array>,
): Promise<number> {
  const folder = dirname(resolve(path))
  const draft = resolve(folder, `.${basename(path)}.${randomUUID()}.part`)
  const file = await storageCall(path, () => open(draft, 'wx', 0o600))
  try {
    const size = await writeFrames(path, file, header, chunks)
    await storageCall(path, () => file.sync())
    await file.close()
    await storageCall(path, async () => {
      await rename(draft, path)
      await syncFolder(folder)
    })
    return size
  } catch (error) {
    await file.close().catch(() => undefined)
    await rm(draft, { force: true })
    throw error
  }
}

async function writeFrames(
  path: string,
  file: FileHandle,
  header: SnapshotHeader,
  chunks: AsyncIterable<Uint8Array>,
): Promise<number> {
  const hash = createHash('sha256')
  let size = 0
  const put = async (bytes: Uint8Array): Promise<void> => {
    hash.update(bytes)
    size += bytes.length
    await storageCall(path, () => file.writeFile(bytes))
  }
  await put(magic)
  await put(frame(jsonOf(header)))
  let count = 0
  for await (const chunk of chunks) {
    if (chunk.length > frameBytesMax) throw new LicdError('LICD_TOO_LARGE', 'A chunk.')
    await put(frame(chunk))
    count++
  }
  await put(frame(jsonOf({ chunks: count, sha256: hash.copy().digest('hex') })))
  return size
}

function jsonOf(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

function frame(payload: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(frameHead + payload.length)
  bytes.writeUInt32BE(payload.length, 0)
  bytes.writeUInt32BE(crc32(payload), 4)
  bytes.set(payload, frameHead)
  return bytes
}

/**
 * The whole file, checked: frames, checksums, the rows, and that they come to the hash that the ledger had.
 *
 * @throws LicdError LICD_BAD_SNAPSHOT, LICD_STORAGE
 */
export async function readSnapshotFile(path: string): Promise<Snapshot> {
  const bad = (why: string, cause?: unknown): LicdError =>
    new LicdError('LICD_BAD_SNAPSHOT', `${path}: ${why}.`, { cause })
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) throw bad('there is no such file')
    throw new LicdError('LICD_STORAGE', `${path}.`, { cause })
  }
  if (!bytes.subarray(0, magic.length).equals(magic)) throw bad('it is something else')
  const frames = readFrames(bytes)
  if (frames === undefined) throw bad('it is cut off or altered')
  const [first, ...chunks] = frames.payloads
  const last = chunks.pop()
  if (first === undefined || last === undefined) throw bad('it is cut off')
  const trailer = parse(last)
  const sha256 = createHash('sha256').update(bytes.subarray(0, frames.lastAt)).digest('hex')
  if (trailer?.chunks !== chunks.length || trailer.sha256 !== sha256) {
    throw bad('it is cut off or altered')
  }
  const header = headerOf(parse(first))
  if (header === undefined) throw bad('its header is of another version')
  try {
    const { ledger } = restored(chunks)
    const { state } = ledger
    if (ledger.hash() !== header.hash || state.pool !== header.pool) {
      throw new Error('it does not come to the hash that it was saved with')
    }
    return { header, chunks, state, bytes: bytes.length }
  } catch (cause) {
    throw bad(cause instanceof Error ? cause.message : 'its rows cannot be read', cause)
  }
}

function restored(chunks: readonly Uint8Array[]): { ledger: Ledger } {
  const restoring = Ledger.restoring()
  for (const chunk of chunks) for (const row of rowsOf(chunk)) restoring.put(row)
  return { ledger: restoring.end() }
}

/** `undefined` unless the bytes are frames to the last one, each as its checksum says. */
function readFrames(bytes: Buffer): { payloads: Uint8Array[]; lastAt: number } | undefined {
  const payloads: Uint8Array[] = []
  let at = magic.length
  let lastAt = at
  while (at < bytes.length) {
    if (bytes.length - at < frameHead) return undefined
    const length = bytes.readUInt32BE(at)
    const payload = bytes.subarray(at + frameHead, at + frameHead + length)
    if (length > frameBytesMax || payload.length !== length) return undefined
    if (crc32(payload) !== bytes.readUInt32BE(at + 4)) return undefined
    payloads.push(payload)
    lastAt = at
    at += frameHead + length
  }
  return { payloads, lastAt }
}

function parse(payload: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString())
    return isFields(value) ? value : undefined
  } catch {
    return undefined
  }
}

function headerOf(
  fields: Readonly<Record<string, unknown>> | undefined,
): SnapshotHeader | undefined {
  const { pool, fingerprint, clusterId, epoch, index, term, tick, hash, savedAt } = fields ?? {}
  const texts = typeof pool === 'string' && typeof fingerprint === 'string'
  if (!texts || typeof clusterId !== 'string' || typeof hash !== 'string') return undefined
  if (typeof epoch !== 'number' || typeof savedAt !== 'number') return undefined
  if (!isFigure(index) || !isFigure(term) || typeof tick !== 'number') return undefined
  return { pool, fingerprint, clusterId, epoch, index, term, tick, hash, savedAt }
}

function isFigure(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1
}
