/**
 * What a server may do that lost what it had promised, or does not know what that was.
 *
 * It neither votes, campaigns nor counts in any quorum until its log is again at least what it can have
 * acknowledged. It asks the leader for its *target*: where the leader's log ends after it was asked.
 *
 * Why that is enough. Let s be the damaged server, T* the term of the leader l that answers; an entry is at risk if
 * s acknowledged it before, and it is or becomes committed by that acknowledgement, however late it arrives.
 *
 *   - Acknowledged to l itself: l had the entry before it sent it, so before s lost it: at or below the target.
 *     (Its commitIndex would not do: the acknowledgement may still be on its way.)
 *   - Acknowledged in an earlier term: the entry's quorum and l's share a server that acknowledged first and voted
 *     then, s before its loss or another one; so l has it (5.4.3).
 *   - In a later term: not by a `relearning` server, which knows its term. An `unknown` one may have been in any,
 *     so it is answered like a read: after a round, begun after the question, that a quorum without s confirms, with
 *     an entry of T* committed. No leader of a later term was elected before the loss then.
 *
 * A quorum with an old vote or acknowledgement of s and one formed later thus share a server that is not s, or s
 * with everything it ever acknowledged. What `unknown` cannot be taught is whom it voted for, in terms above T*. So
 * it counts again only when a quorum without it, first as one that does not count, has made it no voter (`cleared`:
 * in a configuration committed at or above the target) and then a voter again. Whoever could still win by an old
 * vote of s needs a server that agreed to one of these changes, and has not got that change in its log. In the term
 * in which it comes to count its vote is spent.
 *
 * Once `cleared` it votes when asked: it may be a voter before it has the entry that says so, and no other may be left
 * to elect a leader. Whoever asks in T* has no log as good as l's, or followed l by then and is no candidate; whoever
 * holds an old vote of s in a later term cannot win by it, as above. So one at most can.
 *
 * Messages of before the loss are told by their round: the leader begins a new one when it learns of the loss.
 */
import { isVoter } from './configuration.ts'
import { noteAnswer } from './heartbeat.ts'
import type { Lesson } from './following.ts'
import type { Trust } from './input.ts'
import type {
  AppendEntriesReply,
  Candour,
  Distrust,
  HeartbeatReply,
  InstallSnapshotReply,
  Teach,
  TeachReply,
} from './message.ts'
import type { Progress } from './progress.ts'
import { readAtLeader } from './reads.ts'
import { becomeFollower, hearLeader } from './roles.ts'
import type { State } from './state.ts'

// The untrusted server's side

/** What goes into every answer. What was not written yet may be told only by messages that wait for the disk. */
export function candour(trust: Trust): Candour {
  if (trust.kind === 'full') return {}
  return { untrusted: trust.kind === 'unknown' && trust.cleared ? 'cleared' : trust.kind }
}

/** Whether this server may campaign. */
export function hasVote({ configuration, id, trust }: State): boolean {
  return isVoter(configuration, id) && trust.kind === 'full'
}

function lessonOf(state: State): Lesson {
  const { lesson, currentTerm } = state
  if (lesson?.term === currentTerm) return lesson
  const key = state.newKey()
  state.lesson = { term: currentTerm, key, askedAt: -Infinity, target: undefined, matched: 0 }
  return state.lesson
}

/** Asks the leader for the target, and again every T/2 until it answers. */
export function attend(state: State): void {
  const { trust, leader, now, settings, log } = state
  if (trust.kind === 'full' || leader === undefined) return
  const { untrusted } = candour(state.durableTrust)
  const lesson = lessonOf(state)
  const isAsked = now - lesson.askedAt < settings.electionTimeoutMs / 2
  if (lesson.target !== undefined || isAsked || untrusted === undefined) return
  lesson.askedAt = now
  const question = { key: lesson.key, untrusted, lastLogIndex: log.lastIndex }
  state.send({ type: 'teach', ...state.envelope(leader), ...question })
}

export function onTeachReply(state: State, { term, key, lastIndex }: TeachReply): void {
  if (state.trust.kind === 'full' || term !== state.currentTerm) return
  const lesson = lessonOf(state)
  if (lesson.key !== key) return
  lesson.target = lastIndex
  learn(state, 0)
}

