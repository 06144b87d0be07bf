/** Random codes, keys and calendars as a hunter: each seed is a few sequences. */
import { CodeModel, type CodeStep } from '../ledger/code-model.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import type { Killer } from './killers.ts'

const sequences = 5
const steps = 40

function drawn(random: SeededRandom): CodeStep {
  const figure = () => random.between(0, 10_000)
  return [figure(), figure(), figure(), figure()]
}

export const killer: Killer = {
  name: 'code model',
  run(seed) {
    const random = new SeededRandom(`codes ${seed}`)
    for (let n = 0; n < sequences; n++) {
      const model = new CodeModel()
      for (let step = 0; step < steps; step++) model.do(drawn(random))
    }
  },
}
