// A cluster of nats-servers: who is refused hears so, though each server tells of the others; who gets in hears of them.
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { readContextFile } from '../../lib/access/context-file.ts'
import { natsOptions } from '../../lib/nats-context.ts'
import { connectNats } from '../../raft/index.ts'
import { licd } from '../cmd/licd-process.ts'
import { freeAddress, SecurePool } from './secure-pool.ts'

t.setTimeout(300_000)

t.test('wrong credentials and a wrong authority are refused, not tried for ever', async t => {
  await using pool = await SecurePool.start({ servers: ['alpha', 'beta', 'gamma'] })
  const other = ['init', '--servers', `x=${await freeAddress()}`, '--out', pool.at('other')]
  t.equal((await licd(other)).code, 0)
  const context = await readContextFile(pool.at('operator.context'))
  const stranger = await readContextFile(pool.at('other', 'operator.context'))
  for (const [name, changed] of [
    ['foreign', { credentials: stranger.credentials }],
    ['mistrusting', { ca: stranger.ca }],
  ] as const) {
    const content = JSON.stringify({ format: 1, ...context, ...changed })
    writeFileSync(pool.at(`${name}.context`), content, { mode: 0o600 })
    const ran = await pool.as(name, 'ctl', 'status')
    t.match(ran, { code: 3, stderr: /^licd: LICD_NATS_REFUSED/ }, name)
  }

  // Told of one address, and of the others by the server there: it goes on when that one dies.
  const options = await natsOptions({ context: pool.at('operator.context') }, {})
  const [first = ''] = context.url.split(',')
  const bus = await connectNats({ ...options, servers: first })
  const back = new Promise<void>(resolve => {
    bus.onStatus(status => {
      if (status === 'up') resolve()
    })
  })
  await pool.end('alpha', 'SIGKILL')
  await back
  t.ok(bus.connected)
  await bus.close()
})
