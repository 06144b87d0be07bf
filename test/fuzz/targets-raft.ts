/** What servers of the log send each other, and what lies on their disks. */
import { crc32 } from 'node:zlib'
import { decodeMessage, encodeMessage } from '../../raft/codec.ts'
import { configurationOf } from '../../raft/core/configuration.ts'
import type { Message } from '../../raft/core/message.ts'
import { slotBytes, type SlotFile } from '../../raft/database.ts'
import { decodeDigest, encodeDigest } from '../../raft/digest.ts'
import { RaftError } from '../../raft/error.ts'
import { markerText, parseMarker } from '../../raft/marker.ts'
import { pack } from '../../raft/record.ts'
import { Slots } from '../../raft/slots.ts'
import * as layout from '../../raft/store-layout.ts'
import { markCodec, voteCodec } from '../../raft/vote-file.ts'
import { bytesOf, target, textOf, type Target } from './target.ts'

const ends = { from: 'a', to: 'b', term: 5 } as const
const configuration = configurationOf(['a', 'b'], ['c'])
const data = Uint8Array.from({ length: 40 }, (_, n) => n)
const log = { prevLogIndex: 10, prevLogTerm: 2, leaderCommit: 10, round: 3 }
const snapshot = {
  ...{ id: 's', lastIncludedIndex: 9, lastIncludedTerm: 2, configuration, bytes: 100, chunks: 2 },
}
const messages: readonly Message[] = [
  {
    type: 'preVote',
    ...ends,
    nextTerm: 6,
    lastLogIndex: 1,
    lastLogTerm: 1,
    leaderGone: true,
  },
  { type: 'requestVote', ...ends, lastLogIndex: 1, lastLogTerm: 1, transfer: false },
  {
    type: 'appendEntries',
    ...ends,
    ...log,
    entries: [
      { kind: 'command', index: 11, term: 2, data },
      { kind: 'noop', index: 12, term: 3 },
      { kind: 'configuration', index: 13, term: 3, configuration },
    ],
  },
  { type: 'appendEntriesReply', ...ends, round: 3, result: { success: true, matchIndex: 4 } },
  {
    type: 'appendEntriesReply',
    ...ends,
    round: 3,
    untrusted: 'unknown',
    result: { success: false, rejectedIndex: 4, hintIndex: 3, hintTerm: 2 },
  },
  { type: 'heartbeat', ...ends, leaderCommit: 10, commitTerm: 4, round: 20 },
  { type: 'heartbeatReply', ...ends, round: 20, lastLogIndex: 3 },
  { type: 'installSnapshot', ...ends, snapshot, chunk: 1, round: 3, data },
  {
    type: 'installSnapshotReply',
    ...ends,
    ...{ round: 3, snapshotId: 's', session: 1, nextChunk: 1, matchIndex: 9 },
  },
  { type: 'readIndex', ...ends, key: 7 },
  { type: 'readIndexReply', ...ends, key: 7, index: 9 },
  { type: 'teach', ...ends, key: 1, untrusted: 'relearning', lastLogIndex: 3 },
  { type: 'teachReply', ...ends, key: 1, lastIndex: 3 },
  { type: 'timeoutNow', ...ends },
  { type: 'distrust', ...ends },
]

const copy = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes)
/** Without the CRC that stands before. */
const bare = (bytes: Uint8Array): Uint8Array => copy(bytes.subarray(4))

/** With the CRC before it that its reader asks for. */
function sealed(seed: number): (body: Uint8Array) => Uint8Array {
  return body => {
    const bytes = Buffer.alloc(body.length + 4)
    bytes.set(body, 4)
    bytes.writeUInt32BE(crc32(body, seed), 0)
    return bytes
  }
}

