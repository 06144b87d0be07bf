/** What fuzzing found, each as it was found. */
import { createHmac } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { pack, Packr } from 'msgpackr'
import t from 'tap'
import { decodeAcquire } from '../../lib/protocol/seat-codec.ts'
import { readToken, tokenKey } from '../../lib/token.ts'
import { decodeBook } from '../../lib/server/book-file.ts'
import { commandCodec } from '../../lib/command-codec.ts'
import { decodeClaim } from '../../lib/server/peer-codec.ts'
import { isPlain } from '../../raft/msgpack.ts'
import { maxMessageBytes } from '../../raft/codec.ts'
import { unpack } from '../../raft/record.ts'

/** An array of so many times the unit as a message may hold, and what stands after it. */
function many(unit: readonly number[], bytes: number, after: readonly number[] = []): Buffer {
  const count = Math.floor((bytes - 5 - after.length) / unit.length)
  const head = Buffer.from([0xdd, 0, 0, 0, 0])
  head.writeUInt32BE(count, 1)
  const body = Array.from({ length: count }, () => unit).flat()
  return Buffer.concat([head, Buffer.from(body), Buffer.from(after)])
}

function hugeNumber(bytes: number): Buffer {
  const number = Buffer.alloc(bytes, 0xff)
  number[0] = 0xc9
  number.writeUInt32BE(bytes - 6, 1)
  number[5] = 0x42
  return number
}

const bytes = 256 * 1024 - 16
/** What 256 KiB of it took to read, milliseconds, on a machine of 2026. */
const dear: Readonly<Record<string, Buffer>> = {
  'errors: 3,000': many([0xd4, 0x65, 0, 0x92, 0xa0, 0xa0], bytes),
  'a whole number of two million bits, and a byte too many: 1,600': Buffer.concat([
    hugeNumber(bytes),
    Buffer.from([1]),
  ]),
  'records, each read four times, and so made into code: 480': many(
    [0x94, 0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 1, 0x40, 1, 0x40, 1, 0x40, 1],
    bytes,
  ),
  'dates: 420': many([0xd6, 0xff, 0, 0, 0, 1], bytes),
  'regular expressions: 190': many([0xd4, 0x78, 0, 0x92, 0xa1, 0x61, 0xa0], bytes),
  'sets: 120': many([0xd4, 0x73, 0, 0x90], bytes),
}

t.test('bytes that build more than plain values are refused unread', async t => {
  for (const [name, message] of Object.entries(dear)) {
    t.notOk(isPlain(message), name)
    t.match(decodeAcquire(message), { ok: false, code: 'LICD_BAD_REQUEST' }, name)
    t.ok(message.length < maxMessageBytes)
    t.equal(unpack(message), undefined, name)
    const before = process.cpuUsage()
    for (let n = 0; n < 10; n++) decodeAcquire(message)
    const { user, system } = process.cpuUsage(before)
    t.ok(user + system < 1_000_000, `${name}: ten times in ${user + system} us`)
  }
})

t.test('plain are exactly the values that are written, whole', async t => {
  const values = [
    ...[null, true, false, 0, 127, 128, 65_536, 2 ** 40, -1, -33, -70_000, 0.5, '', 'x'.repeat(31)],
    ...[
      'x'.repeat(40),
      'x'.repeat(300),
      'x'.repeat(70_000),
      new Uint8Array(3),
      new Uint8Array(300),
    ],
    ...[new Uint8Array(70_000), [], [1, [2, [3]]], Array.from({ length: 20 }, () => 'a')],
    ...[Array.from({ length: 70_000 }, () => 1), {}, { a: { b: [1] } }, { a: undefined }],
  ]
  for (const value of values) {
    const whole = Uint8Array.from(pack(value))
    const name = JSON.stringify(value)?.slice(0, 40)
    t.ok(isPlain(whole), name)
    t.notOk(isPlain(whole.subarray(0, whole.length - 1)), `${name}, cut off`)
    t.notOk(isPlain(Uint8Array.from([...whole, 0])), `${name}, with a byte left over`)
  }
  const all = new Packr({ useRecords: false, moreTypes: true, useBigIntExtension: true })
  for (const value of [new Date(0), new Set([1]), /x/, new Error('x'), 2n ** 70n]) {
    t.notOk(isPlain(all.pack(value)), typeof value === 'bigint' ? 'bigint' : value.constructor.name)
  }
  t.notOk(isPlain(Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff])), 'a claim of four billion values')
})

t.test('a book whose checksum holds and whose bytes are none is no book', async t => {
  // It threw, and the start of the server failed as if the disk had (LICD_STORAGE).
  for (const body of [[0x93, 1], [0xc1], [0x91, 0xd4, 0x65, 0, 0x92, 0xa0, 0xa0]]) {
    const book = Buffer.from([...body, 0, 0, 0, 0])
    book.writeUInt32BE(crc32(Buffer.from(body)), body.length)
    t.equal(decodeBook(book), undefined)
  }
})

t.test('a token under the pool’s own key with an id that no request can name is none', async t => {
  // Read, and written again, it was the token of another seat: ids are written as one byte a character.
  const macKey = new Uint8Array(32).fill(7)
  const token = (seatId: string): Uint8Array => {
    const body = pack([1, 'default', 'cad', seatId, 'alpha', 3, 1_000, 1_020])
    const mac = createHmac('sha256', macKey).update(Buffer.of(1)).update(body).digest()
    return Buffer.concat([body, mac.subarray(0, 16)])
  }
  const key = tokenKey(macKey)
  t.match(readToken(key, 'default', token('r/1')), { seatId: 'r/1', seatTick: 1_000 })
  for (const seatId of ['\u202e', '\u00fc', '', 'a b', 'r/1\n', 'x'.repeat(300)]) {
    t.equal(readToken(key, 'default', token(seatId)), undefined, JSON.stringify(seatId))
  }
})

t.test('a claim or command that is read can be written again', async t => {
  const claim = decodeClaim(pack([1, 'alpha', '\ud83d'.repeat(200), 5]))
  t.equal(claim, undefined, 'an id longer than any process has')
  const vendor = { kid: 'k', name: 'n', publicKey: 'p' }
  const body = { type: 'add-vendor', vendor, certificate: undefined }
  const whole = pack({ id: 'id-1', deadline: 7, by: 'test', body })
  const command = commandCodec.decode(Buffer.concat([Buffer.of(2), whole]))
  if (command === undefined) throw new Error('it is a command of version 2')
  t.same(commandCodec.decode(commandCodec.encode(command)), command)
})
