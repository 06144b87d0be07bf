// Who belongs to the pool, on real processes: joining, roles, removal, alive or dead (R3; paper, 6).
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { call } from '../cmd/in-process.ts'
import { ProcessPool, ready } from '../pool-processes.ts'
import { Operator, type Servers } from './operator.ts'

t.setTimeout(240_000)
const settings = { leaseTicks: 20, seatTicks: 10 }

t.test('a new server joins, is promoted, demoted and removed', async t => {
  await using pool = await ProcessPool.start({ servers: ['alpha'], ...settings })
  const operator = new Operator(pool)
  await operator.ctl('feature', 'add', 'cad', '12', '--local')

  await pool.join('beta', 'alpha')
  await pool.startUntil('beta', /waiting to be taken into pool default/)
  t.equal(await operator.shown(), 'alpha voter voter', 'nobody else knows of it')

  const added = await operator.ctl('servers', 'add', 'beta')
  t.match(added, { outcome: 'done', unchanged: false, duplicate: false })
  t.equal(await operator.shown(), 'alpha voter voter, beta voter voter')
  t.match(await operator.ctl('servers', 'add', 'beta'), { outcome: 'done', unchanged: true })

  t.match(await operator.ctl('servers', 'demote', 'beta'), { outcome: 'done' })
  const demoted = await operator.until(({ servers }) => servers.every(({ share }) => share === 6))
  t.match(
    demoted.servers.find(({ name }) => name === 'beta'),
    { member: 'learner', role: 'learner', lag: Number, trust: 'full' },
    'learners own shares',
  )
  t.match(await operator.try('servers', 'demote', 'alpha'), { code: 'LICD_LAST_VOTER' })
  t.match(await operator.try('servers', 'remove', 'alpha'), { code: 'LICD_LAST_VOTER' })
  t.match(await operator.try('servers', 'promote', 'x'), { code: 'LICD_UNKNOWN_SERVER' })
  t.match(await operator.try('servers', 'remove', 'any'), { code: 'LICD_USAGE' })
  t.match(await operator.ctl('servers', 'promote', 'beta'), { outcome: 'done' })

  t.match(await operator.ctl('servers', 'remove', 'beta'), { outcome: 'done' })
  t.match(await pool.ended('beta'), { code: 0, stderr: /LICD_SERVER_REMOVED/ })
  t.match(await operator.shown(), /^alpha voter voter(, beta none removed)?$/)

  await pool.startUntil('beta', /taken out of pool/)
  t.match(await operator.ctl('servers', 'add', 'beta', '--learner'), { outcome: 'done' })
  t.equal(await operator.shown(), 'alpha voter voter, beta learner learner', 'and back again')
})

t.test('a dead server is removed; what would leave no majority is refused', async t => {
  await using pool = await ProcessPool.start(settings)
  const operator = new Operator(pool)
  const leader = await operator.leader()
  const [dead = '', other = ''] = pool.servers.filter(name => name !== leader)
  await pool.join('delta', leader)
  await operator.ctl('servers', 'add', 'delta', '--learner', '--within', '0')
  t.match(
    await operator.try('servers', 'promote', 'delta'),
    { code: 'LICD_NOT_CAUGHT_UP' },
    'it does not run',
  )
  await operator.ctl('servers', 'remove', 'delta')
  await pool.kill(dead)
  await operator.until(({ servers }) =>
    servers.some(({ name, state }) => name === dead && state !== 'up'),
  )
  t.match(await operator.try('servers', 'remove', other), { code: 'LICD_QUORUM_AT_RISK' })
  t.match(await operator.try('servers', 'demote', leader), { code: 'LICD_QUORUM_AT_RISK' })
  t.match(await operator.ctl('servers', 'promote', dead), { unchanged: true })
  t.match(await operator.ctl('servers', 'remove', dead), { outcome: 'done' })
  t.match(await operator.ctl('servers', 'demote', other), { outcome: 'done' })
  await pool.kill(leader)
  await operator.until(({ leader: known }) => known === undefined)
  t.match(await operator.try('servers', 'promote', other), { code: 'LICD_NO_LEADER' })
})

t.test('the leader is removed: it hands over first', async t => {
  await using pool = await ProcessPool.start(settings)
  const operator = new Operator(pool)
  const leader = await operator.leader()
  t.match(await operator.ctl('servers', 'remove', leader), { outcome: 'done' })
  t.match(await pool.ended(leader), { code: 0, stderr: /LICD_SERVER_REMOVED/ })
  const next = await operator.leader()
  t.not(next, leader)
  t.match(await operator.ctl('transfer-leader'), { leader: /./ }, 'the target may be left out')
  t.not(await operator.leader(), next)
  t.match(await operator.try('transfer-leader', leader), {
    code: /LICD_(NO_TARGET|UNKNOWN_SERVER)/,
  })
})

t.test(
  'a server whose log was wiped shows, and counts again once demoted and promoted',
  async t => {
    await using pool = await ProcessPool.start(settings)
    const operator = new Operator(pool)
    const leader = await operator.leader()
    const [wiped = ''] = pool.servers.filter(name => name !== leader)
    await pool.kill(wiped)
    rmSync(join(pool.folder, wiped, 'raft'), { recursive: true })
    await pool.startUntil(wiped, ready)
    const trustOf = ({ servers }: Servers) => servers.find(({ name }) => name === wiped)?.trust
    await operator.until(servers => trustOf(servers) === 'unknown')
    const { stdout } = await call(['ctl', 'servers', '--nats', pool.nats.url])
    t.match(stdout, /wiped/)
    t.match(
      (await call(['ctl', 'servers', 'add', wiped, '--nats', pool.nats.url])).stdout,
      /demote it/,
    )
    t.match(await operator.ctl('servers', 'demote', wiped), { outcome: 'done' })
    t.match(await operator.ctl('servers', 'promote', wiped), { outcome: 'done' })
    await operator.until(servers => trustOf(servers) === 'full')
    t.equal(await operator.leader(), leader, 'nobody else had to do anything')
  },
)
