/**
 * What lies in the database: keys and checksums.
 *
 * LevelDB as bound for Node verifies no checksum on reading and drops what it cannot read of its log without an
 * error (a hole in the middle, a wrong value). So each value carries its own CRC; an entry's CRC is seeded with
 * that of the entry before it; and one record, the tail, rewritten by every batch, says where the log begins and
 * ends. The tail counts batches, so that a database cut back to an earlier one is told by the mark beside it.
 */
import { crc32 } from 'node:zlib'
import type { Trust } from './core/input.ts'
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

/** 1 had no `seq`, `trust` and `damage` in its tail. */
export const formatVersion = 2

const prefix = { tail: 0, snapshot: 1, entry: 2, chunk: 3, partial: 4 } as const

export const tailKey = Buffer.from([prefix.tail])
export const snapshotKey = Buffer.from([prefix.snapshot])
/** The description of the snapshot that is being received. */
export const partialKey = Buffer.from([prefix.partial])
export const allFrom = Buffer.from([])
export const allTo = Buffer.from([0xff])
export const entriesFrom = Buffer.from([prefix.entry])
export const entriesTo = Buffer.from([prefix.entry + 1])
export const chunksFrom = Buffer.from([prefix.chunk])
export const chunksTo = Buffer.from([prefix.chunk + 1])

/** Big-endian, so that the order of keys is the order of indices. */
export function entryKey(index: number): Buffer {
  // Two words, and from the pool: a batch has hundreds of them.
  const key = Buffer.allocUnsafe(9)
  key[0] = prefix.entry
  key.writeUInt32BE(Math.floor(index / 2 ** 32), 1)
  key.writeUInt32BE(index % 2 ** 32, 5)
  return key
}

/** Keys rot too: not all that lies among the entries is the key of one. */
export function isEntryKey(key: Buffer): boolean {
  return key.length === 9 && key[0] === prefix.entry
}

/** The least key that is greater. */
export function keyAfter(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.alloc(1)])
}

