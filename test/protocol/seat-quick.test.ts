import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Packr } from 'msgpackr'
import t from 'tap'
import { decodeAcquire, encodeAcquire, encodeAnswer } from '../../lib/protocol/seat-codec.ts'
import { encodeRelease, encodeRenew, judged } from '../../lib/protocol/seat-codec.ts'
import {
  quickAcquire,
  quickAnswer,
  quickRelease,
  quickRenew,
} from '../../lib/protocol/seat-quick.ts'
import { resultKinds, seatIds, type SeatResult } from '../../lib/protocol/seat.ts'

const packr = new Packr({ useRecords: false, int64AsType: 'number' })
const library = (value: unknown): Buffer => Buffer.from(packr.pack(value))

const letters = [...'abcXYZ019._-']
const id = fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 40 })
const seatId = fc.oneof(
  id,
  fc.tuple(id, fc.nat({ max: 999 })).map(([text, n]) => `${text}/${n}`),
)
const label = fc.string({ unit: fc.constantFrom(...letters, ' ', '@', '"'), maxLength: 128 })
const feature = fc.constantFrom('cad', 'cad@2026.1', 'f'.repeat(64), 'a_b-9')
const token = fc.uint8Array({ maxLength: 512 })
const small = fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 70_000 }), fc.nat({ max: 0x7fffffff }))

const acquire = fc.record({
  ...{ requestId: id, feature, count: fc.integer({ min: 1, max: 1_000 }) },
  ...{ user: label, host: label, waitMs: fc.nat({ max: 86_400_000 }) },
})
const renew = fc.record({
  seatId,
  feature,
  token,
  user: label,
  host: label,
  failover: fc.boolean(),
})
const release = fc.record({ seatId, token })
const result: fc.Arbitrary<SeatResult> = fc.oneof(
  seatId.map(seat => ({ kind: 'released' as const, seatId: seat })),
  fc
    .record({ seatId, expiresInMs: small, token })
    .map(row => ({ kind: 'renewed' as const, ...row })),
  fc
    .record({ requestId: id, expiresInMs: small, tokens: fc.array(token, { minLength: 1 }) })
    .map(({ requestId, expiresInMs, tokens }) => {
      const ids = seatIds(requestId, tokens.length)
      const seats = tokens.map((one, n) => ({ seatId: ids[n] ?? '', token: one }))
      return { kind: 'granted' as const, requestId, expiresInMs, seats }
    }),
)

function rowOf(one: SeatResult): unknown[] {
  if (one.kind === 'granted') {
    return [resultKinds.granted, one.requestId, one.expiresInMs, one.seats.map(s => s.token)]
  }
  if (one.kind === 'renewed') {
    return [resultKinds.renewed, one.seatId, one.expiresInMs, one.token]
  }
  return one.kind === 'released' ? [resultKinds.released, one.seatId] : []
}

/** What is read in one pass is what is read with the library, and the bytes are those that it writes. */
function same(bytes: Uint8Array, rows: unknown, quick: unknown, full: unknown): void {
  assert.deepEqual(Buffer.from(bytes), library(rows))
  assert.notEqual(quick, undefined)
  assert.deepStrictEqual(plain(quick), plain(full))
}

/** Tokens are views of one kind or another: what they hold is compared. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, one: unknown) =>
      one instanceof Uint8Array ? Buffer.from(one).toString('hex') : one,
    ) ?? 'null',
  )
}

const clientId = 'client-1'

t.test('requests are written as the library writes them, and read in one pass', async t => {
  const some = { minLength: 1, maxLength: 20 }
  const requests = fc.record({
    ...{ batch: small, acquires: fc.array(acquire, some), renewals: fc.array(renew, some) },
    releases: fc.array(release, { maxLength: 20 }),
  })
  fc.assert(
    fc.property(requests, ({ batch, acquires, renewals, releases }) => {
      const given = releases.map(one => [one.seatId, one.token])
      const asked = acquires.map(one => [
        ...[one.requestId, one.feature, one.count, one.user, one.host, one.waitMs],
      ])
      const along = given.length > 0 ? [given] : []
      const first = encodeAcquire(batch, clientId, acquires, releases)
      const acquireRows = [1, batch, clientId, asked, ...along]
      same(first, acquireRows, quickAcquire(first), judged.acquire(first))
      const second = encodeRenew(batch, clientId, renewals)
      const kept = renewals.map(one => [
        ...[one.seatId, one.feature, one.token, one.user, one.host, one.failover],
      ])
      same(second, [1, batch, clientId, kept], quickRenew(second), judged.renew(second))
      const third = encodeRelease(batch, clientId, releases)
      same(third, [1, batch, clientId, given], quickRelease(third), judged.release(third))
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('answers are written as the library writes them, and read in one pass', async t => {
  fc.assert(
    fc.property(small, fc.array(result, { maxLength: 30 }), (batch, results) => {
      const bytes = encodeAnswer({ batch, server: 'alpha', incarnation: 3, results })
      const rows = [1, batch, 'alpha', 3, results.map(rowOf)]
      same(bytes, rows, quickAnswer(bytes), judged.answer(bytes))
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('whatever is accepted in one pass is accepted with the same outcome otherwise', async t => {
  const messages = fc
    .record({ acquires: fc.array(acquire, { maxLength: 3 }), results: fc.array(result) })
    .map(({ acquires, results }) => {
      const releases = acquires.map(one => ({ seatId: one.requestId, token: new Uint8Array(2) }))
      return [
        encodeAcquire(7, clientId, acquires, releases),
        encodeRenew(7, clientId, [{ ...renewal, user: acquires[0]?.user ?? '' }]),
        encodeRelease(7, clientId, releases),
        encodeAnswer({ batch: 7, server: 'a', incarnation: 1, results: results.slice(0, 3) }),
      ]
    })
  const change = fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }), cut: fc.boolean() })
  let accepted = 0
  fc.assert(
    fc.property(messages, change, (all, { at, byte, cut }) => {
      for (const message of all) {
        const place = at % message.length
        const altered = cut ? message.subarray(0, place) : Uint8Array.from(message)
        if (!cut) altered[place] = byte
        for (const [quick, full] of pairs) {
          const outcome = quick(altered)
          if (outcome === undefined) continue
          accepted++
          assert.deepStrictEqual(plain(outcome), plain(full(altered)))
        }
      }
    }),
    { numRuns: 3_000 },
  )
  t.ok(accepted > 1_000, `${accepted} altered messages were still good`)
})

t.test('what is not as the SDK writes it is judged as before', async t => {
  const item = { requestId: 'r', feature: 'cad', count: 1, user: 'u', host: 'h', waitMs: 0 }
  const foreign = encodeAcquire(1, clientId, [{ ...item, user: 'Zo\u00eb' }])
  t.equal(quickAcquire(foreign), undefined)
  t.match(decodeAcquire(foreign), { ok: true, items: [{ user: 'Zo\u00eb' }] })
  const bad = encodeAcquire(1, clientId, [item, { ...item, feature: 'no such name!' }])
  t.equal(quickAcquire(bad), undefined)
  t.match(decodeAcquire(bad), { ok: true, items: [item], refused: [{ code: 'LICD_BAD_REQUEST' }] })
})

const renewal = {
  ...{ seatId: 's', feature: 'cad', token: new Uint8Array(80), host: 'h', failover: false },
}
const pairs: readonly (readonly [(data: Uint8Array) => unknown, (data: Uint8Array) => unknown])[] =
  [
    [quickAcquire, judged.acquire],
    [quickRenew, judged.renew],
    [quickRelease, judged.release],
    [quickAnswer, judged.answer],
  ]
