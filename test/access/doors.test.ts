// A pool with TLS and roles, on real processes: what gets in, what does not, and how it goes on without a nats-server.
import { execFileSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { connect as connectNats, credsAuthenticator } from 'nats'
import { readContextFile } from '../../lib/access/context-file.ts'
import { natsOptions } from '../../lib/nats-context.ts'
import { subjects } from '../../lib/protocol/subject.ts'
import { connectNats as connectNatsBus } from '../../raft/index.ts'
import { connect } from '../../lib/index.ts'
import { licd } from '../cmd/licd-process.ts'
import { freeAddress, SecurePool } from './secure-pool.ts'

t.setTimeout(300_000)

interface Status {
  readonly leader?: string
  readonly servers: readonly { readonly name: string; readonly state: string }[]
}

t.test('all that a pool does passes its doors', async t => {
  await using pool = await SecurePool.start()
  t.match(await pool.ctl('feature', 'add', 'cad', '6', '--local'), { revision: 1 })
  const ran = await pool.as(
    'client',
    'run',
    '--feature',
    'cad',
    '--',
    'sh',
    '-c',
    'echo $LICD_SEAT',
  )
  t.match(ran, { code: 0, stdout: /^[\w-]{22}\n$/ })

  // More than any server has: shares are borrowed, and one client waits in the queue of the whole pool.
  await using client = await connect({ context: pool.at('client.context') })
  const seats = await client.acquire('cad', { count: 5 })
  t.ok(seats.valid)
  const waits = client.acquire('cad', { count: 2, timeout: 60_000 })
  waits.catch(() => undefined)
  const watch = pool.as('operator', 'ctl', 'watch', '--json', '--count', '1')
  t.match(await pool.as('operator', 'ctl', 'why', 'cad'), { code: 0, stdout: /alpha/ })
  t.match(await pool.as('operator', 'ctl', 'seats'), { code: 0, stdout: /cad/ })
  t.match(await pool.as('operator', 'ctl', 'snapshot', 'save', pool.at('s.snap')), { code: 0 })

  // Restored, the pool has the same doors and other keys, and no server holds what opens them.
  const restore = [
    'ctl',
    'snapshot',
    'restore',
    pool.at('s.snap'),
    '--out',
    pool.at('anew'),
    '--old-pool-is-gone',
  ]
  const restored = await licd([...restore, '--key', pool.at('pool.join')])
  t.match(restored, { code: 0 }, restored.stderr)
  t.notMatch(restored.stderr, /no certificates/)
  const half = restore.with(restore.indexOf(pool.at('anew')), pool.at('half'))
  t.match(
    await licd([...half, '--key', pool.at('alpha', 'pool.key')]),
    { code: 0, stderr: /makes no certificates and credentials.*pool\.join as --key/ },
    'who gives another key is told what is lacking',
  )
  const keyOf = (...path: string[]) =>
    JSON.parse(readFileSync(pool.at(...path), 'utf8')) as Record<string, unknown>
  const { issued, ...doors } = keyOf('pool.join').authority as Record<string, unknown>
  t.match(keyOf('anew', 'pool.join').authority, doors)
  t.ok(Array.isArray(issued) && issued.length === 5, 'three servers, an operator, a client')
  t.not(keyOf('anew', 'pool.join').macKey, keyOf('pool.join').macKey)
  for (const key of [keyOf('anew', 'alpha', 'pool.key'), keyOf('alpha', 'pool.key')]) {
    t.notOk('authority' in key)
  }
  const context = await readContextFile(pool.at('anew', 'alpha', 'nats', 'server.context'))
  t.match(context, { pool: 'default', role: 'server', name: 'alpha' })

  // A fourth: one command there, one at the operator's. No file of another server changes.
  const before = readFileSync(pool.at('alpha', 'nats', 'nats.conf'), 'utf8')
  const place = `delta=${await freeAddress()}`
  const join = ['join', place, '--key', pool.at('pool.join'), '--out', pool.at('delta')]
  t.match(await licd(join), { code: 0, stdout: /delta of pool default is ready to join/ })
  await pool.serve('delta', /waiting to be taken into pool/)
  t.match(await pool.ctl('servers', 'add', 'delta'), { outcome: 'done' })
  t.equal(readFileSync(pool.at('alpha', 'nats', 'nats.conf'), 'utf8'), before)

  // Its server and nats-server die: its seats go elsewhere.
  const home = client.server ?? ''
  const moved = new Promise<void>(resolve => {
    client.on('server', name => {
      if (name !== undefined && name !== home) resolve()
    })
  })
  t.equal((await pool.end(home, 'SIGKILL')).signal, 'SIGKILL')
  await moved
  t.ok(seats.valid, 'the seats are kept')
  await seats.release()
  const second = await waits
  t.ok(second.valid, 'who waited got them')
  await second.release()

  t.equal((await watch).code, 0)
  t.match((await pool.ctl<Status>('servers')).servers, { length: 4 })
  t.notMatch(pool.said, /Violation/, 'every subject that was used is allowed')
  t.notMatch(pool.said, /"level":"error"(?!.*(raft-quarantined|nats-e))/)
})

interface Attempt {
  readonly publish?: string
  readonly subscribe?: string
}

/** Of `attempts`, those that the nats-server refuses to the holder of a context. */
async function refused(context: string, attempts: readonly Attempt[]): Promise<Attempt[]> {
  const { url, ca, credentials } = await readContextFile(context)
  const connection = await connectNats({
    servers: url.split(',')[0] ?? '',
    tls: { ca },
    authenticator: credsAuthenticator(new TextEncoder().encode(credentials)),
  })
  const publishes = new Set<string>()
  const subscribes = new Set<string>()
  void (async () => {
    for await (const { permissionContext } of connection.status()) {
      if (permissionContext?.operation === 'publish') publishes.add(permissionContext.subject)
    }
  })()
  for (const { publish } of attempts) if (publish !== undefined) connection.publish(publish)
  await connection.flush()
  for (const { subscribe } of attempts) {
    if (subscribe === undefined) continue
    connection.subscribe(subscribe, {
      callback: error => void (error !== null && subscribes.add(subscribe)),
    })
  }
  // Refusals stand before the answer to this.
  await connection.flush()
  await connection.close()
  return attempts.filter(
    ({ publish, subscribe }) => publishes.has(publish ?? '') || subscribes.has(subscribe ?? ''),
  )
}

t.test('each role is refused what is another\u2019s', async t => {
  await using pool = await SecurePool.start({ servers: ['alpha'] })
  for (const [name, role] of [
    ['ws1', 'client'],
    ['ws2', 'client'],
    ['mary', 'operator'],
  ] as const) {
    const made = ['credentials', name, '--role', role, '--key', pool.at('pool.join')]
    t.match(await licd([...made, '--out', pool.at(`${name}.context`)]), { code: 0 })
    t.equal((await licd([...made, '--out', pool.at(`${name}.context`)])).code, 5, 'not twice')
  }
  const root = 'licd.v1.default'
  const shared: Attempt[] = [
    { publish: `${root}.raft.alpha.propose` },
    { publish: `${root}.raft.a.alpha` },
    { publish: `${root}.event.gone.alpha` },
    { publish: '_INBOX.client.ws2.x' },
    { publish: `licd.v1.other.seat.any.find` },
    { publish: '$SYS.REQ.SERVER.PING' },
    { subscribe: '>' },
    { subscribe: '_INBOX.>' },
    { subscribe: '_INBOX.client.ws2.>' },
    { subscribe: '_INBOX.client.*.>' },
    { subscribe: `${root}.>` },
    { subscribe: `${root}.raft.>` },
    { subscribe: `${root}.seat.>` },
    { subscribe: `${root}.seat.any.acquire` },
    { subscribe: `${root}.ctl.>` },
    { subscribe: '$SYS.>' },
  ]
  const asClient = [...shared, { publish: `${root}.ctl.servers` }, { subscribe: `${root}.event.>` }]
  const asOperator = [...shared, { publish: `${root}.seat.any.acquire` }]
  const asServer: Attempt[] = [
    { publish: `${root}.seat.any.acquire` },
    { publish: `licd.v1.other.raft.alpha.propose` },
    { publish: '$SYS.REQ.SERVER.PING' },
    { subscribe: '_INBOX.client.ws2.>' },
    { subscribe: '_INBOX.>' },
    { subscribe: '>' },
  ]
  const cases: [string, Attempt[]][] = [
    ['ws1.context', asClient],
    ['mary.context', asOperator],
    ['alpha/nats/server.context', asServer],
  ]
  for (const [file, attempts] of cases) {
    t.same(await refused(pool.at(file), attempts), attempts, file)
  }
  const allowed = [
    { publish: `${root}.seat.alpha.acquire` },
    { subscribe: `${root}.event.gone.*` },
    { subscribe: '_INBOX.client.ws1.>' },
  ]
  t.same(await refused(pool.at('ws1.context'), allowed), [], 'what a client needs is allowed')

  t.match(
    await pool.as('client', 'ctl', 'status'),
    { code: 2, stderr: /LICD_BAD_CONFIG: .*client.context is for the role client/ },
    'a client is no operator, and is told so',
  )
  t.match(await pool.as('operator', 'run', '--feature', 'cad', '--', 'true'), {
    code: 2,
    stderr: /is for the role operator/,
  })
  t.match(await licd(['serve', '--data', pool.at('alpha'), '--context', pool.at('ws1.context')]), {
    code: 2,
    stderr: /is for the role client; this needs one for the role server/,
  })
})

t.test('without a context, or with another pool\u2019s, nobody gets in', async t => {
  await using pool = await SecurePool.start({ servers: ['alpha'] })
  const other = ['init', '--servers', `x=${await freeAddress()}`, '--out', pool.at('other')]
  t.equal((await licd(other)).code, 0)
  const context = await readContextFile(pool.at('operator.context'))
  const stranger = await readContextFile(pool.at('other', 'operator.context'))
  const plain = context.url.replace('tls:', 'nats:')

  const write = (name: string, content: object, mode = 0o600) => {
    writeFileSync(pool.at(`${name}.context`), JSON.stringify(content), { mode })
    chmodSync(pool.at(`${name}.context`), mode)
  }
  const whole = { format: 1, ...context }
  write('foreign', { ...whole, credentials: stranger.credentials })
  write('mistrusting', { ...whole, ca: stranger.ca })
  write('loose', whole, 0o640)
  write('part', { ...whole, credentials: undefined })
  write('later', { ...whole, format: 2 })
  writeFileSync(pool.at('none.context'), 'SECRET {', { mode: 0o600 })
  const cases: [string, string, RegExp][] = [
    ['foreign', 'LICD_NATS_REFUSED', /credentials/],
    ['mistrusting', 'LICD_NATS_', /NATS at/],
    ['loose', 'LICD_BAD_KEY', /chmod 600/],
    ['part', 'LICD_BAD_CONFIG', /credentials/],
    ['later', 'LICD_BAD_CONFIG', /format 1/],
    ['none', 'LICD_BAD_CONFIG', /no JSON/],
    ['missing', 'LICD_BAD_CONFIG', /no such file/],
  ]
  for (const [name, code, why] of cases) {
    const ran = await pool.as(name, 'ctl', 'status')
    t.match(ran.stderr, new RegExp(`^licd: ${code}`), name)
    t.match(ran.stderr, why, name)
    t.notMatch(ran.stderr, /SECRET|eyJ|BEGIN/, `${name}: no secret is quoted`)
  }
  t.match(
    await licd(['ctl', 'status', '--nats', plain]),
    { code: 3, stderr: /LICD_NATS_/ },
    'no credentials and no certificate',
  )
})

t.test(
  'the nats-server beside a server is started again when it dies, and ends with it',
  async t => {
    await using pool = await SecurePool.start({ servers: ['alpha'] })
    const started = (text: string): number[] =>
      [...text.matchAll(/"pid":(\d+),"msg":"nats-started"/g)].map(([, pid]) => Number(pid))
    const running = pool.running('alpha')
    const [first = 0] = started(running.output())
    process.kill(first, 'SIGKILL')
    await running.until(/"msg":"nats-ended"[^]*"msg":"nats-started"[^]*"link":"up"/)
    const [, second = 0] = started(running.output())
    t.match(await pool.ctl<Status>('status'), { servers: [{ name: 'alpha', state: 'up' }] })

    const ended = await pool.end('alpha', 'SIGTERM')
    t.equal(ended.code, 0)
    t.throws(() => process.kill(second, 0), { code: 'ESRCH' }, 'it is gone')

    // Killed, it leaves none behind either: the next start finds its ports free.
    const again = await pool.serve('alpha')
    await pool.end('alpha', 'SIGKILL')
    const [third = 0] = started(again.output())
    // Its own nats-server listens there now, and two cannot.
    const [fourth = third] = started((await pool.serve('alpha')).output())
    t.not(fourth, third)

    // Two cannot be on one port.
    const second2 = licd(['serve', '--data', pool.at('alpha')])
    t.match(await second2, { code: 3, stderr: /LICD_NATS_UNREACHABLE: .*--no-run-nats.*in use/ })
    const own = licd(['serve', '--data', pool.at('alpha'), '--no-run-nats'])
    t.match(await own, { code: 5, stderr: /LICD_DATA_LOCKED/ }, 'another one runs it')
  },
)

t.test('where no nats-server is installed, serve says how to get one', async t => {
  const folder = t.testdir()
  const init = ['init', '--servers', 'one=127.0.0.1:5000', '--out', folder]
  t.match(await licd(init), { code: 0, stdout: /LICD_CONTEXT=.*client.context licd run/ })
  t.equal((await licd(init)).code, 5, 'not over what is there')
  const env = { LICD_NATS_SERVER: `${folder}/none` }
  t.match(await licd(['serve', '--data', `${folder}/one`], { env }), {
    stderr: /^licd: LICD_NATS_MISSING: .*apt-get install nats-server/,
  })
})

t.test('without TLS and roles it listens on this host alone, and says so', async t => {
  const folder = t.testdir()
  const made = await licd(['init', '--servers', 'one', '--out', folder])
  t.match(made, { code: 0, stderr: /no TLS and no roles/ })
  const remote = ['serve', '--data', `${folder}/one`, '--nats', 'nats://127.0.0.1:1']
  t.match(await licd([...remote, '--run-nats']), { code: 2, stderr: /contradict/ })
  t.match(
    await licd(['join', 'x=host1', '--key', `${folder}/one/pool.key`, '--out', `${folder}/x`]),
    { stderr: /LICD_BAD_KEY: .*is no pool.join/ },
  )
})

t.test('the certificates are good in the eyes of OpenSSL', async t => {
  const folder = t.testdir()
  await licd([
    'init',
    '--servers',
    'one=n1.example.com,two=192.0.2.2,three=[2001:db8::3]',
    '--out',
    folder,
  ])
  for (const name of ['one', 'two', 'three']) {
    const nats = `${folder}/${name}/nats`
    for (const purpose of ['sslserver', 'sslclient']) {
      const args = ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', `${nats}/ca.pem`]
      let said: string
      try {
        said = execFileSync('openssl', [...args, `${nats}/server.pem`]).toString()
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
          t.comment('no openssl on this machine: what Node says is in certificate.test.ts')
          return
        }
        throw error
      }
      t.match(said, /server.pem: OK/, `${name} as ${purpose}`)
    }
  }
})

