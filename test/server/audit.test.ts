// The audit log, the pool's level, and what is told of codes, through servers.
import { unpack } from 'msgpackr'
import t from 'tap'
import type { CodeContent } from '../../lib/ledger/command.ts'
import type { Judge } from '../../lib/ledger/outcome.ts'
import type { CodeEvent } from '../../lib/protocol/event.ts'
import { ed25519Thumbprint } from '../../lib/server/ctl-request.ts'
import { simulatePool, type PoolOptions } from '../sim/pool.ts'

const three = ['alpha', 'beta', 'gamma']
const change = { by: 'mary@ws7', timeoutMs: 5_000 }
const publicKey = 'A'.repeat(43)
const vendor = { kid: ed25519Thumbprint(publicKey), name: 'Acme', publicKey }

const judge: Judge = {
  code: text => ({ ok: true, content: JSON.parse(text) as CodeContent }),
  certificate: () => ({ ok: false, code: 'LICD_BAD_KEY' }),
}

function makePool(options: Partial<PoolOptions> = {}) {
  const pool = simulatePool({ seed: 5, servers: three, vendors: [vendor], judge, ...options })
  pool.startAll()
  pool.settle()
  return pool
}

t.test('every server tells the same of who did what, page by page', async t => {
  const pool = makePool()
  pool.ask('feature-add', { ...change, id: 'a', feature: 'cad', allocations: 9 }, { at: 'beta' })
  pool.ask('feature-add', { ...change, id: 'b', feature: 'cad', allocations: 9 }, { at: 'gamma' })
  pool.ask('feature-add', { ...change, id: 'a', feature: 'cad', allocations: 9 }, { at: 'alpha' })
  pool.ask('transfer-leader', { timeoutMs: 5_000, by: 'bob@ws8' })
  pool.ask('snapshot-open', {}, { at: 'alpha' })
  pool.run(1_000)
  const told = three.map(at => {
    const answer = pool.ask('audit', {}, { at })
    if (!answer?.ok) throw new Error('no answer')
    return answer
  })
  t.same(told[1]?.records, told[0]?.records)
  t.same(told[2]?.records, told[0]?.records)
  t.same(
    told[0]?.records.map(({ seq, by, action, outcome }) => [seq, by, action, outcome]),
    [
      [1, 'init', 'genesis', 'ok'],
      [2, 'mary@ws7', 'add-feature', 'ok'],
      [3, 'mary@ws7', 'add-feature', 'LICD_FEATURE_EXISTS'],
      [4, 'bob@ws8', 'transfer-leader', 'ok'],
      [5, 'not named', 'snapshot-save', 'ok'],
    ],
  )
  const page = pool.ask('audit', { after: 2, limit: 2 })
  t.match(page, { ok: true, first: 1, last: 5 })
  t.same(page?.ok && page.records.map(({ seq }) => seq), [3, 4])
  t.match(pool.ask('audit', { after: 9 }), { ok: true, records: [] })
  for (const wrong of [{ after: -1 }, { after: 'x' }, { limit: 0 }, { limit: 501 }]) {
    t.match(pool.askRaw('audit', wrong), { ok: false, code: 'LICD_BAD_REQUEST' })
  }
})

t.test('a pool of before does what it did, and more once it is raised', async t => {
  const pool = makePool({ level: 1 })
  const renewal: CodeContent = {
    ...{ codeId: 'c', kid: vendor.kid, vendor: 'Acme', customer: 'us', feature: 'sim' },
    ...{ kind: 'feature', allocations: 6, startsAt: 0, issuedAt: 0, renews: 'b' },
  }
  const add = (id: string) => pool.ask('code-add', { ...change, id, text: JSON.stringify(renewal) })
  t.match(pool.ask('status', {}), { status: { level: 1, levelMax: 3 } })
  t.match(add('1'), { ok: false, code: 'LICD_LEVEL' })
  const revoke = (id: string) => pool.ask('vendor-revoke', { ...change, id, kid: vendor.kid })
  t.match(revoke('2'), { ok: false, code: 'LICD_LEVEL' })
  t.match(pool.ask('feature-add', { ...change, id: '3', feature: 'cad', allocations: 1 }), {
    ok: true,
  })
  t.match(pool.ask('audit', {}), { ok: true, records: [], last: 0 })
  t.match(pool.askRaw('level-set', { ...change, id: '4', level: 4 }), { code: 'LICD_BAD_REQUEST' })
  t.match(pool.ask('level-set', { ...change, id: '5', level: 2 }), { ok: true })
  t.match(pool.ask('status', {}), { status: { level: 2 } })
  t.match(add('6'), { ok: true, content: { renews: 'b' } })
  t.match(revoke('7'), { ok: true })
  t.match(pool.ask('level-set', { ...change, id: '8', level: 3 }), { ok: true })
  t.match(pool.ask('feature-add', { ...change, id: '9', feature: 'cam', allocations: 1 }), {
    ok: true,
  })
  t.match(pool.ask('code-list', {}), { codes: [{ codeId: 'c', state: 'ended' }] })
  t.match(pool.ask('vendor-list', {}), { vendors: [{ kid: vendor.kid, revoked: true }] })
  const audit = pool.ask('audit', {})
  t.same(audit?.ok && audit.records.map(({ action }) => action), [
    'set-level',
    'add-code',
    'revoke-vendor',
    'set-level',
    'add-feature',
  ])
  pool.run(5_000)
  const hashes = new Set(three.map(name => pool.server(name).ledger.hash()))
  t.equal(hashes.size, 1, 'one ledger')
})

t.test('the leader tells those who watch when a code ends soon, starts, and has ended', async t => {
  const pool = makePool()
  const { calendar } = pool.server('alpha').ledger.state
  const events: CodeEvent[] = []
  const watcher = pool.connect('watcher')
  watcher.bus.subscribe(pool.subjects.codeEvent('*'), ({ data }) => {
    events.push(unpack(data) as CodeEvent)
  })
  const add = (change: Partial<CodeContent>): string =>
    JSON.stringify({
      ...{ codeId: 'one', kid: vendor.kid, vendor: 'Acme', customer: 'us', feature: 'sim' },
      ...{ kind: 'feature', allocations: 6, startsAt: 0, issuedAt: 0, ...change },
    })
  const end = calendar + 86_400_000 + 20_000
  pool.ask('code-add', { ...change, id: '1', text: add({ expiresAt: end }) })
  pool.ask('code-add', { ...change, id: '2', text: add({ codeId: 'two', renews: 'one' }) })
  const list = pool.ask('code-list', {})
  t.match(list, {
    codes: [
      { codeId: 'one', renewedBy: ['two'] },
      { renews: 'one', state: 'pending' },
    ],
  })
  pool.run(40_000)
  pool.ask('code-remove', { ...change, id: '3', codeId: 'one' })
  pool.run(1_000)
  t.match(events, [
    { event: 'code-started', codeId: 'one' },
    { event: 'code-ends', codeId: 'one', days: 7 },
    { event: 'code-ends', codeId: 'one', feature: 'sim', days: 1, endsAt: end, renewedBy: 'two' },
    { event: 'code-started', codeId: 'two' },
    { event: 'code-ended', codeId: 'one' },
  ])
  t.equal(events.length, 5, 'each once')
})
