/**
 * What operators may list of the ledger: codes, vendors' keys, the audit log, the usage history.
 */
import { endedEarly } from '../ledger/code-end.ts'
import { usageBounds, usageUnits, type UsageBlock } from '../ledger/history.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { AuditRecord, CodeRecord } from '../ledger/state.ts'
import { ctlBounds, type CodeStatus, type CtlAnswers } from '../protocol/ctl.ts'
import type { TokenKeys } from '../token-keys.ts'
import { answerPage, namesAfter, readPage } from './ctl-page.ts'
import { isWhole, refuse, type Fields } from './ctl-request.ts'
import { answerWith, type Answer } from './ctl-wire.ts'

function listCodes(ledger: Ledger, fields: Fields): Answer {
  const { calendar, codes } = ledger.state
  return listNamed(
    fields,
    codes,
    ({ content }) => content.codeId,
    (records, next) => {
      const told = records.map(record => codeStatus(ledger, record))
      return { codes: told, calendar, ...next } satisfies CtlAnswers['code-list']
    },
  )
}

function codeStatus(ledger: Ledger, record: CodeRecord): CodeStatus {
  const { content, state } = record
  const early = endedEarly(record, ledger.state)
  const renewedBy = state === 'ended' ? [] : ledger.renewals(content.codeId)
  return {
    ...{ ...content, state },
    ...(renewedBy.length === 0 ? {} : { renewedBy }),
    ...(early === undefined ? {} : { endedEarly: early }),
  }
}

function listVendors({ state }: Ledger, fields: Fields): Answer {
  return listNamed(
    fields,
    state.vendors,
    ({ kid }) => kid,
    (vendors, next) => {
      return { vendors, ...next } satisfies CtlAnswers['vendor-list']
    },
  )
}

/** All of `records`, which are kept by their names, or the page that is asked for. */
function listNamed<Item>(
  fields: Fields,
  records: ReadonlyMap<string, Item>,
  nameOf: (record: Item) => string,
  data: (records: readonly Item[], next: { readonly next?: string }) => object,
): Answer {
  const page = readPage(fields)
  if (!page.ok) return page
  const { names, more } = namesAfter(records.keys(), page.value)
  const rows = names.flatMap(name => {
    const record = records.get(name)
    return record === undefined ? [] : [record]
  })
  return answerPage(rows, { more, isPaged: fields['limit'] !== undefined }, nameOf, data)
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
  const dataOf = (some: AuditRecord[]): CtlAnswers['audit'] => ({
    records: some,
    first,
    last: audited,
  })
  // Fewer where a message takes no more: of the last ones the last.
  const fewer = (count: number): object =>
    dataOf(after === undefined ? records.slice(-count) : records.slice(0, count))
  return { ok: true, data: dataOf(records), shorter: { rows: records.length, first: fewer } }
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
  let bytes = 0
  const end = fitting.findIndex(({ block }, n) => {
    bytes += blockBytes + block.slots.length * slotBytes
    return bytes > ctlBounds.usagePageBytes && n > 0
  })
  const rows = end === -1 ? fitting : fitting.slice(0, end)
  const page = { more: end !== -1, isPaged: true }
  return answerPage(
    rows,
    page,
    ({ at }) => at,
    (some, next) => {
      const blocks = some.map(({ block: { feature: of, start, slots } }) => {
        return { feature: of, start, slots }
      })
      return { calendar: state.calendar, blocks, ...next } satisfies CtlAnswers['usage']
    },
  )
}

/** By the name of the operation. */
export const ledgerLists = {
  'code-list': listCodes,
  'vendor-list': listVendors,
  usage: listUsage,
  audit: listAudit,
} as const satisfies Record<string, (ledger: Ledger, fields: Fields) => Answer>
