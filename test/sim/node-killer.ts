/**
 * The world of whole nodes as a killer of mutants: it throws what it finds.
 */
import { runNodes } from './node-world.ts'

export const killer = {
  name: 'node world',
  run(seed: number): void {
    runNodes({ seed })
  },
}
