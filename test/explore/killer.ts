/**
 * The explorer as a hunter of mutants: each seed is one start with one budget, searched as far as some ten thousand
 * states go.
 */
import { SeededRandom } from '../sim/seeded-random.ts'
import { Explorer } from './explore.ts'
import { type Scope, scopes } from './scope.ts'

const limit = 20_000

/** One of the starts, with more or less that may happen on the way. */
export function scopeOf(seed: number): Scope {
  const random = new SeededRandom(`explore ${seed}`)
  const scope = scopes[seed % scopes.length]
  if (scope === undefined || seed < scopes.length) return scopes[seed] ?? random.pick(scopes)
  return {
    ...scope,
    name: `${scope.name}, seed ${seed}`,
    budget: {
      elections: random.between(1, 3),
      crashes: random.between(0, 1),
      proposals: random.between(0, 2),
      changes: scope.changes === undefined ? 0 : 1,
      heartbeats: random.between(0, 1),
      snapshots: random.between(0, 1),
      damages: random.chance(0.2) ? 1 : 0,
    },
    limits: { quickDisks: random.chance(0.7), quiet: random.chance(0.7) },
  }
}

export const killer = {
  name: 'explorer',
  run(seed: number): void {
    new Explorer(scopeOf(seed)).run(limit)
  },
}
