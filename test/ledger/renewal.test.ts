// Codes that follow one another, keys that are rotated and revoked, limits, versions, warnings (R9, R10).
import fc from 'fast-check'
import t from 'tap'
import type { CodeContent, CommandBody } from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import { CodeModel, type CodeStep } from './code-model.ts'
import { codeOf, content, epoch, Pool, vendor } from './pool.ts'

const day = 86_400_000

function addCode(pool: Pool, change: Partial<CodeContent>): string {
  return codeOf(pool.run({ type: 'add-code', text: 'text', content: content(change) }))
}

function at(pool: Pool, ms: number) {
  const walls = Object.fromEntries([...pool.ledger.state.servers.keys()].map(n => [n, epoch + ms]))
  return pool.tick(undefined, walls)
}

const states = (pool: Pool): string =>
  [...pool.ledger.state.codes.values()]
    .map(({ content: c, state }) => `${c.codeId} ${state}`)
    .join()

t.test('a renewal takes over at the very end: no moment of 0, and never both', async t => {
  const pool = new Pool()
  addCode(pool, { codeId: 'one', allocations: 9, expiresAt: epoch + 50_000 })
  const change = { renews: 'one', startsAt: epoch, expiresAt: epoch + 90_000, allocations: 9 }
  t.equal(addCode(pool, { codeId: 'two', ...change }), 'ok')
  t.equal(states(pool), 'one active,two pending', 'by its own date it could start')
  t.equal(pool.feature().allocations, 9)
  t.equal(pool.feature().endsAt, epoch + 90_000, 'no seat is cut short at the seam')
  pool.tick()
  t.equal(pool.table(), 'free 0 a 3 b 3 c 3')
  at(pool, 49_999)
  t.equal(states(pool), 'one active,two pending')
  const { notices } = at(pool, 50_000)
  t.same(
    notices.map(({ type, codeId }) => [type, codeId]),
    [
      ['code-started', 'two'],
      ['code-ends', 'two'],
      ['code-ended', 'one'],
    ],
  )
  t.equal(states(pool), 'one ended,two active')
  t.equal(pool.table(), 'free 0 a 3 b 3 c 3', 'nothing moved, nothing owed')
})

t.test(
  'a renewal follows whatever ends the first: its removal, or a start of its own later',
  async t => {
    const pool = new Pool()
    addCode(pool, { codeId: 'one', allocations: 9 })
    addCode(pool, { codeId: 'two', allocations: 6, renews: 'one' })
    addCode(pool, { codeId: 'later', allocations: 3, renews: 'one', startsAt: epoch + 40_000 })
    pool.tick()
    pool.run({ type: 'remove-code', codeId: 'one' })
    t.equal(states(pool), 'one ended,two active,later pending', 'one without end is followed too')
    t.equal(pool.table(), 'free 0 owed 3 a 3 b 3 c 3')
    at(pool, 40_000)
    t.equal(pool.table(), 'free 0 a 3 b 3 c 3', 'what starts pays what is owed')
  },
)

t.test('a chain within one tick, and a renewal that is over before its turn', async t => {
  const pool = new Pool()
  addCode(pool, { codeId: '1', allocations: 3, expiresAt: epoch + 10_000 })
  addCode(pool, { codeId: '2', allocations: 3, expiresAt: epoch + 20_000, renews: '1' })
  addCode(pool, { codeId: '3', allocations: 3, expiresAt: epoch + 900_000, renews: '2' })
  addCode(pool, { codeId: 'x', allocations: 3, expiresAt: epoch + 9_000, renews: '1' })
  t.equal(pool.feature().endsAt, epoch + 900_000)
  at(pool, 30_000)
  t.equal(states(pool), '1 ended,2 ended,3 active,x ended')
  t.equal(pool.feature().allocations, 3)
})

t.test(
  'one vendor\u2019s codes alone are renewed by it; what was renewed does not come back',
  async t => {
    const pool = new Pool()
    pool.run({ type: 'add-vendor', vendor: { ...vendor, kid: 'other' } })
    addCode(pool, { codeId: 'one' })
    const foreign = { codeId: 'f', kid: 'other', feature: 'sim', renews: 'one' }
    t.equal(addCode(pool, foreign), 'LICD_FEATURE_OF_OTHER_VENDOR')
    t.equal(addCode(pool, { codeId: 'me', renews: 'me' }), 'LICD_CODE_MALFORMED')
    // Another vendor cannot keep a code out by naming it before it comes.
    t.equal(addCode(pool, { ...foreign, renews: 'next' }), 'ok')
    t.equal(addCode(pool, { codeId: 'next' }), 'ok')
    // The first code was never added: its renewal counts by itself, and then the first must not.
    t.equal(addCode(pool, { codeId: 'two', renews: 'unknown' }), 'ok')
    t.equal(addCode(pool, { codeId: 'unknown' }), 'LICD_CODE_RENEWED')
    t.equal(addCode(pool, { codeId: 'three', renews: 'late', startsAt: epoch + day }), 'ok')
    t.equal(addCode(pool, { codeId: 'late' }), 'ok', 'a renewal that has not started waits for it')
  },
)

