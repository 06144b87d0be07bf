/** The simulated world of cores as a killer: each seed is one run of one kind of cluster. */
import { type RunOptions, runSeed } from '../sim/raft-world.ts'
import type { Killer } from './killers.ts'

const cases: readonly RunOptions[] = [
  { size: 3, harsh: true },
  { size: 5, harsh: true },
  { size: 2 },
  { size: 3, membership: true },
  { size: 4 },
  { size: 3, membership: true, harsh: true },
]

export const killer: Killer = {
  name: 'core world',
  run(seed) {
    runSeed(seed, { ...(cases[seed % cases.length] ?? { size: 3 }), faultsMs: 2000 })
  },
}
