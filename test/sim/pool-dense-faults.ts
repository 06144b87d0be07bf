/**
 * What befalls a simulated pool in scenes that are about one thing each, so often and so shortly that one run sees it many
 * times.
 */
import type { Befall, PoolFaults } from './pool-faults.ts'
import type { SimulatedClient } from './pool-client.ts'
import { both, type Pair } from './pool-network.ts'
import { follower, homesOf, loseSight, pace } from './pool-scene-faults.ts'
import type { SeededRandom } from './seeded-random.ts'

export const denseBefalls = {
  hush(faults, random) {
    // The pool hears nothing of a server; its clients leave it when it is silent, and not down yet.
    const victim = follower(faults, random, homesOf(faults))
    if (victim === undefined) return
    const { tickMs, leaseMs } = pace(faults)
    const ms = Math.max(leaseMs * 0.6, 1_800)
    beAlone(faults, victim, ms)
    faults.until(tickMs, () => desert(faults, victim, random, ms))
    // It starts anew, so that clients come back to it (they avoid what they left).
    faults.until(ms, () => {
      if (!faults.isOver) faults.crash(victim, 20)
    })
  },
  reborn(faults, random) {
    // It starts anew while its clients have no broker; when they have, they do not reach it and go elsewhere. It does
    // not know what they hold.
    const { world } = faults
    const victim = follower(faults, random, homesOf(faults))
    if (victim === undefined) return
    faults.aloneUntil = world.now + 2_200
    for (const client of clientsOf(faults, victim)) {
      client.setLink(false)
      faults.cut(both([client.name], [victim]), 1_800 + 400 * random.next())
      faults.until(500, () => client.setLink(true))
    }
    avoidLeader(faults, clientsOf(faults, victim), 2_200)
    faults.crash(victim, 20)
  },
  flock(faults, random) {
    // The clients of one server leave it for another that does not lead.
    const victim = follower(faults, random, homesOf(faults))
    if (victim === undefined) return
    faults.aloneUntil = faults.world.now + 1_500
    avoidLeader(faults, faults.world.clients, 4_000)
    desert(faults, victim, random, 1_500)
  },
  dusk(faults, random) {
    // What clients say in time comes when their seats are over by the clock of a server that no tick has told so.
    const victim = follower(faults, random, homesOf(faults))
    if (victim === undefined) return
    const { world } = faults
    const { seatMs, tickMs } = pace(faults)
    const ms = seatMs * 1.5
    faults.aloneUntil = world.now + ms + 2 * tickMs
    const others = world.pool.names.filter(name => name !== victim)
    faults.cut(
      others.map((name): Pair => [name, victim]),
      ms,
    )
    avoidLeader(faults, world.clients, 3 * ms)
    const lateMs = seatMs * (1.05 + 0.3 * random.next())
    world.network.clog(
      clientsOf(faults, victim).map(({ name }): Pair => [name, victim]),
      lateMs,
    )
  },
  nap(faults, random) {
    // Its host sleeps for a moment that no election notices.
    const ms = random.chance(0.2) ? 10 + 70 * random.next() : 80 + 150 * random.next()
    const { leader } = faults.world.pool
    if (leader !== undefined && random.chance(0.6)) {
      faults.pause(leader.server, true, ms)
      return
    }
    const victim = follower(faults, random)
    if (victim === undefined) return
    // It serves again when it has been listed.
    faults.aloneUntil = faults.world.now + ms + 2 * pace(faults).tickMs
    faults.pause(victim, true, ms)
  },
  overdue(faults, random) {
    // What servers tell the leader to do comes when the tick after its deadline stands in the log, and is not applied.
    const { world } = faults
    const { tickMs } = pace(faults)
    for (const name of world.pool.names) {
      faults.until(tickMs * (10 + 10 * random.next()), world.network.late(name, tickMs, [1.8, 3.4]))
    }
  },
  comeback(faults, random) {
    // Clients leave a server that is alone, and come back to it, which has not heard that their seats went along.
    const victim = follower(faults, random, homesOf(faults))
    if (victim === undefined) return
    const { world } = faults
    const ms = pace(faults).leaseMs * 0.9
    const clients = clientsOf(faults, victim)
    beAlone(faults, victim, ms)
    for (const client of clients) loseSight(faults, client, victim, random)
    // They avoid for a while what they left.
    const backMs = 5_000 + 1_000 * random.next()
    faults.until(backMs, () => {
      if (faults.isOver) return
      const others = world.pool.names.filter(name => name !== victim)
      faults.cut(
        both(
          clients.map(({ name }) => name),
          others,
        ),
        Math.max(1, ms - backMs),
      )
      for (const client of world.clients) if (!clients.includes(client)) client.wishNow()
    })
  },
  inherit(faults, random) {
    // The fail-over of its clients is asked for before a server is down, and comes after, and before the deadline.
    const victim = follower(faults, random, sharesOf(faults))
    if (victim === undefined) return
    const { world } = faults
    const { leaseMs, deadlineMs, tickMs } = pace(faults)
    const others = world.pool.names.filter(name => name !== victim)
    beAlone(faults, victim, leaseMs + 5 * tickMs)
    for (const name of others) {
      faults.until(leaseMs + 5 * tickMs, world.network.late(name, deadlineMs, [0.65, 0.85]))
    }
    // It takes a client about a second to leave, and the server that it comes to a moment to ask for it.
    faults.until(Math.max(50, leaseMs - 0.5 * deadlineMs - 800), () => {
      // Not to the leader: what it does itself is never late.
      desert(faults, victim, random, leaseMs)
    })
  },
} satisfies Readonly<Record<string, Befall>>

/** Cut off from the other servers. */
function beAlone(faults: PoolFaults, server: string, ms: number): void {
  const { world } = faults
  const others = world.pool.names.filter(name => name !== server)
  faults.aloneUntil = world.now + ms + 4 * pace(faults).tickMs
  faults.cut(both(others, [server]), ms)
}

/** All clients of that server lose sight of it, and for so long of the leader as well. */
function desert(faults: PoolFaults, server: string, random: SeededRandom, ms: number): void {
  if (faults.isOver) return
  const clients = clientsOf(faults, server)
  avoidLeader(faults, clients, ms)
  for (const client of clients) loseSight(faults, client, server, random)
}

function clientsOf({ world }: PoolFaults, server: string): SimulatedClient[] {
  return world.clients.filter(({ core }) => core?.server === server)
}

/** They do not reach the leader, so that they go to a server which can be cut off later without an election. */
function avoidLeader(faults: PoolFaults, clients: readonly SimulatedClient[], ms: number): void {
  const { leader } = faults.world.pool
  if (leader === undefined) return
  faults.cut(
    both(
      clients.map(({ name }) => name),
      [leader.server],
    ),
    ms,
  )
}

/** What each server owns. */
function sharesOf({ world }: PoolFaults): Map<string, number> {
  const sums = new Map<string, number>()
  for (const { shares } of world.state?.features.values() ?? []) {
    for (const [server, share] of shares) sums.set(server, (sums.get(server) ?? 0) + share)
  }
  return sums
}
