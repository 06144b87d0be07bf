/** How a license code came to its end: derived from the ledger's records, for people. */
import type { CodeRecord, LedgerState } from './state.ts'

/** `undefined` while it is in force or waits, and of one whose own end has come. */
export function endedEarly(
  { content, state }: CodeRecord,
  { calendar, vendors }: Pick<LedgerState, 'calendar' | 'vendors'>,
): 'removed' | 'revoked' | undefined {
  const { expiresAt = Infinity, kid } = content
  if (state !== 'ended' || expiresAt <= calendar) return undefined
  return vendors.get(kid)?.revoked === true ? 'revoked' : 'removed'
}
