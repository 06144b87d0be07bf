/**
 * What lies in the database: keys, checksums, and the check of everything at start.
 *
 * LevelDB as bound for Node verifies no checksum on reading and drops what it cannot read of its log without an
 * error (a hole in the middle, a wrong value). So each value carries its own CRC; an entry's CRC is seeded with
 * that of the entry before it; and one record, rewritten by every batch, says where the log begins and ends.
 *
 * Invariant: what `readStore` returns is a log without gaps that some batch made durable, or it is an error.
 * A database cut back to an earlier batch, consistently, cannot be told from one that never went further.
 */
import { crc32 } from 'node:zlib'
import type { Level } from 'level'
import type { PersistedState } from './core/input.ts'
import type { Entry } from './core/entry.ts'
import type { SnapshotMeta } from './core/message.ts'
import { RaftError } from './error.ts'
import {
  entryOf,
  entryRow,
  isCount,
  isId,
  pack,
  snapshotOf,
  snapshotRow,
  unpack,
} from './record.ts'

export type Database = Level<Buffer, Buffer>

export const formatVersion = 1

const prefix = { tail: 0, snapshot: 1, entry: 2, chunk: 3 } as const

export const tailKey = Buffer.from([prefix.tail])
export const snapshotKey = Buffer.from([prefix.snapshot])
const entriesFrom = Buffer.from([prefix.entry])
const entriesTo = Buffer.from([prefix.entry + 1])
const chunksFrom = Buffer.from([prefix.chunk])
const chunksTo = Buffer.from([prefix.chunk + 1])

/** Big-endian, so that the order of keys is the order of indices. */
export function entryKey(index: number): Buffer {
  const key = Buffer.alloc(9)
  key[0] = prefix.entry
  key.writeBigUInt64BE(BigInt(index), 1)
  return key
}

export function chunkKey(snapshotId: string, chunk: number): Buffer {
  const id = Buffer.from(snapshotId, 'latin1')
  const key = Buffer.alloc(id.length + 6)
  key[0] = prefix.chunk
  id.copy(key, 1)
  // A zero ends the id, so that no id's keys lie among another's.
  key.writeUInt32BE(chunk, id.length + 2)
  return key
}

/** The id within a chunk's key. */
function chunkOwner(key: Buffer): string {
  return key.toString('latin1', 1, Math.max(1, key.length - 5))
}

/** Where the log begins and ends, and the term and vote: the record that each batch rewrites. */
export interface Tail {
  readonly firstIndex: number
  /** The CRC of the entry before `firstIndex`, with which the chain goes on. */
  readonly baseCrc: number
  /** `firstIndex` - 1 when the log is empty. */
  readonly lastIndex: number
  /** The CRC of the last entry, or `baseCrc`. */
  readonly lastCrc: number
  readonly currentTerm: number
  readonly votedFor: string | undefined
}

/** The value as stored, and its CRC for the next entry. */
export function sealEntry(entry: Entry, previousCrc: number): { value: Buffer; crc: number } {
  const value = seal(pack(entryRow(entry)), previousCrc)
  return { value, crc: value.readUInt32BE(0) }
}

export function sealTail(tail: Tail): Buffer {
  const { firstIndex, baseCrc, lastIndex, lastCrc, currentTerm, votedFor } = tail
  const row = [
    formatVersion,
    firstIndex,
    baseCrc,
    lastIndex,
    lastCrc,
    currentTerm,
    votedFor ?? null,
  ]
  return seal(pack(row), prefix.tail)
}

export function sealSnapshot(meta: SnapshotMeta): Buffer {
  return seal(pack(snapshotRow(meta)), prefix.snapshot)
}

/** The key is part of the checksum: a chunk in another's place is damage too. */
export function sealChunk(key: Buffer, data: Uint8Array): Buffer {
  return seal(data, crc32(key))
}

/** The chunk's bytes, or `undefined` when they are not what was written. */
export function openChunk(key: Buffer, value: Buffer): Uint8Array | undefined {
  return unseal(value, crc32(key))
}

function seal(body: Uint8Array, seed: number): Buffer {
  const value = Buffer.allocUnsafe(body.length + 4)
  value.writeUInt32BE(crc32(body, seed), 0)
  value.set(body, 4)
  return value
}