t.test('a renewal may be of another version, and serve those who ask for the old one', async t => {
  const pool = new Pool()
  addCode(pool, { codeId: 'old', feature: 'sim@2025', expiresAt: epoch + 50_000 })
  const next = { codeId: 'new', feature: 'sim@2026', renews: 'old' }
  t.equal(addCode(pool, { ...next, serves: ['sim@2025', 'sim@2024'] }), 'LICD_CODE_MALFORMED')
  addCode(pool, { ...next, serves: ['sim@2024', 'sim@2025'] })
  t.same(pool.ledger.serving('sim@2025'), [], 'not before it counts')
  at(pool, 50_000)
  t.same(pool.ledger.serving('sim@2025'), ['sim@2026'])
  t.same(pool.feature('sim@2026').serves, ['sim@2024', 'sim@2025'])
  const copy = Ledger.restore(pool.ledger.snapshot())
  t.same(copy.serving('sim@2025'), ['sim@2026'], 'and so after a restart')
  pool.run({ type: 'remove-code', codeId: 'new' })
  t.same(pool.ledger.serving('sim@2025'), [])
})

t.test(
  'limits: the strictest of the active codes; ticks that leave no room are refused',
  async t => {
    const pool = new Pool()
    t.equal(addCode(pool, { codeId: 'a', limits: { seatMs: 1_999 } }), 'LICD_CODE_LIMITS')
    t.equal(addCode(pool, { codeId: 'a', limits: { leaseMs: 2_999 } }), 'LICD_CODE_LIMITS')
    t.equal(addCode(pool, { codeId: 'a', limits: { leaseMs: -1 } }), 'LICD_CODE_MALFORMED')
    t.equal(addCode(pool, { codeId: 'a', limits: { seatMs: 9_000, leaseMs: 60_000 } }), 'ok')
    t.equal(addCode(pool, { codeId: 'b', limits: { seatMs: 30_000, offlineDays: 3 } }), 'ok')
    t.same(pool.feature().limits, { leaseMs: 60_000, seatMs: 9_000 })
    const slow = { tickMs: 5_000, leaseTicks: 10, seatTicks: 5 }
    t.equal(codeOf(pool.run({ type: 'change-settings', settings: slow })), 'LICD_CODE_LIMITS')
    pool.run({ type: 'remove-code', codeId: 'a' })
    t.same(pool.feature().limits, { seatMs: 30_000 })
    t.equal(codeOf(pool.run({ type: 'change-settings', settings: slow })), 'ok')
  },
)

t.test('a code that ends is warned of 30, 7 and 1 days ahead, each once', async t => {
  const pool = new Pool()
  const end = 30 * day + 60_000
  addCode(pool, { codeId: 'soon', expiresAt: epoch + end })
  addCode(pool, { codeId: 'near', expiresAt: epoch + day + 30_000 })
  const told = (ms: number): string[] =>
    at(pool, ms).notices.flatMap(notice =>
      notice.type === 'code-ends' ? [`${notice.codeId} ${String(notice.days)}`] : [],
    )
  t.same(told(59_999), ['near 1'])
  t.same(told(60_000), ['soon 30'])
  t.same(told(61_000), [])
  pool.ledger.state.calendar = epoch + end - 7 * day - 30_000
  pool.ledger = Ledger.restore(pool.ledger.snapshot())
  addCode(pool, { codeId: 'next', renews: 'soon' })
  const seven = at(pool, end - 7 * day).notices.find(({ codeId }) => codeId === 'soon')
  t.match(seven, { type: 'code-ends', days: 7, endsAt: epoch + end, renewedBy: 'next' })
})

t.test(
  'a code that begins within what is warned of is warned of at once, by the nearest',
  async t => {
    const pool = new Pool()
    const ends = (days: number) => {
      const code = content({ codeId: `d${days}`, expiresAt: epoch + days * day })
      const { notices } = pool.do({ type: 'add-code', text: '', content: code })
      return notices.flatMap(notice => (notice.type === 'code-ends' ? [notice.days] : []))
    }
    t.same([0.5, 1, 3, 7, 20, 30, 31].map(ends), [[1], [1], [7], [7], [30], [30], []])
  },
)

