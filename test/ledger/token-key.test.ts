// Which MAC key is in use, in the ledger: switched once all hold it, the old one heard as long as a seat may need it.
import t from 'tap'
import { bounds } from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import { codeOf, Pool } from './pool.ts'

const servers = ['a', 'b', 'c']

function hold(pool: Pool, server: string, ...kids: string[]): string {
  const { incarnation } = pool.server(server)
  return codeOf(pool.run({ type: 'hold-keys', server, incarnation, kids }))
}

function use(pool: Pool, kid: string, before: string): string {
  return codeOf(pool.run({ type: 'use-key', kid, before }))
}

/** Every server holds `kids`. */
function poolOf(...kids: string[]): Pool {
  const pool = new Pool()
  for (const server of servers) hold(pool, server, ...kids)
  return pool
}

t.test('the switch is refused until every server of the pool holds the new key', async t => {
  const pool = new Pool()
  t.equal(use(pool, 'new', 'old'), 'LICD_KEY_MISSING', 'nobody has said anything')
  for (const server of ['a', 'b']) hold(pool, server, 'new', 'old')
  hold(pool, 'c', 'old')
  const result = pool.run({ type: 'use-key', kid: 'new', before: 'old' })
  t.match(result, {
    ok: false,
    code: 'LICD_KEY_MISSING',
    detail: 'Key new is not known to be at c.',
  })
  t.equal(pool.ledger.state.tokenKeys, undefined)
  hold(pool, 'c', 'new')
  t.equal(use(pool, 'new', 'old'), 'LICD_KEY_MISSING', 'nor may one lack the old key')
  hold(pool, 'c', 'new', 'old')
  t.equal(use(pool, 'new', 'old'), 'ok')
  t.match(pool.ledger.state.tokenKeys, { current: 'new', before: [{ kid: 'old' }] })
})

t.test(
  'a server that was taken in, or started anew, has to say it; one that was removed not',
  async t => {
    const pool = poolOf('new', 'old')
    pool.run({ type: 'add-server', server: 'd', role: 'learner' })
    t.equal(use(pool, 'new', 'old'), 'LICD_KEY_MISSING')
    pool.run({ type: 'set-role', server: 'd', role: 'removed' })
    pool.run({ type: 'hello', server: 'c', bootId: 'from a backup' })
    t.equal(use(pool, 'new', 'old'), 'LICD_KEY_MISSING')
    t.equal(
      codeOf(pool.run({ type: 'hold-keys', server: 'c', incarnation: 1, kids: ['new', 'old'] })),
      'LICD_PAST_INCARNATION',
      'what its earlier run held counts no more',
    )
    hold(pool, 'c', 'new', 'old')
    t.equal(use(pool, 'new', 'old'), 'ok')
  },
)

t.test(
  'the old key is heard until the slowest server cannot have made anything with it',
  async t => {
    const pool = poolOf('new', 'old')
    pool.ticks(2, ['a', 'b'])
    pool.ticks(2, ['a'])
    t.equal(use(pool, 'new', 'old'), 'ok')
    const last = Math.max(...servers.map(name => pool.server(name).downAt))
    const until = pool.ledger.state.tokenKeys?.before[0]?.until ?? 0
    t.equal(until, last + 1, 'no lease of now lasts longer')
    t.ok(until > pool.tickNow + pool.ledger.state.settings.seatTicks, 'and no seat of now')
    while (pool.tickNow < until - 1) pool.tick()
    t.match(pool.ledger.state.tokenKeys, { before: [{ kid: 'old' }], retired: [] })
    const copy = Ledger.restore(pool.ledger.snapshot())
    t.same(copy.state.tokenKeys, pool.ledger.state.tokenKeys, 'a snapshot keeps it')
    t.same(copy.state.servers.get('a')?.keys, ['new', 'old'])
    pool.tick()
    t.match(pool.ledger.state.tokenKeys, { current: 'new', before: [], retired: ['old'] })
  },
)

