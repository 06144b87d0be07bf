/**
 * Scenes that are about one thing each: little happens beside what their branches of the rules wait for, so that many
 * runs are cheap. `pool-scenes.ts` casts them among the others.
 */
import type { Scene } from './pool-scenes.ts'
import type { SeededRandom } from './seeded-random.ts'

type Draw = (random: SeededRandom) => Scene

const usual = {
  servers: 3,
  electionTimeoutMs: 600,
  trailingEntries: 5,
  snapshotEveryEntries: 30,
  countMax: 1,
} as const

export const denseScenes = {
  /** More than is wanted, owned by nobody or by the leader; clients lose sight of their servers, and what is idle flows back. */
  lean: random => {
    const leaseTicks = random.between(9, 12)
    return {
      ...usual,
      settings: { tickMs: 300, leaseTicks, seatTicks: leaseTicks },
      // So few that hardly more than one is borrowed at a time.
      allocations: [15, 17],
      owner: random.pick(['nobody', 'nobody', 'leader']),
      clients: 8,
      wishesPerSecond: 5,
      holdMs: [3_000, 8_000],
      faultsMs: 18_000,
      kinds: [
        ['exodus', 1_200],
        ['criteria', 700],
        ['late', 2_500],
      ],
    }
  },
  /** What servers tell the leader takes so long that proofs end on the way. */
  tardy: random => {
    return {
      ...usual,
      servers: random.pick([3, 4]),
      settings: { tickMs: 300, leaseTicks: random.between(8, 9), seatTicks: 6 },
      allocations: [5, 11, 15],
      owner: 'follower',
      clients: 15,
      wishesPerSecond: 7,
      holdMs: [3_000, 10_000],
      faultsMs: 22_000,
      kinds: [
        ['tardy', 600],
        ['criteria', 1_500],
      ],
    }
  },
  /** In a full pool one server after the other is away or deaf for a second or two, and what it missed is in a snapshot. */
  hops: () => {
    return {
      ...usual,
      settings: { tickMs: 300, leaseTicks: 20, seatTicks: 20 },
      trailingEntries: 0,
      snapshotEveryEntries: 4,
      allocations: [3, 5, 8],
      clients: 8,
      wishesPerSecond: 6,
      holdMs: [4_000, 12_000],
      faultsMs: 36_000,
      kinds: [
        ['hop', 400],
        ['exodus', 3_000],
      ],
    }
  },
  /** Servers start anew under the eyes of clients that can go nowhere else, and of words that are still on their way. */
  bounces: random => {
    const leaseTicks = random.between(8, 12)
    return {
      ...usual,
      settings: { tickMs: 300, leaseTicks, seatTicks: leaseTicks },
      allocations: [5, 8, 12],
      swingMs: random.pick([0, 2_000]),
      clients: 15,
      wishesPerSecond: 16,
      holdMs: [2_000, 8_000],
      faultsMs: 15_000,
      kinds: [
        ['stale', 400],
        ['aim-relearn', 500],
        ['criteria', 1_000],
      ],
    }
  },
  /** Servers stop cleanly and are back when their lease is over, or sleep, while ticks get slower and faster. */
  leaves: random => {
    const leaseTicks = random.between(4, 6)
    return {
      ...usual,
      settings: { tickMs: 200, leaseTicks, seatTicks: leaseTicks },
      allocations: [3, 5, 8],
      clients: 4,
      wishesPerSecond: 4,
      holdMs: [500, 3_000],
      faultsMs: 20_000,
      habits: { settings: 24 },
      kinds: [
        ['away', 700],
        ['settings', 700],
        ['suspend', 3_000],
      ],
    }
  },
  /** The same in a smaller pool with shorter leases. */
  quits: random => {
    const leaseTicks = random.between(4, 5)
    return {
      ...usual,
      settings: { tickMs: 120, leaseTicks, seatTicks: leaseTicks },
      allocations: [3, 5, 8],
      clients: 5,
      wishesPerSecond: 2,
      holdMs: [500, 3_000],
      faultsMs: 40_000,
      habits: { settings: 40 },
      kinds: [
        ['away', 300],
        ['settings', 700],
        ['suspend', 3_000],
      ],
    }
  },
  /** Voters become learners and voters again, and little else happens. */
  roles: () => {
    return {
      ...usual,
      servers: 4,
      settings: { tickMs: 300, leaseTicks: 6, seatTicks: 6 },
      allocations: [3, 5, 8],
      clients: 8,
      wishesPerSecond: 6,
      holdMs: [500, 3_000],
      faultsMs: 28_000,
      habits: { settings: 32, members: 'roles', membersPauseMs: 300 },
      kinds: [
        ['members', 150],
        ['settings', 800],
      ],
    }
  },
  /** Codes are added, end and are removed, while their seats are in use. */
  codes: random => {
    const leaseTicks = random.between(5, 7)
    return {
      ...usual,
      settings: { tickMs: 200, leaseTicks, seatTicks: leaseTicks },
      stock: 'coded',
      allocations: [5, 8],
      clients: 3,
      wishesPerSecond: 4,
      holdMs: [500, 3_000],
      faultsMs: 32_000,
      habits: { codesMs: [200, 900] },
      kinds: [
        ['codes', 110],
        ['criteria', 1_500],
      ],
    }
  },
  /** Servers are taken in and removed, one after the other. */
  comings: () => {
    return {
      ...usual,
      settings: { tickMs: 200, leaseTicks: 4, seatTicks: 4 },
      stock: 'one',
      allocations: [5, 8],
      clients: 4,
      wishesPerSecond: 4,
      holdMs: [500, 3_000],
      faultsMs: 40_000,
      habits: { members: 'newcomers', membersPauseMs: 500 },
      kinds: [['members', 100]],
    }
  },
  /** Servers and clients sleep; what clients say comes when their seats are over, at a server that no tick told so. */
  sleepers: () => {
    return {
      ...usual,
      settings: { tickMs: 200, leaseTicks: 14, seatTicks: 4 },
      stock: 'one',
      allocations: [12],
      blind: 0.4,
      clients: 6,
      wishesPerSecond: 8,
      holdMs: [2_000, 8_000],
      faultsMs: 40_000,
      kinds: [
        ['dusk', 300],
        ['nap', 250],
        ['client-suspend', 400],
        ['doze', 12_000],
      ],
    }
  },
  /** Clients leave servers that the pool hears nothing of, and servers that do not know them yet. */
  strays: random => {
    const leaseTicks = random.between(12, 16)
    return {
      ...usual,
      settings: { tickMs: 200, leaseTicks, seatTicks: leaseTicks },
      trailingEntries: 0,
      snapshotEveryEntries: 4,
      stock: 'one',
      allocations: [8, 10],
      clients: 8,
      wishesPerSecond: 8,
      holdMs: [4_000, 12_000],
      faultsMs: 20_000,
      kinds: [
        ['hush', 600],
        ['reborn', 900],
      ],
    }
  },
  /** Clients that move do not get to answer. */
  riddles: () => {
    return {
      ...usual,
      settings: { tickMs: 300, leaseTicks: 12, seatTicks: 12 },
      stock: 'one',
      allocations: [8],
      clients: 8,
      wishesPerSecond: 8,
      holdMs: [4_000, 12_000],
      faultsMs: 30_000,
      kinds: [
        ['exodus', 900],
        ['aim-answer', 60],
      ],
    }
  },
  /** Servers promise something, hear nothing for a moment, and are told by a snapshot. */
  behind: () => {
    return {
      ...usual,
      settings: { tickMs: 200, leaseTicks: 14, seatTicks: 14 },
      trailingEntries: 0,
      snapshotEveryEntries: 3,
      stock: 'one',
      allocations: [20, 25],
      clients: 5,
      wishesPerSecond: 8,
      holdMs: [500, 3_000],
      faultsMs: 18_000,
      kinds: [
        ['criteria', 400],
        ['aim-behind', 300],
      ],
    }
  },
  /** What servers ask the leader for comes when its time is over. */
  overdue: () => {
    return {
      ...usual,
      settings: { tickMs: 200, leaseTicks: 4, seatTicks: 4 },
      syncMs: [120, 180],
      electionTimeoutMs: 1_000,
      stock: 'several',
      allocations: [15, 20],
      clients: 6,
      wishesPerSecond: 8,
      holdMs: [500, 3_000],
      faultsMs: 30_000,
      kinds: [
        ['overdue', 900],
        ['criteria', 200],
      ],
    }
  },
  /** The pool has enough, and its leader nothing: clients that move get what is free. */
  flocks: () => {
    return {
      ...usual,
      settings: { tickMs: 200, leaseTicks: 20, seatTicks: 20 },
      stock: 'one',
      // So few that one is borrowed at a time.
      allocations: [11],
      owner: 'nobody',
      clients: 6,
      wishesPerSecond: 3,
      holdMs: [3_000, 8_000],
      faultsMs: 40_000,
      habits: { threshold: 1 },
      kinds: [
        ['flock', 500],
        ['criteria', 300],
      ],
    }
  },
  /** Clients leave a server that is alone, and what they make others ask for comes when it is down, with all that it owned. */
  heirs: () => {
    return {
      ...usual,
      settings: { tickMs: 200, leaseTicks: 10, seatTicks: 10 },
      stock: 'one',
      allocations: [16, 20],
      owner: 'follower',
      clients: 6,
      wishesPerSecond: 6,
      holdMs: [6_000, 15_000],
      faultsMs: 40_000,
      kinds: [
        ['inherit', 500],
        ['criteria', 900],
      ],
    }
  },
} satisfies Readonly<Record<string, Draw>>
