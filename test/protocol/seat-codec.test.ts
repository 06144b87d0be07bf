import fc from 'fast-check'
import t from 'tap'
import { Packr } from 'msgpackr'
import {
  decodeAcquire,
  decodeAnswer,
  decodeFind,
  decodeFound,
  decodeRelease,
  decodeRenew,
  encodeAcquire,
  encodeAnswer,
  encodeFind,
  encodeFound,
  encodeRelease,
  encodeRenew,
  splitResults,
} from '../../lib/protocol/seat-codec.ts'
import {
  decodeJsonAcquire,
  decodeJsonRelease,
  decodeJsonRenew,
  encodeJsonResult,
} from '../../lib/protocol/seat-json.ts'
import { seatBounds, seatIds, type Answer, type SeatResult } from '../../lib/protocol/seat.ts'

const packr = new Packr({ useRecords: false })
const token = Uint8Array.of(1, 2, 3)
const acquire = {
  requestId: 'r',
  feature: 'cad@2026',
  count: 2,
  user: 'ü',
  host: 'h',
  waitMs: 0,
}
const renew = { seatId: 'r/1', feature: 'cad', token, user: 'u', host: 'h', failover: true }
const results: SeatResult[] = [
  {
    kind: 'granted',
    requestId: 'r',
    expiresInMs: 29_400.5,
    seats: seatIds('r', 3).map(seatId => ({ seatId, token })),
  },
  { kind: 'granted', requestId: 's', expiresInMs: 1, seats: [{ seatId: 's', token }] },
  { kind: 'waiting', requestId: 'r', position: 7 },
  { kind: 'renewed', seatId: 'r/1', expiresInMs: 5, token },
  { kind: 'challenge', seatId: 'r', nonce: token, lastTick: 9, withinMs: 10_000 },
  { kind: 'pending', seatId: 'r' },
  { kind: 'released', seatId: 'r' },
  { kind: 'refused', id: '', code: 'LICD_BAD_REQUEST', detail: 'd' },
  { kind: 'refused', id: 'r', code: 'X', detail: '', server: 'beta', retryAfterMs: 50 },
  {
    ...{ kind: 'renewed', seatId: 'r/2', expiresInMs: 5, token },
    ends: { code: 'acme-17', at: 1_796_000_000_000, inMs: 3_600_000 },
  },
  {
    ...{ kind: 'granted', requestId: 't', expiresInMs: 9, seats: [{ seatId: 't', token }] },
    ends: { code: 'ü', at: 0, inMs: 0 },
  },
]

const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, v: unknown) =>
      v instanceof Uint8Array || (typeof v === 'object' && v !== null && 'data' in v)
        ? JSON.stringify([...Buffer.from(v as Uint8Array)])
        : v,
    ),
  )

t.test('both sides read what the other writes', async t => {
  const read = decodeAcquire(encodeAcquire(7, 'client', [acquire]))
  t.strictSame(read, { ok: true, batch: 7, clientId: 'client', items: [acquire], refused: [] })
  const confirmed = { ...renew, confirm: Uint8Array.of(9) }
  const renewed = decodeRenew(encodeRenew(2 ** 40, 'c', [renew, confirmed]))
  t.equal(renewed.batch, 2 ** 40)
  t.match(renewed, { items: [{ seatId: 'r/1', failover: true }, { failover: true }] })
  t.notOk(renewed.ok && renewed.items[0] !== undefined && 'confirm' in renewed.items[0])
  t.strictSame(renewed.ok && [...(renewed.items[1]?.confirm ?? [])], [9])
  t.match(decodeRelease(encodeRelease(1, 'c', [{ seatId: 'r', token }])), { ok: true })
  t.match(decodeFind(encodeFind(3, 'c')), { ok: true, batch: 3, items: [] })
  const answer: Answer = { batch: 1, server: 'alpha', incarnation: 3, results }
  t.strictSame(plain(decodeAnswer(encodeAnswer(answer))), plain(answer))
  const found = { pool: 'p', fingerprint: 'f', server: 'a', incarnation: 1, serving: true }
  t.strictSame(decodeFound(encodeFound(5, found)), { ...found, batch: 5 })
})