t.test(
  'a server that joined by a key of before knows by its credentials that operators sign',
  async t => {
    await using pool = await SecurePool.start({ servers: ['alpha'] })
    const key = JSON.parse(readFileSync(pool.at('alpha', 'pool.key'), 'utf8')) as object
    const before = JSON.stringify({ ...key, issuer: undefined })
    writeFileSync(pool.at('before.key'), before, { mode: 0o600 })
    const joined = await licd([
      'join',
      'beta',
      '--key',
      pool.at('before.key'),
      '--out',
      pool.at('beta'),
    ])
    t.match(joined, { code: 0 }, joined.stderr)
    const context = pool.at('alpha', 'nats', 'server.context')
    const beta = await pool.serve('beta', /waiting to be taken into/, ['--context', context])
    t.match(await pool.as('operator', 'ctl', 'servers', 'add', 'beta'), { code: 0 })
    await beta.until(/^ready /m)

    const bus = await connectNatsBus({
      ...(await natsOptions({ context: pool.at('operator.context') }, {})),
      waitMs: 20_000,
    })
    t.teardown(() => bus.close())
    const ask = (subject: string, fields: object): Promise<unknown> =>
      new Promise(resolve => {
        const reply = `${bus.inbox}.${subject}`
        const subscription = bus.subscribe(reply, ({ data }) => {
          subscription.unsubscribe()
          resolve(JSON.parse(Buffer.from(data).toString()))
        })
        const headers = { 'Content-Type': 'application/json' }
        bus.publish(subject, Buffer.from(JSON.stringify(fields)), { reply, headers })
      })
    const names = subjects('default')
    t.match(await ask(names.ctlAt('now', 'beta'), {}), { server: 'beta', signs: true })
    const unsigned = { id: 'x1', by: 'mary', timeoutMs: 5_000, feature: 'cad', allocations: 3 }
    t.match(await ask(names.ctlAt('feature-add', 'beta'), unsigned), { code: 'LICD_UNSIGNED' })
  },
)
