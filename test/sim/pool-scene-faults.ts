/**
 * What befalls a simulated pool in its scenes: servers alone until their lease is over, asleep meanwhile, heard too late
 * or not at all, back for a moment, with commands that come when their deadline is near.
 */
import type { Befall, PoolFaults } from './pool-faults.ts'
import { both } from './pool-network.ts'
import type { SimulatedClient } from './pool-client.ts'
import type { SeededRandom } from './seeded-random.ts'

export const sceneBefalls = {
  alone(faults, random) {
    const victim = follower(faults, random)
    if (victim !== undefined) leaveAlone(faults, random, victim)
  },
  asleep(faults, random) {
    // Its host sleeps for a part of that time, and wakes with the lease that its clock still shows.
    const victim = follower(faults, random)
    if (victim === undefined) return
    leaveAlone(faults, random, victim)
    const { leaseMs } = pace(faults)
    faults.until(leaseMs * (0.1 + 0.5 * random.next()), () => {
      if (!faults.isOver) faults.pause(victim, true, leaseMs * (0.2 + 0.5 * random.next()))
    })
  },
  doze(faults, random) {
    // A server alone, and some clients, sleep again and again for about a lease, each time too shortly to be called asleep.
    const { leaseMs } = pace(faults)
    const napMs = random.pick([8, 20, 100]) * (0.5 + random.next())
    for (const client of faults.world.clients.filter(() => random.chance(0.3))) {
      doze(faults, random, napMs, leaseMs, () => {
        if (client.pause(true)) faults.until(napMs, () => client.resume())
      })
    }
    const victim = follower(faults, random)
    if (victim === undefined) return
    leaveAlone(faults, random, victim)
    doze(faults, random, napMs, leaseMs, () => faults.pause(victim, true, napMs))
  },
  belated(faults, random) {
    // What it is told comes late, and then nothing more for longer than its lease.
    const victim = follower(faults, random)
    if (victim === undefined) return
    const { world } = faults
    const { tickMs } = pace(faults)
    const lateMs = (world.options.raft.electionTimeoutMs ?? 1_000) * (0.4 + 0.5 * random.next())
    const others = world.pool.names.filter(name => name !== victim)
    world.network.clog(
      others.map(name => [name, victim] as const),
      lateMs,
    )
    faults.until(Math.min(lateMs / 2, tickMs * (2 + 2 * random.next())), () => {
      if (!faults.isOver) leaveAlone(faults, random, victim)
    })
  },
  deaf(faults, random) {
    const victim = faults.victim(random)
    if (victim === undefined) return
    const { world } = faults
    const { tickMs, deadlineMs } = pace(faults)
    const ms = tickMs * (3 + 7 * random.next())
    const others = world.pool.names.filter(name => name !== victim)
    faults.cut(
      others.map(name => [name, victim] as const),
      ms,
    )
    // What it promised meanwhile may be applied after all that it is told then, and its clients want what it has.
    if (random.chance(0.5)) faults.until(ms + deadlineMs, world.network.late(victim, deadlineMs))
    const rounds = random.between(0, 3)
    for (let n = 0; n < rounds; n++) {
      world.pool.time.after(ms + 100 * random.next(), () => {
        if (!faults.isOver) for (const client of world.clients) client.wishNow()
      })
    }
    // Or it has just been told, and is told nothing more until its lease is over.
    const isAlone = random.chance(0.2)
    faults.until(ms + 20 + 300 * random.next(), () => {
      const isFree = isAlone && !faults.isOver && world.now >= faults.aloneUntil
      if (isFree && world.pool.leader?.server !== victim) leaveAlone(faults, random, victim)
    })
  },
  homecoming(faults, random) {
    // Cut off for longer than a seat lasts, and stopped cleanly as soon as it has heard what was.
    const victim = follower(faults, random)
    if (victim === undefined) return
    const { tickMs, seatMs, leaseMs } = pace(faults)
    const { names } = faults.world.pool
    const others = names.filter(name => name !== victim)
    const ms = Math.min(seatMs * (1.3 + 1.5 * random.next()), leaseMs * 0.8)
    faults.cut(both(others, [victim]), ms)
    faults.aloneUntil = faults.world.now + ms + 4 * tickMs
    keepApart(faults, random, victim, ms + 4 * tickMs)
    faults.until(ms + tickMs * (0.2 + 1.5 * random.next()), () => {
      if (!faults.isOver) faults.stop(victim, random.next() * tickMs)
    })
  },
  late(faults, random) {
    // What it tells the leader to do comes when its deadline is near, if not past.
    const victim = faults.victim(random)
    if (victim === undefined) return
    const { deadlineMs } = pace(faults)
    const ms = deadlineMs * (1 + 2 * random.next())
    faults.until(ms, faults.world.network.late(victim, deadlineMs))
    if (!random.chance(0.3)) return
    // And it is another run by then.
    faults.until(ms * random.next(), () => {
      if (!faults.isOver) faults.crash(victim, 300 * random.next())
    })
  },
  exodus(faults, random) {
    leaveHomes(faults, random, 0.6)
  },
  tardy(faults, random) {
    // A server alone is down, or its proofs have ended, when what its clients make others ask for comes at last.
    const { world } = faults
    const victim = follower(faults, random, homesOf(faults))
    if (victim === undefined) return
    const { leaseMs, deadlineMs, tickMs } = pace(faults)
    const others = world.pool.names.filter(name => name !== victim)
    const ms = leaseMs + 6 * tickMs
    faults.aloneUntil = world.now + ms + 4 * tickMs
    faults.cut(both(others, [victim]), ms)
    for (const name of others) faults.until(ms, world.network.late(name, deadlineMs))
    faults.until(leaseMs + 2 * tickMs - deadlineMs / 2 - 800, () => {
      if (faults.isOver) return
      for (const client of world.clients) {
        if (client.core?.server === victim) loseSight(faults, client, victim, random)
      }
    })
  },
  hop(faults, random) {
    const { world } = faults
    const { running, names } = world.pool
    const server = random.chance(0.1) ? faults.victim(random) : follower(faults, random)
    const isWhole = running.length === names.length && world.now >= faults.aloneUntil
    if (server === undefined || !isWhole) return
    if (random.chance(0.4)) {
      faults.crash(server, 500 + 700 * random.next())
      return
    }
    const ms = 1_200 + 800 * random.next()
    faults.aloneUntil = world.now + ms + 200
    faults.cut(
      both(
        names.filter(name => name !== server),
        [server],
      ),
      ms,
    )
  },
  stale(faults, random) {
    // What it said comes when it is another run already, of which many of its clients know no other server.
    const victim = follower(faults, random)
    if (victim === undefined) return
    const { world } = faults
    const { deadlineMs, leaseMs } = pace(faults)
    const ms = deadlineMs * (0.4 + 0.3 * random.next())
    faults.aloneUntil = world.now + ms + 0.9 * leaseMs
    faults.until(ms, world.network.late(victim, deadlineMs))
    const other = random.pick(world.pool.names.filter(name => name !== victim))
    // Clients of another one come to it shortly before.
    faults.until(Math.max(1, ms - 1_000), () => {
      if (faults.isOver) return
      for (const client of world.clients) {
        if (client.core?.server === other) loseSight(faults, client, other, random)
      }
    })
    faults.until(ms, () => {
      if (faults.isOver) return
      faults.isolateClients(victim, random)
      faults.crash(victim, 50 * random.next())
      for (const client of world.clients.filter(() => random.chance(0.6))) {
        faults.until(500 + 2_000 * random.next(), () => {
          if (!faults.isOver) client.dropOne()
        })
      }
    })
  },
  away(faults, random) {
    const victim = follower(faults, random)
    const { running, names } = faults.world.pool
    if (victim === undefined || running.length < names.length) return
    faults.stop(victim, pace(faults).leaseMs * (1.2 + 0.4 * random.next()))
  },
} satisfies Readonly<Record<string, Befall>>

