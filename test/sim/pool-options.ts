/**
 * What a run of a whole pool is like, drawn from its seed: how many servers and clients, which features, what settings,
 * which kinds of fault and how often (swarm testing). What is taken away by a replay leaves the rest as it was.
 */
import type { Settings } from '../../lib/ledger/command.ts'
import { defaultSettings, type RaftSettings } from '../../raft/index.ts'
import { drawScene, scenes, type Scene, type SceneName } from './pool-scenes.ts'
import { SeededRandom } from './seeded-random.ts'

const serverFaults = [
  'crash',
  'outage',
  'bounce',
  'power',
  'wipe',
  'stop',
  'rolling',
  'pause',
  'sleep',
  'suspend',
  'slow',
  'jump',
  'lag',
  'stall',
] as const

const networkFaults = [
  'part',
  'island',
  'one-way',
  'noise',
  'clog',
  'freeze',
  'replay',
  'reconnect',
] as const

const clientFaults = [
  'client-crash',
  'client-pause',
  'client-suspend',
  'client-link',
  'client-zone',
  'client-jump',
] as const

/** What operators do: no fault, but as badly timed. */
const operations = ['codes', 'criteria', 'allocations', 'settings', 'members', 'transfer'] as const

/** Thrown at the moment at which a rule is in the state that is named. */
const aims = [
  'aim-move',
  'aim-offer',
  'aim-give',
  'aim-relearn',
  'aim-lease',
  'aim-lent',
  'aim-challenge',
  'aim-owed',
  'aim-book',
  'aim-turn',
] as const

/** Of scenes alone. */
type SceneFault =
  | 'alone'
  | 'asleep'
  | 'away'
  | 'belated'
  | 'comeback'
  | 'deaf'
  | 'doze'
  | 'dusk'
  | 'exodus'
  | 'flock'
  | 'homecoming'
  | 'hop'
  | 'hush'
  | 'inherit'
  | 'late'
  | 'nap'
  | 'overdue'
  | 'reborn'
  | 'stale'
  | 'tardy'
const sceneAims = ['aim-answer', 'aim-behind', 'aim-deaf', 'aim-office'] as const

const drawnFaults = [
  ...serverFaults,
  ...networkFaults,
  ...clientFaults,
  ...operations,
  ...aims,
] as const

export type PoolFault = (typeof drawnFaults)[number] | SceneFault | PoolAim

export interface PoolRequest {
  readonly seed: number
  /** Virtual ms of faults. */
  readonly faultsMs?: number
  readonly clients?: number
  readonly servers?: number
  /** The scene that it plays in, or none, whatever the seed says. */
  readonly scene?: SceneName | 'none'
  readonly without?: readonly string[]
  /** None happen but these, as `kind#n`. */
  readonly only?: readonly string[]
}

export interface FeaturePlan {
  readonly name: string
  readonly allocations: number
  /** Comes by signed codes, of a vendor. */
  readonly coded: boolean
}

export interface PoolOptions {
  readonly seed: number
  readonly servers: readonly string[]
  readonly settings: Settings
  readonly raft: Partial<RaftSettings>
  readonly snapshotEveryEntries: number
  readonly features: readonly FeaturePlan[]
  readonly clients: number
  /** Wishes of all clients together, per second. */
  readonly wishesPerSecond: number
  readonly holdMs: readonly [number, number]
  readonly countMax: number
  readonly faultsMs: number
  /** Mean pause between two faults of a kind, in ms. */
  readonly kinds: ReadonlyMap<PoolFault, number>
  readonly happens: (name: string) => boolean
  /** Part of the processes whose system cannot tell a suspension. */
  readonly blind: number
  /** How long all clients want much, and then little; 0: each as it likes. */
  readonly swingMs: number
  /** Clocks are as fast or as slow as an honest clock may be. */
  readonly steady: boolean
  /** Ticks are short beside what the network and the disks take at times. */
  readonly hurried: boolean
  readonly scene?: SceneName
  /** What a synced write takes, ms, least and most; absent: as in other simulations. */
  readonly syncMs?: readonly [number, number]
  /** How operators go about servers that come and go, and codes. */
  readonly habits?: Habits
  /** Where operators want nearly everything; undefined: now here, now there. */
  readonly owner?: 'leader' | 'follower' | 'nobody' | undefined
}

