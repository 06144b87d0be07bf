/** What the API answers about the past: usage and audit, from a ledger's state. */
import t from 'tap'
import { auditOf } from '../../lib/http/audit-query.ts'
import { usageAnswerMax, usageOf, type Past } from '../../lib/http/usage-query.ts'
import { History, type Used } from '../../lib/ledger/history.ts'
import type { AuditRecord } from '../../lib/ledger/state.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** Noon of a day, UTC. */
const now = Math.floor(1.8e12 / dayMs) * dayMs + 12 * hourMs

const cad: Used = {
  name: 'cad',
  allocations: 30,
  owed: 0,
  demand: [],
  usage: new Map([['a', { inUse: 7 }]]),
  shares: new Map([['a', 10]]),
}

/** A history in which `cad` had so many in use, from so many hours ago on; the pool's calendar is at `now`. */
function past(...changes: readonly (readonly [hoursAgo: number, inUse: number])[]): Past {
  const history = new History()
  let before = 0
  for (const [hoursAgo, inUse] of changes) {
    const feature = { ...cad, usage: new Map([['a', { inUse }]]) }
    const usage = { granted: 2, denied: 1, reasons: [1, 0, 0, 0] as const }
    const moment = { level: 2, calendar: now - hoursAgo * hourMs }
    history.note({ usage: () => undefined }, moment, feature, before, usage)
    before = inUse
  }
  return { level: 2, calendar: now, history, features: new Map([['cad', cad]]) }
}

function answer(state: Past, fields: Record<string, unknown> = {}) {
  const found = usageOf(state, { feature: 'cad', ...fields })
  if (!found.ok) throw new Error(found.detail)
  return found.value
}

t.test('usage: what went on before the range goes on in it', t => {
  const state = past([30, 4], [3, 9])
  const { at, inUse, owned, denied, granted, kept } = answer(state, { unit: 'hour', from: '5h' })
  t.equal(kept, true)
  t.same(
    at,
    [5, 4, 3, 2, 1, 0].map(ago => now - ago * hourMs),
  )
  t.same(inUse, [4, 4, 9, 9, 9, 9], 'four from before, and nine since')
  t.same(owned, [30, 30, 30, 30, 30, 30])
  t.same(granted, [0, 0, 2, 0, 0, 0])
  t.same(denied['no-seat'], [0, 0, 1, 0, 0, 0])
  t.end()
})

t.test('usage: nothing in the range, nor before it', t => {
  t.same(answer(past([1, 9]), { from: now - 40 * hourMs, to: now - 38 * hourMs }).inUse, [0, 0])
  t.same(answer(past([1, 9]), { from: '3h' }).owned, [null, null, 30, 30], 'not known is not none')
  t.same(answer(past(), { from: '1h' }).inUse, [7, 7], 'what is in use now, and has not changed')
  t.end()
})

t.test('usage: by day, and how many seats would have been enough', t => {
  const { at, inUse, needed } = answer(past([49, 9], [47, 2]), { unit: 'day', from: '2d' })
  t.same(
    at,
    [2, 1, 0].map(ago => now - 12 * hourMs - ago * dayMs),
  )
  t.same(inUse, [9, 2, 2])
  t.match(needed[0], { seats: 11, short: 0, denied: 0 }, 'in use, and one for each that was denied')
  t.equal(needed.at(-1)?.seats, 2)
  t.end()
})

t.test('usage: a level 1 pool says that it keeps none', t => {
  t.equal(answer({ ...past(), level: 1 }).kept, false)
  t.end()
})

t.test('usage: answers are bounded, and bad questions refused', t => {
  const state = past([1, 9])
  t.equal(answer(state, { unit: 'day', from: '1095d' }).at.length, 1_096)
  t.equal(answer(state, { unit: 'minute', from: '24h' }).at.length, 1_441)
  const bad: readonly Record<string, unknown>[] = [
    { unit: 'minute', from: '7d' },
    { unit: 'hour', from: 0 },
    { unit: 'second' },
    { from: 'yesterday' },
    { from: now, to: now - 1 },
    { feature: ' ' },
    { feature: undefined },
  ]
  for (const fields of bad) {
    t.match(usageOf(state, { feature: 'cad', ...fields }), { ok: false, code: 'LICD_BAD_REQUEST' })
  }
  t.match(usageOf(state, { feature: 'none' }), { ok: false, code: 'LICD_UNKNOWN_FEATURE' })
  t.ok(usageAnswerMax < 10_000)
  t.end()
})

const records: AuditRecord[] = [
  ['mary@ws7', 'add-feature', 'cad', 'ok'],
  ['joe@ws1', 'add-feature', 'cad', 'LICD_FEATURE_EXISTS'],
  ['mary@ws7', 'change-criteria', 'cad', 'ok'],
  ['mary@ws7', 'add-server', 'delta', 'LICD_BAD_REQUEST'],
].map(([by = '', action = '', subject = '', outcome = ''], n) => ({
  ...{ seq: n + 11, tick: n, at: now, id: `id-${n}`, by, action, subject, outcome },
}))

function found(fields: Record<string, unknown>) {
  const answer = auditOf({ audit: records, audited: 14 }, fields)
  if (!answer.ok) throw new Error(answer.detail)
  return answer.value
}
const numbers = (fields: Record<string, unknown>) => found(fields).records.map(({ seq }) => seq)

t.test('audit: the newest first, page by page', t => {
  t.same(numbers({}), [14, 13, 12, 11])
  const page = found({ limit: 3 })
  t.match(page, { total: 4, next: 12, first: 11, last: 14 })
  const rest = found({ limit: 3, before: page.next })
  t.same(
    rest.records.map(({ seq }) => seq),
    [11],
  )
  t.notOk('next' in rest)
  t.notOk('next' in found({ limit: 4 }), 'a full page may be the last one')
  t.same(page.actions, ['add-feature', 'add-server', 'change-criteria'])
  t.end()
})

t.test('audit: by who, what and result', t => {
  t.same(numbers({ by: 'JOE' }), [12])
  t.same(numbers({ action: 'add-feature' }), [12, 11])
  t.same(numbers({ result: 'refused' }), [14, 12])
  t.same(numbers({ result: 'LICD_FEATURE_EXISTS' }), [12])
  t.same(numbers({ result: 'ok', by: 'mary', action: 'add-feature' }), [11])
  t.same(numbers({ search: 'Delta' }), [14])
  t.same(numbers({ search: 'id-2' }), [13], 'by the command\u2019s id, as in the logs')
  t.same(numbers({ search: 'nothing has that' }), [])
  for (const fields of [{ limit: 0 }, { limit: 501 }, { before: NaN }, { by: 'x'.repeat(129) }]) {
    const answer = auditOf({ audit: records, audited: 14 }, fields)
    t.match(answer, { ok: false, code: 'LICD_BAD_REQUEST' })
  }
  t.end()
})
