/**
 * The seed's claims on where an allocation comes from, in both orders, on three server processes over a real
 * nats-server. Each is asserted through `ctl --json` at all servers that run.
 */
import t from 'tap'
import type { Seat } from '../lib/index.ts'
import { moved } from './moved.ts'
import { RawSeatClient } from './raw-seat-client.ts'
import { featureOf, tableOf, WatchedPool, type Table } from './watched-pool.ts'

// Each look at a table is a process for each server: slow on a busy machine.
t.setTimeout(240_000)

/** Roles by name: the leader, the server that runs short, the third. */
interface Roles {
  readonly leader: string
  readonly taker: string
  readonly third: string
}

async function rolesOf(pool: WatchedPool): Promise<Roles> {
  const leader = await pool.leader()
  const [taker, third] = pool.servers.filter(server => server !== leader)
  if (taker === undefined || third === undefined) throw new Error('three servers are needed')
  return { leader, taker, third }
}

/** A feature with these shares, the rest in the free pool; nobody borrows before it is short. */
async function addFeature(
  pool: WatchedPool,
  feature: string,
  allocations: number,
  shares: Readonly<Record<string, number>>,
): Promise<void> {
  const { processes } = pool
  await processes.ctl(['feature', 'add', feature, String(allocations), '--local'])
  const targets = Object.entries(shares).map(([server, share]) => `${server}=${share}`)
  const thresholds = pool.servers.flatMap(server => ['--threshold', `${server}=1`])
  await processes.ctl(['criteria', 'set', feature, ...targets, ...thresholds])
  await pool.until(`${feature} at its targets`, status => {
    const table = tableOf(status, feature).shares
    return pool.servers.every(server => (table[server] ?? 0) === (shares[server] ?? 0))
  })
}

/**
 * What `taker` borrowed of a feature, and the table that this very entry left, as the leader tells: a look at the servers
 * comes later, when somebody may have given something back. Where one event tells of several entries, of the last.
 */
function borrowsOf(
  pool: WatchedPool,
  name: string,
  taker: string,
): { readonly sources: readonly string[]; readonly table: Table }[] {
  return pool.events.flatMap(({ type, event }) => {
    if (type !== 'sync' || !event.leader) return []
    const last = event.changes.at(-1)
    if (last?.type !== 'borrow' || last.feature !== name || last.to !== taker) return []
    const sources = (last.taken ?? []).filter(({ count }) => count > 0).map(({ source }) => source)
    return [{ sources, table: tableOf({ features: event.features }, name) }]
  })
}

/** Per feature, where what `taker` borrowed came from, as the leader's sync events tell. */
function sourcesOf(pool: WatchedPool, taker: string): Record<string, string[]> {
  const sources: Record<string, string[]> = {}
  for (const { type, event } of pool.events) {
    if (type !== 'sync' || !event.leader) continue
    for (const { type: change, feature, to, taken = [] } of event.changes) {
      if (change !== 'borrow' || to !== taker || feature === undefined) continue
      const names = (sources[feature] ??= [])
      for (const { source, server, count } of taken) {
        const name = `${source} ${server ?? ''}`.trim()
        if (count > 0 && !names.includes(name)) names.push(name)
      }
    }
  }
  return sources
}

const of = (table: Table, server: string): number => table.shares[server] ?? 0

t.test(
  'claims 5, 19: a request searches the free pool, then down servers, then the leader',
  async t => {
    await using pool = await WatchedPool.start()
    const { leader, taker, third } = await rolesOf(pool)
    await addFeature(pool, 'c5', 12, { [leader]: 4, [taker]: 1, [third]: 3 })
    t.equal((await pool.tables('c5')).free, 4)
    await pool.processes.kill(third)
    await pool.until('the third server is down', ({ servers }) =>
      servers.some(({ name, state }) => name === third && state === 'down'),
    )
    const up = [leader, taker]
    const client = await pool.client(taker)
    let before = await pool.tables('c5', up)
    t.equal(of(before, third), 3, 'it still owns its share')
    const used = { free: 0, down: 0, leader: 0 }
    for (let seats = 1; seats <= 12; seats++) {
      const seat = await client.acquire('c5', { timeout: 20_000 })
      t.equal(seat.server, taker)
      const after = await pool.tables('c5', up)
      const down = {
        free: before.free - after.free,
        down: of(before, third) - of(after, third),
        leader: of(before, leader) - of(after, leader),
      }
      t.equal(
        of(after, taker) - of(before, taker),
        down.free + down.down + down.leader,
        `seat ${seats}: the taker is up by exactly what the sources went down`,
      )
      for (const source of ['free', 'down', 'leader'] as const) used[source] += down[source]
      before = after
    }
    t.same(used, { free: 4, down: 3, leader: 4 }, 'each source was used, and used up')
    t.equal(of(before, taker), 12)
    const borrows = borrowsOf(pool, 'c5', taker)
    t.ok(borrows.length > 3)
    for (const { sources, table } of borrows) {
      const what = `${sources.join(', ')} of ${JSON.stringify(table)}`
      if (sources.includes('down')) t.equal(table.free, 0, `nothing is free: ${what}`)
      if (sources.includes('offer')) {
        t.equal(table.free + of(table, third), 0, `the leader gives last: ${what}`)
      }
    }
  },
)

