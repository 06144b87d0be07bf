/**
 * What hunts mutants: simulations and scenarios, each a module of this build that exports a `Killer`.
 *
 * None was written for a single mutant. Unit tests are no killers: they know the code too well.
 */

/** Named `killer` in its module. */
export interface Killer {
  readonly name: string
  /** Throws what it finds wrong. The same seed does the same. */
  run(seed: number): void
}

export interface KillerPlace {
  /** Short, for tables. */
  readonly name: string
  /** Relative to the build. */
  readonly module: string
  /** So many seeds make a hunt; 1 for what has no chance in it. */
  readonly seeds: number
}

export const killers: readonly KillerPlace[] = [
  { name: 'core world', module: 'test/mutants/core-world.js', seeds: 400 },
]

export function killerNamed(name: string): KillerPlace {
  const found = killers.find(killer => killer.name === name)
  if (found === undefined) throw new Error(`there is no killer "${name}"`)
  return found
}