t.test('a rotated key signs for its vendor\u2019s features; a revoked one for nothing', async t => {
  const pool = new Pool()
  const fresh = { ...vendor, kid: 'kid-2027' }
  addCode(pool, { codeId: 'old', allocations: 9 })
  t.equal(
    codeOf(pool.run({ type: 'add-vendor', vendor: fresh, sameAs: 'x' })),
    'LICD_UNKNOWN_VENDOR',
  )
  t.equal(codeOf(pool.run({ type: 'add-vendor', vendor: fresh, sameAs: vendor.kid })), 'ok')
  t.equal(addCode(pool, { codeId: 'more', kid: fresh.kid, allocations: 3 }), 'ok', 'one feature')
  const third = { ...vendor, kid: 'kid-2028' }
  pool.run({ type: 'add-vendor', vendor: third, sameAs: fresh.kid })
  t.equal(pool.ledger.state.vendors.get(third.kid)?.root, vendor.kid, 'all belong to the first')
  t.equal(addCode(pool, { codeId: 'again', kid: third.kid, renews: 'old', allocations: 9 }), 'ok')
  pool.tick()
  t.equal(pool.table(), 'free 0 a 4 b 4 c 4')
  t.equal(codeOf(pool.run({ type: 'revoke-vendor', kid: vendor.kid })), 'ok')
  t.equal(states(pool), 'old ended,more active,again active', 'the re-signed one took over')
  t.equal(pool.table(), 'free 0 a 4 b 4 c 4')
  t.equal(codeOf(pool.run({ type: 'revoke-vendor', kid: vendor.kid })), 'ok', 'twice is once')
  t.equal(addCode(pool, { codeId: 'n' }), 'LICD_VENDOR_REVOKED')
  t.equal(codeOf(pool.run({ type: 'add-vendor', vendor })), 'LICD_VENDOR_REVOKED', 'for good')
  const by = { type: 'add-vendor', vendor: { ...vendor, kid: 'n' }, sameAs: vendor.kid } as const
  t.equal(codeOf(pool.run(by)), 'LICD_VENDOR_REVOKED', 'it vouches for nobody')
  t.equal(codeOf(pool.run({ type: 'revoke-vendor', kid: 'x' })), 'LICD_UNKNOWN_VENDOR')
  pool.run({ type: 'revoke-vendor', kid: third.kid })
  t.equal(pool.table(), 'free 0 owed 9 a 4 b 4 c 4', 'and what nothing follows is owed')
})

t.test('a key that is trusted as another vendor\u2019s does not change hands', async t => {
  const pool = new Pool()
  const other = { ...vendor, kid: 'other' }
  pool.run({ type: 'add-vendor', vendor: other })
  const taken = pool.run({ type: 'add-vendor', vendor: other, sameAs: vendor.kid })
  t.equal(codeOf(taken), 'LICD_BAD_KEY')
  t.equal(codeOf(pool.run({ type: 'add-vendor', vendor: { ...other, name: 'x' } })), 'ok')
})

t.test('a pool of level 1 takes none of it, and keeps the rows of before', async t => {
  const pool = new Pool({ level: 1 })
  t.equal(addCode(pool, { codeId: 'a', renews: 'b' }), 'LICD_LEVEL')
  t.equal(addCode(pool, { codeId: 'a', serves: ['x'] }), 'LICD_LEVEL')
  t.equal(addCode(pool, { codeId: 'a', limits: { seatMs: 9_000 } }), 'LICD_LEVEL')
  const newer: CommandBody[] = [
    { type: 'revoke-vendor', kid: vendor.kid },
    { type: 'note', action: 'x', detail: '' },
    { type: 'add-vendor', vendor, sameAs: vendor.kid },
  ]
  for (const body of newer) t.equal(codeOf(pool.run(body)), 'LICD_LEVEL', body.type)
  t.equal(addCode(pool, { codeId: 'a' }), 'ok')
  const rows = pool.ledger.snapshot().rows
  t.match(rows[0], { kind: 'pool', version: 1 })
  t.notOk('audited' in (rows[0] ?? {}))
  t.equal(rows.filter(({ kind }) => kind === 'audit').length, 0)
  t.equal(codeOf(pool.run({ type: 'set-level', level: 4 })), 'LICD_BAD_CONFIG')
  t.equal(codeOf(pool.run({ type: 'set-level', level: 2 })), 'ok')
  t.equal(codeOf(pool.run({ type: 'set-level', level: 1 })), 'LICD_LEVEL', 'no way back')
  t.equal(addCode(pool, { codeId: 'b', renews: 'a' }), 'ok')
})

t.test('random codes, keys and calendars: what counts is what the records say', async t => {
  const figure = fc.nat(10_000)
  const step: fc.Arbitrary<CodeStep> = fc.tuple(figure, figure, figure, figure)
  const seen = new Map<string, number>()
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: 'max' }), steps => {
      const model = new CodeModel()
      for (const one of steps) {
        const outcome = model.do(one)
        seen.set(outcome, (seen.get(outcome) ?? 0) + 1)
      }
    }),
    { numRuns: 400, seed: 20_261_128 },
  )
  for (const code of ['ok', 'LICD_CODE_RENEWED', 'LICD_VENDOR_REVOKED', 'LICD_UNKNOWN_CODE']) {
    t.ok((seen.get(code) ?? 0) > 0, `reached: ${code}`)
  }
  t.comment(JSON.stringify([...seen]))
})
