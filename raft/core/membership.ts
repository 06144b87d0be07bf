/**
 * Changing who belongs to the cluster, by joint consensus (paper, 6).
 *
 * One change at a time, and none before the leader has committed an entry of its own term (thesis errata, 4). The
 * leader itself appends C_new once C_old,new is committed, also one that a predecessor began. A leader that is not in
 * C_new manages the cluster until C_new is committed, not counting itself, and then hands over.
 */
import {
  changed,
  type Configuration,
  type ConfigurationChange,
  isJoint,
  isMember,
  isVoter,
  leftJoint,
  membersOf,
} from './configuration.ts'
import type { ChangeRefusal } from './effect.ts'
import { isHeard, isQuorate, sendHeartbeat } from './heartbeat.ts'
import type { Leadership } from './leadership.ts'
import { Progress } from './progress.ts'
import type { State } from './state.ts'
import { handOver } from './transfer.ts'

export function changeConfiguration(state: State, id: number, change: ConfigurationChange): void {
  const reason = beginChange(state, id, change)
  if (reason !== undefined) state.outbox.changes.push({ id, outcome: 'refused', reason })
}

/** @returns why not, or `undefined` once it is begun. */
function beginChange(
  state: State,
  id: number,
  change: ConfigurationChange,
): ChangeRefusal | undefined {
  const { leadership, history, commitIndex } = state
  if (leadership === undefined) return 'not-leader'
  if (leadership.transfer !== undefined) return 'transferring'
  if (!isQuorate(state, leadership)) return 'no-quorum'
  if (!state.committedInTerm) return 'not-ready'
  if (isJoint(history.latest) || history.latestIndex > commitIndex) return 'in-progress'
  const next = changed(history.latest, change)
  if (next === undefined) return 'invalid'
  if (!areCaughtUp(state, leadership, next)) return 'not-caught-up'
  leadership.change = id
  appendConfiguration(state, leadership, next)
  return undefined
}

/**
 * A new voter has to be a learner at most a message behind, or the cluster could stand still for it (thesis 4.2.1);
 * and one whose word counts as soon as it is a voter.
 */
function areCaughtUp(state: State, { progress }: Leadership, next: Configuration): boolean {
  const { configuration, commitIndex, settings } = state
  return next.voters
    .filter(id => !isVoter(configuration, id))
    .every(id => {
      const peer = progress.get(id)
      const enough = commitIndex - settings.maxEntriesPerMessage
      if (peer === undefined || !isHeard(state, peer)) return false
      if (!peer.isTrusted && peer.untrusted !== 'cleared') return false
      return peer.matchIndex >= Math.max(1, enough)
    })
}

function appendConfiguration(state: State, leadership: Leadership, next: Configuration): void {
  const { log, currentTerm } = state
  const index = log.lastIndex + 1
  state.append([{ kind: 'configuration', index, term: currentTerm, configuration: next }])
  leadership.hurryTo = index
  // A new voter may not have counted so far.
  leadership.graceFrom = state.now
  // Who leaves is served until C_new is committed, so that it learns of it.
  const ids = new Set([...membersOf(next), ...leadership.progress.keys()])
  ids.delete(state.id)
  leadership.progress = new Map(
    [...ids]
      .sort()
      .map(id => [id, leadership.progress.get(id) ?? new Progress(id, log.lastIndex, -Infinity)]),
  )
}

/** What follows from a configuration being committed. @returns false when this server leads no longer. */
export function settleConfiguration(state: State, leadership: Leadership): boolean {
  const { history, commitIndex } = state
  const { latest } = history
  if (history.latestIndex > commitIndex || !state.committedInTerm) return true
  if (isJoint(latest)) {
    appendConfiguration(state, leadership, leftJoint(latest))
    return true
  }
  letGo(state, leadership)
  if (leadership.change !== undefined) {
    state.outbox.changes.push({ id: leadership.change, outcome: 'done' })
    leadership.change = undefined
  }
  if (isVoter(latest, state.id)) return true
  handOver(state, leadership)
  return false
}

/** Who is no member any more is served until it has C_new and knows that it is committed, or answers no longer. */
function letGo(state: State, { progress }: Leadership): void {
  const { latest, latestIndex } = state.history
  for (const peer of [...progress.values()]) {
    if (isMember(latest, peer.id)) continue
    const knows = peer.matchIndex >= latestIndex
    if (knows) sendHeartbeat(state, peer, 0)
    if (knows || !isHeard(state, peer)) progress.delete(peer.id)
  }
}
