/**
 * Messages between servers as bytes: CRC32, then a msgpack array whose first item is the version.
 *
 * What comes from the wire is checked in full before the core sees it, which trusts in that: its shape, and that a
 * correct server can have sent it, whatever its state. A term out of all bounds, for one, would be adopted and leave no
 * room for another election. Whatever is wrong with the bytes, the answer is a reason to count, never an exception.
 *
 * Invariant: `decodeMessage(encodeMessage(m, w))` is `m` and `w` again.
 */
import { crc32 } from 'node:zlib'
import type {
  AppendEntriesReply,
  InstallSnapshotReply,
  Message,
  MessageType,
  ReadIndexReply,
  Untrusted,
} from './core/message.ts'
import {
  entryOf,
  entryRow,
  isBytes,
  isCount,
  isId,
  pack,
  snapshotOf,
  snapshotRow,
  unpack,
} from './record.ts'
import type { Entry } from './core/entry.ts'

export const protocolVersion = 1

/** The largest settings (256 KiB of entries, 128 KiB of chunk) with what goes around them; more is dropped. */
export const maxMessageBytes = 320 * 1024

/** Who sent it, beyond what the core cares for. */
export interface Wire {
  /** Tells clusters apart that share a NATS server, or a name over time. */
  readonly cluster: number
  /** Different in each run of a server. */
  readonly incarnation: number
}

export type Malformed = 'too-large' | 'checksum' | 'version' | 'shape'

/** On the wire for good: a new type takes a new number. */
const numbers = {
  preVote: 1,
  preVoteReply: 2,
  requestVote: 3,
  requestVoteReply: 4,
  appendEntries: 5,
  appendEntriesReply: 6,
  heartbeat: 7,
  heartbeatReply: 8,
  installSnapshot: 9,
  installSnapshotReply: 10,
  readIndex: 11,
  readIndexReply: 12,
  timeoutNow: 13,
  teach: 14,
  teachReply: 15,
  distrust: 16,
} as const satisfies Record<MessageType, number>

const crcBytes = 4

export function encodeMessage(message: Message, wire: Wire): Uint8Array {
  const { type, from, to, term } = message
  const head = [protocolVersion, wire.cluster, from, to, wire.incarnation, numbers[type], term]
  const body = pack([...head, ...fieldsOf(message)])
  const bytes = Buffer.allocUnsafe(crcBytes + body.length)
  bytes.writeUInt32BE(crc32(body), 0)
  bytes.set(body, crcBytes)
  return bytes
}

export function decodeMessage(
  data: Uint8Array,
): { readonly message: Message; readonly wire: Wire } | Malformed {
  if (data.length > maxMessageBytes) return 'too-large'
  if (data.length <= crcBytes) return 'checksum'
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const body = bytes.subarray(crcBytes)
  if (crc32(body) !== bytes.readUInt32BE(0)) return 'checksum'
  const row = unpack(body)
  if (row === undefined) return 'shape'
  const [version, cluster, from, to, incarnation, number, term, ...fields] = row
  if (version !== protocolVersion) return 'version'
  if (!isCount(cluster) || !isCount(incarnation) || !isCount(number) || !isCount(term))
    return 'shape'
  if (!isId(from) || !isId(to)) return 'shape'
  const message = messageOf({ from, to, term }, number, fields)
  return message === undefined ? 'shape' : { message, wire: { cluster, incarnation } }
}

function fieldsOf(message: Message): readonly unknown[] {
  switch (message.type) {
    case 'preVote': {
      const { nextTerm, lastLogIndex, lastLogTerm, leaderGone } = message
      return [nextTerm, lastLogIndex, lastLogTerm, leaderGone]
    }
    case 'preVoteReply':
      return [message.nextTerm, message.voteGranted]
    case 'requestVote':
      return [message.lastLogIndex, message.lastLogTerm, message.transfer]
    case 'requestVoteReply':
      return [message.voteGranted]
    case 'appendEntries': {
      const { prevLogIndex, prevLogTerm, entries, leaderCommit, round } = message
      return [prevLogIndex, prevLogTerm, entries.map(entryRow), leaderCommit, round]
    }
    case 'appendEntriesReply':
      return [message.round, word(message.untrusted), ...resultFields(message.result)]
    case 'heartbeat':
      return [message.leaderCommit, message.commitTerm, message.round]
    case 'heartbeatReply':
      return [message.round, word(message.untrusted), message.lastLogIndex]
    case 'installSnapshot':
      return [snapshotRow(message.snapshot), message.chunk, message.round, message.data]
    case 'installSnapshotReply': {
      const { round, untrusted, snapshotId, session, nextChunk, matchIndex } = message
      return [round, word(untrusted), snapshotId, session, nextChunk, matchIndex ?? null]
    }
    case 'readIndex':
      return [message.key]
    case 'readIndexReply':
      return [message.key, message.index ?? null]
    case 'teach':
      return [message.key, word(message.untrusted), message.lastLogIndex]
    case 'teachReply':
      return [message.key, message.lastIndex]
    case 'timeoutNow':
    case 'distrust':
      return []
  }
}