/** What operators do over and over in a scene. */
export interface Habits {
  /** `roles`: voters become learners and voters again; `newcomers`: servers are taken in and removed. */
  readonly members?: 'roles' | 'newcomers'
  /** Least time between two changes of members, ms. */
  readonly membersPauseMs?: number
  /** How long codes last that end, ms. */
  readonly codesMs?: readonly [number, number]
  /** The borrowing threshold that they set, and often. */
  readonly threshold?: number
  /** Changes of settings in a run. */
  readonly settings?: number
}

const names = ['alpha', 'beta', 'gamma', 'delta', 'epsilon']

type Pace = Pick<PoolOptions, 'settings' | 'steady' | 'hurried'> & {
  readonly electionTimeoutMs: number
  readonly faultsMs: number
}

/** Ticks, leases and seats of a kind: each shows what others hide. */
function drawPace(random: SeededRandom): Pace {
  const faultsMs = random.pick([15_000, 25_000, 35_000])
  const usual = { electionTimeoutMs: 1_000, faultsMs, steady: false, hurried: false }
  switch (random.pick([0, 0, 0, 0, 0, 0, 1, 2, 3, 4])) {
    case 1: {
      // Many ticks a lease, and clocks as bad as they may be: a margin is many ticks.
      const leaseTicks = random.between(100, 140)
      const seatTicks = random.between(70, leaseTicks)
      const settings = { tickMs: random.pick([50, 70]), leaseTicks, seatTicks }
      return { ...usual, settings, faultsMs: 18_000, steady: true }
    }
    case 2: {
      // Elections take less than a tick.
      const leaseTicks = random.between(4, 7)
      const tickMs = random.pick([1_500, 2_500])
      const settings = { tickMs, leaseTicks, seatTicks: random.between(3, leaseTicks) }
      return { ...usual, settings, electionTimeoutMs: 300, faultsMs: 30_000 }
    }
    case 3: {
      // A server alone outlives its seats many times.
      const settings = { tickMs: 400, leaseTicks: random.between(40, 50), seatTicks: 7 }
      return { ...usual, settings, faultsMs: 45_000 }
    }
    case 4: {
      // Deadlines are short, and all that takes time makes them pass.
      const leaseTicks = random.between(4, 6)
      const settings = { tickMs: random.pick([150, 250]), leaseTicks, seatTicks: leaseTicks }
      return { ...usual, settings, faultsMs: 12_000, electionTimeoutMs: 400, hurried: true }
    }
    default: {
      const leaseTicks = random.between(7, 14)
      const seatTicks = random.pick([random.between(5, leaseTicks), leaseTicks])
      const tickMs = random.pick([300, 400, 500, 800])
      return { ...usual, settings: { tickMs, leaseTicks, seatTicks } }
    }
  }
}

export function drawPool(request: PoolRequest): PoolOptions {
  const scene = request.scene ?? drawScene(new SeededRandom(`scene ${request.seed}`))
  const usual = drawUsual(request)
  return scene === undefined || scene === 'none' ? usual : playIn(scene, request, usual)
}

/** As usual, but for what the scene says. */
function playIn(name: SceneName, request: PoolRequest, usual: PoolOptions): PoolOptions {
  const random = new SeededRandom(`${name} ${request.seed}`)
  const scene: Scene = scenes[name](random)
  const { servers, electionTimeoutMs, trailingEntries, allocations, kinds, stock, ...rest } = scene
  const { without = [] } = request
  const heartbeatMs = electionTimeoutMs / 4
  return {
    ...usual,
    steady: false,
    hurried: false,
    swingMs: 0,
    ...rest,
    scene: name,
    servers: names.slice(0, request.servers ?? servers),
    raft: { ...defaultSettings, electionTimeoutMs, heartbeatMs, trailingEntries },
    features:
      stock === undefined
        ? drawFeatures(random, allocations).slice(0, 2)
        : stocks[stock](random.pick(allocations)),
    clients: request.clients ?? rest.clients ?? usual.clients,
    faultsMs: request.faultsMs ?? rest.faultsMs,
    kinds: new Map(kinds.filter(([kind]) => !without.includes(kind))),
  }
}

