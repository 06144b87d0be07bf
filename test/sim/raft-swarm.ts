/**
 * What kind of world a seed makes: sizes, limits, rates, and which schemes its nemesis follows.
 *
 * A few kinds of trouble at full strength find more than all kinds now and then; so every seed has its own few, and
 * there are some seeds for each.
 */
import { type MessageType } from '../../raft/core/message.ts'
import { defaultSettings, type RaftSettings } from '../../raft/core/settings.ts'
import type { SeededRandom } from './seeded-random.ts'

/** See `raft-nemesis.ts`. */
const schemes = [
  'misfortunes',
  'hops',
  'relay',
  'crowds',
  'returns',
  'swizzle',
  'churn',
  'bounces',
] as const

export type Scheme = (typeof schemes)[number] | 'decay'

/** How late a message may be, in ms. */
export const latestMs = 300

/** What a seed does to all messages of one type, beside what it does to all. */
export type Habit = 'lost' | 'late' | 'repeated'

export interface Swarm {
  /** Voters at the start. */
  readonly size: number
  readonly membership: boolean
  readonly settings: RaftSettings
  readonly snapshotEvery: number
  readonly lossRate: number
  readonly repeatRate: number
  readonly lateRate: number
  readonly habits: ReadonlyMap<MessageType, Habit>
  /** How often a server crashes, and starts again at once, right after it promised something. */
  readonly bounceRate: number
  /** How often a leader is cut off right after it was elected, or committed something. */
  readonly strikeRate: number
  readonly schemes: readonly Scheme[]
  /** How long a write takes at most, in ms. */
  readonly diskMs: number
  /** How often all writes under way become one. */
  readonly mergeRate: number
  readonly clients: number
  /** How long a client pauses at most, in ms. */
  readonly pauseMs: number
  /** Whether a disk may lose the end of its log, or all it has. */
  readonly damage: 'none' | 'tail' | 'all'
}

export const electionTimeoutMs = 100
export const heartbeatMs = 20

const troubled: readonly MessageType[] = [
  'requestVote',
  'requestVoteReply',
  'preVoteReply',
  'appendEntries',
  'appendEntriesReply',
  'heartbeat',
  'heartbeatReply',
  'readIndexReply',
  'installSnapshot',
  'installSnapshotReply',
  'timeoutNow',
]

export interface Wishes {
  readonly size?: number
  readonly membership?: boolean
}

export function swarmOf(random: SeededRandom, wishes: Wishes): Swarm {
  const size = wishes.size ?? random.pick([1, 2, 3, 3, 3, 4, 5, 5])
  const membership = wishes.membership ?? random.chance(0.3)
  const isHarsh = random.chance(0.4)
  const few = random.chance(0.6) ? 1 : random.between(2, schemes.length)
  const canLose = !membership && size > 2 && random.chance(0.4)
  const damage = canLose ? random.pick(['tail', 'tail', 'all'] as const) : 'none'
  return {
    size,
    membership,
    settings: settingsOf(random, isHarsh),
    snapshotEvery: random.pick([2, 4, 15, 1000]),
    lossRate: random.pick([0, 0, 0.02, 0.1, 0.25]),
    repeatRate: random.pick([0, 0.05, 0.2]),
    lateRate: random.pick([0, 0.01, 0.05, 0.2]),
    habits: habitsOf(random),
    bounceRate: random.pick([0, 0, 0.03, 0.15]),
    strikeRate: random.pick([0, 0.05, 0.3, 0.8]),
    schemes: [
      ...shuffled(random, schemes).slice(0, few),
      ...(damage === 'none' ? [] : ['decay' as const]),
    ],
    diskMs: random.pick([0.5, 3, 3, 20]),
    mergeRate: random.pick([0, 0.5, 1]),
    clients: random.between(1, 4),
    pauseMs: random.pick([8, 30, 60]),
    damage,
  }
}

function settingsOf(random: SeededRandom, isHarsh: boolean): RaftSettings {
  return {
    ...defaultSettings,
    electionTimeoutMs,
    heartbeatMs,
    // One entry a message: what takes several elections to go wrong has to be replicated in parts.
    maxEntriesPerMessage: isHarsh ? 1 : random.between(1, 8),
    maxBytesPerMessage: random.pick([64, 200, 2000]),
    maxInflightMessages: isHarsh ? 1 : random.between(1, 6),
    maxInflightBytes: random.pick([64, 300, 5000]),
    maxUncommittedBytes: random.pick([200, 1000, 100_000, 100_000]),
    maxUnappliedBytes: random.pick([64, 500, 100_000]),
    snapshotWindow: random.between(1, 3),
    trailingEntries: random.pick([0, 0, 2, 6]),
    maxPendingReads: random.between(1, 10),
  }
}

function habitsOf(random: SeededRandom): Map<MessageType, Habit> {
  const habits = new Map<MessageType, Habit>()
  for (const type of troubled) {
    if (random.chance(0.2)) habits.set(type, random.pick(['lost', 'late', 'late', 'repeated']))
  }
  return habits
}

export function shuffled<T>(random: SeededRandom, items: readonly T[]): T[] {
  return items
    .map(item => ({ item, key: random.next() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item)
}
