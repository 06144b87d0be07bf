// The key of tokens is rotated in a pool of real processes, as an operator does it: files, commands, a restart between.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { connect } from '../../lib/index.ts'
import { licd } from '../cmd/licd-process.ts'
import { SecurePool } from './secure-pool.ts'

t.setTimeout(600_000)

/** Seats that outlast a busy machine. */
const times = ['--tick-ms', '500', '--lease-ticks', '60', '--seat-ticks', '60']

t.test('a pool with seats in use goes over to another key', async t => {
  await using pool = await SecurePool.start({ times })
  await pool.ctl('feature', 'add', 'cad', '9', '--local')
  await using client = await connect({ context: pool.at('client.context') })
  const before = await client.acquire('cad', { count: 2 })
  let lost = 0
  before.on('lost', error => {
    t.comment(error.message)
    lost++
  })

  const made = await licd([
    'key',
    'make',
    '--of',
    pool.at('pool.join'),
    '--out',
    pool.at('next.key'),
  ])
  const kid = /^key (\S+) of pool default/.exec(made.stdout)?.[1] ?? ''
  t.match(kid, /^[\w-]{16}$/, made.stderr)
  t.match(await pool.as('operator', 'ctl', 'key', 'use', kid), {
    ...{ code: 1, stderr: /^licd: LICD_KEY_MISSING: .*alpha, beta, gamma.*licd key add/ },
  })
  for (const place of ['pool.join', 'alpha', 'beta']) {
    t.match(await licd(['key', 'add', pool.at('next.key'), '--to', pool.at(place)]), { code: 0 })
  }
  t.match(await pool.as('operator', 'ctl', 'key', 'use', kid), { code: 1, stderr: /at gamma\./ })
  await licd(['key', 'add', pool.at('next.key'), '--to', pool.at('gamma')])
  const list = await pool.as('operator', 'ctl', 'key', 'list')
  t.match(list.stdout, new RegExp(`${kid} +alpha beta gamma`))
  t.match(list.stdout, /in use +alpha beta gamma/)

  // A server that starts in between finds it too.
  await pool.end('beta', 'SIGTERM')
  await pool.serve('beta')
  t.match(await pool.as('operator', 'ctl', 'key', 'use', kid), { code: 0 }, 'the switch')
  const after = await pool.as('operator', 'ctl', 'key', 'list')
  t.match(after.stdout, new RegExp(`${kid} +in use +alpha beta gamma`))

  const second = await client.acquire('cad')
  t.ok(second.valid)
  // Whoever holds the seats dies: they move, whichever key their tokens are made with.
  const home = client.server ?? ''
  const moved = new Promise<void>(resolve => {
    client.on('server', name => {
      if (name !== undefined && name !== home) resolve()
    })
  })
  await pool.end(home, 'SIGKILL')
  await moved
  await pool.serve(home)
  const isOver = async () => {
    const { stdout } = await pool.as('operator', 'ctl', 'key', 'list')
    return !stdout.includes('heard for') && stdout.includes(`${kid}  in use`)
  }
  while (!(await isOver())) t.comment('the old key is still heard')
  t.ok(before.valid && second.valid)
  t.equal(lost, 0)

  // A new server made with pool.join has the new key, which the log tells it to use.
  t.match(await pool.as('operator', 'ctl', 'audit'), {
    code: 0,
    stdout: new RegExp(`use-key +${kid}`),
  })
  t.match(await licd(['key', 'list', '--of', pool.at('alpha'), '--json']), {
    ...{ code: 0, stdout: new RegExp(`"kids":\\["${kid}","[\\w-]{16}"\\]`) },
  })
  // It was the operator’s own key that signed it; a revoked one signs nothing more.
  const audit = await pool.as('operator', 'ctl', 'audit', '--last', '1', '--json')
  const told = JSON.parse(audit.stdout) as { readonly key: string }
  t.match(told, { action: 'use-key', by: 'operator', identity: 'proven', key: /^U[A-Z2-7]{55}$/ })
  const root = ['credentials', 'root', '--role', 'operator', '--key', pool.at('pool.join')]
  t.match(await licd([...root, '--out', pool.at('root.context')]), { code: 0, stdout: /key U/ })
  const revoke = ['ctl', 'operators', 'revoke', told.key]
  t.match(await pool.as('root', ...revoke), { code: 1, stderr: /LICD_NOT_CONFIRMED/ })
  t.match(await pool.as('root', ...revoke, '--yes'), { code: 0 })
  t.match(await pool.as('operator', 'ctl', 'allocations', 'add', 'cad', '1'), {
    ...{ code: 1, stderr: /^licd: LICD_NOT_OPERATOR: The key of operator was revoked/ },
  })
  t.match(await pool.as('operator', 'ctl', 'status'), { code: 0 }, 'it may still look')
  const { macKey } = JSON.parse(readFileSync(pool.at('next.key'), 'utf8')) as { macKey: string }
  t.notOk(pool.said.includes(macKey), 'the key stands in no log')
})
