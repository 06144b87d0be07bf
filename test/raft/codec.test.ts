/**
 * Every message survives the way over the wire, and nothing else that comes from there is a message.
 */
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { decodeMessage, encodeMessage, maxMessageBytes } from '../../raft/codec.ts'
import { configurationOf } from '../../raft/core/configuration.ts'
import { numberLimit, type Entry } from '../../raft/core/entry.ts'
import type { Message, SnapshotMeta } from '../../raft/core/message.ts'
import { pack } from '../../raft/record.ts'

const count = fc.oneof(fc.nat(), fc.integer({ min: 0, max: numberLimit - 1 }))
const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/)
const flag = fc.boolean()
const data = fc.uint8Array({ maxLength: 200 })

const configuration = fc
  .uniqueArray(id, { minLength: 2, maxLength: 8 })
  .map(ids => configurationOf(ids.slice(1), ids.slice(0, 1)))

const snapshot: fc.Arbitrary<SnapshotMeta> = fc.record({
  id,
  lastIncludedIndex: count.map(n => Math.max(1, n)),
  lastIncludedTerm: fc.integer({ min: 1, max: 100 }),
  configuration,
  bytes: count,
  chunks: fc.integer({ min: 1, max: 1000 }),
})

const head = fc.record({ from: id, to: id, term: fc.integer({ min: 100, max: 2 ** 40 }) })

function entries(prevLogIndex: number): fc.Arbitrary<Entry[]> {
  const kinds = fc.oneof(
    fc.constant({ kind: 'noop' } as const),
    data.map(bytes => ({ kind: 'command', data: bytes }) as const),
    configuration.map(members => ({ kind: 'configuration', configuration: members }) as const),
  )
  return fc
    .array(kinds, { maxLength: 10 })
    .map(list => list.map((kind, i) => ({ ...kind, index: prevLogIndex + i + 1, term: 100 })))
}

const append = count.chain(prevLogIndex =>
  fc.record({
    type: fc.constant('appendEntries' as const),
    prevLogIndex: fc.constant(Math.min(prevLogIndex, 2 ** 47)),
    prevLogTerm: fc.nat({ max: 100 }),
    entries: entries(Math.min(prevLogIndex, 2 ** 47)),
    leaderCommit: count,
    round: count,
  }),
)

const result = fc.oneof(
  fc.record({ success: fc.constant(true as const), matchIndex: count }),
  fc.record({
    success: fc.constant(false as const),
    rejectedIndex: count,
    hintIndex: count,
    hintTerm: count,
  }),
)

/** Absent where the sender's word counts. */
const untrusted = fc.constantFrom('relearning' as const, 'unknown' as const, 'cleared' as const)

const type = <T extends string>(name: T): fc.Arbitrary<T> => fc.constant(name)

const body = fc.oneof(
  fc.record({
    type: type('preVote'),
    nextTerm: count,
    lastLogIndex: count,
    lastLogTerm: count,
    leaderGone: flag,
  }),
  fc.record({ type: type('preVoteReply'), nextTerm: count, voteGranted: flag }),
  fc.record({
    type: type('requestVote'),
    lastLogIndex: count,
    lastLogTerm: fc.nat({ max: 99 }),
    transfer: flag,
  }),
  fc.record({ type: type('requestVoteReply'), voteGranted: flag }),
  append,
  fc.record(
    { type: type('appendEntriesReply'), round: count, untrusted, result },
    { requiredKeys: ['type', 'round', 'result'] },
  ),
  fc.record({
    type: type('heartbeat'),
    leaderCommit: count,
    commitTerm: count,
    round: count,
  }),
  fc.record(
    { type: type('heartbeatReply'), round: count, untrusted, lastLogIndex: count },
    { requiredKeys: ['type', 'round', 'lastLogIndex'] },
  ),
  fc.record({ type: type('installSnapshot'), snapshot, round: count, data, chunk: fc.constant(0) }),
  fc.record(
    {
      type: type('installSnapshotReply'),
      round: count,
      untrusted,
      snapshotId: id,
      session: count,
      nextChunk: count,
      matchIndex: count,
    },
    { requiredKeys: ['type', 'round', 'snapshotId', 'session', 'nextChunk'] },
  ),
  fc.record({ type: type('readIndex'), key: count }),
  fc.record(
    { type: type('readIndexReply'), key: count, index: count },
    { requiredKeys: ['type', 'key'] },
  ),
  fc.record({ type: type('timeoutNow') }),
  fc.record({ type: type('teach'), key: count, untrusted, lastLogIndex: count }),
  fc.record({ type: type('teachReply'), key: count, lastIndex: count }),
  fc.record({ type: type('distrust') }),
)

const message: fc.Arbitrary<Message> = fc.tuple(head, body).map(([ends, rest]) => ({
  ...{ ...ends, ...rest },
  ...(rest.type === 'preVote' && { nextTerm: ends.term + 1 }),
}))

const wire = fc.record({ cluster: fc.nat({ max: 2 ** 32 - 1 }), incarnation: count })

/** Byte arrays of either kind compare by their bytes. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, item: unknown) =>
      ArrayBuffer.isView(item) || isPackedBuffer(item) ? hex(item) : item,
    ),
  )
}

/** `Buffer` turns itself into this before a replacer sees it. */
function isPackedBuffer(item: unknown): item is { readonly data: number[] } {
  return typeof item === 'object' && item !== null && 'type' in item && item.type === 'Buffer'
}

function hex(item: ArrayBufferView | { readonly data: number[] }): string {
  const bytes = ArrayBuffer.isView(item)
    ? Buffer.from(item.buffer, item.byteOffset, item.byteLength)
    : Buffer.from(item.data)
  return `hex ${bytes.toString('hex')}`
}

