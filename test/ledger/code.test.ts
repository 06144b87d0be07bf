// License codes (claims 11, 12; R9, R10), allocations (claims 9, 10), distribution criteria (claims 2, 7, 17).
import t from 'tap'
import { bounds } from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import { codeOf, content, epoch, Pool, vendor } from './pool.ts'

function addCode(pool: Pool, change: Parameters<typeof content>[0] = {}) {
  return codeOf(pool.run({ type: 'add-code', text: 'text', content: content(change) }))
}

t.test('a code adds its feature, further ones add allocations', async t => {
  const pool = new Pool()
  t.equal(addCode(pool), 'ok')
  t.match(pool.feature(), { allocations: 30, free: 30, vendor: vendor.kid, targets: 'even' })
  t.equal(pool.ledger.threshold(pool.feature(), 'a'), 0.9)
  t.equal(addCode(pool), 'LICD_CODE_EXISTS')
  t.equal(addCode(pool, { codeId: '2', kind: 'allocations', allocations: 5 }), 'ok')
  t.equal(addCode(pool, { codeId: '3', allocations: 2 }), 'ok')
  pool.tick()
  t.equal(pool.table(), 'free 1 a 12 b 12 c 12', 'even rounds down, the remainder stays free')
  t.equal(pool.ledger.target(pool.feature(), 'a'), 12)
  t.equal(pool.ledger.target(pool.feature(), 'x'), 0)
})

t.test('codes that do not fit are refused by name and change nothing', async t => {
  const pool = new Pool()
  pool.run({ type: 'add-vendor', vendor: { ...vendor, kid: 'kid-2' } })
  addCode(pool)
  pool.run({ type: 'add-feature', feature: 'own', allocations: 3 })
  const hash = (): unknown => ({
    ...pool.ledger.snapshot().rows.filter(row => row.kind === 'feature'),
  })
  const before = hash()
  const refused: [object, string][] = [
    [{ codeId: 'code-1' }, 'LICD_CODE_EXISTS'],
    [{ kid: 'nobody' }, 'LICD_CODE_UNTRUSTED'],
    [{ feature: 'new', kind: 'allocations' }, 'LICD_UNKNOWN_FEATURE'],
    [{ kid: 'kid-2' }, 'LICD_FEATURE_OF_OTHER_VENDOR'],
    [{ feature: 'own' }, 'LICD_FEATURE_LOCAL'],
    [{ startsAt: epoch - 2, expiresAt: epoch }, 'LICD_CODE_EXPIRED'],
    [{ startsAt: epoch, expiresAt: epoch }, 'LICD_CODE_MALFORMED'],
    [{ startsAt: NaN }, 'LICD_CODE_MALFORMED'],
    [{ issuedAt: -1 }, 'LICD_CODE_MALFORMED'],
    [{ feature: 'a b' }, 'LICD_CODE_MALFORMED'],
    [{ feature: 'a@b@c' }, 'LICD_CODE_MALFORMED'],
    [{ codeId: '' }, 'LICD_CODE_MALFORMED'],
    [{ allocations: 0 }, 'LICD_BAD_COUNT'],
    [{ allocations: 1.5 }, 'LICD_BAD_COUNT'],
    [{ allocations: bounds.allocationsMax }, 'LICD_TOO_MANY'],
  ]
  for (const [change, code] of refused) {
    t.equal(addCode(pool, { codeId: 'next', ...change }), code, JSON.stringify(change))
  }
  t.same(hash(), before)
  t.equal(codeOf(pool.run({ type: 'remove-code', codeId: 'x' })), 'LICD_UNKNOWN_CODE')
  const add = { type: 'add-allocations', feature: 'cad', count: 1 } as const
  t.equal(codeOf(pool.run(add)), 'LICD_FEATURE_NOT_LOCAL')
})

