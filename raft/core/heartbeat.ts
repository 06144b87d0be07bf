/**
 * Rounds: how a leader knows that it still leads.
 *
 * Each broadcast of heartbeats begins a round. What counts is when a round *began*, never when its answers arrived:
 * a broker may deliver seconds late. Two stages of check-quorum (thesis 6.2): no quorum answered within T and the
 * leader takes nothing new; none within 2T and it steps down and falls silent, so that others may elect.
 */
import assert from 'node:assert/strict'
import type { Leadership } from './leadership.ts'
import type { Progress } from './progress.ts'
import { quorumValue } from './quorum.ts'
import type { State } from './state.ts'

/** Begins a round and tells all members. */
export function broadcastHeartbeat(state: State, leadership: Leadership): void {
  beginRound(state, leadership)
  leadership.sinceHeartbeat = 0
  for (const progress of leadership.progress.values()) {
    sendHeartbeat(state, progress, leadership.round)
  }
}

/** Round 0 wants no answer: it only carries the commit index. */
export function sendHeartbeat(state: State, progress: Progress, round: number): void {
  const { commitIndex: leaderCommit, log } = state
  const commitTerm = log.termAt(leaderCommit)
  assert(commitTerm !== undefined, 'what is committed is there')
  progress.toldCommit = Math.max(progress.toldCommit, Math.min(leaderCommit, progress.matchIndex))
  const body = { leaderCommit, commitTerm, round }
  state.send({ type: 'heartbeat', ...state.envelope(progress.id), ...body })
}

function beginRound({ now, settings }: State, leadership: Leadership): void {
  leadership.round += 1
  const times = leadership.roundTimes
  // Reads begin rounds as often as answers come: a coarser record is enough, for it only errs to the early side.
  const newest = times[times.length - 1]
  if (newest === undefined || now - newest.at >= settings.heartbeatMs / 4) {
    times.push({ round: leadership.round, at: now })
  }
  // Older ones are past every use.
  const horizon = now - 2 * settings.electionTimeoutMs
  while (times[0] !== undefined && times[0].at < horizon) times.shift()
}

/** A member answered `round`. It confirms that round where its word counts. */
export function noteAnswer(
  { now }: State,
  { roundTimes }: Leadership,
  progress: Progress,
  round: number,
): void {
  progress.heardAt = now
  if (round <= progress.ackedRound || progress.untrusted !== undefined) return
  progress.ackedRound = round
  const begun = roundTimes.findLast(time => time.round <= round)
  if (begun !== undefined) progress.ackedAt = Math.max(progress.ackedAt, begun.at)
}

/** The newest round that a quorum has answered. */
export function confirmedRound(state: State, { progress }: Leadership): number {
  return quorumValue(state.configuration, id =>
    id === state.id ? Infinity : (progress.get(id)?.ackedRound ?? 0),
  )
}

/** The latest time at which a quorum was surely behind this leader. */
function quorumHeardAt(state: State, { progress }: Leadership): number {
  return quorumValue(state.configuration, id =>
    id === state.id ? state.now : (progress.get(id)?.ackedAt ?? -Infinity),
  )
}

/** First stage: whether new proposals and reads are taken. */
export function isQuorate(state: State, leadership: Leadership): boolean {
  const heardAt = quorumHeardAt(state, leadership)
  assert(heardAt <= state.now)
  return state.now - heardAt < state.settings.electionTimeoutMs
}

/** Whether a leader is known to be well: this one by the answers of a quorum, another one by being heard within T. */
export function isLed(state: State): boolean {
  const { leadership, leader, heardAt, now, settings } = state
  if (leadership !== undefined) return isQuorate(state, leadership)
  return leader !== undefined && now - heardAt < settings.electionTimeoutMs
}

/** Second stage: whether to give up. */
export function hasLostQuorum(state: State, leadership: Leadership): boolean {
  const since = Math.max(quorumHeardAt(state, leadership), leadership.graceFrom)
  return state.now - since >= 2 * state.settings.electionTimeoutMs
}

/** Whether a member answered lately: worth sending more than heartbeats. */
export function isHeard(state: State, progress: Progress): boolean {
  return state.now - progress.heardAt < 2 * state.settings.electionTimeoutMs
}

/** The process did not run for a while: what it knew of others is void, and they get time to be heard again. */
export function forgetAnswers(state: State, leadership: Leadership): void {
  leadership.roundTimes = []
  leadership.graceFrom = state.now
  leadership.sinceHeartbeat = Infinity
  for (const progress of leadership.progress.values()) progress.ackedAt = -Infinity
}
