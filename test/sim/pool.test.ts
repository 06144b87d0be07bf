/**
 * Whole pools with clients, by seed. `LICD_SEEDS=200` runs more (from `LICD_SEED_FIRST`), `LICD_SEED=17` that one
 * alone.
 */
import t from 'tap'
import { runSeed } from './pool-run.ts'

t.test('whole pools with clients, by seed', { timeout: 240_000 }, async t => {
  const one = process.env.LICD_SEED
  const count = Number(process.env.LICD_SEEDS ?? 30)
  const first = Number(process.env.LICD_SEED_FIRST ?? 1)
  const seeds =
    one === undefined ? Array.from({ length: count }, (_, n) => first + n) : [Number(one)]
  let granted = 0
  let moved = 0
  let lost = 0
  let fullest = 0
  for (const seed of seeds) {
    const run = runSeed(seed)
    for (const client of run.clients) {
      granted += client.granted
      moved += client.moved
      lost += client.lost
    }
    fullest = Math.max(fullest, run.believedMost)
  }
  t.comment(`${seeds.length} seeds: ${granted} granted, ${moved} moved, ${lost} lost`)
  t.ok(granted > 100 * seeds.length, 'much was granted')
  t.ok(moved > 2 * seeds.length, 'much was moved')
  t.equal(fullest, 1, 'and the pool was full at times')
})