/** Whose key it is. */
export function indexOf(key: Buffer): number {
  return key.readUInt32BE(1) * 2 ** 32 + key.readUInt32BE(5)
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

/** Whose chunk a key is of; `undefined` for a key that no chunk has. */
export function chunkOf(
  key: Buffer,
): { readonly snapshotId: string; readonly chunk: number } | undefined {
  const end = key.length - 5
  if (end < 2 || key[end] !== 0) return undefined
  return { snapshotId: key.toString('latin1', 1, end), chunk: key.readUInt32BE(end + 1) }
}

/** Where the log begins and ends, term, vote and trust: the record that each batch rewrites. */
export interface Tail {
  /** Counts batches, from 1; 0 in what format 1 wrote. Goes on from one database to the next. */
  readonly seq: number
  readonly firstIndex: number
  /** The CRC of the entry before `firstIndex`, with which the chain goes on. */
  readonly baseCrc: number
  /** `firstIndex` - 1 when the log is empty. */
  readonly lastIndex: number
  /** The CRC of the last entry, or `baseCrc`. */
  readonly lastCrc: number
  readonly currentTerm: number
  readonly votedFor: string | undefined
  readonly trust: Trust
  /** Why it is not trusted, when a damage was found. */
  readonly damage: string | undefined
}

/** Of a database in which nothing was ever written. A server on it has been part of no cluster yet. */
export const emptyTail: Tail = {
  seq: 0,
  firstIndex: 1,
  baseCrc: 0,
  lastIndex: 0,
  lastCrc: 0,
  currentTerm: 0,
  votedFor: undefined,
  trust: { kind: 'unknown' },
  damage: undefined,
}

/** In front of each value. */
const crcBytes = 4

/** The value as stored, and its CRC for the next entry. */
export function sealEntry(entry: Entry, previousCrc: number): { value: Buffer; crc: number } {
  const value = sealCommand(entry) ?? unsealed(pack(entryRow(entry)))
  const crc = crc32(value.subarray(crcBytes), previousCrc)
  value.writeUInt32BE(crc, 0)
  return { value, crc }
}

/** A list of four: kind 1, two whole numbers of 32 bits, bytes whose length takes 16. */
const commandHead = { list: 0x94, command: 1, word: 0xce, bytes: 0xc5 } as const
const commandHeadBytes = 15

/**
 * The row of a command as msgpack, written out: at a third of the cost of the library's encoder, which nearly every entry
 * would go through on every server. `undefined` for what is no command, or has figures beyond it.
 */
function sealCommand(entry: Entry): Buffer | undefined {
  if (entry.kind !== 'command') return undefined
  const { index, term, data } = entry
  if (index >= 2 ** 32 || term >= 2 ** 32 || data.length >= 2 ** 16) return undefined
  const value = Buffer.allocUnsafe(crcBytes + commandHeadBytes + data.length)
  value[4] = commandHead.list
  value[5] = commandHead.command
  value[6] = commandHead.word
  value.writeUInt32BE(index, 7)
  value[11] = commandHead.word
  value.writeUInt32BE(term, 12)
  value[16] = commandHead.bytes
  value.writeUInt16BE(data.length, 17)
  value.set(data, crcBytes + commandHeadBytes)
  return value
}

/** By number on the disk. */
const trusts: readonly Trust[] = [
  { kind: 'full' },
  { kind: 'relearning' },
  { kind: 'unknown' },
  { kind: 'unknown', cleared: true },
]

function trustNumber(trust: Trust): number {
  if (trust.kind === 'unknown') return trust.cleared === true ? 3 : 2
  return trust.kind === 'full' ? 0 : 1
}

export function openEntry(
  value: Buffer,
  previousCrc: number,
): { entry: Entry; crc: number } | undefined {
  const body = unseal(value, previousCrc)
  const entry = body && entryOf(unpack(body))
  return entry && { entry, crc: value.readUInt32BE(0) }
}

export function sealTail(tail: Tail): Buffer {
  const { firstIndex, baseCrc, lastIndex, lastCrc, currentTerm, votedFor } = tail
  const log = [firstIndex, baseCrc, lastIndex, lastCrc]
  const vote = [currentTerm, votedFor ?? null]
  const trust = [trustNumber(tail.trust), tail.damage ?? null]
  return seal(pack([formatVersion, ...log, ...vote, tail.seq, ...trust]), prefix.tail)
}

/** @returns the tail, or RAFT_DAMAGED or RAFT_STORE_VERSION */
export function openTail(value: Buffer): Tail | RaftError {
  const row = unpack(unseal(value, prefix.tail) ?? new Uint8Array())
  const broken = damaged('the record of where the log ends is broken')
  if (row === undefined) return broken
  const [version, firstIndex, baseCrc, lastIndex, lastCrc, currentTerm, votedFor] = row
  if (version !== formatVersion && version !== 1) {
    return new RaftError('RAFT_STORE_VERSION', `The store has format ${String(version)}.`)
  }
  const [seq, number, damage] = version === 1 ? [0, 0, null] : row.slice(7)
  const trust = isCount(number) ? trusts[number] : undefined
  if (!isCount(firstIndex) || !isCount(baseCrc) || !isCount(lastIndex) || !isCount(lastCrc)) {
    return broken
  }
  if (!isCount(currentTerm) || (votedFor !== null && !isId(votedFor))) return broken
  if (!isCount(seq) || trust === undefined || (damage !== null && typeof damage !== 'string')) {
    return broken
  }
  if (lastIndex < firstIndex - 1) return damaged('the log ends before it begins')
  const log = { firstIndex, baseCrc, lastIndex, lastCrc }
  const vote = { currentTerm, votedFor: votedFor ?? undefined }
  return { seq, ...log, ...vote, trust, damage: damage ?? undefined }
}

export function sealSnapshot(meta: SnapshotMeta): Buffer {
  return seal(pack(snapshotRow(meta)), prefix.snapshot)
}

export function openSnapshot(value: Buffer): SnapshotMeta | undefined {
  return snapshotOf(unpack(unseal(value, prefix.snapshot) ?? new Uint8Array()))
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
  const value = unsealed(body)
  value.writeUInt32BE(crc32(body, seed), 0)
  return value
}

/** With room for its CRC in front. */
function unsealed(body: Uint8Array): Buffer {
  const value = Buffer.allocUnsafe(crcBytes + body.length)
  value.set(body, crcBytes)
  return value
}

function unseal(value: Buffer, seed: number): Uint8Array | undefined {
  if (value.length < crcBytes) return undefined
  const body = value.subarray(crcBytes)
  return crc32(body, seed) === value.readUInt32BE(0) ? body : undefined
}

export function damaged(what: string): RaftError {
  return new RaftError('RAFT_DAMAGED', sentence(what))
}

/** With a capital and a full stop. */
export function sentence(what: string): string {
  return `${what[0]?.toUpperCase() ?? ''}${what.slice(1)}${what.endsWith('.') ? '' : '.'}`
}
