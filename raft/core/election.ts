/**
 * Elections (paper, 5.2, 5.4.1), with a pre-vote before each (thesis 9.6) so that a server that cannot win disturbs
 * nobody, and protection of a leader that others still hear (thesis 4.2.3).
 *
 * Nothing leaves before it is on disk: neither a vote, nor the request for votes. A candidate that crashed and came
 * back with less log, in the same term, could otherwise win by votes given to the log it lost.
 */
import assert from 'node:assert/strict'
import { membersOf, votersOf } from './configuration.ts'
import { sendHeartbeatReply } from './follower.ts'
import { isLed } from './heartbeat.ts'
import type { PreVote, PreVoteReply, RequestVote, RequestVoteReply, TimeoutNow } from './message.ts'
import { Progress } from './progress.ts'
import { isWon } from './quorum.ts'
import { becomeFollower } from './roles.ts'
import type { State } from './state.ts'
import { hasVote } from './trust.ts'

/** Time went by for a server that does not lead. One that has no vote never campaigns. */
export function elapseElection(state: State, ms: number): void {
  state.electionElapsed += ms
  const { configuration, standing } = state
  if (!hasVote(state)) return
  const alone = votersOf(configuration).length === 1 && standing.role === 'follower'
  const isDue = alone || state.electionElapsed >= state.electionTimeout
  if (isDue && !awaitsDisk(state)) startPreVote(state)
  else if (state.leader !== undefined) watchLeader(state)
}

/**
 * A candidacy that is not on disk yet has asked nobody. Another one would only drive up the term: with a disk that hangs
 * without end, and each new term ends the campaigns of those who hear of it.
 */
function awaitsDisk(state: State): boolean {
  const { standing } = state
  return standing.role === 'candidate' && !state.isPersisted(standing.ownVoteSeq)
}

/** Two heartbeats missed: say something to the leader, so that the broker can tell whether it is there at all. */
function watchLeader(state: State): void {
  const { heartbeatMs } = state.settings
  if (state.now - state.heardAt < 2 * heartbeatMs || state.now - state.probedAt < heartbeatMs)
    return
  probeLeader(state)
}

function probeLeader(state: State): void {
  if (state.leader === undefined || state.leader === state.id) return
  state.probedAt = state.now
  sendHeartbeatReply(state, state.leader, state.heardRound)
}

/** Nobody listens where the leader should: no need to wait for the whole timeout, nor to protect it. */
export function onLeaderGone(state: State): void {
  if (!hasVote(state) || state.leaderGone) return
  state.leaderGone = true
  hurry(state)
}

/** Campaign within a heartbeat, at random: all servers get the hint at once, and should not split the vote. */
function hurry(state: State): void {
  const soon = state.electionTimeout - state.random.between(0, state.settings.heartbeatMs)
  state.electionElapsed = Math.max(state.electionElapsed, soon)
}

function startPreVote(state: State): void {
  becomeFollower(state, state.currentTerm, undefined)
  state.resetElectionTimer()
  state.standing = { role: 'preCandidate', votes: new Map([[state.id, true]]) }
  const { log, currentTerm, leaderGone } = state
  const question = { nextTerm: currentTerm + 1, ...log.end, leaderGone }
  for (const to of otherVoters(state)) {
    state.send({ type: 'preVote', ...state.envelope(to), ...question })
  }
  countPreVotes(state)
}

export function onPreVote(state: State, message: PreVote): void {
  const { from, nextTerm, lastLogIndex, lastLogTerm } = message
  const isFit = nextTerm > state.currentTerm && isComplete(state, lastLogIndex, lastLogTerm)
  const isProtected = protectsLeader(state, from)
  // Granting touches no timer and no state: it is an opinion (hashicorp/raft#609).
  state.send({
    type: 'preVoteReply',
    ...state.envelope(from),
    nextTerm,
    voteGranted: isFit && !isProtected && !goesFirst(state, message),
  })
  const { standing } = state
  if (message.leaderGone && isProtected) probeLeader(state)
  else if (isProtected || isFit) return
  else if (message.leaderGone && state.leaderGone && standing.role !== 'leader') hurry(state)
  // It cannot win against this server's log, and this one has heard of no leader since it started: nor need it wait.
  else if (state.heardAt === -Infinity && standing.role === 'follower') hurry(state)
}

/**
 * Whether a log that ends so has all that may be committed, for all this server knows (5.4.1). One whose own log is
 * not what it was cannot tell (trust.ts); nor one with an empty log: founders begin with an entry. One that is cleared
 * votes when asked: its old votes elect nobody any more, and it may be a voter before it has the entry that says so.
 */
function isComplete({ log, trust }: State, lastLogIndex: number, lastLogTerm: number): boolean {
  const isOver = trust.kind === 'unknown' && trust.cleared === true
  if (trust.kind !== 'full' && !isOver) return false
  return log.lastIndex > 0 && log.isUpToDate(lastLogIndex, lastLogTerm)
}

/**
 * Whether the own campaign, begun at the same time with a log just as good, goes before: the smaller name does, or
 * both would vote for themselves. Not if the other refused, and only for a moment: it may find no majority where
 * the other would.
 */
