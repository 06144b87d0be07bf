/**
 * One suite for both brokers: whatever licd relies on holds at nats-server and at the embedded broker alike.
 */
import { connect } from 'nats'
import t from 'tap'
import { startBroker } from '../../lib/broker/broker.ts'
import { startNatsServer } from '../nats-server.ts'
import type { Context, Running } from './case.ts'
import { deliveryCases } from './delivery-cases.ts'
import { protocolCases } from './protocol-cases.ts'
import { RawClient } from './raw-client.ts'

const brokers: Readonly<Record<string, (port?: number) => Promise<Running>>> = {
  'nats-server': port => startNatsServer(port === undefined ? {} : { port }),
  embedded: port => startBroker(port === undefined ? {} : { port }),
}

for (const [name, start] of Object.entries(brokers)) {
  for (const [title, check] of [...deliveryCases, ...protocolCases]) {
    t.test(`${name}: ${title}`, async t => {
      const broker = await start()
      t.teardown(() => broker.stop())
      const open: Context['open'] = async (options = {}) => {
        const nc = await connect({
          servers: broker.url,
          reconnectTimeWait: 50,
          maxReconnectAttempts: -1,
          noAsyncTraces: true,
          ...options,
        })
        t.teardown(() => nc.close())
        return nc
      }
      const raw: Context['raw'] = async options => {
        const client = await RawClient.connect(broker.port, options)
        t.teardown(() => client[Symbol.asyncDispose]())
        return client
      }
      await check(t, { broker, start, open, raw })
    })
  }
}
