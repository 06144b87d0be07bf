/**
 * The bare round trip over NATS: `request` is what a user would write, `mux` the most that this client gives, with
 * one wildcard inbox, one callback and a map.
 */
import { connect, type NatsConnection } from 'nats'
import type { Driver, DriverOrder } from '../contender.ts'

export const echoSubject = 'bench.echo'
const payload = new Uint8Array(100).fill(97)

export async function open(order: DriverOrder): Promise<Driver> {
  const connection = await connect({ servers: [...order.address.urls], name: 'bench echo' })
  return order.operation === 'mux' ? mux(connection, echoSubject) : request(connection)
}

function request(connection: NatsConnection): Driver {
  return {
    run(_worker, done) {
      connection.request(echoSubject, payload, { timeout: 10_000 }).then(
        () => done(),
        (error: unknown) => done(String(error)),
      )
    },
    close: () => connection.close(),
  }
}

export function mux(connection: NatsConnection, subject: string): Driver {
  const inbox = `_INBOX.bench${process.pid}.`
  const waiting = new Map<string, (failure?: string) => void>()
  let last = 0
  connection.subscribe(`${inbox}*`, {
    callback(_error, message) {
      const token = message.subject.slice(inbox.length)
      const done = waiting.get(token)
      if (done === undefined) return
      waiting.delete(token)
      done()
    },
  })
  return {
    run(_worker, done) {
      const token = (++last).toString(36)
      waiting.set(token, done)
      connection.publish(subject, payload, { reply: inbox + token })
    },
    close: () => connection.close(),
  }
}
