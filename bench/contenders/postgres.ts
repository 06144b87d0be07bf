/** PostgreSQL, one server, settings as they come but for the number of connections. Nothing is replicated. */
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { findProgram, freePorts, startChild, untilWorks, versionOf } from '../child.ts'
import { workersMax, type Contender, type Row } from '../contender.ts'
import { tables } from '../drivers/postgres.ts'
import { PostgresConnection } from '../drivers/postgres-wire.ts'

const row = (operation: string, title: string): Row => ({
  id: `postgres.${operation}`,
  title,
  contender: 'postgres',
  driver: 'postgres',
  operation,
})

/** Both rows are open at once, with a connection for each of 16 x 16 requests. */
const connectionsMax = 600
const allocations = 1_000_000_000
/** Debian keeps its programs apart, by version. */
const debianFolder = '/usr/lib/postgresql'

function findPrograms(): string | undefined {
  const versions = existsSync(debianFolder) ? readdirSync(debianFolder) : []
  const folders = versions.map(version => join(debianFolder, version, 'bin'))
  const initdb = findProgram('initdb', folders)
  return initdb === undefined ? undefined : dirname(initdb)
}

/** It refuses to run as root: then it runs as the user that its package made, who gets the folder. */
function owner(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const idOf = (flag: string) =>
    Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout || Number.NaN)
  return { uid: idOf('-u'), gid: idOf('-g') }
}

export const postgres: Contender = {
  name: 'postgres',
  title: 'PostgreSQL, one server',
  rows: [row('own', 'PostgreSQL: checkout, 1 node'), row('one', 'PostgreSQL: all on one feature')],
  look() {
    const folder = findPrograms()
    if (folder === undefined) return { here: false, why: 'apt-get install postgresql' }
    if (Number.isNaN(owner()?.uid)) return { here: false, why: 'no user postgres to run it as' }
    return { here: true, version: versionOf(join(folder, 'postgres'), ['--version'], /(\d\S*)/) }
  },
  async start(folder) {
    const programs = findPrograms() ?? ''
    const user = owner()
    if (user !== undefined) {
      chownSync(folder, user.uid, user.gid)
      // The folder above is the bench's own; others may pass through it.
      chmodSync(dirname(folder), 0o711)
    }
    const data = join(folder, 'data')
    const made = spawnSync(
      join(programs, 'initdb'),
      ['-D', data, '-A', 'trust', '-U', 'bench', '--no-sync', '--no-locale', '-E', 'UTF8'],
      { ...user, cwd: folder, encoding: 'utf8' },
    )
    if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`)
    const [port = 0] = await freePorts(1)
    const settings = [
      `max_connections=${connectionsMax}`,
      'listen_addresses=127.0.0.1',
      'unix_socket_directories=',
    ]
    const server = startChild(
      join(programs, 'postgres'),
      ['-D', data, '-p', String(port), ...settings.flatMap(setting => ['-c', setting])],
      { ...user, cwd: folder },
    )
    const url = `postgres://bench@127.0.0.1:${port}/postgres`
    try {
      await untilWorks('PostgreSQL', () => fill(url))
    } catch (error) {
      await server.stop('SIGKILL')
      throw error
    }
    return {
      address: { urls: [url] },
      processes: () => [{ name: 'postgres', pid: server.pid }, ...backends(server.pid)],
      // SIGINT: it does not wait for those who are connected.
      stop: () => server.stop('SIGINT'),
    }
  },
}

async function fill(url: string): Promise<void> {
  const connection = await PostgresConnection.connect(url)
  try {
    await connection.query(tables)
    const names = ['one', ...Array.from({ length: workersMax }, (_, n) => `f${n}`)]
    const values = names.map(name => `('${name}', ${allocations}, 0)`).join(',')
    await connection.query(`insert into feature values ${values}`)
  } finally {
    connection.close()
  }
}

/** A process for each connection, and some for its own work. */
function backends(pid: number): { name: string; pid: number }[] {
  const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
  return stdout
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => ({ name: 'backends, shared memory in each', pid: Number(line) }))
}
