/**
 * Scenarios of the shell and of the disk as a killer: a disk cut off at each call or damaged in each way, a node in a
 * small world whose disk, process or caller does not behave. Each seed is one of them; none beyond the last.
 */
import assert, { AssertionError } from 'node:assert/strict'
import { allRegressions, runRegression } from '../raft/bugs/regressions.ts'
import type { Killer } from './killers.ts'

export function killerOf(names: readonly string[]): Killer {
  return {
    name: 'scenarios',
    async run(seed) {
      const name = names[seed]
      if (name === undefined) return
      try {
        await runRegression(name)
      } catch (error) {
        const { message } = error instanceof Error ? error : new Error(String(error))
        // Its name comes first, for a hint.
        if (error instanceof AssertionError) assert.fail(`${name}: ${message}`)
        throw new Error(`${name}: ${message}`, { cause: error })
      }
    },
  }
}

export const killer = killerOf((await allRegressions()).filter(name => !name.endsWith('.txt')))
