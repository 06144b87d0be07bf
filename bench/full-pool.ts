/**
 * A full pool loses a server by kill -9: which seats are kept, how long their clients were without a confirmed renewal,
 * and when its allocations can be granted again, of three kinds:
 *
 * - idle: the server owned them and nobody used them;
 * - moved: in use by clients that live on; a seat is released where it moved to, as soon as it is there;
 * - vanished: in use by clients that went down with the server (the same host).
 *
 * Each kind is a feature of its own that only that server owns, and other servers' clients wait for all of it.
 */
import { ClientCore } from '../lib/client/core.ts'
import type { Client, Seat } from '../lib/index.ts'
import type { Settings } from '../lib/ledger/command.ts'
import { connectNats, systemClock, systemRandom } from '../raft/index.ts'
import { WatchedPool } from '../test/watched-pool.ts'
import { Moves } from './outage.ts'

const each = 20
const kinds = ['idle', 'moved', 'vanished'] as const
type Kind = (typeof kinds)[number]

export async function measureFullPool(
  victimIs: 'leader' | 'follower',
  run: number,
  settings: Settings,
): Promise<Record<string, string | number>> {
  await using pool = await WatchedPool.start(settings)
  const { processes } = pool
  const leader = await pool.leader()
  const victim = victimIs === 'leader' ? leader : pool.servers.find(name => name !== leader)
  if (victim === undefined) throw new Error('no server to kill')
  const others = pool.servers.filter(name => name !== victim)
  for (const feature of ['held', ...kinds]) await ownedBy(pool, feature, victim)

  const client = await pool.client(victim)
  const [held, moved] = await Promise.all([hold(client, 'held'), hold(client, 'moved')])
  const vanish = await holdAndVanish(pool, victim)
  const watchers = await Promise.all(others.map(name => pool.client(name)))
  await pool.until('all in use', status =>
    ['held', 'moved', 'vanished'].every(
      name => inUse(status.features.find(row => row.name === name)) === each,
    ),
  )

  // Of the others a look would find them released.
  const moves = Moves.watch(held)
  const moving = Moves.watch(moved)
  const gaps = Gaps.watch(held)
  const killedAt = performance.now()
  await processes.kill(victim)
  await vanish()
  const grants = kinds.map(kind => whenGranted(watchers, kind))
  for (const seat of moved) seat.once('moved', () => void seat.release())
  const confirmed = [...(await moves.all), ...(await moving.all)]
  // One more renewal of each, so that the longest gap is over.
  await Promise.all(held.map(seat => new Promise<void>(resolve => seat.once('renewed', resolve))))
  const last = await Promise.all(grants)
  const kept = held.filter(({ valid }) => valid).length
  const after = (times: readonly number[]): number => Math.round(Math.max(...times) - killedAt)
  return {
    ...{ killed: victimIs, run },
    'seats kept': `${kept} of ${held.length}`,
    'invalid looks': moves.invalidLooks,
    'confirmed elsewhere after ms': after(confirmed),
    'longest without renewal ms': gaps.stop(),
    ...Object.fromEntries(kinds.map((kind, n) => [`${kind} grantable ms`, after(last[n] ?? [])])),
  }
}

/** All of the feature at the victim. */
async function ownedBy(pool: WatchedPool, feature: string, victim: string): Promise<void> {
  await pool.processes.ctl(['feature', 'add', feature, String(each), '--local'])
  await pool.processes.ctl(['criteria', 'set', feature, `${victim}=${each}`])
  await pool.until(`${feature} at ${victim}`, status => {
    const shares = status.features.find(({ name }) => name === feature)?.shares ?? []
    return shares.find(({ server }) => server === victim)?.share === each
  })
}

function inUse(
  feature: { readonly shares: readonly { readonly inUse: number }[] } | undefined,
): number {
  return (feature?.shares ?? []).reduce((sum, share) => sum + share.inUse, 0)
}

function hold(client: Client, feature: string): Promise<Seat[]> {
  return Promise.all(
    Array.from({ length: each }, () => client.acquire(feature, { timeout: 30_000 })),
  )
}

/** Seats whose client is gone from one moment to the next, without a word. */
async function holdAndVanish(pool: WatchedPool, victim: string): Promise<() => Promise<void>> {
  const bus = await connectNats({ servers: [pool.processes.nats.url], name: 'bench vanishing' })
  const core = new ClientCore(
    { bus, clock: systemClock, random: systemRandom },
    { pool: 'default', prefer: [victim] },
  )
  await Promise.all(
    Array.from(
      { length: each },
      () =>
        new Promise<void>((resolve, reject) => {
          core.acquire(
            { feature: 'vanished', count: 1, user: 'bench', host: 'bench', waitMs: 30_000 },
            { moved: () => {}, renewed: () => {}, lost: () => {} },
            outcome => (outcome.ok ? resolve() : reject(new Error(outcome.code))),
          )
        }),
    ),
  )
  return async () => {
    await bus.close()
    core.close(() => {})
  }
}

/** When each of a feature's allocations was granted to a client of another server. */
async function whenGranted(clients: readonly Client[], feature: Kind): Promise<number[]> {
  return await Promise.all(
    Array.from({ length: each }, async (_, n) => {
      const client = clients[n % clients.length]
      await client?.acquire(feature, { timeout: 600_000 })
      return performance.now()
    }),
  )
}

/** The longest that a seat was without a confirmed renewal, looked at over all seats. */
class Gaps {
  #longestMs = 0

  static watch(seats: readonly Seat[]): Gaps {
    const gaps = new Gaps()
    for (const seat of seats) {
      let last = performance.now()
      const confirmed = (): void => {
        const now = performance.now()
        gaps.#longestMs = Math.max(gaps.#longestMs, now - last)
        last = now
      }
      seat.on('renewed', confirmed)
      seat.on('moved', confirmed)
    }
    return gaps
  }

  stop(): number {
    return Math.round(this.#longestMs)
  }
}
