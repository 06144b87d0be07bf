/** Bugs of the rules R1 to R12: of seats, shares and the ledger, not of Raft. Their `ids` are the rules they break. */
import type { Mutant } from './mutant.ts'
import { giveMutants } from './rules-gives.ts'
import { leaseMutants } from './rules-leases.ts'
import { moveMutants } from './rules-moves.ts'
import { runMutants } from './rules-runs.ts'
import { commandMutants } from './rules-commands.ts'
import { codeMutants } from './rules-codes.ts'
import { clientMutants } from './rules-clients.ts'

const all = [
  ...leaseMutants,
  ...moveMutants,
  ...runMutants,
  ...commandMutants,
  ...codeMutants,
  ...giveMutants,
  ...clientMutants,
]

export const rulesMutants: readonly Mutant[] = all.map(mutant => ({ ...mutant, group: 'rules' }))
