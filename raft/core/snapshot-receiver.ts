/**
 * Receiving a snapshot (paper, 7, Figure 13), and compacting behind the own one.
 *
 * Chunks are taken in order and stored outside; only when the last one is stored does the snapshot take effect, in
 * one write. One that reaches no further than what is committed here is not needed; none ever takes that back.
 */
import { rejectOldTerm } from './follower.ts'
import { snapshotsBeingSent } from './leadership.ts'
import type { InstallSnapshot, SnapshotMeta } from './message.ts'
import { hearLeader } from './roles.ts'
import { type Incoming, incomingOf } from './following.ts'
import type { State } from './state.ts'
import { candour, learn } from './trust.ts'

export function onInstallSnapshot(state: State, message: InstallSnapshot): void {
  if (message.term < state.currentTerm) return rejectOldTerm(state, message)
  if (!hearLeader(state, message)) return
  const { snapshot, chunk, data, round } = message
  if (snapshot.lastIncludedIndex <= state.commitIndex) {
    state.incoming = undefined
    return report(state, { ...incomingOf(snapshot, 0), term: message.term, round }, true)
  }
  const { incoming } = state
  // A late chunk of this leader's earlier snapshot must not start it again (openraft 2eccb9e1). Another leader's
  // unfinished one may go further and yet never come to an end: it gives way.
  const isLate =
    incoming?.term === message.term &&
    snapshot.lastIncludedIndex < incoming.snapshot.lastIncludedIndex
  if (isLate) return
  const current =
    incoming?.snapshot.id === snapshot.id ? incoming : incomingOf(snapshot, state.newKey())
  // Rounds are numbered within a term.
  current.round = current.term === message.term ? Math.max(current.round, round) : round
  current.term = message.term
  state.incoming = current
  if (chunk === current.received && chunk < current.snapshot.chunks) {
    current.received += 1
    state.outbox.storeChunks.push({ snapshot: current.snapshot, chunk, data })
  } else report(state, current, false)
}

export function onChunkStored(state: State, snapshotId: string, chunk: number): void {
  const { incoming } = state
  if (incoming?.snapshot.id !== snapshotId || chunk >= incoming.received) return
  // Stores may end in any order; at most a window of them is open.
  if (chunk >= incoming.stored) incoming.ahead.add(chunk)
  while (incoming.ahead.delete(incoming.stored)) incoming.stored += 1
  if (incoming.stored < incoming.snapshot.chunks) return report(state, incoming, false)
  state.incoming = undefined
  // The log may have overtaken it meanwhile.
  if (incoming.snapshot.lastIncludedIndex > state.commitIndex) state.install(incoming.snapshot)
  report(state, incoming, true)
}

/** How far it is; once `isDone`, what the log has. */
function report(state: State, incoming: Incoming, isDone: boolean): void {
  const { leader, commitIndex, currentTerm } = state
  if (leader === undefined) return
  const { snapshot, session, stored: nextChunk, term } = incoming
  // The leader may be another than the one that sent the chunks: its rounds were not answered by them.
  const round = term === currentTerm ? incoming.round : 0
  const body = { round, snapshotId: snapshot.id, session, nextChunk }
  const message = { type: 'installSnapshotReply', ...state.envelope(leader), ...body } as const
  if (!isDone) return state.send({ ...message, ...candour(state.durableTrust) })
  learn(state, commitIndex)
  state.sendDurably({ ...message, ...candour(state.trust), matchIndex: commitIndex })
}

/** The own state machine is on disk up to an applied index: drop the log behind it, but for what others need soon. */
export function onSnapshotSaved(state: State, snapshot: SnapshotMeta): void {
  if (snapshot.lastIncludedIndex <= (state.snapshot?.lastIncludedIndex ?? 0)) return
  state.compact(snapshot, compactionPoint(state, snapshot.lastIncludedIndex))
}

/** At best behind every snapshot on its way to a follower; at least within the bound on bytes. */
function compactionPoint({ leadership, log, settings }: State, index: number): number {
  const sent = leadership === undefined ? [] : snapshotsBeingSent(leadership)
  const trailing = Math.max(log.baseIndex, index - settings.trailingEntries)
  const pinned = Math.min(trailing, ...sent.map(({ lastIncludedIndex }) => lastIncludedIndex))
  const isAffordable = (base: number) =>
    base >= log.baseIndex && log.bytesBetween(base, index) <= settings.maxUncommittedBytes
  return [pinned, trailing].find(isAffordable) ?? index
}
