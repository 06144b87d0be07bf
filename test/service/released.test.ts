import t from 'tap'
import { ReleasedIds } from '../../lib/service/released.ts'
import { SeededRandom } from '../sim/seeded-random.ts'

t.test('ids are known for as long as they may come again, and no others', async t => {
  const random = new SeededRandom(1)
  const ids = Array.from({ length: 100_000 }, () => random.id())
  const released = new ReleasedIds()
  const newest = 30_000
  let unknown = 0
  let mistaken = 0
  for (const [n, id] of ids.entries()) {
    if (released.has(id, 1_000)) mistaken++
    released.add(id, 1_000)
    if (!released.has(id, 1_000) || !released.has(ids[Math.max(0, n - newest)] ?? '', 1_000))
      unknown++
  }
  t.equal(mistaken, 0, 'a fresh id is none of those released')
  t.equal(unknown, 0, 'the newest 30,000 are known, whatever their number')
  t.notOk(released.has(ids[0] ?? '', 1_000), 'beyond the bound the oldest are forgotten')
})

t.test('they are forgotten after a minute at most, and kept for half of one', async t => {
  const released = new ReleasedIds()
  released.add('one', 100_000)
  released.add('one', 100_000)
  t.ok(released.has('one', 129_000))
  t.ok(released.has('one', 131_000), 'the generation before')
  t.notOk(released.has('one', 162_000))
  released.add('two', 200_000)
  t.notOk(released.has('two', 300_000), 'nothing came for longer than two generations last')
  t.notOk(released.has('', 300_000))
})

t.test('ids of a kind are told apart', async t => {
  const released = new ReleasedIds()
  for (let n = 0; n < 20_000; n++) released.add(`seat-${n}`, 0)
  let mistaken = 0
  for (let n = 20_000; n < 200_000; n++) if (released.has(`seat-${n}`, 0)) mistaken++
  t.equal(mistaken, 0)
  t.ok(released.has('seat-0', 0) && released.has('seat-19999', 0))
})