/** The log matches the leader's up to `matchIndex`, once it is on disk; or the commit index rose. */
export function learn(state: State, matchIndex: number): void {
  const { trust, history, id } = state
  if (trust.kind === 'full') return
  const lesson = lessonOf(state)
  lesson.matched = Math.max(lesson.matched, matchIndex)
  const { target = Infinity, matched } = lesson
  if (trust.kind === 'relearning') {
    if (matched >= target) state.setTrust({ kind: 'full' })
  } else if (trust.cleared) {
    if (isVoter(state.configuration, id)) startAfresh(state)
  } else if (state.commitIndex >= target && !isVoter(history.at(state.commitIndex), id)) {
    state.setTrust({ kind: 'unknown', cleared: true })
    learn(state, 0)
  }
}

function startAfresh(state: State): void {
  if (state.votedFor === undefined) state.setTerm(state.currentTerm, state.id)
  state.setTrust({ kind: 'full' })
}

/** The leader knows better what this server once had. Its term and vote are kept apart from the log, and believed. */
export function onDistrust(state: State, message: Distrust): void {
  if (message.term < state.currentTerm || !hearLeader(state, message)) return
  if (state.trust.kind !== 'full') return
  state.lesson = undefined
  state.setTrust({ kind: 'relearning' })
}

// The leader's side

/** A member asks what it has to learn. With a new key it is new itself: what it had before says nothing now. */
export function onTeach(state: State, message: Teach): void {
  const { leadership, log } = state
  const { from: peer, term, key, untrusted, lastLogIndex } = message
  const progress = leadership?.progress.get(peer)
  if (leadership === undefined || progress === undefined || term !== state.currentTerm) return
  progress.untrusted = untrusted
  if (progress.teachKey !== key) {
    progress.teachKey = key
    startOver(state, progress, lastLogIndex)
  }
  if (untrusted === 'relearning') {
    state.send({ type: 'teachReply', ...state.envelope(peer), key, lastIndex: log.lastIndex })
  } else readAtLeader(state, leadership, { from: 'pupil', peer, key })
}

/**
 * Common to answers: a higher term ends this one (5.1); another term, a stranger, or a server as it was before it lost
 * its log count for nothing. Notes what the answer says of its sender's word.
 */
export function answered(
  state: State,
  message: AppendEntriesReply | HeartbeatReply | InstallSnapshotReply,
): Progress | undefined {
  const { from, term, round, untrusted } = message
  if (term > state.currentTerm) becomeFollower(state, term, undefined)
  const { leadership } = state
  const progress = leadership?.progress.get(from)
  if (leadership === undefined || progress === undefined || term < state.currentTerm) return
  if (round > leadership.round || round < progress.since) return
  // It has not heard yet that it lost something.
  if (progress.isAccused && untrusted === undefined) return accuse(state, progress)
  const isNews = progress.untrusted === undefined && untrusted !== undefined
  progress.untrusted = untrusted
  progress.isAccused = false
  if (isNews) return startOver(state, progress, progress.matchIndex)
  noteAnswer(state, leadership, progress, round)
  return progress
}

/**
 * Durability regression: the answer to a round that began after an acknowledgement had arrived shows a log without
 * what was acknowledged. Within a term a leader never truncates, so it was lost, and perhaps nobody noticed.
 */
export function showsLoss(
  state: State,
  progress: Progress,
  answer: { readonly round: number; readonly lastLogIndex: number },
): boolean {
  const { proven, nextProof } = progress
  const proof = answer.round >= nextProof.round ? nextProof : proven
  if (answer.round < proof.round) return false
  if (answer.lastLogIndex >= proof.index) {
    progress.proven = proof
    if (proof !== nextProof) return false
    progress.nextProof = { round: state.round + 1, index: progress.matchIndex }
    return false
  }
  startOver(state, progress, answer.lastLogIndex)
  if (progress.untrusted === undefined) {
    progress.isAccused = true
    state.outbox.regressed.push(progress.id)
    accuse(state, progress)
  }
  return true
}

function accuse(state: State, { id }: Progress): undefined {
  state.send({ type: 'distrust', ...state.envelope(id) })
}

/** What a member has, and had, is open again. A new round tells its answers from those of before. */
function startOver(state: State, progress: Progress, lastLogIndex: number): undefined {
  progress.startOver(Math.min(lastLogIndex, state.log.lastIndex) + 1, state.round + 1)
  if (state.leadership !== undefined) state.leadership.sinceHeartbeat = Infinity
}