/** Calls `nap` again and again for `ms`, with pauses of up to three naps. */
function doze(
  faults: PoolFaults,
  random: SeededRandom,
  napMs: number,
  ms: number,
  nap: () => void,
): void {
  const endsAt = faults.world.now + ms
  const next = (): void => {
    if (faults.isOver || faults.world.now > endsAt) return
    nap()
    faults.until(napMs * (1.2 + 3 * random.next()), next)
  }
  next()
}

/** Many clients lose sight of their server at once, each of its own. */
function leaveHomes(faults: PoolFaults, random: SeededRandom, part: number): void {
  for (const client of faults.world.clients) {
    const server = client.core?.server
    if (server !== undefined && random.chance(part)) loseSight(faults, client, server, random)
  }
}

/** How many clients each server has. */
export function homesOf({ world }: PoolFaults): Map<string, number> {
  const homes = new Map<string, number>()
  for (const { core } of world.clients) {
    if (core?.server !== undefined) homes.set(core.server, (homes.get(core.server) ?? 0) + 1)
  }
  return homes
}

/** A client does not reach its server, and has lost the broker for a moment: it leaves the server soon (`doubtedMs`). */
export function loseSight(
  faults: PoolFaults,
  client: SimulatedClient,
  server: string,
  random: SeededRandom,
): void {
  faults.cut(both([client.name], [server]), 1_000 + 600 * random.next())
  client.setLink(false)
  faults.until(20, () => client.setLink(true))
}

