/** All mutants, by topic. */
import { diskMutants } from './disk.ts'
import { driverMutants } from './driver.ts'
import { elections } from './elections.ts'
import { membershipMutants } from './membership.ts'
import type { Mutant } from './mutant.ts'
import { readMutants } from './reads.ts'
import { replicationMutants } from './replication.ts'
import { snapshotMutants } from './snapshots.ts'
import { rulesMutants } from './rules.ts'
import { trustMutants } from './trust.ts'

export const mutants: readonly Mutant[] = [
  ...elections,
  ...replicationMutants,
  ...membershipMutants,
  ...snapshotMutants,
  ...readMutants,
  ...trustMutants,
  ...driverMutants,
  ...diskMutants,
  ...rulesMutants,
]

export function mutantNamed(name: string): Mutant {
  const found = mutants.find(mutant => mutant.name === name)
  if (found === undefined) throw new Error(`there is no mutant "${name}"`)
  return found
}
