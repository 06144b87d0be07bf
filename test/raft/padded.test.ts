/**
 * A large state on real processes: snapshots are taken, sent to a server that is far behind and to a new one while
 * commands go through, and nobody takes the leader for dead. `npm run bench:snapshot` does the same with 100 MiB
 * and says what it costs.
 */
import t from 'tap'
import { startNatsServer } from '../nats-server.ts'
import { PaddedPool } from './padded-pool.ts'

t.setTimeout(240_000)

t.test('no election while 4 MiB of state are taken and sent', async t => {
  const broker = await startNatsServer()
  t.teardown(() => broker.stop())
  const pool = new PaddedPool({
    ...{ url: broker.url, folder: t.testdir(), name: 'padded', snapshotEveryEntries: 300 },
    settings: { trailingEntries: 50, electionTimeoutMs: 3000 },
  })
  t.teardown(() => pool[Symbol.asyncDispose]())
  const rows = 4 * 1024
  const founders = ['a', 'b', 'c']
  await Promise.all(founders.map(id => pool.start(id, founders)))
  const leader = await pool.leader()
  const behind = founders.find(id => id !== leader) ?? ''
  await pool.ask(leader, { kind: 'fill', rows })
  const { term, snapshotIndex } = (await pool.report(leader)).status
  await pool.kill(behind)
  await pool.all({ kind: 'traffic', perSecond: 200 })
  await pool.until(leader, { snapshotBeyond: snapshotIndex + 100 })

  await pool.start(behind, founders)
  await pool.until(behind, { restores: 1 })
  await pool.start('n')
  await pool.change({ learners: ['n'] })
  await pool.until('n', { restores: 1 })
  await pool.all({ kind: 'traffic', perSecond: 0 })

  const last = await pool.until(leader, { caughtUp: true })
  t.equal(last.status.term, term, 'no election')
  t.equal(last.status.role, 'leader')
  t.equal(last.notCommitted, 0)
  for (const id of pool.ids) {
    const report = await pool.until(id, { lastApplied: last.status.lastApplied })
    t.equal(report.digest, last.digest)
    t.equal(report.rows, rows)
  }
})
