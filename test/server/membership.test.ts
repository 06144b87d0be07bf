/** What operators decide of servers, judged by the leader before it is proposed. */
import t from 'tap'
import { simulatePool } from '../sim/pool.ts'
import { idleService } from './idle-service.ts'

const three = ['alpha', 'beta', 'gamma']
const change = { by: 'test', timeoutMs: 5_000 }

t.test('a server that was lost a moment ago is not counted on', async t => {
  const pool = simulatePool({ seed: 3, servers: three, createService: idleService }).startAll()
  pool.settle()
  const leader = pool.leader?.server ?? ''
  const [dead = '', other = ''] = three.filter(name => name !== leader)
  pool.crash(dead)
  const request = { ...change, id: 'demote', server: other }
  t.match(pool.ask('servers-demote', request, { at: leader }), {
    ok: false,
    code: 'LICD_QUORUM_AT_RISK',
  })
  pool.start(dead)
  pool.settle()
  t.match(pool.ask('servers-demote', { ...request, id: 'again' }, { at: leader }), { ok: true })
})

t.test('what was refused as unwise stays refused, however late a copy of it comes', async t => {
  const pool = simulatePool({ seed: 3, servers: three, createService: idleService }).startAll()
  pool.settle()
  const leader = pool.leader?.server ?? ''
  const [dead = ''] = three.filter(name => name !== leader)
  pool.crash(dead)
  pool.run(2_000)
  const request = { ...change, id: 'demote-once', server: leader }
  const demote = (more: object = {}) =>
    pool.ask('servers-demote', { ...request, ...more }, { at: leader })
  t.match(demote(), { ok: false, code: 'LICD_QUORUM_AT_RISK' })
  const removal = { ...change, id: 'remove', server: dead }
  t.match(pool.ask('servers-remove', removal, { at: leader }), { ok: true })
  t.ok(
    pool.runUntil(() => !pool.server(leader).ledger.state.servers.has(dead), 60_000),
    'the dead one is out, and it would be wise now',
  )
  t.match(demote(), { ok: false, code: 'LICD_QUORUM_AT_RISK' }, 'its sender was told no')
  t.match(demote({ id: 'demote-again' }), { ok: true })
})