function unseal(value: Buffer, seed: number): Uint8Array | undefined {
  if (value.length < 4) return undefined
  const body = value.subarray(4)
  return crc32(body, seed) === value.readUInt32BE(0) ? body : undefined
}

/** The store as read and checked: the state, and what the next batch builds on. */
export interface Store {
  readonly state: PersistedState
  readonly tail: Tail
  /** CRC of each entry from `tail.firstIndex` on. */
  readonly crcs: number[]
}

/**
 * Reads and checks everything but the bytes of the snapshot; `undefined` for an empty database.
 *
 * @throws RaftError RAFT_DAMAGED, RAFT_STORE_VERSION
 */
export async function readStore(db: Database): Promise<Store | undefined> {
  const tailValue = await db.get(tailKey)
  if (tailValue === undefined) {
    if ((await db.keys({ limit: 1 }).all()).length === 0) return undefined
    throw damaged('the record of where the log ends is missing')
  }
  const tail = tailOf(tailValue)
  const snapshot = await readSnapshot(db)
  const { entries, crcs } = await readEntries(db, tail)
  const included = snapshot?.lastIncludedIndex ?? 0
  if (tail.firstIndex > included + 1) throw damaged('entries between snapshot and log are missing')
  if (tail.lastIndex < included) throw damaged('the log ends before the snapshot')
  const { currentTerm, votedFor } = tail
  return { state: { currentTerm, votedFor, snapshot, entries }, tail, crcs }
}

function tailOf(value: Buffer): Tail {
  const row = unpack(unseal(value, prefix.tail) ?? new Uint8Array())
  const [version, firstIndex, baseCrc, lastIndex, lastCrc, currentTerm, votedFor] = row ?? []
  if (row !== undefined && version !== formatVersion) {
    throw new RaftError('RAFT_STORE_VERSION', `The store has format ${String(version)}.`)
  }
  if (!isCount(firstIndex) || !isCount(baseCrc) || !isCount(lastIndex) || !isCount(lastCrc)) {
    throw damaged('the record of where the log ends is broken')
  }
  if (!isCount(currentTerm) || (votedFor !== null && !isId(votedFor))) {
    throw damaged('the record of term and vote is broken')
  }
  if (lastIndex < firstIndex - 1) throw damaged('the log ends before it begins')
  return {
    firstIndex,
    baseCrc,
    lastIndex,
    lastCrc,
    currentTerm,
    votedFor: votedFor ?? undefined,
  }
}

async function readSnapshot(db: Database): Promise<SnapshotMeta | undefined> {
  const value = await db.get(snapshotKey)
  if (value === undefined) return undefined
  const meta = snapshotOf(unpack(unseal(value, prefix.snapshot) ?? new Uint8Array()))
  if (meta === undefined) throw damaged('the description of the snapshot is broken')
  return meta
}

async function readEntries(
  db: Database,
  tail: Tail,
): Promise<{ entries: Entry[]; crcs: number[] }> {
  const entries: Entry[] = []
  const crcs: number[] = []
  let crc = tail.baseCrc
  let index = tail.firstIndex
  let term = 0
  for await (const [key, value] of db.iterator({ gte: entriesFrom, lt: entriesTo })) {
    if (!key.equals(entryKey(index))) throw damaged(`entry ${index} is missing`)
    const body = unseal(value, crc)
    const entry = body && entryOf(unpack(body))
    if (entry === undefined || entry.index !== index || entry.term < term) {
      throw damaged(`entry ${index} is broken`)
    }
    crc = value.readUInt32BE(0)
    entries.push(entry)
    crcs.push(crc)
    term = entry.term
    index++
  }
  if (index !== tail.lastIndex + 1 || crc !== tail.lastCrc) {
    throw damaged(`the log should end at entry ${tail.lastIndex}, and ends at ${index - 1}`)
  }
  return { entries, crcs }
}

/** Ids of the snapshots of which chunks are stored, with the number of the last chunk. */
export async function readChunkOwners(db: Database): Promise<Map<string, number>> {
  const owners = new Map<string, number>()
  for await (const key of db.keys({ gte: chunksFrom, lt: chunksTo })) {
    owners.set(chunkOwner(key), key.readUInt32BE(key.length - 4))
  }
  return owners
}

export function damaged(what: string): RaftError {
  return new RaftError('RAFT_DAMAGED', `${what[0]?.toUpperCase() ?? ''}${what.slice(1)}.`)
}