t.test('a request that cannot be read has a code, an item is refused alone', async t => {
  const code = (value: unknown) => {
    const read = decodeAcquire(packr.pack(value))
    return read.ok ? 'ok' : read.code
  }
  t.equal(code([1, 1, 'c', []]), 'ok')
  t.equal(code([2, 1, 'c', []]), 'LICD_BAD_VERSION')
  t.equal(code({ version: 1 }), 'LICD_BAD_REQUEST')
  t.equal(code([1, -1, 'c', []]), 'LICD_BAD_REQUEST')
  t.equal(code([1, 1, 'no id/', []]), 'LICD_BAD_REQUEST')
  t.equal(code([1, 1, 'c', 'items']), 'LICD_BAD_REQUEST')
  t.equal(code([1, 1, 'c', Array.from({ length: 1_001 }, () => [])]), 'LICD_TOO_LARGE')
  t.match(decodeAcquire(new Uint8Array(seatBounds.messageBytes + 1)), { code: 'LICD_TOO_LARGE' })
  t.match(decodeFind(packr.pack([1, 1, 'c', [[]]])), { refused: [{ code: 'LICD_BAD_REQUEST' }] })

  const counts = [0, -1, 1.5, 1_001, 1e300, NaN, Infinity, '1', null, true]
  const items = counts.map((count, n) => [`r${n}`, 'cad', count, 'u', 'h', 0])
  const read = decodeAcquire(packr.pack([1, 1, 'c', [...items, ['ok', 'cad', 1, 'u', 'h', 0]]]))
  if (!read.ok) throw new Error(read.detail)
  t.strictSame(
    read.items.map(({ requestId }) => requestId),
    ['ok'],
  )
  t.strictSame(
    read.refused.map(({ id, code }) => [id, code]),
    counts.map((_, n) => [`r${n}`, 'LICD_BAD_COUNT']),
  )

  const bad: unknown[] = [
    ['no/id', 'cad', 1, 'u', 'h', 0],
    ['r', 'c.d', 1, 'u', 'h', 0],
    ['r', 'cad', 1, 'a\u001b[2J', 'h', 0],
    ['r', 'cad', 1, 'u', 'x'.repeat(129), 0],
    ['r', 'cad', 1, 'u', 'h', -1],
    ['r', 'cad', 1, 'u', 'h', seatBounds.waitMaxMs + 1],
    ['r', 'cad', 1, 'u', 'h'],
    'r',
  ]
  for (const item of bad) {
    t.match(decodeAcquire(packr.pack([1, 1, 'c', [item]])), {
      items: [],
      refused: [{ code: 'LICD_BAD_REQUEST' }],
    })
  }
  const large = new Uint8Array(seatBounds.tokenMax + 1)
  t.match(decodeRelease(packr.pack([1, 1, 'c', [['r', large]]])), { refused: [{ id: 'r' }] })
  const row = ['r', 'cad', token, 'u', 'h', false, large]
  t.match(decodeRenew(packr.pack([1, 1, 'c', [row]])), { refused: [{ id: 'r' }] })
})

t.test('what a server tells besides a promise takes nothing from it', async t => {
  const read = (end: unknown) => {
    const results = [[2, 'r', 5, token, end, 'of a later version']]
    return decodeAnswer(packr.pack([1, 3, 'alpha', 2, results]))?.results[0]
  }
  const promise = { kind: 'renewed', seatId: 'r', expiresInMs: 5 }
  t.match(read(['c', 7, 8]), { ...promise, ends: { code: 'c', at: 7, inMs: 8 } })
  for (const end of [
    undefined,
    null,
    'x',
    [],
    ['c', 7],
    ['', 7, 8],
    ['c', 1e16, 8],
    ['c', 7, -1],
  ]) {
    t.match(read(end), promise)
    t.notOk(Object.hasOwn(read(end) ?? {}, 'ends'), JSON.stringify(end))
  }
})

