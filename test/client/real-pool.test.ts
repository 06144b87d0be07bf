/** The SDK against real servers over a real nats-server, and the README's example. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { signCode } from '../../lib/code/sign.ts'
import { makeVendorKey, type VendorSigner } from '../../lib/code/vendor-key.ts'
import { connect, type Client } from '../../lib/index.ts'
import { verifySeatProof } from '../../lib/proof.ts'
import { packageFolder } from '../../lib/nats-server.ts'
import { initPool } from '../../lib/pool-files.ts'
import { startServer, type RunningServer } from '../../lib/server/run.ts'
import { connectNats, silentLogger, systemClock, systemRandom } from '../../raft/index.ts'
import { moved } from '../moved.ts'
import { startNatsServer, type TestNatsServer } from '../nats-server.ts'

const names = ['alpha', 'beta', 'gamma']
/** Quick ticks; seats and leases last 20 s, so that a busy machine ends none. */
const settings = { tickMs: 50, leaseTicks: 400, seatTicks: 400 }

interface RealPool {
  readonly nats: TestNatsServer
  readonly servers: Map<string, RunningServer>
  client(): Promise<Client>
}

async function realPool(t: Test, allocations: number, vendor?: VendorSigner): Promise<RealPool> {
  const nats = await startNatsServer()
  const bytes = (count: number) => randomBytes(count)
  const wall = () => systemClock.wall()
  const init = { folder: t.testdir(), pool: 'default', servers: names, settings, wall }
  const { folders, fingerprint } = await initPool({ ...init, randomBytes: bytes })
  const servers = new Map<string, RunningServer>()
  for (const name of names) {
    const options = { dataFolder: folders[name] ?? '', nats: { servers: nats.url } }
    servers.set(name, await startServer({ ...options, log: silentLogger }))
  }
  t.teardown(async () => {
    await Promise.all([...servers.values()].map(server => server.stop()))
    await nats.stop()
  })
  await Promise.all([...servers.values()].map(({ serving }) => serving))
  const bus = await connectNats({ servers: nats.url })
  const ports = { bus, clock: systemClock, random: systemRandom }
  const ctl = new CtlClient({ ...ports, pool: 'default', by: 'test', timeoutMs: 20_000 })
  await ctl.change('feature-add', { feature: 'cad', allocations })
  if (vendor !== undefined) {
    const { kid, name, publicKey } = vendor
    await ctl.change('vendor-add', { vendor: { kid, name, publicKey } })
    await ctl.change('code-add', { text: codeFor(fingerprint, vendor) })
  }
  ctl.close()
  await bus.close()
  return { nats, servers, client: () => connect({ nats: nats.url }) }
}

function codeFor(fingerprint: string, vendor: VendorSigner): string {
  const now = systemClock.wall()
  const order = { codeId: 'sold', customer: 'us', kind: 'feature', feature: 'sim' } as const
  // Well before: the pool's calendar follows its ticks, and may be seconds behind on a busy machine (R10).
  const times = { startsAt: now - 3_600_000, expiresAt: now + 3_600_000, issuedAt: now }
  return signCode({ ...order, ...times, fingerprint, allocations: 6 }, vendor)
}

t.test(
  'a seat proves itself offline, and again at another server when its own is gone',
  async t => {
    const vendor = makeVendorKey('Acme Ltd')
    const pool = await realPool(t, 2, vendor)
    const client = await pool.client()
    t.teardown(() => client.close())
    const seat = await client.acquire('sim', { timeout: 20_000, count: 2 })
    const prove = async (index = 0) => {
      const nonce = randomBytes(32)
      const proof = await seat.prove(nonce, index)
      const now = systemClock.wall()
      const expected = { vendorKeys: [vendor.publicKey], feature: 'sim', nonce, now }
      const forged = verifySeatProof(proof, { ...expected, nonce: randomBytes(32) })
      t.match(forged, { ok: false, code: 'LICD_PROOF_OTHER' }, 'a repeated proof is told apart')
      const verified = verifySeatProof(proof, expected)
      if (!verified.ok) throw new Error(`${verified.code} ${verified.detail}`)
      return verified.seat
    }
    const first = await prove()
    t.match(first, { feature: 'sim', customer: 'us', codeId: 'sold', server: seat.server })
    const leftMs = first.validUntil - systemClock.wall()
    t.ok(leftMs > 5_000 && leftMs < 21_000, `for ${leftMs} ms`)
    t.not((await prove(1)).seatId, first.seatId, 'each of its seats')
    await t.rejects(seat.prove(randomBytes(8)), { code: 'LICD_BAD_REQUEST' })
    const own = await client.acquire('cad', { timeout: 20_000 })
    await t.rejects(own.prove(randomBytes(32)), { code: 'LICD_NO_PROOF' })
    const gone = seat.server
    const arrived = moved([seat])
    await pool.servers.get(gone)?.stop()
    await arrived
    t.match(
      await prove(),
      { seatId: first.seatId, server: seat.server },
      'the same seat, by another',
    )
    await seat.release()
    await t.rejects(seat.prove(randomBytes(32)), { code: 'LICD_SEAT_LOST' })
  },
)

t.test('the example of the README runs as it stands there', async t => {
  const pool = await realPool(t, 2)
  const program = join(import.meta.dirname, '..', 'examples', 'quickstart.js')
  const env = { ...process.env, NATS_URL: pool.nats.url }
  const output = await new Promise<string>((resolve, reject) => {
    execFile(process.execPath, [program], { env, timeout: 30_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(stderr, { cause: error }))
    })
  })
  t.match(output, /^seat \w{22} at server (alpha|beta|gamma)\n$/)

  const folder = packageFolder()
  const source = await readFile(join(folder, 'test/examples/quickstart.ts'), 'utf8')
  const published = source.replace("'../../lib/index.ts'", "'licd'")
  const readme = await readFile(join(folder, 'README.md'), 'utf8')
  t.ok(readme.includes(`\`\`\`ts\n${published}\`\`\``), 'word for word')
})

t.test('300 seats over one connection: taken, moved without a gap, given back', async t => {
  const pool = await realPool(t, 300)
  const client = await pool.client()
  const asked = Array.from({ length: 150 }, () =>
    client.acquire('cad', { count: 2, timeout: 20_000 }),
  )
  const seats = await Promise.all(asked)
  t.equal(new Set(seats.map(({ id }) => id)).size, 150)
  t.ok(seats.every(({ valid }) => valid))
  await t.rejects(client.acquire('cad'), { code: 'LICD_NO_SEAT' })
  await t.rejects(client.acquire('cam'), { code: 'LICD_UNKNOWN_FEATURE' })

  const home = client.server ?? ''
  await once(seats[0] ?? client, 'renewed')
  const lost: string[] = []
  for (const seat of seats) seat.on('lost', error => lost.push(error.message))
  let invalid = 0
  const look = setInterval(() => (invalid += seats.filter(({ valid }) => !valid).length), 20)
  // A clean stop hands the seats' allocations to nobody: they are moved, by proof.
  const moves = moved(seats)
  await pool.servers.get(home)?.stop()
  await moves
  clearInterval(look)
  t.ok(seats.every(seat => seat.server !== home && seat.valid))
  t.equal(invalid, 0, 'valid throughout')
  t.strictSame(lost, [])

  await client.close()
  t.ok(seats.every(({ valid }) => !valid))
  const next = await pool.client()
  const again = await next.acquire('cad', { count: 300, timeout: 20_000 })
  t.ok(again.valid, 'and everything can be taken again')
  await next.close()
})
