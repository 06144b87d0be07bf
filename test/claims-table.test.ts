/**
 * The seed's claims on three server processes over a real nats-server: requests, thresholds, the table and its
 * synchronisation. Each is asserted through `ctl --json` at all three servers.
 */
import t from 'tap'
import { signCode } from '../lib/code/sign.ts'
import { makeVendorKey } from '../lib/code/vendor-key.ts'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tableOf, WatchedPool } from './watched-pool.ts'
import { licd } from './cmd/licd-process.ts'

const folder = t.testdir()
const vendor = makeVendorKey('acme')
const vendorFile = join(folder, 'acme.pub.json')
writeFileSync(
  vendorFile,
  JSON.stringify({
    kty: 'OKP',
    crv: 'Ed25519',
    x: vendor.publicKey,
    alg: 'EdDSA',
    use: 'sig',
    kid: vendor.kid,
    name: vendor.name,
  }),
)

const pool = await WatchedPool.start({ init: ['--vendor', vendorFile] })
t.teardown(() => pool[Symbol.asyncDispose]())

/** Adds a feature of the pool's own with these targets, and waits until the shares are so. */
async function addFeature(
  feature: string,
  allocations: number,
  targets: Readonly<Record<string, number>>,
  threshold = '1',
): Promise<void> {
  const { processes } = pool
  await processes.ctl(['feature', 'add', feature, String(allocations), '--local'])
  const pairs = Object.entries(targets).map(([server, target]) => `${server}=${target}`)
  const thresholds = pool.servers.flatMap(server => ['--threshold', `${server}=${threshold}`])
  await processes.ctl(['criteria', 'set', feature, ...pairs, ...thresholds])
  await pool.until(`${feature} at its targets`, status => {
    const { shares } = tableOf(status, feature)
    return pool.servers.every(server => (shares[server] ?? 0) === (targets[server] ?? 0))
  })
}

async function codeFile(name: string, feature: string, allocations: number): Promise<string> {
  const { fingerprint } = await pool.look()
  const text = signCode(
    {
      codeId: name,
      customer: 'tests',
      fingerprint,
      kind: 'feature',
      feature,
      allocations,
      startsAt: 0,
      issuedAt: Date.now(),
    },
    vendor,
  )
  const file = join(folder, `${name}.code`)
  writeFileSync(file, text)
  return file
}

async function aFollower(): Promise<string> {
  const leader = await pool.leader()
  const follower = pool.servers.find(server => server !== leader)
  if (follower === undefined) throw new Error('no follower')
  return follower
}

t.test(
  'claims 1, 16: a client requests authorization; a server that runs short gets at least one more',
  async t => {
    await addFeature('c1', 6, { alpha: 1, beta: 1, gamma: 1 })
    const client = await pool.client('alpha')
    const first = await client.acquire('c1', { timeout: 10_000 })
    const second = await client.acquire('c1', { timeout: 10_000 })
    t.equal(first.server, 'alpha')
    t.equal(second.server, 'alpha')
    t.ok(first.valid && second.valid, 'both are authorized')
    const { shares, free } = await pool.tables('c1')
    t.ok((shares.alpha ?? 0) >= 2, `alpha was given at least one more: ${shares.alpha}`)
    t.equal(shares.beta, 1)
    t.equal(shares.gamma, 1)
    t.equal(free, 4 - (shares.alpha ?? 0), 'and the table says where it came from')
  },
)

t.test(
  'claims 2, 17: in-use / share above the borrowing threshold, compared at every grant',
  async t => {
    await addFeature('c2', 20, { alpha: 10, beta: 0, gamma: 0 }, '0.5')
    const client = await pool.client('alpha')
    for (let n = 0; n < 5; n++) await client.acquire('c2')
    // A change through the log: what alpha had asked for before it would be there by now.
    await pool.processes.ctl(['criteria', 'set', 'c2', '--threshold', 'gamma=0.5'])
    t.equal((await pool.tables('c2')).shares.alpha, 10, '5/10 is not above 0.5')
    await client.acquire('c2')
    await pool.until('6/10 is above 0.5', status => (tableOf(status, 'c2').shares.alpha ?? 0) > 10)
    const { shares, free } = await pool.tables('c2')
    t.equal((shares.alpha ?? 0) + free, 20)
  },
)

t.test('claims 2, 17: each server and feature has its own threshold', async t => {
  await addFeature('c2b', 20, { alpha: 4, beta: 4, gamma: 0 }, '1')
  await pool.processes.ctl(['criteria', 'set', 'c2b', '--threshold', 'beta=0.25'])
  const alpha = await pool.client('alpha')
  const beta = await pool.client('beta')
  for (let n = 0; n < 2; n++) await alpha.acquire('c2b')
  for (let n = 0; n < 2; n++) await beta.acquire('c2b')
  await pool.until('beta borrows', status => (tableOf(status, 'c2b').shares.beta ?? 0) > 4)
  t.equal((await pool.tables('c2b')).shares.alpha, 4)
})

