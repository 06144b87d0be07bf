/** JetStream KV, three replicas on three nats-servers, settings as they come (it does not sync each write). */
import { connect } from 'nats'
import { join } from 'node:path'
import { findNatsServer } from '../../lib/nats-server.ts'
import { freePorts, startChild, untilWorks, versionOf } from '../child.ts'
import { ownFirst, type Contender, type Row, type Running } from '../contender.ts'
import { leaderOf, openBucket } from '../drivers/kv.ts'
import { Trio } from '../trio.ts'

const row = (operation: string, title: string): Row => ({
  id: `kv.${operation}`,
  title,
  contender: 'kv',
  driver: 'kv',
  operation,
})

export const kv: Contender = {
  name: 'kv',
  title: 'JetStream KV, three replicas',
  rows: [row('own', 'JetStream KV: checkout, R3'), row('one', 'JetStream KV: all on one feature')],
  look() {
    const program = findNatsServer()
    if (program === undefined) return { here: false, why: 'apt-get install nats-server' }
    return { here: true, version: versionOf(program, ['--version'], /v(\d\S*)/) }
  },
  start: folder => startKv(folder),
}

export async function startKv(folder: string): Promise<Running> {
  const names = ['n0', 'n1', 'n2']
  const ports = await freePorts(6)
  const routes = names.map((_, n) => `nats://127.0.0.1:${ports[n + 3] ?? 0}`)
  const urls = names.map((_, n) => `nats://127.0.0.1:${ports[n] ?? 0}`)
  const program = findNatsServer() ?? 'nats-server'
  const trio = new Trio(names, (name, n) =>
    startChild(program, [
      ...['-a', '127.0.0.1', '-p', String(ports[n]), '--server_name', name],
      ...['-js', '-sd', join(folder, name), '--cluster_name', 'bench'],
      ...['--cluster', routes[n] ?? '', '--routes', routes.join(',')],
    ]),
  )
  const leader = async (): Promise<string> => {
    const connection = await connect({ servers: urls, maxReconnectAttempts: 0 })
    try {
      await openBucket(connection)
      return await leaderOf(await connection.jetstreamManager())
    } finally {
      await connection.close()
    }
  }
  let first: string
  try {
    first = await untilWorks('JetStream', leader)
  } catch (error) {
    await trio.endAll('SIGKILL')
    throw error
  }
  return {
    address: { urls: ownFirst(urls, names.indexOf(first)) },
    processes: () => trio.processes(),
    cluster: {
      leader: () => untilWorks('JetStream', leader),
      kill: name => trio.end(name, 'SIGKILL'),
      start: async name => void trio.start(name),
      stopAll: () => trio.endAll(),
      names,
    },
    stop: () => trio.endAll(),
  }
}
