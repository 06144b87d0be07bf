/** etcd, three members, settings as they come. Clients connect to its leader first. */
import { join } from 'node:path'
import { findProgram, freePorts, startChild, untilWorks, versionOf } from '../child.ts'
import { ownFirst, type Contender, type Row, type Running } from '../contender.ts'
import { leads } from '../drivers/etcd.ts'
import { Trio } from '../trio.ts'

const row = (operation: string, title: string): Row => ({
  id: `etcd.${operation}`,
  title,
  contender: 'etcd',
  driver: 'etcd',
  operation,
})

export const etcd: Contender = {
  name: 'etcd',
  title: 'etcd, three members',
  rows: [row('own', 'etcd: checkout, transaction'), row('one', 'etcd: all on one feature')],
  look() {
    const program = findProgram('etcd')
    if (program === undefined) return { here: false, why: 'apt-get install etcd-server' }
    return { here: true, version: versionOf(program, ['--version'], /Version: (\S+)/) }
  },
  start: folder => startEtcd(folder),
}

export const etcdPut = row('put', 'etcd: put')

/** `tuned`: elections after 250 ms of silence, as on a fast network; etcd's own is 1,000. */
export async function startEtcd(folder: string, tuned = false): Promise<Running> {
  const names = ['e0', 'e1', 'e2']
  const ports = await freePorts(6)
  const client = (n: number) => `http://127.0.0.1:${ports[n] ?? 0}`
  const peer = (n: number) => `http://127.0.0.1:${ports[n + 3] ?? 0}`
  const cluster = names.map((name, n) => `${name}=${peer(n)}`).join(',')
  const timing = tuned ? ['--heartbeat-interval', '50', '--election-timeout', '250'] : []
  const program = findProgram('etcd') ?? 'etcd'
  const trio = new Trio(names, (name, n) =>
    startChild(
      program,
      [
        ...['--name', name, '--data-dir', join(folder, name), '--log-level', 'error'],
        ...['--listen-client-urls', client(n), '--advertise-client-urls', client(n)],
        ...['--listen-peer-urls', peer(n), '--initial-advertise-peer-urls', peer(n)],
        ...['--initial-cluster', cluster, '--initial-cluster-state', 'new', ...timing],
      ],
      { env: { ...process.env, ETCD_UNSUPPORTED_ARCH: process.arch } },
    ),
  )
  const leader = async (): Promise<string> => {
    for (const [n, name] of names.entries()) {
      if (await leads(client(n)).catch(() => false)) return name
    }
    throw new Error('no leader')
  }
  let first: string
  try {
    first = await untilWorks('etcd', leader)
  } catch (error) {
    await trio.endAll('SIGKILL')
    throw error
  }
  const urls = names.map((_, n) => client(n))
  return {
    address: { urls: ownFirst(urls, names.indexOf(first)) },
    processes: () => trio.processes(),
    cluster: {
      leader: () => untilWorks('etcd', leader),
      kill: name => trio.end(name, 'SIGKILL'),
      start: async name => void trio.start(name),
      stopAll: () => trio.endAll(),
      names,
    },
    stop: () => trio.endAll(),
  }
}
