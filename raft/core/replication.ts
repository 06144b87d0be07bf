/**
 * The leader's side of log replication (paper, 5.3, 5.4.2; pipelined, thesis 10.2).
 *
 * Entries go to followers and to the own disk at the same time; the own disk counts in the quorum like any other
 * (thesis 10.2.1). Inputs only change what is known; `flush` then sends, once a step, all that the windows allow.
 */
import assert from 'node:assert/strict'
import type { Proposal } from './input.ts'
import { type CommandEntry, sizeOf } from './entry.ts'
import type { ProposeRefusal } from './effect.ts'
import { hasLostQuorum, isHeard, isQuorate, sendHeartbeat } from './heartbeat.ts'
import type { Leadership } from './leadership.ts'
import type { AppendEntriesReply, HeartbeatReply } from './message.ts'
import type { Probe, Progress, Replicate } from './progress.ts'
import { quorumValue } from './quorum.ts'
import { becomeFollower } from './roles.ts'
import { flushSnapshot } from './snapshot-sender.ts'
import type { State } from './state.ts'
import { answered, showsLoss } from './trust.ts'

/**
 * Messages of entries to one follower in one step. A long log is not sent at one stretch: each acknowledgement, and
 * whatever else is a step, lets more of it go, up to the window.
 */
const maxSentAtOnce = 4

/** Takes or refuses each proposal; what is taken gets its term here and now, never a later one. */
export function propose(state: State, proposals: readonly Proposal[]): void {
  const { log, currentTerm, outbox, leader, leadership } = state
  const entries: CommandEntry[] = []
  const standing = standingRefusal(state)
  let bytes = 0
  for (const { id, data, patient } of proposals) {
    const index = log.lastIndex + entries.length + 1
    const entry: CommandEntry = { kind: 'command', index, term: currentTerm, data }
    const reason = standing ?? refusal(state, sizeOf(entry), bytes)
    if (reason !== undefined) {
      outbox.proposals.push({ id, outcome: 'refused', reason, leader })
      continue
    }
    bytes += sizeOf(entry)
    entries.push(entry)
    if (patient !== true && leadership !== undefined) leadership.hurryTo = index
    outbox.proposals.push({ id, outcome: 'accepted', index, term: currentTerm })
  }
  state.append(entries)
}

/** Why nothing is taken now, whatever it is. */
function standingRefusal(state: State): ProposeRefusal | undefined {
  const { leadership } = state
  if (leadership === undefined) return 'not-leader'
  if (leadership.transfer !== undefined) return 'transferring'
  return isQuorate(state, leadership) ? undefined : 'no-quorum'
}

function refusal(state: State, size: number, before: number): ProposeRefusal | undefined {
  const { log, settings, commitIndex } = state
  if (size > settings.maxBytesPerMessage) return 'too-large'
  const uncommitted = log.bytesBetween(commitIndex, log.lastIndex) + before
  if (uncommitted > 0 && uncommitted + size > settings.maxUncommittedBytes) return 'busy'
  const unapplied = log.bytesBetween(state.lastApplied, commitIndex)
  return unapplied >= settings.maxUnappliedBytes ? 'busy' : undefined
}

export function onAppendEntriesReply(state: State, message: AppendEntriesReply): void {
  const progress = answered(state, message)
  if (progress === undefined) return
  const { result, round } = message
  if (result.success) {
    // Within a term a leader never truncates, so an old acknowledgement is still true; one beyond the log never was.
    if (result.matchIndex > state.log.lastIndex) state.refuse(message, 'log-matching')
    else if (progress.mode.kind === 'snapshot' && result.matchIndex < state.log.baseIndex) {
      progress.matchIndex = Math.max(progress.matchIndex, result.matchIndex)
    } else progress.matched(result.matchIndex)
    return
  }
  const { rejectedIndex } = result
  if (showsLoss(state, progress, { round, lastLogIndex: rejectedIndex - 1 })) return
  const { mode } = progress
  const isNews = mode.kind === 'replicate' || rejectedIndex === progress.nextIndex - 1
  if (mode.kind === 'snapshot' || !isNews || rejectedIndex <= progress.matchIndex) return
  const hint = state.log.lastWithTermAtMost(result.hintTerm, result.hintIndex)
  progress.probe(Math.min(rejectedIndex, hint + 1))
}

export function onHeartbeatReply(state: State, message: HeartbeatReply): void {
  const progress = answered(state, message)
  if (progress === undefined || showsLoss(state, progress, message)) return
  if (progress.mode.kind !== 'replicate') return
  const oldest = progress.mode.inflight[0]
  if (oldest === undefined) return
  // It answered a later round but does not have what was sent before: that was lost on the way.
  const isLost = oldest.round < message.round && message.lastLogIndex < oldest.lastIndex
  if (isLost) progress.probe(message.lastLogIndex + 1)
}