function sealed(row: readonly unknown[]): Uint8Array {
  const packed = pack(row)
  const bytes = Buffer.alloc(packed.length + 4)
  bytes.set(packed, 4)
  bytes.writeUInt32BE(crc32(packed), 0)
  return bytes
}

t.test('every message comes back as it was', async t => {
  fc.assert(
    fc.property(message, wire, (sent, around) => {
      const decoded = decodeMessage(encodeMessage(sent, around))
      if (typeof decoded === 'string') throw new Error(decoded)
      t.same(plain(decoded.message), plain(sent))
      t.same(decoded.wire, around)
    }),
    { numRuns: 600 },
  )
})

t.test('any damage to the bytes is seen', async () => {
  fc.assert(
    fc.property(
      message,
      wire,
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (sent, around, at, x) => {
        const bytes = Uint8Array.from(encodeMessage(sent, around))
        const place = at % bytes.length
        bytes[place] = (bytes[place] ?? 0) ^ x
        if (decodeMessage(bytes) !== 'checksum') throw new Error('a damaged message was taken')
        if (decodeMessage(bytes.subarray(0, place)) !== 'checksum') throw new Error('a cut one was')
      },
    ),
    { numRuns: 1000 },
  )
})

t.test('garbage is never a message, and never throws', async t => {
  const reasons = new Set<unknown>()
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.array(fc.anything()).map(sealed),
    fc.uint8Array({ maxLength: 300 }).map(bytes => {
      const whole = Buffer.alloc(bytes.length + 4)
      whole.set(bytes, 4)
      whole.writeUInt32BE(crc32(bytes), 0)
      return whole
    }),
  )
  fc.assert(
    fc.property(garbage, bytes => {
      const decoded = decodeMessage(bytes)
      reasons.add(decoded)
      if (typeof decoded !== 'string') throw new Error('taken for a message')
    }),
    { numRuns: 3000 },
  )
  t.ok(reasons.has('checksum') && reasons.has('shape'))
})

t.test('one wrong field makes it no message', async t => {
  const valid = [1, 7, 'a', 'b', 9, 7, 5, 10, 4, 20]
  t.type(decodeMessage(sealed(valid)), 'object', 'a heartbeat')
  const wrong: unknown[] = [-1, 0.5, NaN, 2 ** 48, 2n ** 60n, 'x', null, [], {}, true, new Date(0)]
  for (let place = 0; place < valid.length; place++) {
    for (const value of wrong) {
      const name = place === 2 || place === 3
      if (name && value === 'x') continue
      const row = valid.with(place, value as never)
      const decoded = decodeMessage(sealed(row))
      t.type(decoded, 'string', `${String(value)} at ${place}`)
    }
  }
  for (const name of ['', 'a.b', 'a b', '*', 'x'.repeat(129), 'ü']) {
    t.equal(decodeMessage(sealed(valid.with(2, name as never))), 'shape', `named "${name}"`)
  }
  t.equal(decodeMessage(sealed(valid.slice(0, -1))), 'shape', 'too short')
  t.equal(decodeMessage(sealed([...valid, 1])), 'shape', 'too long')
  t.equal(decodeMessage(sealed(valid.with(0, 2))), 'version')
  t.equal(decodeMessage(sealed(valid.with(5, 99))), 'shape', 'unknown type')
})

t.test('entries that no log can hold are refused', async t => {
  const rows = (list: readonly unknown[]): unknown =>
    decodeMessage(sealed([1, 7, 'a', 'b', 9, 5, 5, 10, 2, list, 10, 3]))
  const bytes = new Uint8Array([1])
  t.type(
    rows([
      [1, 11, 2, bytes],
      [0, 12, 5],
    ]),
    'object',
  )
  t.equal(rows([[1, 12, 2, bytes]]), 'shape', 'a gap')
  t.equal(rows([[1, 11, 1, bytes]]), 'shape', 'a term before the one it follows')
  t.equal(
    rows([
      [0, 11, 4],
      [0, 12, 3],
    ]),
    'shape',
    'a falling term',
  )
  t.equal(rows([[0, 11, 6]]), 'shape', 'a term after the sender’s')
  t.equal(rows([[1, 11, 2, 'text']]), 'shape')
  t.equal(rows([[2, 11, 2, [['b', 'a'], [], []]]]), 'shape', 'an unsorted configuration')
  t.equal(rows([[3, 11, 2]]), 'shape', 'an unknown kind')
})

t.test('what is larger than any setting allows is dropped unread', async t => {
  t.equal(decodeMessage(new Uint8Array(maxMessageBytes + 1)), 'too-large')
})

t.test('what no correct server sends is refused, whoever it is sent to', async t => {
  const wire = { cluster: 7, incarnation: 9 }
  const ends = { from: 'a', to: 'b', term: 5 } as const
  const refused = (message: Message): void =>
    void t.equal(decodeMessage(encodeMessage(message, wire)), 'shape', message.type)
  const log = { lastLogIndex: 1, lastLogTerm: 5 }
  refused({ type: 'preVote', ...ends, ...log, nextTerm: 9, leaderGone: false })
  refused({ type: 'requestVote', ...ends, ...log, transfer: false })
  const configuration = configurationOf(['a', 'b'])
  const meta = { id: 's', lastIncludedIndex: 1, configuration, bytes: 0, chunks: 1 }
  const chunk = { chunk: 0, round: 1, data: new Uint8Array() }
  const snapshot = { ...meta, lastIncludedTerm: 6 }
  refused({ type: 'installSnapshot', ...ends, ...chunk, snapshot })
  refused({
    type: 'installSnapshot',
    ...ends,
    ...chunk,
    chunk: 1,
    snapshot: { ...snapshot, lastIncludedTerm: 5 },
  })
})
