/**
 * What is done to a pool under fire: each kind of fault, from its beginning to when it was undone.
 *
 * A fault undoes all it did before it ends. None rests on how fast anything is: what is stopped is stopped for longer
 * than the lease, and that is all that time means here.
 */
import type { SeededRandom } from '../sim/seeded-random.ts'
import type { ClientProcess } from './client-pool.ts'
import type { Host } from './host.ts'
import type { Network } from './network.ts'
import type { Service } from './service.ts'

export interface World {
  readonly hosts: readonly Host[]
  readonly clients: readonly ClientProcess[]
  readonly network: Network
  readonly random: SeededRandom
  /** Milliseconds that a server may serve alone. */
  readonly leaseMs: number
  /** The server that led when last looked at. */
  leader(): string | undefined
  now(): number
  sleep(ms: number): Promise<void>
}

/** What a fault needs for itself alone: a host (one with a broker, with a disk), a process of clients, or all hosts. */
export type Need = 'server' | 'broker' | 'host' | 'disk' | 'clients' | 'all'

export interface Fault {
  readonly kind: string
  readonly need: Need
  /** `heavy` ones go on in one lane, so that a majority is there as often as not. */
  readonly lane: 'heavy' | 'light'
  /** Why it cannot be done here, or undefined. */
  problem?(world: World): string | undefined
  run(world: World, target: Target): Promise<void>
}

export type Target = { readonly host: Host } | { readonly clients: ClientProcess }

type HostFault = (world: World, host: Host) => Promise<void>
type ClientFault = (world: World, clients: ClientProcess) => Promise<void>

function onHost(run: HostFault): Fault['run'] {
  return (world, target) => ('host' in target ? run(world, target.host) : Promise.resolve())
}

function onClients(run: ClientFault): Fault['run'] {
  return (world, target) => ('clients' in target ? run(world, target.clients) : Promise.resolve())
}

/** Milliseconds between two bounds, by the seed. */
function some(world: World, low: number, high: number): Promise<void> {
  return world.sleep(low + (high - low) * world.random.next())
}

/** Longer than the lease, so that who is stopped is down when it goes on. */
function overLease(world: World): Promise<void> {
  return some(world, 1.1 * world.leaseMs, 1.5 * world.leaseMs)
}

function others(world: World, host: Host): Host[] {
  return world.hosts.filter(other => other !== host)
}

/** Starts it, and goes on when it is ready, or when that takes long: faults that follow meet it as it starts. */
async function start(world: World, service: Service | undefined): Promise<void> {
  if (service !== undefined) await Promise.race([service.up(), world.sleep(world.leaseMs)])
}

const kill = onHost(async (world, { server }) => {
  await server.down('SIGKILL')
  await some(world, 300, 3_000)
  await start(world, server)
})

const stop = onHost(async (world, { server }) => {
  server.signal('SIGSTOP')
  await overLease(world)
  server.signal('SIGCONT')
})

const killBroker = onHost(async (world, { broker }) => {
  await broker?.down('SIGKILL')
  await some(world, 500, 4_000)
  await start(world, broker)
})

const freezeBroker = onHost(async (world, { broker }) => {
  broker?.signal('SIGSTOP')
  await some(world, 2_000, 1.2 * world.leaseMs)
  broker?.signal('SIGCONT')
})

const isolate = onHost(async (world, host) => {
  world.network.isolate(host.name)
  await (world.random.chance(0.5) ? overLease(world) : some(world, 1_000, world.leaseMs))
  world.network.rejoin(host.name)
})

/** Servers cannot hear each other, and clients hear them all. */
const cut = onHost(async (world, host) => {
  const from = others(world, host)
  for (const other of from) {
    world.network.cut(host.name, other.name)
    world.network.cut(other.name, host.name)
  }
  await (world.random.chance(0.5) ? overLease(world) : some(world, 1_000, world.leaseMs))
  for (const other of from) {
    world.network.mend(host.name, other.name)
    world.network.mend(other.name, host.name)
  }
})

