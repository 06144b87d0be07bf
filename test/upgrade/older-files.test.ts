/**
 * What the program of level 1 wrote (commit 40ea37b, by `drill.ts --files`) is read by this one: the log and the seat
 * books of a pool of three that was stopped in good order, and a snapshot.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { levelMax } from '../../lib/ledger/command.ts'
import type { PoolStatus } from '../../lib/protocol/ctl.ts'
import { licd } from '../cmd/licd-process.ts'
import { MixedPool, present } from './mixed-pool.ts'

t.setTimeout(300_000)

interface Told {
  readonly fingerprint: string
  readonly features: readonly {
    readonly name: string
    readonly allocations: number
    readonly shares: Readonly<Record<string, number>>
  }[]
}
const folder = 'test/upgrade'
const told = JSON.parse(readFileSync(join(folder, 'level-1.json'), 'utf8')) as Told

t.test('log, seat books, key and server files', async t => {
  await using pool = await MixedPool.open()
  execFileSync('tar', ['-xzf', join(folder, 'level-1.tar.gz'), '-C', pool.folder])
  await Promise.all(pool.servers.map(server => pool.start(server, present)))
  const status = await pool.ctl<PoolStatus>(present, 'status')
  t.match(status, { fingerprint: told.fingerprint, level: 1, levelMax })
  for (const { name, allocations } of told.features) {
    const found = status.features.find(feature => feature.name === name)
    t.equal(found?.allocations, allocations, name)
    const owned = found?.shares.reduce((sum, { share }) => sum + share, found.free)
    t.equal(owned, allocations, `${name}: each is somewhere`)
  }
  t.match(await pool.ctl(present, 'code', 'list'), {
    codes: [{ feature: 'sim@2026', state: 'active' }],
  })
  t.match(await pool.ctl(present, 'vendor', 'list'), { vendors: [{ name: 'Acme' }] })
  for (const server of pool.servers)
    t.notMatch(pool.output(server), /raft-damaged|entry-unreadable/)

  // By the old rules until it is told; then by the new ones, and changes go on.
  await pool.run(present, 'ctl', 'upgrade')
  t.match(await pool.ctl(present, 'status'), { level: levelMax })
  await pool.ctl(present, 'feature', 'add', 'new', '3', '--local')
  const audit = await pool.run(present, 'ctl', 'audit')
  t.match(audit, /set-level[^]*add-feature/)
})

t.test('a snapshot', async t => {
  const out = t.testdir()
  execFileSync('tar', ['-xzf', join(folder, 'level-1.tar.gz'), '-C', out])
  const snapshot = join(out, 'pool.snap')
  const shown = await licd(['ctl', 'snapshot', 'show', snapshot, '--json'])
  t.match(JSON.parse(shown.stdout), { pool: 'default', fingerprint: told.fingerprint })
  const restored = await licd([
    ...['ctl', 'snapshot', 'restore', snapshot, '--key', join(out, 'alpha', 'pool.key')],
    ...['--out', join(out, 'anew'), '--old-pool-is-gone'],
  ])
  t.equal(restored.code, 0, restored.stderr)
})
