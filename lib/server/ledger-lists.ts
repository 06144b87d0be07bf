/**
 * What operators may list of the ledger: codes, vendors' keys, the audit log.
 */
import type { Ledger } from '../ledger/ledger.ts'
import { ctlBounds } from '../protocol/ctl.ts'
import { isWhole, refuse, type Fields } from './ctl-request.ts'
import { answerWith, type Answer } from './ctl-wire.ts'

export function listCodes(ledger: Ledger): Answer {
  const codes = [...ledger.state.codes.values()].map(({ content, state }) => {
    const renewedBy = state === 'ended' ? [] : ledger.renewals(content.codeId)
    return { ...content, state, ...(renewedBy.length === 0 ? {} : { renewedBy }) }
  })
  codes.sort((a, b) => (a.codeId < b.codeId ? -1 : 1))
  return answerWith('code-list', { codes, calendar: ledger.state.calendar })
}

export function listVendors({ state }: Ledger): Answer {
  const vendors = [...state.vendors.values()]
  vendors.sort((a, b) => (a.kid < b.kid ? -1 : 1))
  return answerWith('vendor-list', { vendors })
}

/** A page of the audit log after record `after`, or the last `limit` records when that is not said. */
export function listAudit(
  { state }: Ledger,
  { after, limit = ctlBounds.auditPageMax }: Fields,
): Answer {
  if (after !== undefined && !isWhole(after, 0, Number.MAX_SAFE_INTEGER)) {
    return refuse('LICD_BAD_REQUEST', 'Field after must be the number of a record.')
  }
  if (!isWhole(limit, 1, ctlBounds.auditPageMax)) {
    return refuse('LICD_BAD_REQUEST', `Field limit: from 1 to ${ctlBounds.auditPageMax}.`)
  }
  const { audit, audited } = state
  const first = audited - audit.length + 1
  const from =
    after === undefined ? Math.max(0, audit.length - limit) : Math.max(0, after + 1 - first)
  const records = audit.slice(from, from + limit)
  return answerWith('audit', { records, first, last: audited })
}
