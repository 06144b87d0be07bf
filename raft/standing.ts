/**
 * What a node says of itself: its status, put together from its parts.
 */
import { emptyConfiguration, isVoter } from './core/configuration.ts'
import type { DropCounts } from './link.ts'
import type { NodeStatus } from './node.ts'
import type { Parts } from './parts.ts'
import type { Storage } from './storage.ts'

const nothingDropped: DropCounts = {
  'too-large': 0,
  checksum: 0,
  version: 0,
  shape: 0,
  foreign: 0,
  unsent: 0,
}
const nobody: readonly string[] = []

/** What the driver knows beside its parts. */
export interface Situation {
  readonly id: string
  readonly storage: Storage
  /** Absent while the disk is being read. */
  readonly parts: Parts | undefined
  readonly stopped: boolean
  readonly removed: boolean
  /** Elected, it leads once this index is applied. */
  readonly readyIndex: number | undefined
}

export function statusOf(situation: Situation): NodeStatus {
  const { parts, stopped, removed, storage } = situation
  const raft = parts?.raft
  return {
    role: roleOf(situation),
    term: raft?.currentTerm ?? 0,
    leader: raft?.leader,
    commitIndex: raft?.commitIndex ?? 0,
    lastApplied: parts?.applier.applied ?? 0,
    lastIndex: raft?.lastIndex ?? 0,
    snapshotIndex: raft?.snapshotIndex ?? 0,
    configuration: raft?.configuration ?? emptyConfiguration,
    quorate: !stopped && (raft?.quorate ?? false),
    removed,
    trust: raft?.trust.kind ?? 'full',
    damage: storage.damage,
    differing: parts?.digests.differing ?? nobody,
    dropped: parts?.link.dropped ?? nothingDropped,
  }
}

function roleOf({ id, parts, stopped, readyIndex }: Situation): NodeStatus['role'] {
  if (parts === undefined) return 'learner'
  if (stopped) return 'follower'
  const { raft, applier } = parts
  if (raft.role === 'leader') {
    return readyIndex !== undefined && applier.applied >= readyIndex ? 'leader' : 'candidate'
  }
  if (raft.role !== 'follower') return 'candidate'
  return isVoter(raft.configuration, id) ? 'follower' : 'learner'
}
