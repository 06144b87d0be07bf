/**
 * Small pools for tests of the seat service: one feature `cad`, and clients that hold its seats.
 */
import { Holder } from './holder.ts'
import { World, type WorldOptions } from './world.ts'

/** A pool that has ticked a few times, with one feature whose targets are given. */
export function pool(
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

export function shares(world: World): Record<string, number> {
  const feature = world.truth.state.features.get('cad')
  const rows: Record<string, number> = { free: feature?.free ?? -1 }
  for (const name of world.servers.keys()) rows[name] = feature?.shares.get(name) ?? 0
  return rows
}

export function inUse(world: World, server: string): number {
  return world.server(server).service.inUse('cad')
}

let holders = 0
export function holder(world: World, server = 'a'): Holder {
  const servers = [...world.servers.keys()]
  servers.splice(servers.indexOf(server), 1)
  return new Holder(world, `h${++holders}`, { servers: [server, ...servers] })
}

/** One holder a seat at each server named, all holding. */
export function hold(world: World, servers: readonly string[]): Holder[] {
  const made = servers.map(server => holder(world, server))
  for (const one of made) one.acquire('cad')
  world.time.run(300)
  return made
}

export function valid(all: readonly Holder[]): number {
  return all.reduce((sum, one) => sum + one.believes('cad'), 0)
}