t.test('an answer that cannot be read wholly is none', async t => {
  const answer = (rows: unknown, server: unknown = 'alpha') =>
    decodeAnswer(packr.pack([1, 1, server, 1, rows]))
  t.ok(answer([]))
  t.equal(answer([[99, 'r']]), undefined)
  t.equal(answer([[0, 'r', 5, []]]), undefined)
  t.equal(answer([[3, 'r', token, 1.5, 0]]), undefined)
  t.equal(answer([], 'any'), undefined, 'no server has that name')
  t.equal(decodeAnswer(packr.pack([2, 1, 'alpha', 1, []])), undefined)
})

t.test('no bytes make it throw', async t => {
  const decoders = [
    decodeAcquire,
    decodeRenew,
    decodeRelease,
    decodeFind,
    decodeAnswer,
    decodeFound,
  ]
  const jsons = [decodeJsonAcquire, decodeJsonRenew, decodeJsonRelease]
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      for (const decode of [...decoders, ...jsons]) decode(bytes)
    }),
    { numRuns: 700 },
  )
  // Near misses: the right frame around anything.
  fc.assert(
    fc.property(fc.array(fc.anything(), { maxLength: 8 }), fc.anything(), (row, more) => {
      let bytes: Uint8Array
      try {
        bytes = packr.pack([1, 1, 'c', [row, more], [row, more]])
      } catch {
        return
      }
      for (const decode of decoders) decode(bytes)
    }),
    { numRuns: 700 },
  )
  t.pass()
})

t.test('answers are split to fit, whatever is in them', async t => {
  const longest = new Uint8Array(seatBounds.tokenMax)
  const many: SeatResult[] = Array.from({ length: 3_000 }, (_, n) =>
    n % 3 === 0
      ? { kind: 'refused', id: `r${n}`, code: 'LICD_BAD_REQUEST', detail: '\u20ac'.repeat(512) }
      : {
          kind: 'renewed',
          seatId: `${'x'.repeat(35)}${n}/999`,
          expiresInMs: 2 ** 50,
          token: longest,
        },
  )
  const runs = splitResults(many)
  t.equal(runs.flat().length, many.length)
  for (const run of runs) {
    const bytes = encodeAnswer({
      batch: 2 ** 50,
      server: 's'.repeat(32),
      incarnation: 2 ** 50,
      results: run,
    })
    if (bytes.length > seatBounds.messageBytes) t.fail(`${bytes.length} bytes`)
    if (decodeAnswer(bytes) === undefined) t.fail('not read')
  }
  t.strictSame(splitResults([]), [])
})

t.test('the JSON form: the same fields and checks, tokens as base64url', async t => {
  const bytes = (value: unknown) => Buffer.from(JSON.stringify(value))
  t.match(decodeJsonAcquire(bytes({ requestId: 'r', feature: 'cad' })), {
    ok: true,
    clientId: 'json',
    items: [{ count: 1, user: '', host: '', waitMs: 0 }],
  })
  t.match(decodeJsonAcquire(bytes({ requestId: 'r', feature: 'cad', count: 0 })), {
    refused: [{ id: 'r', code: 'LICD_BAD_COUNT' }],
  })
  t.match(decodeJsonAcquire(bytes([])), { ok: false, code: 'LICD_BAD_REQUEST' })
  t.match(decodeJsonAcquire(Buffer.from('{')), { ok: false, code: 'LICD_BAD_REQUEST' })
  t.match(decodeJsonRelease(bytes({ seatId: 'r', token: 'AQID' })), { items: [{ seatId: 'r' }] })
  t.match(decodeJsonRelease(bytes({ seatId: 'r', token: '*' })), { refused: [{ id: 'r' }] })
  t.match(
    decodeJsonRenew(bytes({ seatId: 'r', feature: 'cad', token: 'AQID', confirm: 'not base64!' })),
    { refused: [{ id: 'r' }] },
  )
  const from = { answeredBy: 'alpha', incarnation: 2 }
  const json = results.map((result): unknown =>
    JSON.parse(Buffer.from(encodeJsonResult(result, from)).toString()),
  )
  t.match(json[0], { kind: 'granted', seats: [{ token: 'AQID' }], answeredBy: 'alpha' })
  t.match(json[4], { nonce: 'AQID', lastTick: 9 })
  t.match(json[8], { code: 'X', server: 'beta', answeredBy: 'alpha' })
})
