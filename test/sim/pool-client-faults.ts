/**
 * What may befall the clients of a simulated pool: killed, paused or asleep beyond their expiry, without their broker, moved
 * to where other servers are reached, with wall clocks that jump.
 */
import type { Befall, PoolFaults } from './pool-faults.ts'
import { both } from './pool-network.ts'
import type { SeededRandom } from './seeded-random.ts'

export const clientBefalls = {
  'client-crash'(faults, random) {
    for (let n = random.between(1, 3); n > 0; n--) {
      const client = faults.client(random)
      client.crash()
      faults.until(random.next() * 5_000, () => client.start())
    }
  },
  'client-pause'(faults, random) {
    pauseClients(faults, random, false)
  },
  'client-suspend'(faults, random) {
    pauseClients(faults, random, true)
  },
  'client-link'(faults, random) {
    const client = faults.client(random)
    client.setLink(false)
    faults.until(faults.lastingMs(random), () => client.setLink(true))
  },
  'client-zone'(faults, random) {
    // Some move to where other servers are reached.
    const { names } = faults.world.pool
    const hidden = names.filter(() => random.chance(0.5))
    const moved = faults.world.clients.filter(() => random.chance(0.3)).map(({ name }) => name)
    faults.cut(both(moved, hidden.slice(0, names.length - 1)), faults.lastingMs(random))
  },
  'client-jump'(faults, random) {
    for (const client of faults.world.clients) {
      if (random.chance(0.2)) client.jumpWall(random.pick([-86_400_000, -3_000, 3_000, 86_400_000]))
    }
  },
} satisfies Readonly<Record<string, Befall>>

function pauseClients(faults: PoolFaults, random: SeededRandom, standing: boolean): void {
  for (let n = random.between(1, 3); n > 0; n--) {
    const client = faults.client(random)
    if (!client.pause(standing)) continue
    if (standing) faults.world.coverage.note('suspended client')
    faults.until(faults.lastingMs(random), () => client.resume())
  }
}
