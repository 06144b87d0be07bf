/** Every decoder of licd, by name. */
import type { Target } from './target.ts'
import { codeTargets } from './targets-code.ts'
import { ledgerTargets } from './targets-ledger.ts'
import { raftTargets } from './targets-raft.ts'
import { seatTargets } from './targets-seat.ts'

export const targets: readonly Target[] = [
  ...seatTargets,
  ...raftTargets,
  ...ledgerTargets,
  ...codeTargets,
]