t.test(
  'removal: the free pool falls at once, owners keep what they have until it flows back (R9)',
  async t => {
    const pool = new Pool()
    addCode(pool, { allocations: 9 })
    addCode(pool, { codeId: '2', allocations: 6 })
    pool.run({ type: 'change-criteria', feature: 'cad', targets: { a: 5, b: 5 } })
    pool.tick()
    pool.run({ type: 'change-criteria', feature: 'cad', targets: 'even' })
    t.equal(pool.table(), 'free 5 a 5 b 5')
    t.equal(codeOf(pool.run({ type: 'remove-code', codeId: 'code-1' })), 'ok')
    t.equal(pool.table(), 'free 0 owed 4 a 5 b 5')
    t.equal(pool.ledger.state.codes.get('code-1')?.state, 'ended')
    t.equal(codeOf(pool.run({ type: 'remove-code', codeId: 'code-1' })), 'LICD_UNKNOWN_CODE')
    t.equal(addCode(pool), 'LICD_CODE_EXISTS', 'an ended code is not added again')
    pool.give('demand', 'c', 3)
    pool.give('return', 'a', 1)
    t.equal(pool.table(), 'free 0 owed 3 a 4 b 5', 'paid before anyone who waits')
    pool.lend('b', 'c', 4)
    t.equal(pool.table(), 'free 0 a 4 b 1 c 1', 'before anything is lent')
    t.equal(pool.queue(), 'c 2')
    pool.run({ type: 'remove-code', codeId: '2' })
    t.equal(pool.table(), 'free 0 owed 6 a 4 b 1 c 1')
    pool.lend('a', 'c', 2)
    t.equal(pool.table(), 'free 0 owed 4 a 2 b 1 c 1')
    pool.ticks(11, ['a', 'c'])
    t.equal(pool.table(), 'free 0 owed 3 a 2 c 1', 'the share of a server that is down pays')
    pool.give('return', 'a', 2)
    t.ok(pool.ledger.state.features.has('cad'), 'kept while anything is owned')
    const last = pool.do({ type: 'return', feature: 'cad', server: 'c', incarnation: 1, count: 1 })
    t.same(last.changed, ['cad'])
    t.notOk(pool.ledger.state.features.has('cad'))
    t.equal(codeOf(pool.borrow('a')), 'LICD_UNKNOWN_FEATURE')
  },
)

t.test('a new code pays what is owed first', async t => {
  const pool = new Pool()
  addCode(pool, { allocations: 3 })
  pool.tick()
  pool.run({ type: 'remove-code', codeId: 'code-1' })
  t.equal(pool.table(), 'free 0 owed 3 a 1 b 1 c 1')
  addCode(pool, { codeId: '2', allocations: 5 })
  t.equal(pool.table(), 'free 2 a 1 b 1 c 1')
})

t.test(
  'what is owed for a code that was removed ends when the code would have (R4, R9)',
  async t => {
    const owing = () => {
      const pool = new Pool()
      addCode(pool, { allocations: 3, expiresAt: epoch + 20_000 })
      addCode(pool, { codeId: 'stays', allocations: 3 })
      pool.tick()
      pool.run({ type: 'remove-code', codeId: 'code-1' })
      t.equal(pool.table(), 'free 0 owed 3 a 2 b 2 c 2')
      t.equal(pool.feature().endsAt, epoch + 20_000)
      return pool
    }
    const returned = owing()
    for (const server of ['a', 'b', 'c']) returned.give('return', server, 1)
    t.equal(returned.feature().endsAt, undefined, 'all is paid')

    const lent = owing()
    lent.give('return', 'a', 1)
    lent.give('return', 'b', 1)
    lent.give('demand', 'c', 1)
    lent.lend('a', 'c', 1)
    t.equal(lent.table(), 'free 0 a 0 b 1 c 2'.replace(' a 0', ''))
    t.equal(lent.feature().endsAt, undefined, 'by what was meant for another')

    const more = owing()
    addCode(more, { codeId: 'new', allocations: 3 })
    t.equal(more.feature().endsAt, undefined, 'by a new code')

    const over = owing()
    const walls = { a: epoch + 20_000, b: epoch + 20_000, c: epoch + 20_000 }
    const restored = Ledger.restore(over.ledger.snapshot())
    over.tick(undefined, walls)
    t.equal(over.feature().endsAt, undefined, 'its end has come')
    t.equal(over.feature().owed, 3)
    const listings = ['a', 'b', 'c'].map(server => over.listing(server, { wallMs: walls.a }))
    const tick = over.tickNow
    restored.apply({ id: '', deadline: 0, by: '', body: { type: 'tick', tick, listings } }, 1_000)
    t.equal(
      restored.state.features.get('cad')?.endsAt,
      undefined,
      'a restored ledger knows as much',
    )
  },
)

