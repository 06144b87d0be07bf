// A server may publish what a client may not: no request gets it to, by the reply subject that it names.
import t from 'tap'
import { natsOptions } from '../../lib/nats-context.ts'
import { subjects } from '../../lib/protocol/subject.ts'
import { connectNats } from '../../raft/index.ts'
import { SecurePool } from './secure-pool.ts'

t.setTimeout(300_000)

t.test('no server is made to speak for others: an answer goes to no subject of a pool', async t => {
  await using pool = await SecurePool.start({ servers: ['alpha'] })
  const open = async (context: string) => {
    const options = await natsOptions({ context: pool.at(context) }, {})
    const bus = await connectNats({ ...options, waitMs: 20_000 })
    t.teardown(() => bus.close())
    return bus
  }
  const [client, operator] = [await open('client.context'), await open('operator.context')]
  const watch = await open('operator.context')
  const names = subjects('default')
  const heard: string[] = []
  watch.subscribe(names.events, ({ subject }) => void heard.push(subject))
  const answer = (bus: typeof client, subject: string): Promise<unknown> =>
    new Promise(resolve => {
      const reply = `${bus.inbox}.${subject}`
      bus.subscribe(reply, resolve)
      bus.publish(subject, Buffer.from('{}'), { reply, headers })
    })
  const headers = { 'Content-Type': 'application/json' }
  const asked = [
    ...(['find', 'acquire', 'renew', 'release', 'prove'] as const).map(
      operation => [client, names.seat('alpha', operation)] as const,
    ),
    [operator, names.ctlAt('status', 'alpha')] as const,
  ]
  // It listens before anybody asks: what it asked itself was answered.
  await answer(watch, names.ctlAt('now', 'alpha'))
  for (const [bus, subject] of asked) {
    for (const reply of [names.goneEvent('told'), names.codeEvent('told'), names.ctl('servers')]) {
      bus.publish(subject, Buffer.from('{}'), { reply, headers })
    }
    // Taken in their order: whatever was said for the others is out before this.
    await answer(bus, subject)
  }
  await answer(watch, names.ctlAt('now', 'alpha'))
  t.same(
    heard.filter(subject => subject.endsWith('.told')),
    [],
  )
})
