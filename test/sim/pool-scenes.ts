/**
 * Scenes: most seeds play in one of them. Each puts settings, loads and faults together so that what the rules
 * say of one rare situation is asked again and again; the others draw everything alone (`pool-options.ts`).
 *
 * A scene says what the world is like and what befalls it, never what is to come of it.
 */
import { denseScenes } from './pool-dense-scenes.ts'
import type { PoolFault, PoolOptions, stocks } from './pool-options.ts'
import type { SeededRandom } from './seeded-random.ts'

export const sceneNames = [
  'edge',
  'office',
  'hurried',
  'brief',
  'deaf',
  'members',
  'alone',
  'movers',
  'lean',
  'tardy',
  'hops',
  'bounces',
  'leaves',
  'roles',
  'codes',
  'comings',
  'sleepers',
  'strays',
  'riddles',
  'behind',
  'overdue',
  'heirs',
  'flocks',
  'quits',
] as const

export type SceneName = (typeof sceneNames)[number]

export interface Scene extends Partial<
  Pick<
    PoolOptions,
    | 'clients'
    | 'wishesPerSecond'
    | 'holdMs'
    | 'countMax'
    | 'snapshotEveryEntries'
    | 'swingMs'
    | 'steady'
    | 'syncMs'
    | 'owner'
    | 'blind'
    | 'habits'
  >
> {
  readonly servers: number
  readonly settings: PoolOptions['settings']
  readonly electionTimeoutMs: number
  readonly trailingEntries: number
  readonly allocations: readonly number[]
  /** Which features there are; absent: drawn. */
  readonly stock?: keyof typeof stocks
  readonly faultsMs: number
  /** Mean pause between two faults of a kind, in ms. */
  readonly kinds: readonly (readonly [PoolFault, number])[]
}

/** Which scene a seed plays in; undefined: none. */
export function drawScene(random: SeededRandom): SceneName | undefined {
  return random.chance(0.85) ? random.pick(cast) : undefined
}

/**
 * How many parts of the runs each scene has. Those about one thing have as many as its branches of the rules need; what is
 * about many things, with the seeds that play in no scene, has three tenths of all.
 */
const parts: Readonly<Record<SceneName, number>> = {
  edge: 2,
  office: 2,
  hurried: 2,
  brief: 2,
  deaf: 2,
  members: 2,
  alone: 2,
  movers: 2,
  lean: 1,
  tardy: 6,
  hops: 9,
  bounces: 9,
  leaves: 2,
  roles: 3,
  codes: 3,
  comings: 3,
  sleepers: 3,
  strays: 9,
  riddles: 2,
  behind: 3,
  overdue: 4,
  heirs: 5,
  flocks: 5,
  quits: 6,
}
const cast = sceneNames.flatMap(name => Array.from({ length: parts[name] }, () => name))

const few = [3, 5, 8]

