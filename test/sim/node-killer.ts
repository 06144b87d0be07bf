/**
 * The world of whole nodes as a killer of mutants: short runs, for a hunt is many.
 */
import type { Killer } from '../mutants/killers.ts'
import { runNodes } from './node-world.ts'

export const killer: Killer = {
  name: 'node world',
  run(seed) {
    runNodes({ seed, faultsMs: 2_500 })
  },
}
