/**
 * What a run is like, drawn from its seed: how many servers, what limits, which kinds of fault and how often.
 *
 * Each seed has its own few kinds at its own rates (swarm testing): a few kinds often find more than all of them
 * now and then. Whoever replays or shrinks a run takes kinds or single faults away; what is left stays as it was, for
 * each kind draws from a stream of its own.
 */
import { defaultSettings, type RaftSettings } from '../../raft/core/settings.ts'
import { damages } from './faulty-medium.ts'
import { SeededRandom } from './seeded-random.ts'

export const networkFaults = [
  'noise',
  'cut',
  'part',
  'strike',
  'deaf',
  'bridge',
  'swizzle',
  'freeze',
  'reconnect',
  'replay',
  'accuse',
  'small',
  'strangers',
] as const

export const processFaults = [
  'crash',
  'fuse',
  'bounce',
  'power',
  'outage',
  'moment',
  'pause',
  'suspend',
  'slow',
  'jump',
  'stop',
] as const

export const diskFaults = ['lag', 'stall', 'low', 'full', 'error', 'wipe', ...damages] as const

export const operatorFaults = ['transfer', 'members'] as const

export const faultKinds = [
  ...networkFaults,
  ...processFaults,
  ...diskFaults,
  ...operatorFaults,
] as const

export type FaultKind = (typeof faultKinds)[number]

/** Disks are looked at when a server starts. */
const themes: readonly (readonly FaultKind[])[] = [
  networkFaults,
  processFaults,
  [...diskFaults, 'crash', 'bounce', 'outage', 'moment'],
  [...damages, 'crash', 'outage', 'moment'],
  // What rots in the database alone: such a server is taught again soon, and can be hit again.
  ['hole', 'flip-table', 'flip-key', 'torn-last', 'crash', 'moment'],
  ['strike', 'part', 'deaf', 'moment', 'crash', 'bounce', 'pause', 'transfer'],
]

/** What a replay asks for; the rest comes from the seed. */
export interface RunRequest {
  readonly seed: number
  readonly size?: number
  /** Virtual ms of faults. */
  readonly faultsMs?: number
  readonly without?: readonly string[]
  /** Single faults that do not happen, as `kind#n`, counted from 1. */
  readonly skip?: readonly string[]
  /** None happen but these. */
  readonly only?: readonly string[]
}

export interface NodeRunOptions {
  readonly seed: number
  readonly size: number
  readonly faultsMs: number
  /** Mean pause between two faults of a kind, in ms. */
  readonly kinds: ReadonlyMap<FaultKind, number>
  /** Whether the fault of this name, as `kind#n`, happens. */
  readonly happens: (name: string) => boolean
  readonly settings: RaftSettings
  readonly snapshotEveryEntries: number
  readonly rowsPerSlice: number
  readonly latencyMs: readonly [number, number]
  readonly diskMs: readonly [number, number]
  readonly clients: number
  readonly thinkMs: number
  readonly clientTimeoutMs: number
  /** After so many attempts without an answer a client gives up. */
  readonly patience: number
}

export function drawOptions(request: RunRequest): NodeRunOptions {
  const { seed, without = [] } = request
  const random = new SeededRandom(`node ${seed}`)
  const size = random.pick([1, 2, 3, 3, 3, 3, 3, 4, 5, 5])
  const faultsMs = random.pick([5_000, 10_000, 10_000, 20_000])
  // Half of the runs have a handful of kinds, the others many; most have more of one family than of the others.
  const share = random.pick([0.15, 0.3, 0.6])
  const calmMs = random.pick([150, 300, 700, 2_000])
  const theme = random.pick([faultKinds, faultKinds, ...themes])
  const drawn = faultKinds.map(kind => {
    const isOn = random.chance(theme.includes(kind) ? share : share / 4)
    const meanMs = calmMs * (0.5 + random.next() * 3)
    return [kind, isOn, meanMs] as const
  })
  const kinds = drawn.flatMap(([kind, isOn, meanMs]) =>
    isOn && !without.includes(kind) ? [[kind, meanMs] as const] : [],
  )
  return {
    seed,
    size: request.size ?? size,
    faultsMs: request.faultsMs ?? faultsMs,
    kinds: new Map(kinds),
    happens: happensIn(request),
    ...drawLimits(random),
  }
}

function happensIn({ skip, only }: RunRequest): (name: string) => boolean {
  const skipped = new Set(skip)
  const wanted = only && new Set(only)
  return name => wanted?.has(name) ?? !skipped.has(name)
}

function drawLimits(random: SeededRandom) {
  const electionTimeoutMs = random.pick([150, 300, 300, 600])
  const isTiny = random.chance(0.3)
  const settings: RaftSettings = {
    ...defaultSettings,
    electionTimeoutMs,
    heartbeatMs: electionTimeoutMs / random.pick([3, 3, 4]),
    maxEntriesPerMessage: isTiny ? random.between(1, 3) : random.between(4, 64),
    maxBytesPerMessage: isTiny ? random.pick([256, 600]) : random.pick([2_000, 20_000]),
    maxInflightMessages: isTiny ? random.between(1, 2) : random.between(3, 16),
    maxInflightBytes: isTiny ? random.pick([256, 2_000]) : 20_000,
    maxUncommittedBytes: isTiny ? random.pick([1_000, 5_000]) : 1_000_000,
    maxUnappliedBytes: isTiny ? random.pick([200, 2_000]) : 100_000,
    snapshotChunkBytes: 16_384,
    snapshotWindow: random.between(1, 4),
    trailingEntries: random.pick([0, 2, 10, 50]),
    maxPendingReads: isTiny ? random.between(1, 4) : 100,
  }
  const slow = random.pick([0.5, 2, 5])
  return {
    settings,
    snapshotEveryEntries: random.pick([25, 60, 150, 10_000]),
    rowsPerSlice: random.pick([15, 40, 120]),
    latencyMs: [0.1, slow],
    diskMs: [0.1, random.pick([1, 4])],
    clients: random.between(4, 12),
    thinkMs: random.pick([5, 10, 30]),
    clientTimeoutMs: electionTimeoutMs * random.pick([1, 2, 4]),
    patience: random.pick([2, 5, 20]),
  } satisfies Partial<NodeRunOptions>
}

/** The one line that replays a run. */
export function replayLine(request: RunRequest): string {
  const parts = [`npm run sim -- --seed ${request.seed}`]
  if (request.size !== undefined) parts.push(`--servers ${request.size}`)
  if (request.faultsMs !== undefined) parts.push(`--ms ${request.faultsMs}`)
  if (request.without?.length) parts.push(`--without ${request.without.join(',')}`)
  if (request.only !== undefined) parts.push(`--only ${request.only.join(',')}`)
  if (request.skip?.length) parts.push(`--skip ${request.skip.join(',')}`)
  return parts.join(' ')
}
