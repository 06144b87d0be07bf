/**
 * The world of whole pools as a killer of mutants: one seed is one run.
 */
import type { Killer } from '../mutants/killers.ts'
import { runPool } from './pool-world.ts'

export const killer: Killer = {
  name: 'pool world',
  run(seed) {
    runPool({ seed })
  },
}
