/**
 * The last tick at which a command may be applied (R8): near enough that its outcome is soon certain.
 */
import { bounds } from '../ledger/command.ts'
import type { LedgerState } from '../ledger/state.ts'

const defaultTicks = 10

/** `ticks` from the tick applied here, kept within what the ledger takes. */
export function deadlineOf({ tick, settings }: LedgerState, ticks = defaultTicks): number {
  const most = Math.min(bounds.deadlineTicks, settings.leaseTicks - 1)
  return tick + Math.max(1, Math.min(ticks, most))
}
