/** The simulated world of cores as a hunter of mutants: each seed is one run of whatever cluster it makes. */
import { runSeed } from './raft-world.ts'

export const killer = {
  name: 'core world',
  run(seed: number): void {
    runSeed(seed, { faultsMs: 2000 })
  },
}
