/** The regressions of known bugs, for a hunter: each seed is one of those that it was given. */
import { runRegression } from '../raft/bugs/regressions.ts'
import type { Killer } from './killers.ts'

export function killerOf(tests: readonly string[]): Killer {
  return {
    name: 'regressions',
    async run(seed) {
      const name = tests[seed]
      if (name !== undefined) await runRegression(name)
    },
  }
}
