/** What hunts mutants of the rules R1 to R12: the quick ones first. */
import type { KillerPlace } from './killers.ts'

export const rulesKillers: readonly KillerPlace[] = [
  {
    group: 'rules',
    name: 'schedules',
    module: 'test/mutants/rules-scenarios.js',
    seeds: 100,
    isFixed: true,
  },
  {
    group: 'rules',
    name: 'pool stories',
    module: 'test/sim/pool-stories-killer.js',
    seeds: 100,
    isFixed: true,
  },
  { group: 'rules', name: 'ledger model', module: 'test/mutants/rules-ledger.js', seeds: 60 },
  { group: 'rules', name: 'code model', module: 'test/mutants/rules-code-model.js', seeds: 60 },
  { group: 'rules', name: 'seat world', module: 'test/mutants/rules-seats.js', seeds: 100 },
  { group: 'rules', name: 'pool world', module: 'test/sim/pool-killer.js', seeds: 60 },
]