t.test('a removed code whose allocations are all free takes its feature along', async t => {
  const pool = new Pool()
  addCode(pool)
  addCode(pool, { codeId: '2', startsAt: epoch + 5_000 })
  pool.run({ type: 'remove-code', codeId: 'code-1' })
  t.equal(pool.table(), 'free 0', 'kept: a code is to start yet')
  pool.run({ type: 'remove-code', codeId: '2' })
  t.notOk(pool.ledger.state.features.has('cad'))
})

t.test('codes start and end by the calendar; endsAt says when allocations shrink', async t => {
  const pool = new Pool()
  const at = (ms: number) => pool.tick(undefined, { a: epoch + ms, b: epoch + ms, c: epoch + ms })
  addCode(pool, { allocations: 3, startsAt: epoch + 5_000, expiresAt: epoch + 20_000 })
  t.equal(pool.table(), 'free 0', 'pending')
  t.equal(pool.feature().endsAt, undefined)
  at(4_999)
  t.equal(pool.table(), 'free 0')
  t.same(at(5_000).changed, ['cad'])
  t.equal(pool.table(), 'free 0 a 1 b 1 c 1')
  t.equal(pool.feature().endsAt, epoch + 20_000)

  addCode(pool, {
    codeId: '2',
    allocations: 3,
    startsAt: epoch + 20_000,
    expiresAt: epoch + 40_000,
  })
  t.equal(pool.feature().endsAt, epoch + 40_000, 'another code takes its place')
  addCode(pool, { codeId: '3', allocations: 1, startsAt: epoch, expiresAt: epoch + 30_000 })
  t.equal(pool.feature().endsAt, epoch + 30_000)
  pool.run({ type: 'remove-code', codeId: '3' })
  t.equal(pool.feature().endsAt, epoch + 40_000)
  at(20_000)
  t.equal(pool.table(), 'free 0 a 1 b 1 c 1', 'nothing was owed between')
  t.same(
    [...pool.ledger.state.codes.values()].map(({ state }) => state),
    ['ended', 'active', 'ended'],
  )
  at(60_000)
  t.equal(pool.table(), 'free 0 owed 3 a 1 b 1 c 1')
  t.equal(pool.feature().endsAt, undefined)

  addCode(pool, { codeId: '4', startsAt: epoch + 61_000, expiresAt: epoch + 62_000 })
  at(100_000)
  t.equal(pool.ledger.state.codes.get('4')?.state, 'ended', 'a code may pass within one tick')
  t.equal(pool.table(), 'free 0 owed 3 a 1 b 1 c 1')
})

t.test('features of the pool itself', async t => {
  const pool = new Pool()
  const add = (feature: string, allocations: number) =>
    codeOf(pool.run({ type: 'add-feature', feature, allocations }))
  t.equal(add('cad@2026', 4), 'ok')
  t.equal(add('cad@2026', 4), 'LICD_FEATURE_EXISTS')
  for (const name of ['', 'a b', 'a.b', '@', 'a@', 'x'.repeat(65)]) {
    t.equal(add(name, 4), 'LICD_BAD_REQUEST', name)
  }
  for (const count of [0, -1, 0.5, NaN, 1e10]) t.equal(add('new', count), 'LICD_BAD_COUNT')
  const more = (count: number, feature = 'cad@2026') =>
    codeOf(pool.run({ type: 'add-allocations', feature, count }))
  t.equal(more(2), 'ok')
  t.equal(more(0), 'LICD_BAD_COUNT')
  t.equal(more(1, 'x'), 'LICD_UNKNOWN_FEATURE')
  t.equal(more(bounds.allocationsMax), 'LICD_TOO_MANY')
  t.equal(pool.feature('cad@2026').allocations, 6)
})

