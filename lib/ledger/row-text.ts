/**
 * The text of a row, of which the ledger's hash is made (I5): what `JSON.stringify` makes of it.
 *
 * Every change adds a result and an audit record, and takes one of each out later, on every server: for these two the
 * text is put together from its parts, at a third of the cost. The result must be the same to the letter: servers of
 * other versions compare their hashes with it.
 */
import type { ResultRow, Row } from './snapshot.ts'
import type { AuditRecord } from './state.ts'

export function rowText(row: Row): string {
  if (row.kind === 'audit') return auditText(row)
  if (row.kind === 'result') return resultText(row)
  return JSON.stringify(row)
}

function resultText(row: ResultRow): string {
  const { id, result, forgetAt } = row
  // Most are done and say no more than that.
  const isPlain = result.ok && !('taken' in result) && !('incarnation' in result)
  const told = isPlain
    ? `{"ok":true,"revision":${figure(result.revision)}}`
    : JSON.stringify(result)
  return `{"kind":"result","id":${quoted(id)},"result":${told},"forgetAt":${figure(forgetAt)}}`
}

/** Of a record's row. */
export function auditText(record: AuditRecord): string {
  const { seq, tick, at, id, by, key, action, subject, detail, outcome } = record
  let text = `{"kind":"audit","seq":${figure(seq)},"tick":${figure(tick)},"at":${figure(at)}`
  text += `,"id":${quoted(id)},"by":${quoted(by)}`
  if (key !== undefined) text += `,"key":${quoted(key)}`
  text += `,"action":${quoted(action)}`
  if (subject !== undefined) text += `,"subject":${quoted(subject)}`
  if (detail !== undefined) text += `,"detail":${quoted(detail)}`
  return `${text},"outcome":${quoted(outcome)}}`
}

/** What JSON writes as it stands: of ASCII all but control characters, the quote and the backslash. */
const plain = /^[ !#-[\]-~]*$/

function quoted(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text)
}

function figure(value: number): string {
  return Number.isSafeInteger(value) ? String(value) : JSON.stringify(value)
}
