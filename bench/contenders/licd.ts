/** licd: three `licd serve` processes over one nats-server, settings as they come. */
import { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { viewPool } from '../../lib/ctl/pool-view.ts'
import { findNatsServer } from '../../lib/nats-server.ts'
import { connectNats, systemClock, systemRandom } from '../../raft/index.ts'
import { ProcessPool } from '../../test/pool-processes.ts'
import { untilWorks } from '../child.ts'
import { workersMax, type Cluster, type Contender, type Row, type Running } from '../contender.ts'
import { commit } from '../machine.ts'

/** Of each feature: so many that the seats of one measurement never use them up. */
const allocations = 3_000_000
const atOnce = 32
/** A busy machine takes long. */
const shareMs = 120_000

const row = (operation: string, title: string): Row => ({
  id: `licd.${operation}`,
  title,
  contender: 'licd',
  driver: 'licd',
  operation,
})

export const licd: Contender = {
  name: 'licd',
  title: 'licd, three servers',
  rows: [
    row('unawaited', 'licd: acquire, release unawaited'),
    row('awaited', 'licd: acquire, release awaited'),
    row('acquire', 'licd: acquire alone'),
    row('renew', 'licd: renew'),
    row('one', 'licd: all on one feature'),
  ],
  look() {
    if (findNatsServer() === undefined) return { here: false, why: 'apt-get install nats-server' }
    return { here: true, version: commit() }
  },
  start: () => startLicd(['one', ...Array.from({ length: workersMax }, (_, n) => `f${n}`)]),
}

/** Three servers with these features, so large that nobody uses them up. */
export async function startLicd(
  features: readonly string[],
  // With figures and page, as users run it.
  { http = '127.0.0.1:0', level }: { readonly http?: string; readonly level?: number } = {},
): Promise<Running & { readonly pool: ProcessPool }> {
  const serve = () => ['--http', http]
  const settings = { tickMs: 1_000, leaseTicks: 30, seatTicks: 20 }
  const pool = await ProcessPool.start({
    ...{ ...settings, serve },
    ...(level === undefined ? {} : { level }),
  })
  try {
    await addFeatures(pool.nats.url, features, allocations)
  } catch (error) {
    await pool[Symbol.asyncDispose]()
    throw error
  }
  return {
    pool,
    address: { urls: [pool.nats.url], servers: pool.servers },
    processes: () => [
      ...pool.servers.map(name => ({ name: `server ${name}`, pid: pool.pid(name) })),
      { name: 'nats-server', pid: pool.nats.pid },
    ],
    cluster: clusterOf(pool),
    stop: () => pool[Symbol.asyncDispose](),
  }
}

function clusterOf(pool: ProcessPool): Cluster {
  const leader = async (): Promise<string> => {
    const { leader: name } = await pool.ctl<{ leader?: string }>(['status'])
    if (name === undefined) throw new Error('no leader')
    return name
  }
  return {
    names: pool.servers,
    leader: () => untilWorks('licd', leader),
    kill: name => pool.kill(name),
    // What it says later is heard by whoever waits for it to serve.
    start: name => pool.startUntil(name, /^/),
    stopAll: async () => {
      await Promise.all(pool.servers.map(name => pool.kill(name, 'SIGTERM')))
    },
  }
}

/** Adds features of the pool's own, and resolves when all of their allocations are shared out. */
export async function addFeatures(
  nats: string,
  features: readonly string[],
  count: number,
): Promise<void> {
  const bus = await connectNats({ servers: [nats], name: 'bench operator' })
  const ports = { bus, clock: systemClock, random: systemRandom }
  const ctl = new CtlClient({ ...ports, pool: 'default', by: 'bench', timeoutMs: 30_000 })
  try {
    for (let from = 0; from < features.length; from += atOnce) {
      await Promise.all(
        features
          .slice(from, from + atOnce)
          .map(feature => ctl.change('feature-add', { feature, allocations: count })),
      )
    }
    await untilWorks(
      'features',
      async () => {
        const { status } = await viewPool(ctl)
        const open = status.features.filter(({ free }) => free > 0)
        if (open.length > 0) throw new Error(`${open.length} features are not shared out`)
      },
      shareMs,
    )
  } finally {
    ctl.close()
    await bus.close()
  }
}