const cutOneWay = onHost(async (world, host) => {
  const isOut = world.random.chance(0.5)
  const pairs = others(world, host).map(({ name }) =>
    isOut ? ([host.name, name] as const) : ([name, host.name] as const),
  )
  for (const [from, to] of pairs) world.network.cut(from, to)
  await some(world, 2_000, 1.2 * world.leaseMs)
  for (const [from, to] of pairs) world.network.mend(from, to)
})

const fillDisk = onHost(async (world, { disk, server }) => {
  disk?.fill()
  await some(world, 2_000, 5_000)
  disk?.empty()
  // It may have given up; its supervisor starts it again.
  await start(world, server)
})

const freezeDisk = onHost(async (world, host) => {
  const thaw = host.freeze()
  await (world.random.chance(0.5) ? overLease(world) : some(world, 1_500, world.leaseMs))
  thaw()
  await start(world, host.server)
})

/** A disk that takes its time: it is frozen for a moment, again and again. */
const slowDisk = onHost(async (world, host) => {
  const end = world.now() + 4_000
  for (let n = 0; n < 3 || world.now() < end; n++) {
    const thaw = host.freeze()
    await some(world, 100, 450)
    thaw()
    await some(world, 20, 120)
  }
  await start(world, host.server)
})

const jumpWall = onHost(async (world, host) => {
  host.setWall(world.random.pick([-86_400, -3_600, -70, 70, 3_600, 86_400, 31_536_000]))
  await some(world, 1_500, 4_000)
  host.setWall(0)
})

/** A clean stop and a start, host by host and each when the one before is ready, as an update of the program is done. */
const roll: Fault['run'] = async world => {
  for (const { server } of world.hosts) {
    await server.down('SIGTERM')
    await some(world, 100, 500)
    await Promise.race([server.up(), world.sleep(20_000)])
  }
}

const stopClients = onClients(async (world, clients) => {
  clients.signal('SIGSTOP')
  await overLease(world)
  clients.signal('SIGCONT')
})

const killClients = onClients(async (world, clients) => {
  await clients.kill()
  await some(world, 200, 2_000)
  clients.start()
})

const noMounts = ({ hosts }: World): string | undefined =>
  hosts.every(({ disk }) => disk !== undefined)
    ? undefined
    : 'no right to mount (root, tmpfs and loop devices)'

export interface Can {
  readonly freezeDisks: boolean
  readonly setWalls: boolean
}

/** All kinds, each with what stands in its way on this machine. */
export function faultsFor(can: Can): Fault[] {
  const noFreeze = (): string | undefined =>
    can.freezeDisks
      ? undefined
      : 'no ext4 in a file to be mounted and frozen (root, loop, fsfreeze)'
  const noWall = (): string | undefined =>
    can.setWalls ? undefined : 'no libfaketime: apt-get install libfaketime'
  const noOneWay = ({ network }: World): string | undefined =>
    network.oneWay ? undefined : 'proxies cannot cut one direction: network namespaces need root'
  return [
    { kind: 'server killed', need: 'server', lane: 'heavy', run: kill },
    { kind: 'server stopped', need: 'server', lane: 'heavy', run: stop },
    { kind: 'rolling restart', need: 'all', lane: 'heavy', run: roll },
    { kind: 'host isolated', need: 'host', lane: 'heavy', run: isolate },
    { kind: 'hosts cut apart', need: 'host', lane: 'heavy', run: cut },
    { kind: 'cut one way', need: 'host', lane: 'heavy', run: cutOneWay, problem: noOneWay },
    { kind: 'disk full', need: 'disk', lane: 'heavy', run: fillDisk, problem: noMounts },
    { kind: 'disk frozen', need: 'disk', lane: 'heavy', run: freezeDisk, problem: noFreeze },
    { kind: 'disk slow', need: 'disk', lane: 'light', run: slowDisk, problem: noFreeze },
    { kind: 'broker killed', need: 'broker', lane: 'light', run: killBroker },
    { kind: 'broker frozen', need: 'broker', lane: 'light', run: freezeBroker },
    { kind: 'wall clock set', need: 'server', lane: 'light', run: jumpWall, problem: noWall },
    { kind: 'clients stopped', need: 'clients', lane: 'light', run: stopClients },
    { kind: 'clients killed', need: 'clients', lane: 'light', run: killClients },
  ]
}