/** How `untrusted` travels: by its place here; 0 where the sender's word counts. */
const words = [undefined, 'relearning', 'unknown', 'cleared'] as const

function word(untrusted: Untrusted | undefined): number {
  return words.indexOf(untrusted)
}

function candourOf(value: unknown): { readonly untrusted?: Untrusted } | undefined {
  if (!isCount(value) || value >= words.length) return undefined
  const untrusted = words[value]
  return untrusted === undefined ? {} : { untrusted }
}

function resultFields(result: AppendEntriesReply['result']): readonly unknown[] {
  if (result.success) return [true, result.matchIndex]
  return [false, result.rejectedIndex, result.hintIndex, result.hintTerm]
}

type Head = Pick<Message, 'from' | 'to' | 'term'>
type Read = (head: Head, fields: readonly unknown[]) => Message | undefined

function messageOf(head: Head, number: number, fields: readonly unknown[]): Message | undefined {
  return readers.get(number)?.(head, fields)
}

const readers: ReadonlyMap<number, Read> = new Map<number, Read>([
  [numbers.preVote, preVoteOf],
  [numbers.preVoteReply, preVoteReplyOf],
  [numbers.requestVote, requestVoteOf],
  [numbers.requestVoteReply, requestVoteReplyOf],
  [numbers.appendEntries, appendEntriesOf],
  [numbers.appendEntriesReply, appendEntriesReplyOf],
  [numbers.heartbeat, heartbeatOf],
  [numbers.heartbeatReply, heartbeatReplyOf],
  [numbers.installSnapshot, installSnapshotOf],
  [numbers.installSnapshotReply, installSnapshotReplyOf],
  [numbers.readIndex, readIndexOf],
  [numbers.readIndexReply, readIndexReplyOf],
  [numbers.timeoutNow, timeoutNowOf],
  [numbers.teach, teachOf],
  [numbers.teachReply, teachReplyOf],
  [numbers.distrust, distrustOf],
])

function preVoteOf(head: Head, fields: readonly unknown[]): Message | undefined {
  const [nextTerm, lastLogIndex, lastLogTerm, leaderGone] = fields
  if (fields.length !== 4 || !isCount(nextTerm) || !isCount(lastLogIndex)) return undefined
  if (!isCount(lastLogTerm) || !isFlag(leaderGone) || nextTerm !== head.term + 1) return undefined
  return { type: 'preVote', ...head, nextTerm, lastLogIndex, lastLogTerm, leaderGone }
}

function preVoteReplyOf(head: Head, fields: readonly unknown[]): Message | undefined {
  const [nextTerm, voteGranted] = fields
  if (fields.length !== 2 || !isCount(nextTerm) || !isFlag(voteGranted)) return undefined
  return { type: 'preVoteReply', ...head, nextTerm, voteGranted }
}

function requestVoteOf(head: Head, fields: readonly unknown[]): Message | undefined {
  const [lastLogIndex, lastLogTerm, transfer] = fields
  if (fields.length !== 3 || !isCount(lastLogIndex)) return undefined
  // A candidate has just begun its term.
  if (!isCount(lastLogTerm) || !isFlag(transfer) || lastLogTerm >= head.term) return undefined
  return { type: 'requestVote', ...head, lastLogIndex, lastLogTerm, transfer }
}

function requestVoteReplyOf(head: Head, fields: readonly unknown[]): Message | undefined {
  const [voteGranted] = fields
  if (fields.length !== 1 || !isFlag(voteGranted)) return undefined
  return { type: 'requestVoteReply', ...head, voteGranted }
}

function appendEntriesOf(head: Head, fields: readonly unknown[]): Message | undefined {
  const [prevLogIndex, prevLogTerm, rows, leaderCommit, round] = fields
  if (fields.length !== 5 || !isCount(prevLogIndex) || !isCount(prevLogTerm)) return undefined
  if (!Array.isArray(rows) || !isCount(leaderCommit) || !isCount(round)) return undefined
  const entries: Entry[] = []
  let term = prevLogTerm
  for (const row of rows) {
    const entry = entryOf(row)
    // Contiguous, terms never falling, none from the sender's future: no log can hold anything else.
    if (entry === undefined || entry.index !== prevLogIndex + entries.length + 1) return undefined
    if (entry.term < term || entry.term > head.term) return undefined
    term = entry.term
    entries.push(entry)
  }
  return { type: 'appendEntries', ...head, prevLogIndex, prevLogTerm, entries, leaderCommit, round }
}

