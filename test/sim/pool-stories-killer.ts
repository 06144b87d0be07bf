/** The schedules by hand as a hunter of mutants: each seed is one of them, none beyond the last. */
import type { Killer } from '../mutants/killers.ts'
import { poolStories } from './pool-stories.ts'

export function killerOf(names: readonly string[]): Killer {
  return {
    name: 'pool stories',
    run(seed) {
      const name = names[seed]
      const story = poolStories.find(one => one.name === name)
      if (story === undefined) return
      try {
        story.run()
      } catch (error) {
        if (error instanceof Error) error.message = `${story.name}: ${error.message}`
        throw error
      }
    },
  }
}

export const killer = killerOf(poolStories.map(({ name }) => name))
