/**
 * The Raft core: one server's part of the protocol, as a function from inputs to effects.
 *
 * No clock, no disk, no network, no chance but its seed: the same inputs give the same effects, so that a simulator
 * can replay any run. What a step decides is carried out by the driver, in the order that `effect.ts` states.
 * Everything that a step makes sendable is sent once, at its end: many proposals in one input are one message.
 */
import assert from 'node:assert/strict'
import type { Configuration } from './configuration.ts'
import type { Effects, Role } from './effect.ts'
import * as election from './election.ts'
import { onAppendEntries, onHeartbeat } from './follower.ts'
import { broadcastHeartbeat, forgetAnswers, isHeard, isLed } from './heartbeat.ts'
import type { Input, Trust } from './input.ts'
import { snapshotsBeingSent } from './leadership.ts'
import { changeConfiguration, settleConfiguration } from './membership.ts'
import type { Message, MessageType, Untrusted } from './message.ts'
import { expireForwardedReads, onReadIndex, onReadIndexReply, pumpReads, read } from './reads.ts'
import * as replication from './replication.ts'
import { onChunkStored, onInstallSnapshot, onSnapshotSaved } from './snapshot-receiver.ts'
import { elapseSnapshots, onInstallSnapshotReply } from './snapshot-sender.ts'
import { type RaftOptions, State } from './state.ts'
import { elapseTransfer, handOver, pumpTransfer, transfer } from './transfer.ts'
import { attend, onDistrust, onTeach, onTeachReply } from './trust.ts'

export type { RaftOptions } from './state.ts'

/** Another member as the leader knows it. */
export interface Peer {
  readonly id: string
  /** Up to here its log is known to be the leader's, on its disk. */
  readonly matchIndex: number
  /** Entries that it is not known to have. */
  readonly lag: number
  /** It answered lately. */
  readonly reachable: boolean
  /** Since the newest message was sent that it answered, or since this leader's election. */
  readonly answeredAgoMs: number
  /** Why its word does not count; absent where it counts. */
  readonly untrusted?: Untrusted
}

type Handler<K> = (state: State, message: Extract<Message, { readonly type: K }>) => void

const handlers: { readonly [K in MessageType]: Handler<K> } = {
  preVote: election.onPreVote,
  preVoteReply: election.onPreVoteReply,
  requestVote: election.onRequestVote,
  requestVoteReply: election.onRequestVoteReply,
  appendEntries: onAppendEntries,
  appendEntriesReply: replication.onAppendEntriesReply,
  heartbeat: onHeartbeat,
  heartbeatReply: replication.onHeartbeatReply,
  installSnapshot: onInstallSnapshot,
  installSnapshotReply: onInstallSnapshotReply,
  readIndex: onReadIndex,
  readIndexReply: onReadIndexReply,
  timeoutNow: election.onTimeoutNow,
  teach: onTeach,
  teachReply: onTeachReply,
  distrust: onDistrust,
}

export class Raft {
  private readonly state: State
  private stepping = false

  constructor(options: RaftOptions) {
    this.state = new State(options)
  }

  /** Takes one input and says what is to be done. Never throws but on a failed assertion; not re-entrant. */
  step(input: Input): Effects {
    assert(!this.stepping, 'one step at a time')
    this.stepping = true
    this.take(input)
    this.settle()
    const effects = this.state.finish()
    // Left set when an assertion failed: a server in doubt of itself takes no further step.
    this.stepping = false
    return effects
  }

  private take(input: Input): void {
    const state = this.state
    switch (input.type) {
      case 'elapse':
        return this.elapse(input.ms)
      case 'message':
        return this.receive(input.message)
      case 'propose':
        return replication.propose(state, input.proposals)
      case 'read':
        return read(state, input.id)
      case 'persisted':
        return state.persisted(input.seq) ? election.countOwnVote(state) : undefined
      case 'applied':
        return state.applied(input.index)
      case 'snapshotSaved':
        return onSnapshotSaved(state, input.snapshot)
      case 'chunkStored':
        return onChunkStored(state, input.snapshotId, input.chunk)
      case 'unreachable':
        return this.unreachable(input.peer)
      case 'changeConfiguration':
        return changeConfiguration(state, input.id, input.change)
      case 'transfer':
        return transfer(state, input.id, input.to)
      case 'stalled':
        return state.leadership && forgetAnswers(state, state.leadership)
      case 'stepDown':
        return state.leadership && handOver(state, state.leadership)
      case 'tell':
        return replication.tell(state, input.index)
    }
  }