function drawUsual(request: PoolRequest): PoolOptions {
  const { seed } = request
  const random = new SeededRandom(`pool ${seed}`)
  const size = random.pick([2, 3, 3, 3, 3, 4, 4, 5])
  const { electionTimeoutMs, ...pace } = drawPace(random.split('pace'))
  const clients = random.pick([10, 20, 30, 30, 80, 200])
  const drawn = {
    wishesPerSecond: random.pick([8, 16, 25]),
    holdMs: [100, random.pick([1_000, 6_000, 20_000, 40_000])] as const,
    countMax: random.pick([1, 1, 2, 4]),
    snapshotEveryEntries: random.pick([15, 30, 60, 10_000]),
    blind: random.pick([0, 0.3]),
    swingMs: random.pick([0, 0, 6_000, 15_000]),
  }
  const trailingEntries = random.pick([0, 0, 5, 50])
  const heartbeatMs = electionTimeoutMs / 4
  return {
    seed,
    servers: names.slice(0, request.servers ?? size),
    // Fewer heartbeats than in production: most of a run's events would be theirs.
    raft: { ...defaultSettings, electionTimeoutMs, heartbeatMs, trailingEntries },
    features: drawFeatures(random.split('features')),
    clients: request.clients ?? clients,
    ...drawn,
    ...pace,
    faultsMs: request.faultsMs ?? pace.faultsMs,
    kinds: drawKinds(random.split('kinds'), pace.hurried, request.without ?? []),
    happens: happensIn(request),
  }
}

function drawFeatures(random: SeededRandom, allocations = [3, 8, 12, 25] as readonly number[]) {
  const all = ['cad', 'sim', 'cam@2026', 'fem'].slice(0, random.pick([1, 2, 2, 3, 4]))
  return all.map((name, at): FeaturePlan => ({
    name,
    allocations: random.pick(allocations),
    coded: at > 0 && random.chance(0.7),
  }))
}

/** What scenes that are about one thing have instead. */
export const stocks = {
  /** One feature. */
  one: (allocations: number): FeaturePlan[] => [{ name: 'cad', allocations, coded: false }],
  /** So many that much is under way at a time. */
  several: (allocations: number): FeaturePlan[] =>
    ['cad', 'sim', 'fem'].map(name => ({ name, allocations, coded: false })),
  /** One, and another one that comes by codes. */
  coded: (allocations: number): FeaturePlan[] => [
    { name: 'cad', allocations: 2, coded: false },
    { name: 'sim', allocations, coded: true },
  ],
} as const

/** What a seed is about, in half of them. */
const themes: readonly (readonly PoolFault[])[] = [
  ['members', 'crash'],
  ['members', 'settings', 'transfer'],
  ['outage', 'aim-lent', 'criteria'],
  ['outage', 'part', 'criteria', 'allocations'],
  ['bounce', 'aim-relearn', 'replay'],
  ['bounce', 'aim-relearn', 'aim-give', 'part'],
  ['codes', 'aim-owed', 'crash'],
  ['aim-move', 'aim-challenge', 'crash'],
  ['outage', 'aim-give', 'aim-turn', 'part'],
]
const hurry: readonly PoolFault[] = ['noise', 'lag', 'clog', 'part', 'aim-turn']

function drawKinds(
  random: SeededRandom,
  hurried: boolean,
  without: readonly string[],
): Map<PoolFault, number> {
  const share = random.pick([0.08, 0.2, 0.4])
  const totalMs = random.pick([600, 1_200, 2_500])
  const theme = hurried ? hurry : random.chance(0.6) ? random.pick(themes) : []
  const on = drawnFaults.filter(kind => random.chance(share) || theme.includes(kind))
  const drawn = on.map(kind => {
    const part = (isOperation(kind) ? 0.4 : 1) * (theme.includes(kind) ? 0.5 : 1)
    return [kind, totalMs * on.length * part * (0.4 + random.next())] as const
  })
  return new Map(drawn.filter(([kind]) => !without.includes(kind)))
}

function isOperation(kind: PoolFault): boolean {
  return operations.some(one => one === kind)
}

export type PoolAim = (typeof aims)[number] | (typeof sceneAims)[number]

export function isAim(kind: PoolFault): kind is PoolAim {
  return [...aims, ...sceneAims].some(one => one === kind)
}

function happensIn({ only }: PoolRequest): (name: string) => boolean {
  const wanted = only && new Set(only)
  return name => wanted?.has(name) ?? true
}

/** The one line that replays a run. */
export function poolReplayLine(request: PoolRequest): string {
  const parts = [`npm run sim:pool -- --seed ${request.seed}`]
  if (request.servers !== undefined) parts.push(`--servers ${request.servers}`)
  if (request.clients !== undefined) parts.push(`--clients ${request.clients}`)
  if (request.scene !== undefined) parts.push(`--scene ${request.scene}`)
  if (request.faultsMs !== undefined) parts.push(`--ms ${request.faultsMs}`)
  if (request.without?.length) parts.push(`--without ${request.without.join(',')}`)
  if (request.only !== undefined) parts.push(`--only ${request.only.join(',')}`)
  return parts.join(' ')
}
