/** Random commands against the ledger's model as a hunter: each seed is a few sequences. */
import { keyKinds } from '../ledger/key-model.ts'
import { LedgerModel, type Step } from '../ledger/model.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import type { Killer } from './killers.ts'

const sequences = 6
const steps = 60

function drawn(random: SeededRandom, kinds: number): Step {
  const figure = () => random.between(0, 1_000)
  return [random.between(0, kinds), figure(), figure(), figure(), random.between(0, 19)]
}

export const killer: Killer = {
  name: 'ledger model',
  run(seed) {
    const random = new SeededRandom(`ledger ${seed}`)
    for (let n = 1; n <= sequences; n++) {
      // The last ones draw what came later too, and forget early: seeds that found something go on finding it.
      const keys = n >= sequences - 1
      const model = new LedgerModel(n === sequences ? { keys, results: 24 } : { keys })
      const kinds = keys ? keyKinds.to : keyKinds.from - 1
      for (let step = 0; step < steps; step++) model.do(drawn(random, kinds))
    }
  },
}