function appendEntriesReplyOf(
  head: Head,
  fields: readonly unknown[],
): AppendEntriesReply | undefined {
  const [round, untrusted, success, index, hintIndex, hintTerm] = fields
  const candour = candourOf(untrusted)
  if (!isCount(round) || candour === undefined || !isCount(index)) return undefined
  const answer = { type: 'appendEntriesReply', ...head, round, ...candour } as const
  if (success === true && fields.length === 4) {
    return { ...answer, result: { success, matchIndex: index } }
  }
  if (success !== false || fields.length !== 6) return undefined
  if (!isCount(hintIndex) || !isCount(hintTerm)) return undefined
  return { ...answer, result: { success, rejectedIndex: index, hintIndex, hintTerm } }
}

function heartbeatOf(head: Head, fields: readonly unknown[]): Message | undefined {
  const [leaderCommit, commitTerm, round] = fields
  if (fields.length !== 3 || !isCount(leaderCommit) || !isCount(round)) return undefined
  if (!isCount(commitTerm)) return undefined
  return { type: 'heartbeat', ...head, leaderCommit, commitTerm, round }
}

function heartbeatReplyOf(head: Head, fields: readonly unknown[]): Message | undefined {
  const [round, untrusted, lastLogIndex] = fields
  const candour = candourOf(untrusted)
  if (fields.length !== 3 || !isCount(round) || !isCount(lastLogIndex)) return undefined
  return candour && { type: 'heartbeatReply', ...head, round, ...candour, lastLogIndex }
}

function installSnapshotOf(head: Head, fields: readonly unknown[]): Message | undefined {
  const [row, chunk, round, data] = fields
  const snapshot = snapshotOf(row)
  if (fields.length !== 4 || snapshot === undefined || !isCount(round)) return undefined
  if (!isCount(chunk) || chunk >= snapshot.chunks || !isBytes(data)) return undefined
  if (snapshot.lastIncludedTerm > head.term) return undefined
  return { type: 'installSnapshot', ...head, snapshot, chunk, round, data }
}

function installSnapshotReplyOf(
  head: Head,
  fields: readonly unknown[],
): InstallSnapshotReply | undefined {
  const [round, untrusted, snapshotId, session, nextChunk, matchIndex] = fields
  const candour = candourOf(untrusted)
  if (fields.length !== 6 || !isCount(round) || !isId(snapshotId)) return undefined
  if (!isCount(session) || !isCount(nextChunk) || candour === undefined) return undefined
  const reply = {
    type: 'installSnapshotReply',
    ...head,
    round,
    ...candour,
    snapshotId,
    session,
    nextChunk,
  } as const
  if (matchIndex === null) return reply
  return isCount(matchIndex) ? { ...reply, matchIndex } : undefined
}

function readIndexOf(head: Head, fields: readonly unknown[]): Message | undefined {
  const [key] = fields
  return fields.length === 1 && isCount(key) ? { type: 'readIndex', ...head, key } : undefined
}

function readIndexReplyOf(head: Head, fields: readonly unknown[]): ReadIndexReply | undefined {
  const [key, index] = fields
  if (fields.length !== 2 || !isCount(key)) return undefined
  if (index === null) return { type: 'readIndexReply', ...head, key }
  return isCount(index) ? { type: 'readIndexReply', ...head, key, index } : undefined
}

function timeoutNowOf(head: Head, fields: readonly unknown[]): Message | undefined {
  return fields.length === 0 ? { type: 'timeoutNow', ...head } : undefined
}

function teachOf(head: Head, fields: readonly unknown[]): Message | undefined {
  const [key, why, lastLogIndex] = fields
  const untrusted = candourOf(why)?.untrusted
  if (fields.length !== 3 || !isCount(key) || !isCount(lastLogIndex)) return undefined
  return untrusted && { type: 'teach', ...head, key, untrusted, lastLogIndex }
}

function teachReplyOf(head: Head, fields: readonly unknown[]): Message | undefined {
  const [key, lastIndex] = fields
  if (fields.length !== 2 || !isCount(key) || !isCount(lastIndex)) return undefined
  return { type: 'teachReply', ...head, key, lastIndex }
}

function distrustOf(head: Head, fields: readonly unknown[]): Message | undefined {
  return fields.length === 0 ? { type: 'distrust', ...head } : undefined
}

function isFlag(value: unknown): value is boolean {
  return typeof value === 'boolean'
}
