/**
 * What operators may list of the ledger: codes, vendors' keys, the audit log, the usage history.
 */
import { endedEarly } from '../ledger/code-end.ts'
import { usageBounds, usageUnits, type UsageBlock } from '../ledger/history.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { ctlBounds, type CtlAnswers } from '../protocol/ctl.ts'
import type { TokenKeys } from '../token-keys.ts'
import { isWhole, refuse, type Fields } from './ctl-request.ts'
import { answerWith, type Answer } from './ctl-wire.ts'

function listCodes(ledger: Ledger): Answer {
  const codes = [...ledger.state.codes.values()].map(record => {
    const { content, state } = record
    const early = endedEarly(record, ledger.state)
    const renewedBy = state === 'ended' ? [] : ledger.renewals(content.codeId)
    return {
      ...{ ...content, state },
      ...(renewedBy.length === 0 ? {} : { renewedBy }),
      ...(early === undefined ? {} : { endedEarly: early }),
    }
  })
  codes.sort((a, b) => (a.codeId < b.codeId ? -1 : 1))
  return answerWith('code-list', { codes, calendar: ledger.state.calendar })
}

function listVendors({ state }: Ledger): Answer {
  const vendors = [...state.vendors.values()]
  vendors.sort((a, b) => (a.kid < b.kid ? -1 : 1))
  return answerWith('vendor-list', { vendors })
}

/** Which MAC keys tokens are made with and heard by, and who said to hold which. */
export function listKeys({ state }: Ledger, { kids, making }: TokenKeys): Answer {
  const { tokenKeys: use, servers, tick, settings } = state
  const holders = [...servers.values()]
    .filter(({ role }) => role !== 'removed')
    .map(({ name, keys = [] }) => ({ server: name, kids: keys }))
  holders.sort((a, b) => (a.server < b.server ? -1 : 1))
  const before = (use?.before ?? []).map(({ kid, until }) => ({ kid, leftTicks: until - tick }))
  return answerWith('key-list', {
    held: kids,
    ...(making === undefined ? {} : { making }),
    ...(use === undefined ? {} : { current: use.current }),
    before,
    holders,
    tickMs: settings.tickMs,
  })
}

/** A page of the audit log after record `after`, or the last `limit` records when that is not said. */
function listAudit({ state }: Ledger, { after, limit = ctlBounds.auditPageMax }: Fields): Answer {
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

/** Of a block, in bytes of an answer: a number of a slot takes at most 9, few take more than 3. */
const slotBytes = 3
const blockBytes = 180

/** A page of the usage history: see `CtlRequests.usage`. */
function listUsage({ state }: Ledger, fields: Fields): Answer {
  const { unit, from, to, feature, after = '' } = fields
  const known = usageUnits.find(name => name === unit)
  if (known === undefined) {
    return refuse('LICD_BAD_REQUEST', `Field unit: ${usageUnits.join(' or ')}.`)
  }
  if (!isWhole(from, 0, Number.MAX_SAFE_INTEGER) || !isWhole(to, 0, Number.MAX_SAFE_INTEGER)) {
    return refuse('LICD_BAD_REQUEST', 'Fields from and to: whole milliseconds since 1970.')
  }
  if (feature !== undefined && typeof feature !== 'string') {
    return refuse('LICD_BAD_REQUEST', 'Field feature must be a text.')
  }
  if (typeof after !== 'string') {
    return refuse('LICD_BAD_REQUEST', 'Field after must be what the page before gave as next.')
  }
  const { ms, perBlock } = usageBounds[known]
  const fitting: { readonly at: string; readonly block: UsageBlock }[] = []
  for (const block of state.history.blocks[known].values()) {
    if (feature !== undefined && block.feature !== feature) continue
    if (block.start * ms >= to || (block.start + perBlock) * ms <= from) continue
    const at = `${String(block.start).padStart(12, '0')} ${block.feature}`
    if (at > after) fitting.push({ at, block })
  }
  fitting.sort((a, b) => (a.at < b.at ? -1 : 1))
  const blocks: CtlAnswers['usage']['blocks'][number][] = []
  let bytes = 0
  for (const [n, { block }] of fitting.entries()) {
    bytes += blockBytes + block.slots.length * slotBytes
    if (bytes > ctlBounds.usagePageBytes && n > 0) {
      const next = fitting[n - 1]?.at ?? ''
      return answerWith('usage', { calendar: state.calendar, blocks, next })
    }
    blocks.push({ feature: block.feature, start: block.start, slots: block.slots })
  }
  return answerWith('usage', { calendar: state.calendar, blocks })
}

/** By the name of the operation. */
export const ledgerLists = {
  'code-list': listCodes,
  'vendor-list': listVendors,
  usage: listUsage,
  audit: listAudit,
} as const satisfies Record<string, (ledger: Ledger, fields: Fields) => Answer>
