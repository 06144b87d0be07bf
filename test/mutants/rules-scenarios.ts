/**
 * Scenarios of the seat service as a killer: the schedules that broke earlier forms of the rules, fail-overs, stops,
 * snapshots, ends of codes. Each seed is one of them; none beyond the last.
 */
import { codeEnds } from '../service/code-end.ts'
import { edges } from '../service/edges.ts'
import { failovers } from '../service/failover.ts'
import { impostors } from '../service/impostors.ts'
import { schedules } from '../service/schedules.ts'
import { throwing } from '../service/scenario.ts'
import { sdkScenarios } from '../service/sdk.ts'
import { snapshots } from '../service/snapshot.ts'
import { stops } from '../service/stop.ts'
import type { Killer } from './killers.ts'

const all = [
  ...schedules,
  ...failovers,
  ...stops,
  ...snapshots,
  ...codeEnds,
  ...impostors,
  ...edges,
  ...sdkScenarios,
]
/** By what a name says in letters and figures: what is found begins with it, and a colon. */
const named = new Map(all.map(({ name, run }) => [name.replaceAll(/[^A-Za-z0-9]+/g, '-'), run]))

export function killerOf(names: readonly string[]): Killer {
  return {
    name: 'schedules',
    run(seed) {
      const name = names[seed]
      if (name === undefined) return
      try {
        named.get(name)?.(throwing)
      } catch (error) {
        if (error instanceof Error) error.message = `${name}: ${error.message}`
        throw error
      }
    },
  }
}

export const killer = killerOf([...named.keys()])
