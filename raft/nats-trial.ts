/**
 * What a NATS server lets a connection do, found out by doing it: for whoever looks into a pool's doors.
 *
 * Messages are empty and expect no answer; subscriptions last for one round trip.
 */
import { connect } from 'nats'
import { connectError, connectionOptions, namesOf, type NatsOptions } from './nats-bus.ts'

export interface Attempts {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

export interface Trial {
  /** What the NATS server says of itself. */
  readonly serverName: string
  readonly version: string
  /** Milliseconds that a round trip took. */
  readonly roundTripMs: number
  /** Those of the attempts that it refused. */
  readonly refused: Attempts
}

/**
 * Connects once, tries, and goes.
 *
 * @throws RaftError RAFT_BUS_UNREACHABLE, RAFT_BUS_REFUSED, RAFT_BAD_SETTING
 */
export async function tryNats(options: NatsOptions, attempts: Attempts): Promise<Trial> {
  // Each of them tells of the others: whoever is refused by all would be sent round without end.
  const settings = { ...connectionOptions(options), ignoreClusterUpdates: true }
  try {
    const connection = await connect(settings)
    const publish = new Set<string>()
    const subscribe = new Set<string>()
    void (async () => {
      for await (const { permissionContext } of connection.status()) {
        if (permissionContext?.operation === 'publish') publish.add(permissionContext.subject)
      }
    })()
    let roundTripMs: number
    // Gone with the connection.
    const { server_name: serverName = '', version = '' } = connection.info ?? {}
    try {
      roundTripMs = await connection.rtt()
      for (const subject of attempts.publish) connection.publish(subject)
      for (const subject of attempts.subscribe) {
        connection.subscribe(subject, {
          callback: error => void (error !== null && subscribe.add(subject)),
        })
      }
      // Refusals stand before the answer to this.
      await connection.flush()
      // What the connection has queued for the loop above is read by then.
      await new Promise(setImmediate)
    } finally {
      await connection.close()
    }
    return {
      serverName,
      version,
      roundTripMs,
      refused: {
        publish: attempts.publish.filter(subject => publish.has(subject)),
        subscribe: attempts.subscribe.filter(subject => subscribe.has(subject)),
      },
    }
  } catch (cause) {
    throw connectError(cause, namesOf(settings))
  }
}
