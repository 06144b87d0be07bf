// No secret in a message, and no secret file that others may read.
import { chmodSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { natsOptions } from '../../lib/nats-context.ts'
import { connectNats } from '../../raft/nats-bus.ts'
import { readSecret, refuseLoose } from '../../lib/secret-file.ts'
import { licd } from '../cmd/licd-process.ts'

t.test('a password in an address is told to nobody', async t => {
  const nats = 'nats://mary:SECRET@127.0.0.1:1'
  const [given, set, raft] = await Promise.all([
    licd(['ctl', 'status', '--nats', nats]),
    licd(['ctl', 'status'], { env: { LICD_NATS: nats } }),
    connectNats({ servers: nats }).catch((error: unknown) => String(error)),
  ])
  t.match(given, { code: 3, stderr: /others on this host can read a password in --nats/ })
  t.match(set, { code: 3, stderr: /^licd: LICD_NATS_UNREACHABLE: [^\n]*\n$/ }, 'and no remark')
  for (const said of [given.stderr, set.stderr, raft]) {
    t.type(said, 'string')
    t.notMatch(said, /SECRET|mary/)
  }
})

t.test('files of secrets that others may read are refused', async t => {
  const folder = t.testdir()
  const file = join(folder, 'user.creds')
  writeFileSync(file, 'SECRET')
  const refused = { code: 'LICD_BAD_KEY', message: /chmod 600 .*user.creds/ }
  for (const mode of [0o640, 0o604, 0o620, 0o601, 0o644]) {
    chmodSync(file, mode)
    await t.rejects(natsOptions({ nats: 'x', credentials: file }, {}), refused)
    await t.rejects(natsOptions({ nats: 'x', nkey: file }, {}), refused)
  }
  chmodSync(file, 0o600)
  t.match(await natsOptions({ nats: 'x', nkey: file }, {}), { nkey: 'SECRET' })
  writeFileSync(file, 'x'.repeat(64 * 1024 + 1))
  await t.rejects(readSecret(file), { code: 'LICD_BAD_KEY', message: /larger/ })
  t.equal(await readSecret(join(folder, 'none')), undefined)
})

t.test(
  'a file of root\u2019s may be read by the group of another\u2019s process: mounted secrets',
  t => {
    refuseLoose('f', { mode: 0o100440, uid: 0 }, 1000)
    refuseLoose('f', { mode: 0o100600, uid: 1000 }, 1000)
    const bad: [number, number, number][] = [
      [0o440, 1000, 1000],
      [0o440, 0, 0],
      [0o444, 0, 1000],
      [0o460, 0, 1000],
    ]
    for (const [mode, uid, own] of bad) {
      t.throws(() => refuseLoose('f', { mode, uid }, own), { code: 'LICD_BAD_KEY' })
    }
    t.end()
  },
)

t.test('tls:// is TLS, whatever the other side offers', async t => {
  t.match(await natsOptions({ nats: 'tls://host1' }, {}), { tls: {} })
  t.equal((await natsOptions({ nats: 'nats://host1' }, {})).tls, undefined)
})

t.test('what init makes is for its owner alone', async t => {
  const folder = t.testdir()
  await licd(['init', '--servers', 'one=127.0.0.1', '--out', folder])
  for (const name of ['pool.join', 'operator.context', 'client.context', 'one/pool.key']) {
    t.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)
  }
  for (const name of ['server.key', 'server.context']) {
    t.equal(statSync(join(folder, 'one/nats', name)).mode & 0o777, 0o600, name)
  }
  t.equal(statSync(join(folder, 'one/nats')).mode & 0o777, 0o700)
})