t.test('the bounds of features and codes', async t => {
  const pool = new Pool()
  const run = (id: string, body: Parameters<Pool['run']>[0]) =>
    codeOf(pool.ledger.apply({ id, deadline: 3, by: 'test', body }, 1).result)
  addCode(pool, { allocations: 1 })
  for (let n = 1; n < bounds.features; n++) {
    run(`f${String(n)}`, { type: 'add-feature', feature: `f${String(n)}`, allocations: 1 })
  }
  t.equal(run('x', { type: 'add-feature', feature: 'one-more', allocations: 1 }), 'LICD_TOO_MANY')
  const code = (codeId: string, feature = 'cad') =>
    run(codeId, {
      type: 'add-code',
      text: '',
      content: content({ codeId, feature, allocations: 1 }),
    })
  t.equal(code('y', 'one-more'), 'LICD_TOO_MANY')
  const began = process.hrtime.bigint()
  pool.tick()
  t.comment(
    `a tick that tops up 10,000 features: ${String((process.hrtime.bigint() - began) / 1_000_000n)} ms, with two hashes and a restore`,
  )
  const record = pool.ledger.state.codes.get('code-1')
  if (record === undefined) throw new Error('no code')
  for (let n = 1; n < bounds.codes; n++) pool.ledger.state.codes.set(`c${String(n)}`, record)
  t.equal(code('z'), 'LICD_TOO_MANY')
})

t.test('change criteria replaces the targets as a whole (claim 7)', async t => {
  const pool = new Pool().deal({ a: 10 })
  const change = (
    targets: 'even' | Record<string, number>,
    thresholds?: Record<string, number>,
    name = 'cad',
  ) =>
    codeOf(
      pool.run({
        type: 'change-criteria',
        feature: name,
        targets,
        ...(thresholds === undefined ? {} : { thresholds }),
      }),
    )
  const targets = () => ['a', 'b', 'c'].map(name => pool.ledger.target(pool.feature(), name))
  t.equal(change({ a: 5, b: 5 }, { a: 0.5, b: 1 }), 'ok')
  t.same(targets(), [5, 5, 0])
  t.equal(change({ c: 1 }), 'ok')
  t.same(targets(), [0, 0, 1])
  t.equal(pool.ledger.threshold(pool.feature(), 'a'), 0.5, 'kept when the command brings none')
  t.equal(change('even', { c: 0.1 }), 'ok')
  t.same(targets(), [3, 3, 3])
  t.equal(pool.ledger.threshold(pool.feature(), 'a'), 0.9, 'replaced as a whole')
  t.equal(pool.ledger.threshold(pool.feature(), 'c'), 0.1)

  const feature = pool.feature()
  const before = JSON.stringify([...feature.thresholds, feature.targets])
  t.equal(change({ a: 5, b: 6 }), 'LICD_TARGETS_TOO_LARGE')
  t.equal(change({ x: 1 }), 'LICD_UNKNOWN_SERVER')
  t.equal(change({}, { x: 1 }), 'LICD_UNKNOWN_SERVER')
  t.equal(change({}, {}, 'x'), 'LICD_UNKNOWN_FEATURE')
  for (const bad of [-1, 0.5, NaN, 1e12]) t.equal(change({ a: bad }), 'LICD_BAD_COUNT')
  for (const bad of [0, 1.01, -1, NaN]) t.equal(change({}, { a: bad }), 'LICD_BAD_THRESHOLD')
  t.equal(JSON.stringify([...feature.thresholds, feature.targets]), before)
})

t.test('set threshold: one server, or all of them (claims 2, 17)', async t => {
  const pool = new Pool().deal({ a: 10 })
  const set = (threshold: number, server?: string, feature = 'cad') =>
    codeOf(
      pool.run({
        type: 'set-threshold',
        feature,
        threshold,
        ...(server === undefined ? {} : { server }),
      }),
    )
  const of = (server: string) => pool.ledger.threshold(pool.feature(), server)
  t.equal(set(0.5, 'a'), 'ok')
  t.same([of('a'), of('b')], [0.5, 0.9])
  t.equal(set(0.7), 'ok')
  t.same([of('a'), of('b')], [0.7, 0.7])
  t.equal(set(0.5, 'x'), 'LICD_UNKNOWN_SERVER')
  t.equal(set(0.5, 'a', 'x'), 'LICD_UNKNOWN_FEATURE')
  for (const bad of [0, 1.5, NaN, -0.1]) t.equal(set(bad), 'LICD_BAD_THRESHOLD')
})