function goesFirst(state: State, { from, lastLogIndex, lastLogTerm }: PreVote): boolean {
  const { standing, electionElapsed, settings, log, id } = state
  if (standing.role !== 'preCandidate' || standing.votes.get(from) === false) return false
  if (electionElapsed >= settings.heartbeatMs) return false
  return lastLogIndex === log.lastIndex && lastLogTerm === log.lastTerm && id < from
}

/**
 * Whether a leader is known to be well, so that an election would only disturb. Not against that leader itself, come
 * back after a restart (hashicorp/raft#606).
 */
function protectsLeader(state: State, candidate: string): boolean {
  return isLed(state) && state.leader !== candidate && !state.leaderGone
}

export function onPreVoteReply(state: State, message: PreVoteReply): void {
  if (message.term > state.currentTerm) return becomeFollower(state, message.term, undefined)
  const { standing } = state
  // A late answer to an earlier campaign says nothing of this one (openraft 511f33c7).
  if (standing.role !== 'preCandidate' || message.nextTerm !== state.currentTerm + 1) return
  standing.votes.set(message.from, message.voteGranted)
  countPreVotes(state)
}

function countPreVotes(state: State): void {
  const { standing } = state
  assert(standing.role === 'preCandidate')
  if (isWon(state.configuration, standing.votes)) startElection(state, false)
}

function startElection(state: State, transfer: boolean): void {
  becomeFollower(state, state.currentTerm, undefined)
  // From here on the log stays as the votes are asked for it.
  state.incoming = undefined
  state.setTerm(state.currentTerm + 1, state.id)
  state.heardRound = 0
  state.resetElectionTimer()
  state.standing = { role: 'candidate', votes: new Map(), ownVoteSeq: state.coveringSeq }
  for (const to of otherVoters(state)) {
    state.sendDurably({ type: 'requestVote', ...state.envelope(to), ...state.log.end, transfer })
  }
}

function otherVoters({ configuration, id }: State): string[] {
  return votersOf(configuration).filter(voter => voter !== id)
}

/** The own vote counts like any other: when it is on disk. */
export function countOwnVote(state: State): void {
  const { standing } = state
  if (standing.role !== 'candidate' || !state.isPersisted(standing.ownVoteSeq)) return
  standing.votes.set(state.id, true)
  countVotes(state)
}

/** A server votes when asked, whatever its own configuration says of itself: it may be behind (6). */
export function onRequestVote(state: State, message: RequestVote): void {
  const { from, term, lastLogIndex, lastLogTerm, transfer } = message
  if (term > state.currentTerm) {
    if (!transfer && protectsLeader(state, from)) return
    becomeFollower(state, term, undefined)
  }
  const isFit = term === state.currentTerm && isComplete(state, lastLogIndex, lastLogTerm)
  const isFree = state.votedFor === undefined || state.votedFor === from
  const voteGranted = isFit && isFree
  if (voteGranted) {
    // An own pre-vote under way would only disturb the one that has this vote.
    if (state.standing.role === 'preCandidate') becomeFollower(state, term, undefined)
    if (state.votedFor === undefined) state.setTerm(term, from)
    state.electionElapsed = 0
  }
  state.sendDurably({ type: 'requestVoteReply', ...state.envelope(from), voteGranted })
}

export function onRequestVoteReply(state: State, message: RequestVoteReply): void {
  if (message.term > state.currentTerm) return becomeFollower(state, message.term, undefined)
  const { standing } = state
  if (standing.role !== 'candidate' || message.term !== state.currentTerm) return
  standing.votes.set(message.from, message.voteGranted)
  countVotes(state)
}

function countVotes(state: State): void {
  const { standing } = state
  assert(standing.role === 'candidate')
  if (!state.isPersisted(standing.ownVoteSeq)) return
  if (isWon(state.configuration, standing.votes)) becomeLeader(state)
}

/** The leader wants this server to take over, and has made sure that its log is complete (thesis 3.10). */
export function onTimeoutNow(state: State, { term, from }: TimeoutNow): void {
  if (term !== state.currentTerm || state.leader !== from) return
  if (hasVote(state)) startElection(state, true)
}

function becomeLeader(state: State): void {
  const { log, currentTerm, now } = state
  const firstIndex = log.lastIndex + 1
  assert.equal(state.votedFor, state.id)
  assert.equal(state.persistedIndex, log.lastIndex, 'a candidate was durable before it asked')
  const others = membersOf(state.configuration).filter(id => id !== state.id)
  state.standing = {
    role: 'leader',
    leadership: {
      progress: new Map(others.map(id => [id, new Progress(id, firstIndex, now)])),
      round: 0,
      roundTimes: [],
      // The first heartbeat goes out at once.
      sinceHeartbeat: Infinity,
      graceFrom: now,
      readWaiting: [],
      readBatch: undefined,
      transfer: undefined,
      change: undefined,
      hurryTo: firstIndex,
      owesNews: false,
    },
  }
  state.leader = state.id
  state.leaderGone = false
  // Entries of earlier terms are committed only together with one of this term (5.4.2).
  state.append([{ kind: 'noop', index: firstIndex, term: currentTerm }])
}
