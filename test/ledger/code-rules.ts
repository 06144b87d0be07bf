/**
 * What must be true of codes, keys and the audit log after every command, worked out from the records alone (R9, R10).
 */
import { strict as assert } from 'node:assert'
import type { CodeRecord, LedgerState } from '../../lib/ledger/state.ts'

export function checkCodes(state: LedgerState): void {
  const { codes, vendors, features, audit, audited } = state
  const rootOf = (kid: string): string => vendors.get(kid)?.root ?? kid
  const sums = new Map<string, number>()
  for (const record of codes.values()) {
    const { content, state: stands } = record
    if (vendors.get(content.kid)?.revoked) assert.equal(stands, 'ended', 'a revoked key signs on')
    if (stands === 'active') {
      const sum = sums.get(content.feature) ?? 0
      sums.set(content.feature, sum + content.allocations)
    }
    checkRenewal(state, record, rootOf)
  }
  for (const [name, { allocations, vendor }] of features) {
    if (vendor === undefined) continue
    assert.equal(allocations, sums.get(name) ?? 0, `${name} is what its codes say together`)
  }
  for (const [at, { seq }] of audit.entries()) {
    assert.equal(seq, audited - audit.length + 1 + at, 'the audit log has no gap')
  }
}

/** A code and what renews it never count together; and when the one is over the other goes on at once. */
function checkRenewal(
  { codes, calendar }: LedgerState,
  { content, state: stands }: CodeRecord,
  rootOf: (kid: string) => string,
): void {
  const { renews, startsAt, expiresAt = Infinity } = content
  const before = renews === undefined ? undefined : codes.get(renews)
  const renewed =
    before !== undefined && rootOf(before.content.kid) === rootOf(content.kid) ? before : undefined
  const isOver = renewed === undefined || renewed.state === 'ended'
  if (stands === 'active') assert(isOver, `${content.codeId} counts beside what it renews`)
  if (stands === 'pending' && isOver) {
    assert(startsAt > calendar, `${content.codeId} should have started`)
  }
  if (stands === 'pending') assert(expiresAt > calendar, `${content.codeId} is over`)
}
