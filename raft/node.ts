/**
 * One server of a Raft cluster as its caller sees it: what it is made of, and what can be asked of it.
 *
 * Everything it touches are ports, so a simulator runs the same node that a server does. Answers come in
 * callbacks, always later than the call and, where they are to a question, exactly once.
 */
import type { ChangeOutcome, ProposeOutcome, ReadOutcome, TransferOutcome } from './calls.ts'
import type { Configuration, ConfigurationChange } from './core/configuration.ts'
import type { Effects } from './core/effect.ts'
import type { Input, Trust } from './core/input.ts'
import type { Peer, Raft } from './core/raft.ts'
import type { RaftSettings } from './core/settings.ts'
import { RaftError } from './error.ts'
import type { LatenessFigures } from './lateness.ts'
import type { DropCounts } from './link.ts'
import { isId } from './record.ts'
import { settingsProblem } from './settings.ts'
import type { Bus, Clock, Logger, Random, Subscription } from './ports.ts'
import type { StateMachine } from './state-machine.ts'
import type { Storage } from './storage.ts'

export interface NodeStatus {
  /**
   * `leader` only once an entry of its own term is committed and applied: from then on its state machine is as
   * new as any (paper, 8). Until then it is a `candidate`.
   */
  readonly role: 'leader' | 'follower' | 'candidate' | 'learner'
  readonly term: number
  readonly leader: string | undefined
  readonly commitIndex: number
  readonly lastApplied: number
  readonly lastIndex: number
  readonly snapshotIndex: number
  readonly configuration: Configuration
  /** Leader: a quorum answered lately. Others: the leader was heard lately. */
  readonly quorate: boolean
  /** A committed configuration no longer has this server. */
  readonly removed: boolean
  /** Whether its word counts: while it is not `full`, it neither votes, nor leads, nor counts as one more copy. */
  readonly trust: Trust['kind']
  /** What was found to be wrong with its disk, until it is trusted again. For people. */
  readonly damage: string | undefined
  /** Servers whose state machine differed from the own when last compared, sorted: a defect somewhere (I5). */
  readonly differing: readonly string[]
  /** Messages that were not passed on, by reason: malformed, foreign, or unsent because the link is down. */
  readonly dropped: DropCounts
}

export interface NodeOptions {
  /** Letters, digits, `_` and `-`; used by no other server, and by no other store of this server. */
  readonly id: string
  /** Subject prefix, such as `licd.v1.<pool>.raft`. */
  readonly cluster: string
  /** What tells this cluster from others that had or have the same prefix: the same on all its servers. */
  readonly genesis?: string
  readonly settings: RaftSettings
  /** Opened, and used by this node alone until `stop` is done. The caller closes it. */
  readonly storage: Storage
  /** Used by this node alone. The caller closes it. */
  readonly bus: Bus
  readonly clock: Clock
  readonly random: Random
  readonly machine: StateMachine
  readonly log: Logger
  /**
   * A snapshot is taken when so many entries were applied since the last one, and where that had more than 1 MiB, their
   * bytes are as many as its own or `snapshotEveryBytes`. Default 10,000.
   */
  readonly snapshotEveryEntries?: number
  /** ... or their bytes exceed this and the size of the last snapshot. Default 8 MiB. */
  readonly snapshotEveryBytes?: number
  /** A proposal without news for so long is `unknown`. Default five election timeouts. */
  readonly proposalTimeoutMs?: number
  /** Servers compare their states at every index that this divides (see `StateMachine.digest`). Default 256. */
  readonly compareEveryEntries?: number
  /** Called after each batch that became durable, with the time it took in ms: for figures. */
  readonly onSynced?: (ms: number) => void
  /**
   * Called after every step of the core, before its effects are carried out: for simulators and diagnosis. Must not
   * change anything; what it throws stops the node.
   */
  readonly trace?: (raft: Raft, input: Input, effects: Effects) => void
}

export interface ProposeOptions {
  /**
   * Nobody waits at another server for the command to be applied there. That it is committed then travels with the next
   * entries, or 20 ms later, instead of by itself at once. Default false.
   */
  readonly patient?: boolean
}

export interface RaftNode {
  readonly id: string
  readonly status: NodeStatus
  /** Leader: what it knows of the other members, sorted by id; none for whoever does not lead. */
  readonly peers: readonly Peer[]
  /** How late the node's beats came in the last one to two minutes: heartbeats leave at beats. */
  readonly lateness: LatenessFigures
  /**
   * Proposes a command; `data` must not change afterwards. `done` is called exactly once, later. At most 16,384
   * proposals are taken before the loop turns; beyond, they are refused as `busy`.
   */
  propose(
    data: Uint8Array,
    done?: (outcome: ProposeOutcome) => void,
    options?: ProposeOptions,
  ): void
  /** A linearizable read point: then the state machine has applied all that was committed before the call. */
  readIndex(done: (outcome: ReadOutcome) => void): void
  /** Hands leadership to `to`, or to the voter that is furthest. */
  transferLeadership(to: string | undefined, done: (outcome: TransferOutcome) => void): void
  changeConfiguration(change: ConfigurationChange, done: (outcome: ChangeOutcome) => void): void
  /** Called when role, term, leader, configuration, `quorate`, `removed`, `trust` or `differing` changed. */
  onStatus(handle: (status: NodeStatus) => void): Subscription
  /** The broker says that nobody listens at a peer's subject: it is gone, or cut off. A hint. */
  onUnreachable(handle: (peer: string) => void): Subscription
  /** The node has stopped itself on its first error; the process should end. At most once. */
  onFatal(handle: (error: RaftError) => void): Subscription
  /**
   * A leader hands over first, if it can within one election timeout. Twice does no harm. A disk that does not end
   * what is under way within two more is left to itself: then `error` is RAFT_DISK_HANGS, and closing the
   * storage would wait as well.
   */
  stop(done: (error?: RaftError) => void): void
}

/** @throws RaftError RAFT_BAD_SETTING */
export function checkOptions({ id, cluster, settings, bus }: NodeOptions): void {
  const wrong = (text: string): RaftError => new RaftError('RAFT_BAD_SETTING', text)
  const problem = settingsProblem(settings)
  if (problem !== undefined) throw wrong(`${problem}.`)
  if (!isId(id)) throw wrong(`A server cannot be named "${String(id)}".`)
  if (cluster === '' || /[\s*>]/.test(cluster)) throw wrong(`"${cluster}" is no subject prefix.`)
  const needed = 2 * Math.max(settings.maxBytesPerMessage, settings.snapshotChunkBytes)
  if (bus.connected && bus.maxPayload < needed) {
    throw wrong(`NATS takes ${bus.maxPayload} bytes a message; the settings need ${needed}.`)
  }
}