export function pace({ world }: PoolFaults) {
  const { tickMs, leaseTicks, seatTicks } = world.state?.settings ?? world.options.settings
  const deadlineMs = tickMs * Math.min(10, leaseTicks - 1)
  return { tickMs, leaseMs: tickMs * leaseTicks, seatMs: tickMs * seatTicks, deadlineMs }
}

/** A server that does not lead, so that the pool clock goes on without it, of the most worth; none while another one is alone. */
export function follower(
  { world, aloneUntil }: PoolFaults,
  random: SeededRandom,
  worth: ReadonlyMap<string, number> = new Map(),
): string | undefined {
  if (world.now < aloneUntil) return undefined
  const { running, leader } = world.pool
  const others = running.filter(server => server !== leader).map(({ server }) => server)
  const most = Math.max(...others.map(server => worth.get(server) ?? 0))
  const best = others.filter(server => (worth.get(server) ?? 0) === most)
  return best.length === 0 ? undefined : random.pick(best)
}

/** Some clients reach that server alone, and all others any but that one. Returns the others. */
function keepApart(
  faults: PoolFaults,
  random: SeededRandom,
  server: string,
  ms: number,
): SimulatedClient[] {
  const { clients, pool } = faults.world
  const others = pool.names.filter(name => name !== server)
  const locals = clients.filter(() => random.chance(0.4))
  const rest = clients.filter(client => !locals.includes(client))
  const namesOf = (some: readonly SimulatedClient[]): string[] => some.map(({ name }) => name)
  faults.cut([...both(namesOf(locals), others), ...both(namesOf(rest), [server])], ms)
  for (const client of locals) client.wishNow()
  return rest
}

/** Cut off with some clients until after its lease; when that ends, everybody else wants what it owns. */
function leaveAlone(faults: PoolFaults, random: SeededRandom, server: string): void {
  const { world } = faults
  const { leaseMs, tickMs } = pace(faults)
  const ms = leaseMs * (1.15 + 0.25 * random.next())
  faults.aloneUntil = world.now + ms + 10 * tickMs
  faults.cut(
    both(
      world.pool.names.filter(name => name !== server),
      [server],
    ),
    ms,
  )
  const rest = keepApart(faults, random, server, ms)
  const endsAt = world.now + ms
  const press = (): void => {
    if (faults.isOver || world.now > endsAt) return
    const { tick, servers } = world.state ?? {}
    const left = (servers?.get(server)?.downAt ?? 0) - (tick ?? 0)
    if (left > 0 && left <= 4) for (const client of rest) client.wishNow()
    world.pool.time.after(2 * tickMs, press)
  }
  press()
}
