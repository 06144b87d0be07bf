/** Three nodes in a small world, under whatever befalls them: what `npm run mutants` hunts bugs with, on the product. */
import t from 'tap'
import { killer } from '../mutants/shell-world.ts'

t.test('what was acknowledged is there, once, in one order, everywhere', t => {
  for (let seed = 1; seed <= 40; seed++) t.doesNotThrow(() => killer.run(seed), `seed ${seed}`)
  t.end()
})

t.test('entries applied after a snapshot was begun are not in it (seeds 13, 90)', t => {
  // The machine of the tests copied its lines only when its first slice was asked for.
  for (const seed of [13, 90]) t.doesNotThrow(() => killer.run(seed), `seed ${seed}`)
  t.end()
})
