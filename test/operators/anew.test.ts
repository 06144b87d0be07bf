// A pool that begins anew, on real processes: snapshot saved and restored, majority lost and recovered (R11).
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import { connect } from '../../lib/index.ts'
import type { PoolStatus } from '../../lib/protocol/ctl.ts'
import { call } from '../cmd/in-process.ts'
import { ProcessPool, ready } from '../pool-processes.ts'
import { tableOf } from '../watched-pool.ts'
import { Operator } from './operator.ts'

t.setTimeout(300_000)
const settings = { tickMs: 100, leaseTicks: 30, seatTicks: 20 }
const holdMs = 31 * 100

/** Runs a command that must do well. */
async function run(...args: readonly string[]): Promise<string> {
  const { code, message, stdout } = await call(args)
  if (code !== 0) throw new Error(`${args.join(' ')}: ${String(code)}: ${message}`)
  return stdout
}

/** A feature of the pool's own, one of a vendor's, and criteria. */
async function furnish(pool: ProcessPool, operator: Operator): Promise<void> {
  await run('vendor', 'keygen', 'Acme', '--out', pool.folder)
  await operator.ctl('vendor', 'add', join(pool.folder, 'acme.pub.json'))
  const { fingerprint } = await operator.ctl<PoolStatus>('status')
  const text = await run(
    ...['vendor', 'sign', '--key', join(pool.folder, 'acme.key.json'), '--customer', 'Car Co'],
    ...['--fingerprint', fingerprint, '--feature', 'sim', '--allocations', '6'],
  )
  writeFileSync(join(pool.folder, 'code.txt'), text)
  await operator.ctl('code', 'add', join(pool.folder, 'code.txt'))
  await operator.ctl('feature', 'add', 'cad', '12', '--local')
  await operator.ctl('criteria', 'set', 'cad', 'alpha=8', 'beta=4')
}

/** The pool once its shares are what the criteria say. */
function settled(operator: Operator): Promise<PoolStatus> {
  return operator.untilOf<PoolStatus>('status', status => {
    const { shares } = tableOf(status, 'cad')
    return shares.alpha === 8 && shares.beta === 4
  })
}

t.test(
  'a snapshot is saved and restored: all is there, and nothing of before is believed',
  async t => {
    await using pool = await ProcessPool.start(settings)
    const operator = new Operator(pool)
    await furnish(pool, operator)
    const before = await settled(operator)
    const file = join(pool.folder, 'pool.snap')
    const saved = await operator.ctl<{ index: number }>('snapshot', 'save', file)
    t.equal(statSync(file).mode & 0o777, 0o600)
    t.match(await run('ctl', 'snapshot', 'show', file, '--json'), `"index":${String(saved.index)}`)
    await operator.ctl('allocations', 'add', 'cad', '5')
    await using client = await connect({ nats: pool.nats.url })
    const seat = await client.acquire('cad', { timeout: 10_000 })
    const lost = once(seat, 'lost')
    await Promise.all(pool.servers.map(server => pool.kill(server)))

    const out = join(pool.folder, 'anew')
    const key = join(pool.folder, 'beta', 'pool.key')
    const restore = (path: string, ...more: string[]) =>
      call(['ctl', 'snapshot', 'restore', path, '--key', key, '--out', out, ...more])
    const yes = '--old-pool-is-gone'
    t.equal((await restore(file)).code, 'LICD_NOT_CONFIRMED')
    const bytes = readFileSync(file)
    const damages = {
      'cut off': bytes.subarray(0, -1),
      'cut in the middle': bytes.subarray(0, bytes.length / 2),
      'one bit': Buffer.from(bytes.map((byte, at) => (at === 200 ? byte ^ 1 : byte))),
      longer: Buffer.concat([bytes, Buffer.of(0)]),
      'something else': Buffer.from('SQLite format 3\0'),
      empty: Buffer.of(),
    }
    for (const [what, damaged] of Object.entries(damages)) {
      const path = join(pool.folder, 'damaged.snap')
      writeFileSync(path, damaged)
      t.equal((await restore(path, yes)).code, 'LICD_BAD_SNAPSHOT', what)
    }
    t.equal((await restore(join(pool.folder, 'none.snap'), yes)).code, 'LICD_BAD_SNAPSHOT')
    t.equal(existsSync(out), false, 'and nothing was made')
    t.equal((await restore(file, yes)).code, 0)
    t.equal((await restore(file, yes)).code, 'LICD_ALREADY_INITIALISED')

    const started = performance.now()
    const starting = pool.servers.map(server => pool.startUntil(server, ready, join(out, server)))
    await operator.until(({ leader, heldTicks }) => leader !== undefined && heldTicks > 0)
    await Promise.all(starting)
    t.ok(performance.now() - started > holdMs, 'it waited for the seats of before')
    const [error] = (await lost) as [{ code: string }]
    t.match(error.code, /LICD_/, 'a token of before is refused')
    t.strictSame(await operator.ctl('seats'), { seats: [], unanswered: [], more: false })
    const after = await operator.ctl<PoolStatus>('status')
    t.equal(after.fingerprint, before.fingerprint)
    t.strictSame(tableOf(after, 'cad'), tableOf(before, 'cad'))
    t.strictSame(tableOf(after, 'sim').allocations, 6)
    t.match(await operator.ctl('code', 'list'), { codes: [{ feature: 'sim', state: 'active' }] })
    await using next = await connect({ nats: pool.nats.url })
    await using again = await next.acquire('cad', { timeout: 10_000 })
    t.ok(again.valid)

    // A server of the old pool comes back: it hears that the pool began anew.
    await pool.kill('gamma')
    await pool.startUntil('gamma', /LICD_OLD_EPOCH/)
    t.match(await pool.ended('gamma'), { code: 5 })
  },
)

t.test('a lost majority: one survivor goes on, the others join it anew', async t => {
  await using pool = await ProcessPool.start(settings)
  const operator = new Operator(pool)
  await furnish(pool, operator)
  await operator.until(({ servers }) => servers.some(({ share }) => share > 0))
  await pool.kill('beta')
  await pool.kill('gamma')
  const data = join(pool.folder, 'alpha')
  const recover = (...more: string[]) => call(['ctl', 'recover', '--data', data, ...more])
  const yes = '--the-others-are-lost'
  t.equal((await recover(yes)).code, 'LICD_DATA_LOCKED', 'it runs')
  await pool.kill('alpha', 'SIGTERM')
  t.equal((await recover()).code, 'LICD_NOT_CONFIRMED')
  t.equal((await recover(yes, '--survivors', 'any')).code, 'LICD_BAD_CONFIG')
  t.equal((await recover(yes)).code, 0)

  const started = performance.now()
  await pool.startUntil('alpha', ready)
  t.ok(performance.now() - started > holdMs, 'it waited for the leases of the lost')
  t.equal(await operator.shown(), 'alpha voter voter')
  await operator.ctl('criteria', 'set', 'cad', '--even')
  await operator.until(({ servers }) => servers[0]?.share === 18)

  await pool.startUntil('beta', /LICD_OLD_EPOCH/)
  t.match(await pool.ended('beta'), { code: 5 })
  await run('join', 'beta', '--key', join(data, 'pool.key'), '--out', join(pool.folder, 'beta2'))
  await pool.startUntil('beta', /waiting to be taken/, join(pool.folder, 'beta2'))
  await operator.ctl('servers', 'add', 'beta')
  await operator.until(({ servers }) => servers.every(({ share }) => share === 9))
})