const sent: readonly Target[] = [
  target({
    name: 'raft message',
    form: 'msgpack',
    corpus: messages.map(m => bare(encodeMessage(m, { cluster: 7, incarnation: 9 }))),
    seal: sealed(0),
    read: bytes => {
      const decoded = decodeMessage(bytes)
      return typeof decoded === 'string' ? undefined : decoded
    },
    write: ({ message, wire }) => encodeMessage(message, wire),
  }),
  target({
    name: 'digest',
    form: 'msgpack',
    corpus: [bare(encodeDigest({ from: 'a', index: 8, hash: 'rows-2:0011' }, 7))],
    seal: sealed(0),
    read: bytes => decodeDigest(bytes, 7),
    write: digest => encodeDigest(digest, 7),
  }),
]

const tail: layout.Tail = {
  ...{ seq: 5, firstIndex: 3, baseCrc: 9, lastIndex: 12, lastCrc: 77, currentTerm: 4 },
  ...{ votedFor: 'a', trust: { kind: 'unknown', cleared: true }, damage: 'd' },
}
const tailSeed = layout.tailKey[0] ?? 0
const snapshotSeed = layout.snapshotKey[0] ?? 0

function slotsOf(bytes: Uint8Array): { readonly bytes: Buffer; readonly file: SlotFile } {
  const whole = Buffer.alloc(2 * slotBytes)
  whole.set(bytes.subarray(0, 2 * slotBytes))
  return { bytes: whole, file: { read: () => undefined, write: () => undefined } }
}

/** One slot with a row in it, as it is written. */
function slot(body: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(slotBytes)
  const row = body.subarray(0, slotBytes - 8)
  bytes.writeUInt32BE(row.length, 4)
  bytes.set(row, 8)
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0)
  return bytes
}

const stored: readonly Target[] = [
  target({
    name: 'entry on disk',
    form: 'msgpack',
    corpus: [
      ...[
        { kind: 'command', index: 11, term: 2, data } as const,
        { kind: 'noop', index: 12, term: 3 } as const,
        { kind: 'configuration', index: 13, term: 3, configuration } as const,
      ].map(entry => bare(layout.sealEntry(entry, 99).value)),
    ],
    seal: sealed(99),
    read: bytes => layout.openEntry(Buffer.from(bytes), 99)?.entry,
    write: entry => layout.sealEntry(entry, 99).value,
  }),
  target({
    name: 'tail on disk',
    form: 'msgpack',
    corpus: [bare(layout.sealTail(tail)), copy(pack([1, 3, 9, 12, 77, 4, null]))],
    seal: sealed(tailSeed),
    read: bytes => {
      const read = layout.openTail(Buffer.from(bytes))
      return read instanceof RaftError ? undefined : read
    },
    // Of format 1 nothing else is read, and nothing is written.
    write: read => layout.sealTail(read),
  }),
  target({
    name: 'snapshot on disk',
    form: 'msgpack',
    corpus: [bare(layout.sealSnapshot(snapshot))],
    seal: sealed(snapshotSeed),
    read: bytes => layout.openSnapshot(Buffer.from(bytes)),
    write: meta => layout.sealSnapshot(meta),
  }),
  target({
    name: 'chunk key',
    form: 'bytes',
    corpus: [layout.chunkKey('snap-1', 7)],
    read: bytes => layout.chunkOf(Buffer.from(bytes)),
  }),
  target({
    name: 'vote and mark',
    form: 'msgpack',
    corpus: [
      [3, 4, 'a'],
      [3, 4, null],
      [2, 5, 77],
    ].map(row => copy(pack(row))),
    seal: slot,
    read: bytes => {
      const { bytes: whole, file } = slotsOf(bytes)
      const vote = new Slots(file, voteCodec, whole)
      const mark = new Slots(file, markCodec, whole)
      return vote.last ?? mark.last
    },
  }),
  target({
    name: 'marker',
    form: 'json',
    corpus: [
      bytesOf(markerText({ reason: 'a gap' })),
      bytesOf(
        markerText({
          reason: 'a gap',
          handOver: {
            ...{ aside: 1, trust: 'unknown', seq: 4, currentTerm: 3, votedFor: 'a' },
          },
        }),
      ),
    ],
    read: bytes => parseMarker(textOf(bytes)),
  }),
]

export const raftTargets = [...sent, ...stored]
