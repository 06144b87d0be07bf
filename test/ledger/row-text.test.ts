// The text of a row is what JSON makes of it, to the letter: servers of other versions hash that (I5).
import t from 'tap'
import type { Result } from '../../lib/ledger/command.ts'
import { auditText, rowText } from '../../lib/ledger/row-text.ts'
import { auditRow, resultRow, type Row } from '../../lib/ledger/snapshot.ts'
import type { AuditRecord } from '../../lib/ledger/state.ts'

const texts = [
  ...['', 'cad', 'mary@ws7', 'a "quote"', 'back\\slash', 'line\nbreak', 'tab\t', 'del\u007f'],
  ...['é', '🙂', 'lone \ud800', '\u2028', '</script>', '~ !#[]', '\u0000', "o'clock"],
]
const figures = [0, 1, 12, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER, 1.5, -3, 1e21]

t.test('records of the audit log, whatever they say', async t => {
  for (const [n, text] of texts.entries()) {
    const figure = figures[n % figures.length] ?? 0
    const record: AuditRecord = {
      ...{ seq: figure, tick: figure, at: figure, id: text, by: text, action: text },
      ...(n % 2 === 0 ? { key: text } : {}),
      ...(n % 3 === 0 ? {} : { subject: text }),
      ...(n % 4 === 0 ? {} : { detail: text }),
      outcome: n % 5 === 0 ? 'LICD_DEADLINE' : 'ok',
    }
    t.equal(auditText(record), JSON.stringify(auditRow(record)), `text ${n}`)
  }
})

t.test('results of every kind, and rows of other kinds', async t => {
  const results: Result[] = [
    { ok: true, revision: 0 },
    { ok: true, revision: 2 ** 40 },
    { ok: true, revision: 7, incarnation: 2, relearn: true },
    { ok: true, revision: 7, taken: [{ source: 'free', count: 3 }] },
    { ok: false, code: 'LICD_TOO_BUSY' },
    { ok: false, code: 'LICD_NO_SOURCE', detail: 'none "left"', queued: 1 },
  ]
  const rows: Row[] = [
    ...results.flatMap(result => texts.map(id => resultRow(id, result, 612))),
    { kind: 'revoked', key: 'UABC' },
  ]
  for (const row of rows) t.equal(rowText(row), JSON.stringify(row))
})