export const scenes: Readonly<Record<SceneName, (random: SeededRandom) => Scene>> = {
  /** Many ticks a lease and clocks as bad as they may be; servers alone beyond their lease, wanted elsewhere at its end. */
  edge: random => {
    const leaseTicks = random.between(220, 260)
    return {
      servers: 3,
      settings: { tickMs: 20, leaseTicks, seatTicks: random.between(150, leaseTicks) },
      electionTimeoutMs: 1_000,
      trailingEntries: 50,
      snapshotEveryEntries: random.pick([200, 10_000]),
      allocations: few,
      steady: true,
      ...load(random, [12, 20], [6_000, 20_000]),
      faultsMs: 20_000,
      kinds: [
        ['alone', 1_000],
        ['belated', 1_000],
        ['asleep', 1_000],
        ['doze', 1_500],
      ],
    }
  },
  /** Elections take less than a tick, and leaders change often, with offers under way. */
  office: random => {
    const leaseTicks = random.between(4, 7)
    return {
      servers: random.pick([3, 3, 5]),
      settings: { tickMs: 1_500, leaseTicks, seatTicks: random.between(3, leaseTicks) },
      electionTimeoutMs: 300,
      trailingEntries: 5,
      snapshotEveryEntries: random.pick([15, 10_000]),
      allocations: [8, 12, 25],
      owner: random.chance(0.5) ? 'leader' : undefined,
      ...load(random, [20, 30], [1_000, 6_000]),
      faultsMs: 20_000,
      kinds: [
        ['transfer', 700],
        ['aim-office', 1_000],
        ['aim-offer', 2_000],
        ['outage', 9_000],
        ['criteria', 3_000],
        ['crash', 5_000],
      ],
    }
  },
  /** Deadlines are short, disks slow, and commands late. */
  hurried: random => {
    const leaseTicks = random.between(4, 6)
    const tickMs = random.pick([150, 250])
    return {
      servers: 3,
      settings: { tickMs, leaseTicks, seatTicks: leaseTicks },
      electionTimeoutMs: 1_000,
      trailingEntries: random.pick([0, 5]),
      snapshotEveryEntries: random.pick([15, 60]),
      allocations: few,
      syncMs: [0.4 * tickMs, random.pick([0.6, 1.1]) * tickMs],
      ...load(random, [20, 30], [1_000, 6_000]),
      faultsMs: 12_000,
      kinds: [
        ['late', 500],
        ['part', 4_000],
        ['crash', 3_000],
        ['criteria', 2_500],
        ['noise', 5_000],
        ['settings', 6_000],
      ],
    }
  },
  /** Leases are short: servers go down, are lent from, and come back, all the time. */
  brief: random => {
    const leaseTicks = random.between(4, 7)
    return {
      servers: random.pick([3, 3, 4, 5]),
      settings: { tickMs: random.pick([200, 300]), leaseTicks, seatTicks: leaseTicks },
      electionTimeoutMs: 400,
      trailingEntries: random.pick([0, 5]),
      snapshotEveryEntries: random.pick([8, 15, 30]),
      allocations: [5, 8, 12],
      owner: random.chance(0.4) ? 'leader' : undefined,
      swingMs: random.pick([0, 4_000]),
      ...load(random, [15, 30], [1_000, 4_000, 10_000]),
      faultsMs: 16_000,
      kinds: [
        ['outage', 1_800],
        ['late', 2_000],
        ['sleep', 3_000],
        ['aim-lent', 300],
        ['aim-move', 800],
        ['aim-deaf', 500],
        ['bounce', 2_500],
        ['aim-relearn', 300],
        random.pick([
          ['part', 2_000],
          ['codes', 600],
          ['stop', 2_000],
        ] as const),
      ],
    }
  },
  /** Servers hear nothing for a while and then a snapshot; what they say comes late. */
  deaf: random => {
    const leaseTicks = random.between(8, 14)
    return {
      servers: random.pick([3, 3, 4]),
      settings: { tickMs: random.pick([200, 300]), leaseTicks, seatTicks: leaseTicks },
      electionTimeoutMs: 1_000,
      trailingEntries: 0,
      snapshotEveryEntries: random.pick([5, 8]),
      allocations: [5, 8, 12],
      swingMs: random.pick([0, 3_000]),
      ...load(random, [20, 30], [1_000, 4_000]),
      faultsMs: 16_000,
      kinds: [
        ['deaf', 900],
        ['late', 1_500],
        ['aim-deaf', 300],
        ['criteria', 1_000],
        ['bounce', 3_000],
        random.pick([
          ['aim-relearn', 300],
          ['aim-move', 800],
          ['pause', 3_000],
        ] as const),
      ],
    }
  },
  /** Servers come, are promoted and demoted, and go. */
  members: random => {
    const leaseTicks = random.between(5, 8)
    return {
      servers: random.pick([3, 3, 4]),
      settings: { tickMs: 300, leaseTicks, seatTicks: leaseTicks },
      electionTimeoutMs: 600,
      trailingEntries: random.pick([0, 5]),
      snapshotEveryEntries: random.pick([15, 60]),
      allocations: [5, 8, 12],
      ...load(random, [10, 20], [1_000, 4_000]),
      faultsMs: 20_000,
      habits: { membersPauseMs: 700 },
      kinds: [
        ['members', 350],
        ['settings', 4_000],
        random.pick([
          ['crash', 4_000],
          ['codes', 600],
          ['outage', 4_000],
        ] as const),
      ],
    }
  },
  /** Clients lose sight of their servers and move, to servers that have nothing of their own. */
  movers: random => {
    const leaseTicks = random.pick([random.between(5, 8), random.between(12, 15)])
    return {
      servers: random.pick([3, 4]),
      settings: { tickMs: random.pick([200, 300]), leaseTicks, seatTicks: leaseTicks },
      electionTimeoutMs: 500,
      trailingEntries: random.pick([0, 5]),
      snapshotEveryEntries: random.pick([8, 30]),
      allocations: random.pick([few, [12, 25]]),
      owner: 'leader',
      ...load(random, [15, 25], [6_000, 20_000]),
      faultsMs: 16_000,
      kinds: [
        ['client-zone', 500],
        ['bounce', 2_500],
        ['late', 1_200],
        ['aim-move', 300],
        ['aim-deaf', 1_500],
        ['outage', 3_500],
        ['sleep', 2_000],
        ['criteria', 1_500],
        ['codes', 500],
      ],
    }
  },
  /** A server alone outlives its seats many times, and stops as soon as it is back. */
  alone: random => {
    return {
      servers: 3,
      settings: { tickMs: 400, leaseTicks: random.between(30, 40), seatTicks: 7 },
      electionTimeoutMs: 1_000,
      trailingEntries: 5,
      snapshotEveryEntries: random.pick([15, 60]),
      allocations: few,
      ...load(random, [20, 30], [6_000, 20_000]),
      faultsMs: 30_000,
      kinds: [
        ['homecoming', 2_500],
        ['comeback', 4_000],
        ['stop', 5_000],
        ['aim-book', 1_000],
        ['client-zone', 4_000],
      ],
    }
  },
  ...denseScenes,
}

function load(
  random: SeededRandom,
  clients: readonly number[],
  holdsMs: readonly number[],
): Pick<Scene, 'clients' | 'wishesPerSecond' | 'holdMs' | 'countMax'> {
  return {
    clients: random.pick(clients),
    wishesPerSecond: random.pick([8, 16]),
    holdMs: [100, random.pick(holdsMs)],
    countMax: random.pick([1, 1, 2]),
  }
}