t.test(
  'claims 13, 27 and 14, 28: a renewal in fail-over searches the leader, the free pool, then the down server',
  async t => {
    // Seats are longer than any pause of a busy machine.
    await using pool = await WatchedPool.start({ leaseTicks: 100, seatTicks: 60 })
    const { leader, taker, third } = await rolesOf(pool)
    await addFeature(pool, 'from-leader', 10, { [leader]: 4, [taker]: 1, [third]: 2 })
    await addFeature(pool, 'from-free', 6, { [leader]: 1, [taker]: 1, [third]: 2 })
    await addFeature(pool, 'from-down', 4, { [leader]: 1, [taker]: 1, [third]: 2 })
    // The leader and the taker have no spare of their own, but for the leader's in the first feature.
    const others = [await pool.client(taker), await pool.client(leader)]
    await others[0]?.acquire('from-leader')
    for (const feature of ['from-free', 'from-down']) {
      for (const other of others) await other.acquire(feature)
    }
    const client = await pool.client(third, taker)
    const seats = new Map<string, Seat[]>()
    for (const feature of ['from-leader', 'from-free', 'from-down']) {
      seats.set(feature, [await client.acquire(feature), await client.acquire(feature)])
    }
    const all = [...seats.values()].flat()
    t.ok(all.every(({ server }) => server === third))
    const before = new Map<string, Table>()
    for (const feature of seats.keys()) before.set(feature, await pool.tables(feature))

    const moves = moved(all)
    let everInvalid = false
    const watch = setInterval(() => (everInvalid ||= !all.every(({ valid }) => valid)), 5)
    await pool.processes.kill(third)
    t.ok(
      (await moves).every(server => server === taker),
      'the client keeps its seats elsewhere',
    )
    clearInterval(watch)
    t.notOk(everInvalid, 'valid throughout')

    const up = [leader, taker]
    for (const [feature, was] of before) {
      const now = await pool.tables(feature, up)
      t.ok(of(now, taker) >= of(was, taker) + 2, `${feature}: the taker borrowed`)
    }
    // From the sync events: the table alone does not tell, since the free pool tops the leader up again (R1).
    t.same(sourcesOf(pool, taker), {
      'from-leader': [`offer ${leader}`],
      'from-free': ['free'],
      // While its lease may run its share is not lent: the client's own allocations come along by proof (R6).
      'from-down': [`move ${third}`],
    })
    t.ok(all.every(({ valid }) => valid))
  },
)

t.test('claims 15, 29: ... then all functioning servers that are not the leader', async t => {
  // Seats last long: the third server must still hold the one it is asked for.
  await using pool = await WatchedPool.start({ leaseTicks: 100, seatTicks: 60 })
  const { leader, taker, third } = await rolesOf(pool)
  await addFeature(pool, 'c15', 4, { [leader]: 1, [taker]: 1, [third]: 2 })
  for (const server of [leader, taker]) await (await pool.client(server)).acquire('c15')
  // A token so old that it does not prove the seat any more: its allocation cannot come along.
  const raw = new RawSeatClient(pool.bus)
  const seatId = 'seat-of-claim-15'
  const oldToken = await raw.acquire(third, seatId, 'c15')
  const before = await pool.tables('c15')
  t.equal(before.free, 0)
  const { tick, settings } = await pool.look()
  let token = oldToken
  await pool.until('the token proves nothing', async status => {
    const renewed = await raw.renew(third, { seatId, feature: 'c15', token, failover: false })
    if (renewed.kind === 'renewed') token = renewed.token
    return status.tick > tick + settings.seatTicks + 1
  })
  const ended = await raw.renew(taker, { seatId, feature: 'c15', token: oldToken, failover: true })
  t.equal(ended.kind, 'renewed', JSON.stringify(ended))
  const after = await pool.tables('c15')
  t.equal(of(after, taker), of(before, taker) + 1, 'the taker has one more')
  t.equal(of(after, third), of(before, third) - 1, 'the functioning server one less')
  t.equal(of(after, leader), of(before, leader), 'the leader had none to give')
  t.equal(featureOf(await pool.look(), 'c15').owed, 0)
})

t.test('a request that finds nothing waits, and functioning servers answer it (R12)', async t => {
  await using pool = await WatchedPool.start()
  const { leader, taker, third } = await rolesOf(pool)
  await addFeature(pool, 'queue', 4, { [leader]: 1, [taker]: 1, [third]: 2 })
  for (const server of [leader, taker]) await (await pool.client(server)).acquire('queue')
  const seat = await (await pool.client(taker)).acquire('queue', { timeout: 20_000 })
  t.equal(seat.server, taker)
  const { shares } = await pool.tables('queue')
  t.same(shares, { [leader]: 1, [taker]: 2, [third]: 1 })
})
