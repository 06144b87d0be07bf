/**
 * The follower's side of log replication (paper, 5.3, Figure 2, "Receiver implementation").
 *
 * A message that was delayed or repeated must do no harm: entries are dropped only where one really conflicts,
 * commitIndex only rises and never past what this very message proved to match.
 */
import type { AppendEntries, Heartbeat, Message } from './message.ts'
import { hearLeader } from './roles.ts'
import type { State } from './state.ts'
import { candour, learn } from './trust.ts'

export function onAppendEntries(state: State, message: AppendEntries): void {
  if (message.term < state.currentTerm) return rejectOldTerm(state, message)
  if (!hearLeader(state, message)) return
  const { log, commitIndex } = state
  const { prevLogIndex, prevLogTerm, entries, leaderCommit } = message
  const lastIndex = prevLogIndex + entries.length
  // All of it is committed here, so this leader has it too (leader completeness, 5.4.3).
  if (lastIndex <= commitIndex) return acknowledge(state, message, commitIndex)
  // Only what is above commitIndex is looked at: below it the log may be compacted, and matches.
  const isBehind = prevLogIndex < commitIndex
  const fresh = isBehind ? entries.slice(commitIndex - prevLogIndex) : entries
  const term = isBehind ? entries[commitIndex - prevLogIndex - 1]?.term : prevLogTerm
  if (log.termAt(Math.max(prevLogIndex, commitIndex)) !== term) {
    // A leader has everything that is committed (5.4.3).
    if (isBehind) return state.refuse(message, 'leader-completeness')
    return reject(state, message)
  }
  const conflict = fresh.findIndex(entry => log.termAt(entry.index) !== entry.term)
  const first = fresh[conflict]
  if (first !== undefined) {
    if (first.index <= log.lastIndex) state.truncateFrom(first.index)
    state.append(fresh.slice(conflict))
  }
  state.commitTo(Math.min(leaderCommit, lastIndex))
  acknowledge(state, message, lastIndex)
}

function acknowledge(state: State, { from, round }: AppendEntries, matchIndex: number): void {
  learn(state, matchIndex)
  const result = { success: true, matchIndex } as const
  const told = candour(state.trust)
  state.sendDurably({ type: 'appendEntriesReply', ...state.envelope(from), round, ...told, result })
}

function reject(state: State, { from, round, prevLogIndex, prevLogTerm }: AppendEntries): void {
  const { log, durableTrust } = state
  const hintIndex = log.lastWithTermAtMost(prevLogTerm, prevLogIndex)
  const hint = { hintIndex, hintTerm: log.termAt(hintIndex) ?? 0 }
  const head = { ...state.envelope(from), round, ...candour(durableTrust) }
  const result = { success: false, rejectedIndex: prevLogIndex, ...hint } as const
  state.send({ type: 'appendEntriesReply', ...head, result })
}

export function onHeartbeat(state: State, message: Heartbeat): void {
  if (message.term < state.currentTerm) return rejectOldTerm(state, message)
  if (!hearLeader(state, message)) return
  const { leaderCommit, commitTerm } = message
  // An entry of that index and term is that very entry, with the same history (5.3).
  if (state.log.termAt(leaderCommit) === commitTerm) state.commitTo(leaderCommit)
  learn(state, 0)
  if (message.round > 0) sendHeartbeatReply(state, message.from, message.round)
}

/** Round 0 answers nothing, but tells of this server and its term. */
export function sendHeartbeatReply(state: State, to: string, round: number): void {
  const { log, durableTrust } = state
  const answer = { round, ...candour(durableTrust), lastLogIndex: log.lastIndex }
  state.send({ type: 'heartbeatReply', ...state.envelope(to), ...answer })
}

/** A leader of an earlier term learns of this one, and steps down. */
export function rejectOldTerm(state: State, { from }: Message): void {
  sendHeartbeatReply(state, from, 0)
}
