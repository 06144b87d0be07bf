/** The schedules by hand in a whole pool; and each fails when the rule that it is about is taken away. */
import t from 'tap'
import { hunt } from '../mutants/hunt.ts'
import { rulesMutants } from '../mutants/rules.ts'
import { makeVariant } from '../mutants/variant.ts'
import { poolStories } from './pool-stories.ts'

// A bound for a loaded machine; seconds are usual.
t.setTimeout(600_000)
const limitMs = 120_000
const module = 'test/sim/pool-stories-killer.js'

for (const { name, mutants, run } of poolStories) {
  t.test(name, async t => {
    run()
    t.pass('and nothing that must hold was broken')
    for (const mutant of rulesMutants.filter(one => mutants.includes(one.name))) {
      const variant = makeVariant(mutant)
      const { folder } = variant
      const order = { folder, module, tests: [name], starts: [0], seeds: 1, patience: 1 }
      const { hunts, trouble } = await hunt([{ ...order, ms: limitMs }], limitMs)
      variant.remove()
      t.equal(trouble, undefined)
      t.equal(hunts[0]?.after, 1, `found without it: ${mutant.doc} ${hunts[0]?.by ?? ''}`)
      t.comment(`${mutant.name}: ${hunts[0]?.by ?? 'not found'}`)
    }
    t.equal(rulesMutants.filter(one => mutants.includes(one.name)).length, mutants.length)
  })
}
