// The audit log: what operators did or tried, on every server alike (I5), bounded.
import t from 'tap'
import { bounds } from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import { content, epoch, Pool, vendor } from './pool.ts'

t.test('each command of an operator makes one record, refused ones too', async t => {
  const pool = new Pool()
  pool.run({ type: 'add-feature', feature: 'cad', allocations: 5 })
  const command = {
    id: 'again',
    deadline: pool.tickNow + 2,
    by: 'mary@ws7',
    body: { type: 'add-feature', feature: 'cad', allocations: 5 },
  } as const
  pool.raw(command)
  pool.raw(command)
  pool.borrow('a')
  pool.run({ type: 'add-code', text: '', content: content({ feature: 'sim' }) })
  pool.run({ type: 'set-threshold', feature: 'cad', threshold: 0.5 })
  pool.run({ type: 'change-criteria', feature: 'cad', targets: { a: 5 } })
  pool.run({ type: 'set-role', server: 'c', role: 'learner' })
  pool.run({ type: 'note', action: 'transfer-leader', detail: 'to b' })
  pool.run({ type: 'revoke-vendor', kid: vendor.kid })
  const { audit, audited, tick } = pool.ledger.state
  t.equal(audited, audit.length)
  t.same(
    audit.map(({ action, subject, detail, outcome }) => [action, subject, detail, outcome]),
    [
      ['genesis', 'test', 'servers a b c', 'ok'],
      ['add-feature', 'cad', '5', 'ok'],
      ['add-feature', 'cad', '5', 'LICD_FEATURE_EXISTS'],
      ['add-code', 'code-1', '30 of sim by acme', 'ok'],
      ['set-threshold', 'cad', '0.5 at all servers', 'ok'],
      ['change-criteria', 'cad', '{"targets":{"a":5}}', 'ok'],
      ['set-role', 'c', 'learner', 'ok'],
      ['transfer-leader', undefined, 'to b', 'ok'],
      ['revoke-vendor', vendor.kid, undefined, 'ok'],
    ],
  )
  t.match(audit[2], { seq: 3, tick, at: epoch, id: 'again', by: 'mary@ws7' }, 'a repetition none')
})

t.test('long texts are cut, late commands recorded', async t => {
  const pool = new Pool()
  const targets = Object.fromEntries(
    Array.from({ length: 40 }, (_, n) => [`server-${String(n)}`, n]),
  )
  pool.run({ type: 'change-criteria', feature: 'x'.repeat(64), targets })
  t.equal(pool.ledger.state.audit.at(-1)?.detail?.length, 256)
  pool.ticks(9)
  pool.raw({ id: 'late', deadline: 3, by: 'x', body: { type: 'remove-code', codeId: 'c' } })
  t.match(pool.ledger.state.audit.at(-1), { action: 'remove-code', outcome: 'LICD_DEADLINE' })
})

t.test(
  'the last 10,000 are kept; the numbers tell what is gone; a snapshot holds them',
  async t => {
    const ledger = new Pool().ledger
    const { tick } = ledger.state
    const extra = 25
    for (let n = 0; n < bounds.audit + extra; n++) {
      const body = { type: 'remove-code', codeId: `c${String(n)}` } as const
      ledger.apply({ id: `i${String(n)}`, deadline: tick + 2, by: 'op', body }, n)
    }
    const { audit, audited } = ledger.state
    t.equal(audit.length, bounds.audit)
    t.equal(audited, bounds.audit + extra + 1)
    t.match(audit[0], { seq: extra + 2, subject: `c${String(extra)}` })
    const copy = Ledger.restore(ledger.snapshot())
    t.equal(copy.hash(), ledger.hash())
    t.same(copy.state.audit, audit)
    const one = {
      id: 'z',
      deadline: tick + 2,
      by: 'op',
      body: { type: 'remove-code', codeId: 'z' },
    } as const
    copy.apply(one, 1)
    ledger.apply(one, 1)
    t.equal(copy.hash(), ledger.hash())
  },
)
