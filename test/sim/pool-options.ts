/**
 * What a run of a whole pool is like, drawn from its seed: how many servers and clients, which features, what settings,
 * which kinds of fault and how often (swarm testing). What is taken away by a replay leaves the rest as it was.
 */
import type { Settings } from '../../lib/ledger/command.ts'
import { defaultSettings, type RaftSettings } from '../../raft/index.ts'
import { SeededRandom } from './seeded-random.ts'

const serverFaults = [
  'crash',
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

export const poolFaults = [
  ...serverFaults,
  ...networkFaults,
  ...clientFaults,
  ...operations,
  ...aims,
] as const

export type PoolFault = (typeof poolFaults)[number]

export interface PoolRequest {
  readonly seed: number
  /** Virtual ms of faults. */
  readonly faultsMs?: number
  readonly clients?: number
  readonly servers?: number
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
}

const names = ['alpha', 'beta', 'gamma', 'delta', 'epsilon']

export function drawPool(request: PoolRequest): PoolOptions {
  const { seed } = request
  const random = new SeededRandom(`pool ${seed}`)
  const size = random.pick([2, 3, 3, 3, 3, 3, 4, 5])
  const leaseTicks = random.between(8, 16)
  const settings = {
    tickMs: random.pick([400, 500, 800, 1_000]),
    leaseTicks,
    seatTicks: random.pick([random.between(5, leaseTicks), leaseTicks]),
  }
  const clients = random.pick([10, 20, 30, 30, 80, 200])
  const drawn = {
    wishesPerSecond: random.pick([4, 8, 16]),
    holdMs: [100, random.pick([1_000, 6_000, 20_000, 40_000])] as const,
    countMax: random.pick([1, 1, 2, 4]),
    faultsMs: random.pick([15_000, 25_000, 35_000]),
    snapshotEveryEntries: random.pick([30, 60, 150, 10_000]),
    blind: random.pick([0, 0.3]),
  }
  const trailingEntries = random.pick([0, 5, 50])
  return {
    seed,
    servers: names.slice(0, request.servers ?? size),
    settings,
    // Fewer heartbeats than in production: most of a run's events would be theirs.
    raft: { ...defaultSettings, electionTimeoutMs: 1_000, heartbeatMs: 250, trailingEntries },
    features: drawFeatures(random.split('features')),
    clients: request.clients ?? clients,
    ...drawn,
    faultsMs: request.faultsMs ?? drawn.faultsMs,
    kinds: drawKinds(random.split('kinds'), request.without ?? []),
    happens: happensIn(request),
  }
}

function drawFeatures(random: SeededRandom): FeaturePlan[] {
  const all = ['cad', 'sim', 'cam@2026', 'fem'].slice(0, random.pick([1, 2, 2, 3, 4]))
  return all.map((name, at) => ({
    name,
    allocations: random.pick([3, 8, 12, 25]),
    coded: at > 0 && random.chance(0.7),
  }))
}

function drawKinds(random: SeededRandom, without: readonly string[]): Map<PoolFault, number> {
  const share = random.pick([0.12, 0.25, 0.5])
  const totalMs = random.pick([700, 1_500, 3_000])
  const on = poolFaults.filter(() => random.chance(share))
  const drawn = on.map(kind => [kind, totalMs * on.length * (0.4 + random.next())] as const)
  return new Map(drawn.filter(([kind]) => !without.includes(kind)))
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
  if (request.faultsMs !== undefined) parts.push(`--ms ${request.faultsMs}`)
  if (request.without?.length) parts.push(`--without ${request.without.join(',')}`)
  if (request.only !== undefined) parts.push(`--only ${request.only.join(',')}`)
  return parts.join(' ')
}