/** Commits what a quorum has on disk, if it is of this term: earlier entries only along with one (5.4.2, Figure 8). */
export function advanceCommit(state: State, { progress }: Leadership): void {
  const index = quorumValue(state.configuration, id =>
    id === state.id ? state.persistedIndex : (progress.get(id)?.countedIndex ?? 0),
  )
  if (state.log.termAt(index) === state.currentTerm) state.commitTo(index)
}

/** Time went by for a leader. @returns false when it no longer is one. */
export function elapseLeader(state: State, leadership: Leadership): boolean {
  if (hasLostQuorum(state, leadership)) {
    becomeFollower(state, state.currentTerm, undefined)
    return false
  }
  const { now, settings } = state
  for (const progress of leadership.progress.values()) {
    const { mode } = progress
    const oldest = mode.kind === 'replicate' ? mode.inflight[0] : undefined
    // However it was lost, nothing stays in flight for ever.
    if (oldest !== undefined && now - oldest.sentAt >= settings.electionTimeoutMs) progress.probe()
  }
  return true
}

/** A heartbeat's time has come: lost probes are repeated. */
export function unpauseProbes({ progress }: Leadership): void {
  for (const { mode } of progress.values()) if (mode.kind === 'probe') mode.paused = false
}

/** Sends everyone what may be sent. */
export function flush(state: State, leadership: Leadership): void {
  leadership.owesNews = false
  for (const progress of leadership.progress.values()) {
    const { mode } = progress
    if (mode.kind === 'snapshot') flushSnapshot(state, progress, mode)
    else if (progress.nextIndex <= state.log.baseIndex) beginSnapshot(state, progress)
    else if (mode.kind === 'probe') flushProbe(state, progress, mode)
    else {
      flushWindow(state, progress, mode)
      flushNews(state, leadership, progress, mode)
    }
  }
}

/** The entries it needs are gone (7). One that is not heard has no use for megabytes: heartbeats must do. */
function beginSnapshot(state: State, progress: Progress): void {
  if (!isHeard(state, progress)) return
  const { snapshot, now, settings } = state
  assert(snapshot !== undefined, 'what is compacted is in a snapshot')
  flushSnapshot(state, progress, progress.sendSnapshot(snapshot, now, settings.snapshotWindow))
}

function flushProbe(state: State, progress: Progress, mode: Probe): void {
  if (mode.paused) return
  mode.paused = true
  const maxEntries = isHeard(state, progress) ? state.settings.maxEntriesPerMessage : 0
  sendAppendEntries(state, progress, maxEntries)
}

function flushWindow(state: State, progress: Progress, { inflight }: Replicate): void {
  const { settings, log, now } = state
  const most = Math.min(settings.maxInflightMessages, inflight.length + maxSentAtOnce)
  while (progress.nextIndex <= log.lastIndex && inflight.length < most) {
    const bytes = log.bytesBetween(progress.matchIndex, progress.nextIndex - 1)
    if (inflight.length > 0 && bytes >= settings.maxInflightBytes) break
    const lastIndex = sendAppendEntries(state, progress, settings.maxEntriesPerMessage)
    assert(lastIndex >= progress.nextIndex)
    inflight.push({ lastIndex, round: state.round, sentAt: now })
    progress.nextIndex = lastIndex + 1
  }
}

/**
 * The commit index, where no message brings it along: while something is in flight, the next one or the next
 * acknowledgement does. What nobody waits for elsewhere may wait for the entries that come next: while changes flow, a
 * third of all messages is spared, and a follower applies an entry while its disk writes the next.
 */
function flushNews(
  state: State,
  leadership: Leadership,
  progress: Progress,
  { inflight }: Replicate,
): void {
  const commit = Math.min(state.commitIndex, progress.matchIndex)
  if (inflight.length > 0 || progress.toldCommit >= commit) return
  if (progress.toldCommit < leadership.hurryTo) sendHeartbeat(state, progress, 0)
  else leadership.owesNews = true
}

/** Nothing came that could have brought the news along. */
export function tell({ leadership }: State, index: number): void {
  if (leadership !== undefined) leadership.hurryTo = Math.max(leadership.hurryTo, index)
}

/** @returns the index of the last entry sent. */
function sendAppendEntries(state: State, progress: Progress, maxEntries: number): number {
  const { log, settings, commitIndex: leaderCommit, round } = state
  const prevLogIndex = progress.nextIndex - 1
  const prevLogTerm = log.termAt(prevLogIndex)
  assert(prevLogTerm !== undefined, 'what is sent is there')
  const entries = log.slice(progress.nextIndex, maxEntries, settings.maxBytesPerMessage)
  const lastIndex = prevLogIndex + entries.length
  if (progress.mode.kind === 'replicate') {
    progress.toldCommit = Math.max(progress.toldCommit, Math.min(leaderCommit, lastIndex))
  }
  const body = { prevLogIndex, prevLogTerm, entries, leaderCommit, round }
  state.send({ type: 'appendEntries', ...state.envelope(progress.id), ...body })
  return lastIndex
}