t.test('faster ticks do not shorten the time of the old key', async t => {
  const pool = poolOf('new', 'old')
  use(pool, 'new', 'old')
  const { settings } = pool.ledger.state
  const faster = { ...settings, tickMs: 100 }
  t.equal(codeOf(pool.run({ type: 'change-settings', settings: faster })), 'ok')
  const { tokenKeys, tick } = pool.ledger.state
  const until = tokenKeys?.before[0]?.until ?? 0
  t.ok((until - tick) * faster.tickMs >= settings.leaseTicks * settings.tickMs, `until ${until}`)
  for (const name of servers) t.ok(until >= pool.server(name).downAt, 'as leases of before last')
})

t.test(
  'a key is used once: not again, not while it is heard, not by who did not see the last switch',
  async t => {
    const pool = poolOf('third', 'second', 'first')
    t.equal(use(pool, 'first', 'first'), 'ok')
    t.equal(pool.ledger.state.tokenKeys, undefined, 'it is in use already')
    t.equal(use(pool, 'second', 'first'), 'ok')
    t.equal(use(pool, 'second', 'first'), 'ok', 'twice is once')
    t.equal(use(pool, 'third', 'first'), 'LICD_KEY_CHANGED')
    t.equal(use(pool, 'first', 'second'), 'LICD_KEY_RETIRED', 'it is still heard')
    pool.ticks(30)
    t.equal(use(pool, 'first', 'second'), 'LICD_KEY_RETIRED', 'it is not')
    t.equal(use(pool, 'third', 'second'), 'ok')
    t.match(pool.ledger.state.tokenKeys, { current: 'third', before: [{ kid: 'second' }] })
  },
)

t.test('keys in a hurry: a few are heard at a time', async t => {
  const kids = ['k5', 'k4', 'k3', 'k2', 'k1', 'k0']
  const pool = poolOf(...kids)
  for (let n = 1; n <= bounds.oldKeys; n++) t.equal(use(pool, `k${n}`, `k${n - 1}`), 'ok')
  t.equal(use(pool, 'k5', 'k4'), 'LICD_TOO_MANY')
  pool.ticks(30)
  t.equal(use(pool, 'k5', 'k4'), 'ok')
})

t.test('bad figures are refused by name, and a pool of before knows no such command', async t => {
  const pool = poolOf('new', 'old')
  t.equal(use(pool, 'a key!', 'old'), 'LICD_BAD_REQUEST')
  t.equal(use(pool, 'new', ''), 'LICD_BAD_REQUEST')
  t.equal(hold(pool, 'a', 'x y'), 'LICD_BAD_REQUEST')
  t.equal(hold(pool, 'a', ...Array.from({ length: 9 }, (_, n) => `k${n}`)), 'LICD_TOO_MANY')
  t.equal(
    codeOf(pool.run({ type: 'hold-keys', server: 'x', incarnation: 1, kids: [] })),
    'LICD_UNKNOWN_SERVER',
  )
  const before = new Pool({ level: 1 })
  t.equal(use(before, 'new', 'old'), 'LICD_LEVEL')
  t.equal(hold(before, 'a', 'new'), 'LICD_LEVEL')
})

t.test('a pool that begins anew has a key of its own', async t => {
  const pool = poolOf('new', 'old')
  use(pool, 'new', 'old')
  const recover = { type: 'recover', servers: ['a'], holdTicks: 0, wallMs: 0 } as const
  pool.raw({ id: '', deadline: 0, by: 'recover', body: recover })
  t.equal(pool.ledger.state.tokenKeys, undefined)
  t.equal(pool.server('a').keys, undefined)
})

t.test('the audit log has the switch, and not what servers say of themselves', async t => {
  const pool = poolOf('new', 'old')
  use(pool, 'other', 'old')
  use(pool, 'new', 'old')
  const told = pool.ledger.state.audit.map(({ action, subject, detail, outcome }) => [
    ...[action, subject, detail, outcome],
  ])
  t.same(told.slice(1), [
    ['use-key', 'other', 'before old', 'LICD_KEY_MISSING'],
    ['use-key', 'new', 'before old', 'ok'],
  ])
})