  private receive(message: Message): void {
    // Each handler takes the messages of its own type alone.
    const handle = handlers[message.type] as (state: State, message: Message) => void
    handle(this.state, message)
  }

  private elapse(ms: number): void {
    assert(ms >= 0 && Number.isFinite(ms))
    const state = this.state
    state.now += ms
    const { leadership } = state
    if (leadership === undefined) {
      election.elapseElection(state, ms)
      expireForwardedReads(state)
    } else if (replication.elapseLeader(state, leadership)) {
      leadership.sinceHeartbeat += ms
      elapseTransfer(state, leadership)
      elapseSnapshots(state, leadership)
    }
  }

  private unreachable(peer: string): void {
    const state = this.state
    const progress = state.leadership?.progress.get(peer)
    // The next heartbeat's probe will tell; until then nothing is wasted on it.
    if (progress?.mode.kind === 'replicate') progress.probe(undefined, true)
    if (peer === state.leader && state.leadership === undefined) election.onLeaderGone(state)
  }

  /** Draws the consequences, for a leader: commits, ends changes, answers reads, then sends what may be sent. */
  private settle(): void {
    const state = this.state
    const { leadership } = state
    if (leadership === undefined) return attend(state)
    replication.advanceCommit(state, leadership)
    if (!settleConfiguration(state, leadership)) return
    pumpTransfer(state, leadership)
    if (leadership.sinceHeartbeat >= state.settings.heartbeatMs) {
      broadcastHeartbeat(state, leadership)
      replication.unpauseProbes(leadership)
    }
    pumpReads(state, leadership)
    replication.flush(state, leadership)
  }

  get id(): string {
    return this.state.id
  }

  get role(): Role {
    return this.state.standing.role
  }

  get currentTerm(): number {
    return this.state.currentTerm
  }

  get votedFor(): string | undefined {
    return this.state.votedFor
  }

  /** Whether this server's word counts: where it does not, it neither votes nor leads (trust.ts). */
  get trust(): Trust {
    return this.state.trust
  }

  get leader(): string | undefined {
    return this.state.leader
  }

  get commitIndex(): number {
    return this.state.commitIndex
  }

  get lastApplied(): number {
    return this.state.lastApplied
  }

  get lastIndex(): number {
    return this.state.log.lastIndex
  }

  get snapshotIndex(): number {
    return this.state.snapshot?.lastIncludedIndex ?? 0
  }

  /** The configuration in force here, committed or not. */
  get configuration(): Configuration {
    return this.state.configuration
  }

  /** In force at an applied index at or after the snapshot: what a snapshot taken there must carry. */
  configurationAt(index: number): Configuration {
    return this.state.history.at(index)
  }

  /** Leader: some follower could know more of what is committed, and nothing on its way tells it. See `Input`, `tell`. */
  get owesNews(): boolean {
    return this.state.leadership?.owesNews ?? false
  }

  /** `undefined` outside of what the log holds. */
  termAt(index: number): number | undefined {
    return this.state.log.termAt(index)
  }

  /** Bytes of applied log above the snapshot: what decides when to take the next one. */
  get logBytes(): number {
    return this.state.log.bytesBetween(this.snapshotIndex, this.lastApplied)
  }

  /** Leader: an entry of its own term is committed. Once that is applied too, it may act as leader towards clients. */
  get ready(): boolean {
    return this.state.leadership !== undefined && this.state.committedInTerm
  }

  /** Leader: a quorum answered what was sent within T. Others: the leader was heard within T. */
  get quorate(): boolean {
    return isLed(this.state)
  }

  /** Leader: what it knows of the other members, sorted by id. Nobody else knows anything. */
  get peers(): readonly Peer[] {
    const { leadership, log, now } = this.state
    return [...(leadership?.progress.values() ?? [])].map(progress => ({
      id: progress.id,
      matchIndex: progress.matchIndex,
      lag: log.lastIndex - progress.matchIndex,
      reachable: isHeard(this.state, progress),
      answeredAgoMs: now - progress.ackedAt,
      ...(progress.untrusted !== undefined && { untrusted: progress.untrusted }),
    }))
  }

  /** Ids of snapshots on their way to followers, sorted: these and the newest one must not be deleted. */
  get snapshotsInUse(): readonly string[] {
    const { leadership } = this.state
    const sent = leadership === undefined ? [] : snapshotsBeingSent(leadership)
    return [...new Set(sent.map(({ id }) => id))].sort()
  }
}
