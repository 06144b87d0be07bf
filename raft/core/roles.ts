/**
 * The way down: from any role to follower (paper, 5.1, 5.2).
 *
 * A vote is part of the term and outlives the role: stepping down never clears it, or a server could vote twice in
 * one term (nats-server#7698).
 */
import assert from 'node:assert/strict'
import type { AppendEntries, Distrust, Heartbeat, InstallSnapshot } from './message.ts'
import { refuseReads } from './reads.ts'
import type { State } from './state.ts'

type LeaderMessage = (AppendEntries | Heartbeat | InstallSnapshot | Distrust) & {
  readonly round?: number
}

/** Follows in `term`, the current or a later one; `leader` where it is known. */
export function becomeFollower(state: State, term: number, leader: string | undefined): void {
  assert(term >= state.currentTerm && leader !== state.id)
  if (term > state.currentTerm) {
    state.setTerm(term, undefined)
    state.heardRound = 0
    state.leaderGone = false
  }
  if (leader !== state.leader) {
    state.leader = leader
    refuseReads(state)
  }
  abandonLeadership(state)
  if (state.standing.role !== 'follower') {
    state.standing = { role: 'follower' }
    state.resetElectionTimer()
  }
}

function abandonLeadership(state: State): void {
  const { leadership } = state
  if (leadership === undefined) return
  const { transfer, change } = leadership
  if (transfer !== undefined) {
    // Once the target was told to go, an end of this term is its doing as far as anyone can tell from here.
    state.outbox.transfers.push(
      transfer.sent
        ? { id: transfer.id, outcome: 'done' }
        : { id: transfer.id, outcome: 'refused', reason: 'not-leader' },
    )
  }
  if (change !== undefined) state.outbox.changes.push({ id: change, outcome: 'unknown' })
}

/**
 * Somebody speaks as leader of this term or a later one: whoever campaigned gives way (5.2).
 *
 * @returns false when this term has another leader, perhaps this server itself. That cannot be (Election Safety), and
 * which of the two it is that must not be cannot be told here: the first one stays.
 */
export function hearLeader(state: State, message: LeaderMessage): boolean {
  const { from, term } = message
  if (term === state.currentTerm && state.leader !== undefined && state.leader !== from) {
    state.refuse(message, 'election-safety')
    return false
  }
  becomeFollower(state, term, from)
  state.heardAt = state.now
  state.heardRound = Math.max(state.heardRound, message.round ?? 0)
  state.electionElapsed = 0
  state.leaderGone = false
  return true
}
