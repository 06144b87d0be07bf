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
    if (released.has(id, 'c', 1_000)) mistaken++
    released.add(id, 'c', 1_000)
    if (
      !released.has(id, 'c', 1_000) ||
      !released.has(ids[Math.max(0, n - newest)] ?? '', 'c', 1_000)
    )
      unknown++
  }
  t.equal(mistaken, 0, 'a fresh id is none of those released')
  t.equal(unknown, 0, 'the newest 30,000 are known, whatever their number')
  t.notOk(released.has(ids[0] ?? '', 'c', 1_000), 'beyond the bound the oldest are forgotten')
})

t.test('they are forgotten after a minute at most, and kept for half of one', async t => {
  const released = new ReleasedIds()
  released.add('one', 'c', 100_000)
  released.add('one', 'c', 100_000)
  t.ok(released.has('one', 'c', 129_000))
  t.ok(released.has('one', 'c', 131_000), 'the generation before')
  t.notOk(released.has('one', 'c', 162_000))
  released.add('two', 'c', 200_000)
  t.notOk(released.has('two', 'c', 300_000), 'nothing came for longer than two generations last')
  t.notOk(released.has('', 'c', 300_000))
})

t.test('ids of a kind are told apart', async t => {
  const released = new ReleasedIds()
  for (let n = 0; n < 20_000; n++) released.add(`seat-${n}`, 'c', 0)
  let mistaken = 0
  for (let n = 20_000; n < 200_000; n++) if (released.has(`seat-${n}`, 'c', 0)) mistaken++
  t.equal(mistaken, 0)
  t.ok(released.has('seat-0', 'c', 0) && released.has('seat-19999', 'c', 0))
})

t.test('an id is released for its sender alone', async t => {
  const released = new ReleasedIds()
  released.add('one', 'thief', 0)
  t.ok(released.has('one', 'thief', 0))
  t.notOk(released.has('one', 'owner', 0))
})

t.test('ids that were made to fall together cost no more than others', async t => {
  // All begin their search at the same few slots.
  const ids: string[] = []
  for (let n = 0; ids.length < 2_000; n++) if (slotOf(`x${n}`) < 64) ids.push(`x${n}`)
  const released = new ReleasedIds()
  for (const id of ids) released.add(id, '', 0)
  const known = ids.filter(id => released.has(id, '', 0)).length
  t.ok(known > 0 && known < 600, `${known} are known: a search ends`)
  released.add('another', 'c', 0)
  t.ok(released.has('another', 'c', 0))
})

/** Where the search for an id of the client `''` begins: what its bytes say, so anybody can make such ids. */
function slotOf(id: string): number {
  let first = id.length
  for (let n = 0; n < id.length; n++) first = Math.imul(first ^ id.charCodeAt(n), 0x01000193)
  return (Math.imul(first ^ (first >>> 15), 0x2c1b3c6d) >>> 0) % 65_536
}
