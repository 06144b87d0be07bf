/**
 * Records of the audit log that fit a question, the newest first: for the page and for programs that look for one.
 *
 * The log is bounded (`bounds.audit`), so looking through all of it costs a few milliseconds.
 */
import type { AuditRecord, LedgerState } from '../ledger/state.ts'
import { isWhole, refuse, type Fields, type Read } from '../server/ctl-request.ts'

export const auditAnswerMax = 500
const auditUsual = 50
const textMax = 128

export interface AuditAnswer {
  readonly records: readonly AuditRecord[]
  /** Ask for the next page with `before` set to it; absent on the last one. */
  readonly next?: number
  /** Records that fit, over all pages. */
  readonly total: number
  /** Numbers of the oldest and the newest record there is: what came before `first` is gone. */
  readonly first: number
  readonly last: number
  /** What operators did, each once, in the order of the alphabet. */
  readonly actions: readonly string[]
}

/**
 * `search` finds text in who, what, of what, detail, result and id, whatever the case; `by` in who alone; `action` is
 * one of `actions`; `result` is `ok`, `refused`, or a code. Refuses with LICD_BAD_REQUEST.
 */
export function auditOf(
  { audit, audited }: Pick<LedgerState, 'audit' | 'audited'>,
  fields: Fields,
): Read<AuditAnswer> {
  const { limit = auditUsual, before = Number.MAX_SAFE_INTEGER } = fields
  for (const name of ['search', 'by', 'action', 'result'] as const) {
    const text = fields[name]
    if (text === undefined || (typeof text === 'string' && text.length <= textMax)) continue
    return refuse('LICD_BAD_REQUEST', `Field ${name}: a text of at most ${textMax} characters.`)
  }
  if (!isWhole(limit, 1, auditAnswerMax)) {
    return refuse('LICD_BAD_REQUEST', `Field limit: from 1 to ${auditAnswerMax}.`)
  }
  if (!isWhole(before, 1, Number.MAX_SAFE_INTEGER)) {
    return refuse('LICD_BAD_REQUEST', 'Field before must be the number of a record.')
  }
  const fitting = audit.filter(record => fits(record, fields)).reverse()
  const records = fitting.filter(({ seq }) => seq < before).slice(0, limit)
  const lastShown = records.at(-1)?.seq
  const isLast = lastShown === undefined || lastShown === fitting.at(-1)?.seq
  return {
    ok: true,
    value: {
      records,
      ...(isLast ? {} : { next: lastShown }),
      total: fitting.length,
      first: audited - audit.length + 1,
      last: audited,
      actions: [...new Set(audit.map(({ action }) => action))].sort(),
    },
  }
}

function fits(record: AuditRecord, { search, by, action, result }: Fields): boolean {
  const { id, by: who, action: what, subject = '', detail = '', outcome } = record
  if (action !== undefined && what !== action) return false
  if (result === 'refused' ? outcome === 'ok' : result !== undefined && outcome !== result) {
    return false
  }
  if (!has([who], by)) return false
  return has([who, what, subject, detail, outcome, id], search)
}

function has(texts: readonly string[], wanted: unknown): boolean {
  if (typeof wanted !== 'string') return true
  const text = wanted.toLowerCase()
  return texts.some(each => each.toLowerCase().includes(text))
}
