/** The parts of a bar: each allocation counted once, whatever is dark, owed or out of date. */
import fc from 'fast-check'
import t from 'tap'
import { FeatureCap, otherFeatures } from '../../lib/http/feature-cap.ts'
import { partsOf, shareParts } from '../../lib/http/figures.ts'
import { NewsRing, newsMax } from '../../lib/http/news.ts'
import type { FeatureStatus } from '../../lib/protocol/ctl.ts'
import type { Dark } from '../../lib/protocol/why.ts'

function feature(
  rows: readonly (readonly [share: number, inUse: number])[],
  more: Partial<FeatureStatus> = {},
): FeatureStatus {
  const shares = rows.map(([share, inUse], at) => ({
    ...{ server: `s${at}`, share, inUse, target: 0, threshold: 0.9, demand: 0 },
  }))
  const owned = shares.reduce((sum, { share }) => sum + share, 0)
  const { owed = 0, free = 0 } = more
  const base = { name: 'cad', allocations: owned + free - owed, owed: 0, free: 0, even: true }
  return { ...base, shares, ...more }
}

t.test('in use, idle and free', async t => {
  const cad = feature(
    [
      [10, 4],
      [5, 5],
    ],
    { free: 3 },
  )
  t.same(partsOf(cad), { inUse: 9, idle: 6, dark: 0, owed: 0, free: 3 })
})

t.test('a silent server is dark whole, its old figure is in no sum', async t => {
  const dark: Dark[] = [{ server: 's1', kind: 'silent', count: 5 }]
  const cad = feature(
    [
      [10, 4],
      [5, 5],
    ],
    { dark },
  )
  t.same(partsOf(cad), { inUse: 4, idle: 6, dark: 5, owed: 0, free: 0 })
})

t.test(
  'what is owed is taken from what is in use, and an old figure never exceeds the share',
  async t => {
    const dark: Dark[] = [
      { server: 's0', kind: 'expired', count: 1 },
      { kind: 'owed', count: 3 },
    ]
    t.same(partsOf(feature([[10, 14]], { owed: 3, dark })), {
      ...{ inUse: 6, dark: 1, owed: 3, idle: 0, free: 0 },
    })
    t.same(
      shareParts(
        { dark: [] },
        { server: 's0', share: 2, inUse: 9, target: 0, threshold: 0.9, demand: 0 },
      ),
      {
        ...{ inUse: 2, idle: 0, dark: 0 },
      },
    )
  },
)

t.test('held: nothing may be granted at all', async t => {
  const dark: Dark[] = [{ kind: 'held', count: 10 }]
  t.same(partsOf(feature([[7, 0]], { free: 3, dark })), {
    ...{ inUse: 0, idle: 0, dark: 10, owed: 0, free: 0 },
  })
})

const row = fc.tuple(fc.nat(50), fc.nat(60))
const kinds = fc.constantFrom<Dark['kind'][]>('silent', 'down', 'expired', 'moved', 'relearning')

t.test('the parts sum up to all there is, and none is below zero', async t => {
  fc.assert(
    fc.property(
      fc.array(row, { maxLength: 5 }),
      fc.array(fc.tuple(fc.nat(5), kinds, fc.nat(60)), { maxLength: 6 }),
      fc.nat(30),
      fc.nat(40),
      (rows, darks, free, debt) => {
        const owned = rows.reduce((sum, [share]) => sum + share, 0)
        const owed = Math.min(owned, debt)
        const dark = darks.map(([at, kind, count]) => ({ server: `s${at}`, kind, count }))
        const cad = feature(rows, { free, owed, dark })
        const { inUse, idle, dark: unused, owed: debts, free: left } = partsOf(cad)
        const parts = [inUse, idle, unused, debts, left]
        const sum = parts.reduce((all, count) => all + count, 0)
        return sum === cad.allocations + cad.owed && parts.every(count => count >= 0)
      },
    ),
  )
  t.pass()
})

t.test(
  'features beyond the bound share a label that no feature can have, and none loses its own',
  async t => {
    const cap = new FeatureCap(2)
    const sizes = (entries: Readonly<Record<string, number>>) =>
      new Map(Object.entries(entries).map(([name, allocations]) => [name, { allocations }]))
    cap.choose(sizes({ a: 1, b: 5, c: 9 }))
    t.same(
      ['a', 'b', 'c'].map(name => cap.label(name)),
      [otherFeatures, 'b', 'c'],
    )
    cap.choose(sizes({ a: 100, b: 5, c: 9 }))
    t.same(
      ['a', 'b', 'c'].map(name => cap.label(name)),
      [otherFeatures, 'b', 'c'],
    )
    cap.choose(sizes({ a: 100, c: 9 }))
    t.same(
      ['a', 'b', 'c'].map(name => cap.label(name)),
      ['a', otherFeatures, 'c'],
    )
  },
)

t.test('news: in words, in order, bounded', async t => {
  let now = 0
  const ring = new NewsRing(() => ++now)
  ring.look('alpha', new Map([['alpha', 'up']]))
  t.equal(ring.id, 0, 'the first look tells nothing')
  ring.look(
    'beta',
    new Map([
      ['alpha', 'silent'],
      ['beta', 'up'],
    ]),
  )
  t.same(
    ring.after(0).map(({ id, kind, text }) => [id, kind, text]),
    [
      [1, 'leader', 'beta is the leader server'],
      [2, 'server', 'alpha is silent: the pool does not hear it'],
      [3, 'server', 'beta joins'],
    ],
  )
  const change = { type: 'lend', feature: 'cad', by: 'server:beta', to: 'gamma' }
  const taken = [{ source: 'lend', server: 'beta', count: 2 }]
  const event = { server: 'gamma', leader: false, revision: 1, tick: 1, index: 1, more: false }
  for (let n = 0; n < newsMax + 10; n++) {
    ring.told({ type: 'sync', event: { ...event, features: [], changes: [{ ...change, taken }] } })
  }
  const all = ring.after(0)
  t.equal(all.length, newsMax)
  t.match(all.at(-1), {
    ...{ id: newsMax + 13, kind: 'lend', feature: 'cad' },
    text: 'beta lends 2 cad to gamma, where clients wait',
  })
  t.same(ring.after(newsMax + 12).length, 1)
})
