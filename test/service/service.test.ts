import t from 'tap'
import { Holder } from './holder.ts'
import { World, type WorldOptions } from './world.ts'

/** A pool that has ticked a few times, with one feature whose targets are given. */
function pool(
  allocations: number,
  targets: 'even' | Record<string, number> = 'even',
  options: WorldOptions = {},
): World {
  const world = new World(options)
  world.admin({ type: 'add-feature', feature: 'cad', allocations })
  if (targets !== 'even') world.admin({ type: 'change-criteria', feature: 'cad', targets })
  world.time.run(3 * world.settings.tickMs + 500)
  return world
}

function shares(world: World): Record<string, number> {
  const feature = world.truth.state.features.get('cad')
  const rows: Record<string, number> = { free: feature?.free ?? -1 }
  for (const name of world.servers.keys()) rows[name] = feature?.shares.get(name) ?? 0
  return rows
}

let holders = 0
function holder(world: World, server = 'a'): Holder {
  const servers = [...world.servers.keys()]
  servers.splice(servers.indexOf(server), 1)
  return new Holder(world, `h${++holders}`, { servers: [server, ...servers] })
}

t.test('acquire, renew, release', async t => {
  const world = pool(9)
  t.strictSame(shares(world), { free: 0, a: 3, b: 3, c: 3 })
  const one = holder(world)
  one.acquire('cad')
  world.time.run(100)
  t.equal(one.believes('cad'), 1)
  t.equal(world.server('a').service.inUse('cad'), 1)
  const { seats } = world.server('a').service.seats({ limit: 10 })
  t.match(seats, [{ feature: 'cad', user: one.name, state: 'held', host: 'h' }])
  world.time.run(120_000, () => {
    if (one.believes('cad') !== 1) t.fail('valid all the time')
  })
  one.release()
  world.time.run(10)
  t.equal(world.server('a').service.inUse('cad'), 0)
  t.equal(one.results.at(-1)?.kind, 'released')
})

t.test('a request that runs short borrows (claims 1, 16)', async t => {
  const world = pool(9, { a: 0, b: 0, c: 0 })
  t.strictSame(shares(world), { free: 9, a: 0, b: 0, c: 0 })
  const one = holder(world, 'b')
  one.acquire('cad')
  world.time.run(200)
  t.equal(one.believes('cad'), 1)
  t.ok((shares(world).b ?? 0) >= 1)
})