t.test('claim 3: short before, at, and just after the grant', async t => {
  await addFeature('c3', 20, { alpha: 2, beta: 0, gamma: 0 })
  const client = await pool.client('alpha')
  const before = await client.acquire('c3', { count: 3, timeout: 10_000 })
  t.ok(before.valid, 'before: three were wanted, two owned')
  t.ok(((await pool.tables('c3')).shares.alpha ?? 0) >= 3)

  await addFeature('c3at', 20, { alpha: 1, beta: 0, gamma: 0 })
  const seats = await Promise.all([
    client.acquire('c3at', { timeout: 10_000 }),
    client.acquire('c3at', { timeout: 10_000 }),
  ])
  t.ok(
    seats.every(({ valid }) => valid),
    'at: the second of two at once finds none left',
  )
  t.ok(((await pool.tables('c3at')).shares.alpha ?? 0) >= 2)

  await addFeature('c3after', 20, { alpha: 2, beta: 0, gamma: 0 }, '0.9')
  await client.acquire('c3after', { count: 2 })
  await pool.until(
    'after: nobody waits, and yet the server borrows',
    status => (tableOf(status, 'c3after').shares.alpha ?? 0) > 2,
  )
})

t.test('claims 4, 18: any server can be the leader and holds the same distribution', async t => {
  await addFeature('c4', 9, { alpha: 4, beta: 3, gamma: 2 })
  const held = await pool.tables('c4')
  for (const server of pool.servers) {
    await pool.makeLeader(server)
    for (const status of await pool.statuses()) t.equal(status.leader, server)
    t.same(await pool.tables('c4'), held, `${server} leads and holds the same`)
  }
  const count = (await pool.statuses()).map(({ hash, lastApplied }) => ({ hash, lastApplied }))
  const byIndex = new Map(count.map(({ hash, lastApplied }) => [lastApplied, hash]))
  for (const { hash, lastApplied } of count) t.equal(hash, byIndex.get(lastApplied))
})

t.test(
  'claims 6, 20: a sync event says which revision, and every functioning follower has the new table',
  async t => {
    await addFeature('c6', 6, { alpha: 2, beta: 2, gamma: 2 })
    const { revision } = await pool.processes.ctl<{ revision: number }>([
      'allocations',
      'add',
      'c6',
      '3',
    ])
    const leader = await pool.leader()
    for (const server of pool.servers) {
      const event = await pool.event(`${server} synced`, ({ type, event }) =>
        type === 'sync' && event.server === server && event.revision >= revision
          ? event
          : undefined,
      )
      t.equal(event.leader, server === leader, `${server} says whether it leads`)
    }
    for (const status of await pool.statuses()) {
      t.ok(status.revision >= revision, `${status.answeredBy} is at revision ${status.revision}`)
      t.equal(tableOf(status, 'c6').allocations, 9)
    }
  },
)

t.test('claims 7, 21: change distribution criteria replaces the distribution', async t => {
  await addFeature('c7', 12, { alpha: 4, beta: 4, gamma: 4 })
  await pool.processes.ctl(['criteria', 'set', 'c7', 'beta=10', 'gamma=2'], await pool.leader())
  await pool.until('the new distribution', status => {
    const { shares } = tableOf(status, 'c7')
    return shares.beta === 10 && shares.gamma === 2 && shares.alpha === 0
  })
  t.same((await pool.tables('c7')).shares, { alpha: 0, beta: 10, gamma: 2 })
  const answer = await pool.processes.ctl<{ features: { targets: object }[] }>([
    'criteria',
    'get',
    'c7',
  ])
  t.same(
    answer.features[0]?.targets,
    { alpha: 0, beta: 10, gamma: 2 },
    'alpha, not named, gets none',
  )
})

t.test('claims 8, 22: ... received by a follower, passed to the leader, synced', async t => {
  await addFeature('c8', 6, { alpha: 2, beta: 2, gamma: 2 })
  const follower = await aFollower()
  await pool.processes.ctl(['criteria', 'set', 'c8', 'alpha=6'], follower)
  await pool.until('the new distribution', status => tableOf(status, 'c8').shares.alpha === 6)
  t.same((await pool.tables('c8')).shares, { alpha: 6, beta: 0, gamma: 0 })
})

t.test('claims 9, 23 and 10, 24: add allocations, at the leader and at a follower', async t => {
  await addFeature('c9', 3, { alpha: 1, beta: 1, gamma: 1 })
  await pool.processes.ctl(['allocations', 'add', 'c9', '4'], await pool.leader())
  t.equal((await pool.tables('c9')).allocations, 7)
  await pool.processes.ctl(['allocations', 'add', 'c9', '5'], await aFollower())
  t.same(await pool.tables('c9'), {
    allocations: 12,
    free: 9,
    shares: { alpha: 1, beta: 1, gamma: 1 },
  })
})

t.test(
  'claims 11, 25 and 12, 26: add license code, at the leader and at a follower; the table carries codes',
  async t => {
    const at = { c11: await pool.leader(), c12: await aFollower() }
    for (const [feature, server] of Object.entries(at)) {
      await pool.processes.ctl(
        ['code', 'add', await codeFile(`code-${feature}`, feature, 8)],
        server,
      )
      await pool.until(`${feature} is there`, status =>
        status.features.some(f => f.name === feature),
      )
      t.equal((await pool.tables(feature)).allocations, 8)
      for (const other of pool.servers) {
        const { codes } = await pool.processes.ctl<{
          codes: { codeId: string; allocations: number }[]
        }>(['code', 'list'], other)
        const code = codes.find(({ codeId }) => codeId === `code-${feature}`)
        t.equal(code?.allocations, 8, `${other} lists the code of ${feature}`)
      }
    }
    const again = await licd([
      'ctl',
      'code',
      'add',
      join(folder, 'code-c11.code'),
      '--json',
      '--nats',
      pool.processes.nats.url,
    ])
    t.not(again.code, 0)
    t.match(again.stderr, /LICD_CODE_EXISTS/)
    t.equal((await pool.tables('c11')).allocations, 8, 'a code added twice changes nothing')
  },
)
