/** Random commands against the ledger's model as a hunter: each seed is a few sequences. */
import { LedgerModel, type Step } from '../ledger/model.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import type { Killer } from './killers.ts'

const sequences = 5
const steps = 60

function drawn(random: SeededRandom): Step {
  const figure = () => random.between(0, 1_000)
  return [random.between(0, 99), figure(), figure(), figure(), random.between(0, 19)]
}

export const killer: Killer = {
  name: 'ledger model',
  run(seed) {
    const random = new SeededRandom(`ledger ${seed}`)
    for (let n = 0; n < sequences; n++) {
      const model = new LedgerModel()
      for (let step = 0; step < steps; step++) model.do(drawn(random))
    }
  },
}
