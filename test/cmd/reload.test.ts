// SIGHUP to a running server: what can change does, all of it or nothing; what cannot is named.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { X509Certificate } from 'node:crypto'
import { connect } from 'node:tls'
import { createConnection } from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import { readContextFile } from '../../lib/access/context-file.ts'
import { SecurePool } from '../access/secure-pool.ts'
import { licd } from './licd-process.ts'

t.setTimeout(300_000)

/** The serial number of the certificate that a nats-server shows. */
async function shown(url: string): Promise<string> {
  const [, host = '', port = ''] = /^tls:\/\/(.*):(\d+)/.exec(url) ?? []
  const plain = createConnection({ host, port: Number(port) })
  // NATS greets in the clear first.
  await once(plain, 'data')
  const socket = connect({ socket: plain, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { serialNumber } = socket.getPeerCertificate()
  socket.destroy()
  return serialNumber
}

t.test('a server reads again what can change, and refuses a whole that is wrong', async t => {
  await using pool = await SecurePool.start({ servers: ['solo'] })
  const config = pool.at('licd.json')
  await pool.end('solo', 'SIGTERM')
  const write = (content: object) => writeFileSync(config, JSON.stringify(content))
  write({ 'log-level': 'info' })
  const running = await pool.serve('solo', /^ready /m, ['--config', config])
  /** Has it read all again, and resolves with what it says of that. */
  const hangUp = async (pattern: RegExp): Promise<string> => {
    const before = running.output()
    const count = [...before.matchAll(new RegExp(pattern, 'g'))].length
    running.child.kill('SIGHUP')
    await running.until(new RegExp(`(?:[^]*?${pattern.source}){${count + 1}}`))
    return running.output().slice(before.length)
  }
  const isDebugging = async (feature: string): Promise<boolean> => {
    const from = running.output().length
    await pool.ctl('feature', 'add', feature, '3', '--local')
    return running.output().slice(from).includes('"level":"debug"')
  }
  t.notOk(await isDebugging('one'))
  write({ 'log-level': 'debug' })
  t.match(await hangUp(/"msg":"reloaded"/), /"level":"info".*"msg":"reloaded"|"msg":"reloaded"/)
  t.ok(await isDebugging('two'), 'the log level has changed')

  // What is wrong, whichever it is, changes nothing: not the level either, which each of these would lower.
  const quiet = { 'log-level': 'warn' }
  const refused = /"msg":"reload-refused"/
  for (const content of [
    { ...quiet, 'no-such': 1 },
    { ...quiet, http: 'x' },
    { 'log-level': 'loud' },
    { ...quiet, wait: 'x' },
  ]) {
    write(content)
    t.match(await hangUp(refused), /"code":"LICD_BAD_CONFIG"/, JSON.stringify(content))
  }
  writeFileSync(config, '{')
  t.match(await hangUp(refused), /"code":"LICD_BAD_CONFIG"/)
  write(quiet)
  for (const [name, code] of [
    ['server.context', 'LICD_BAD_CONFIG'],
    ['nats.conf', 'LICD_BAD_CONFIG'],
    ['server.pem', 'LICD_BAD_CONFIG'],
  ] as const) {
    const path = pool.at('solo', 'nats', name)
    const content = readFileSync(path)
    writeFileSync(path, 'nonsense {')
    t.match(await hangUp(refused), new RegExp(`"code":"${code}"`), name)
    writeFileSync(path, content)
  }
  t.ok(await isDebugging('three'), 'and nothing has changed')

  write({ 'log-level': 'debug', http: '127.0.0.1:1', pool: 'default' })
  t.match(await hangUp(/"msg":"needs-restart"/), /"settings":\["pool","http"\]/)

  // A new certificate of the pool's authority, and new credentials, as licd join makes them.
  const { url } = await readContextFile(pool.at('operator.context'))
  const before = await shown(url)
  const place = url.replace('tls://', '')
  const made = await licd([
    ...['join', `other=${place}`, '--key', pool.at('pool.join'), '--out', pool.at('other')],
  ])
  t.equal(made.code, 0, made.stderr)
  for (const name of ['server.pem', 'server.key'])
    copyFileSync(pool.at('other', 'nats', name), pool.at('solo', 'nats', name))
  write({ 'log-level': 'debug' })
  await hangUp(/"msg":"reloaded"/)
  const wanted = new X509Certificate(readFileSync(pool.at('solo', 'nats', 'server.pem')))
    .serialNumber
  t.not(wanted, before)
  // The nats-server is told, and says nothing when it has done it.
  let now = before
  while (now === before) now = await shown(url)
  t.equal(now, wanted, 'the nats-server shows the new certificate')
  // It lets go of all its clients when it reads its accounts anew: the license server is back a moment later.
  while ((await pool.as('operator', 'ctl', 'status')).code !== 0);
  t.ok(await isDebugging('four'), 'and the pool goes on')
  t.equal((await pool.end('solo', 'SIGTERM')).code, 0)
})
