/**
 * A rolling upgrade in earnest: `npm run upgrade-drill -- COMMIT`.
 *
 * A pool of three servers as of COMMIT, under clients; each server is replaced by the present build, one after the other,
 * then the pool is raised. Exit code 1 when a seat was lost or too many were believed valid.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { connect } from '../../lib/index.ts'
import type { PoolStatus } from '../../lib/protocol/ctl.ts'
import type { Servers } from '../operators/operator.ts'
import { orUsage, readCommandLine } from '../command-line.ts'
import { Load } from './load.ts'
import { buildIn, buildOf, MixedPool, present, type Build } from './mixed-pool.ts'

const allocations = 24
const load = { feature: 'cad', allocations, holders: 18, takers: 6 }
/** Between two servers, and at the end: what goes wrong may take as long to show. */
const calmMs = 5_000
const patienceMs = 120_000

const usage = `npm run upgrade-drill -- COMMIT[=FOLDER] [--files FOLDER]
  COMMIT           the older program
  =FOLDER          a build of it that is there already
  --files FOLDER   leave what it wrote, for older-files.test.ts, instead`
const { values, positionals } = readCommandLine(usage, { files: { type: 'string' } }, 1)
const named = orUsage(usage, () => {
  const [text] = positionals
  if (text === undefined) throw new Error('Which commit?')
  return text
})
const scratch = mkdtempSync(join(tmpdir(), 'licd-builds-'))
try {
  const [commit = '', folder] = named.split('=')
  const old = folder === undefined ? buildOf(commit, scratch) : buildIn(commit, resolve(folder))
  await using pool = await MixedPool.open()
  await pool.run(old, 'init', '--servers', pool.servers.join(','), '--out', pool.folder)
  await Promise.all(pool.servers.map(server => pool.start(server, old)))
  if (values.files !== undefined) await writeFiles(pool, old, resolve(values.files))
  else await drill(pool, old)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

function pause(ms: number): Promise<void> {
  return new Promise(wake => setTimeout(wake, ms))
}

/** All servers are up, and none lags. */
async function untilWell(pool: MixedPool): Promise<void> {
  const until = performance.now() + patienceMs
  for (;;) {
    const { settled, servers } = await pool.ctl<Servers>(present, 'servers')
    if (settled && servers.every(({ state, lag }) => state === 'up' && (lag ?? 0) < 5)) return
    if (performance.now() > until) throw new Error(`not well: ${JSON.stringify(servers)}`)
    await pause(250)
  }
}

async function drill(pool: MixedPool, old: Build): Promise<void> {
  await pool.ctl(old, 'feature', 'add', load.feature, String(allocations), '--local')
  const clients = await Load.start({ nats: pool.nats.url, ...load })
  console.log(
    `${old.name}: ${load.holders} of ${allocations} held, ${load.takers} clients take and give back`,
  )
  await pause(calmMs)
  for (const server of pool.servers) {
    const begun = performance.now()
    const ended = await pool.stop(server)
    const stopped = performance.now()
    await pool.start(server, present)
    const ready = performance.now()
    await untilWell(pool)
    const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
    console.log(
      `${server}: exit ${String(ended?.code)} after ${seconds(stopped - begun)}, ready ${seconds(ready - stopped)} later; moved ${clients.moved}, lost ${clients.lost}, violations ${clients.violations}`,
    )
    await pause(calmMs)
  }
  const { level } = await pool.ctl<PoolStatus>(present, 'status')
  await pool.run(present, 'ctl', 'upgrade')
  const raised = await pool.ctl<PoolStatus>(present, 'status')
  await pause(calmMs)
  await clients.end()
  const { looks, lost, moved, grants, refusals, violations, invalid, mostValid } = clients
  console.log(`level ${String(level)} -> ${String(raised.level)}`)
  console.log(
    JSON.stringify({ looks, lost, moved, grants, refusals, violations, invalid, mostValid }),
  )
  if (lost > 0 || violations > 0 || invalid > 0) process.exitCode = 1
}

/** A pool with a feature of its own, one of a vendor's, criteria, seats, stopped in good order; and a snapshot of it. */
async function writeFiles(pool: MixedPool, old: Build, folder: string): Promise<void> {
  await pool.run(old, 'vendor', 'keygen', 'Acme', '--out', pool.folder)
  await pool.ctl(old, 'vendor', 'add', pool.at('acme.pub.json'))
  const { fingerprint } = await pool.ctl<PoolStatus>(old, 'status')
  const order = ['--customer', 'Car Co', '--feature', 'sim@2026', '--allocations', '6']
  const key = ['--key', pool.at('acme.key.json'), '--fingerprint', fingerprint]
  writeFileSync(pool.at('code.txt'), await pool.run(old, 'vendor', 'sign', ...key, ...order))
  await pool.ctl(old, 'code', 'add', pool.at('code.txt'))
  await pool.ctl(old, 'feature', 'add', 'cad', '12', '--local')
  await pool.ctl(old, 'criteria', 'set', 'cad', 'alpha=8', 'beta=4')
  await untilWell(pool)
  await pause(calmMs)
  await using client = await connect({ nats: pool.nats.url })
  await using _seats = await client.acquire('cad', { count: 3, timeout: 60_000 })
  await pool.ctl(old, 'snapshot', 'save', pool.at('pool.snap'))
  const { features } = await pool.ctl<PoolStatus>(old, 'status')
  for (const server of pool.servers) await pool.stop(server)
  const told = features.map(({ name, allocations: all, free, shares }) => ({
    ...{ name, allocations: all, free },
    shares: Object.fromEntries(shares.map(({ server, share }) => [server, share])),
  }))
  writeFileSync(
    join(folder, 'level-1.json'),
    `${JSON.stringify({ commit: old.name, fingerprint, features: told }, undefined, 2)}\n`,
  )
  execFileSync('tar', [
    '-czf',
    join(folder, 'level-1.tar.gz'),
    '-C',
    pool.folder,
    ...pool.servers,
    'pool.snap',
  ])
}
