/** The world of seat services without Raft as a hunter of mutants: each seed is one run of whatever befalls it. */
import { runSeed } from '../service/random.ts'
import type { Killer } from './killers.ts'

export const killer: Killer = {
  name: 'seat world',
  run(seed) {
    runSeed(seed)
  },
}
