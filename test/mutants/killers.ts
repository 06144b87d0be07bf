/**
 * What hunts mutants: simulations and scenarios, each a module of this build that exports a `Killer`.
 *
 * None was written for a single mutant, though some scenarios stand for a bug of the table that is a mutant, too. Unit
 * tests are no killers: they know the code too well.
 */

import type { Group } from './mutant.ts'
import { rulesKillers } from './rules-killers.ts'

/** Named `killer` in its module. */
export interface Killer {
  readonly name: string
  /** Throws what it finds wrong. The same seed does the same. */
  run(seed: number): void | Promise<void>
}

export interface KillerPlace {
  /** Whose mutants it hunts; absent: Raft's. */
  readonly group?: Group
  /** Short, for tables. */
  readonly name: string
  /** Relative to the build. */
  readonly module: string
  /** So many seeds make a hunt. */
  readonly seeds: number
  /** There is no chance in it: seeds number its scenarios, and one hunt is enough. */
  readonly isFixed?: true
}

export const killers: readonly KillerPlace[] = [
  { name: 'transcripts', module: 'test/mutants/transcripts.js', seeds: 1000, isFixed: true },
  { name: 'scenarios', module: 'test/mutants/scenarios.js', seeds: 100, isFixed: true },
  { name: 'shell world', module: 'test/mutants/shell-world.js', seeds: 150 },
  { name: 'quiet hours', module: 'test/sim/raft-quiet-killer.js', seeds: 4 },
  { name: 'core world', module: 'test/mutants/core-world.js', seeds: 400 },
  { name: 'node world', module: 'test/sim/node-killer.js', seeds: 200 },
  { name: 'stories', module: 'test/sim/raft-stories-killer.js', seeds: 1, isFixed: true },
  { name: 'explorer', module: 'test/explore/killer.js', seeds: 40 },
  ...rulesKillers,
]

export function killerNamed(name: string): KillerPlace {
  const found = killers.find(killer => killer.name === name)
  if (found === undefined) throw new Error(`there is no killer "${name}"`)
  return found
}
