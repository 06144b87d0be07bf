/**
 * Linearizable reads without the log: ReadIndex (paper, 8; thesis 6.4).
 *
 * The leader notes its commit index, begins a round, and when a quorum has answered that round or a later one it was
 * still the leader when the round began. All reads that wait share a round; the next round takes those that came
 * meanwhile. Keys and rounds are the core's own and never used twice, so that no late answer confirms another
 * question (etcd's stale reads, #20418).
 */
import type { ReadRefusal } from './effect.ts'
import { broadcastHeartbeat, confirmedRound, isQuorate } from './heartbeat.ts'
import type { Leadership, OwnRead, ReadRequest } from './leadership.ts'
import type { ReadIndex, ReadIndexReply } from './message.ts'
import type { State } from './state.ts'

/** A caller on this server wants a read point. */
export function read(state: State, id: number): void {
  const { leadership, leader, forward, settings, now } = state
  const request = { from: 'self', id, at: now } as const
  if (leadership !== undefined) return readAtLeader(state, leadership, request)
  const open = forward.waiting.length + (forward.sent?.reads.length ?? 0)
  if (leader === undefined) return refuse(state, request, 'no-leader')
  if (open >= settings.maxPendingReads) return refuse(state, request, 'busy')
  forward.waiting.push(request)
  forwardReads(state)
}

/** A follower asks the leader. One that asks the wrong server is told so. */
export function onReadIndex(state: State, { from, key, term }: ReadIndex): void {
  const { leadership } = state
  const request: ReadRequest = { from: 'peer', peer: from, key }
  if (leadership === undefined || term !== state.currentTerm) {
    return refuse(state, request, 'no-leader')
  }
  readAtLeader(state, leadership, request)
}

export function readAtLeader(state: State, leadership: Leadership, request: ReadRequest): void {
  const waiting = leadership.readWaiting.length + (leadership.readBatch?.reads.length ?? 0)
  if (leadership.transfer !== undefined) return refuse(state, request, 'transferring')
  if (!isQuorate(state, leadership)) return refuse(state, request, 'no-quorum')
  if (waiting >= state.settings.maxPendingReads) return refuse(state, request, 'busy')
  leadership.readWaiting.push(request)
}

/** Answers what is confirmed and begins the next round. A new leader waits for its no-op (thesis 6.4, step 1). */
export function pumpReads(state: State, leadership: Leadership): void {
  for (;;) {
    const batch = leadership.readBatch
    if (batch !== undefined) {
      if (confirmedRound(state, leadership) < batch.round) return
      leadership.readBatch = undefined
      for (const request of batch.reads) answer(state, request, batch.index)
    }
    if (leadership.readWaiting.length === 0 || !state.committedInTerm) return
    broadcastHeartbeat(state, leadership)
    leadership.readBatch = {
      round: leadership.round,
      index: state.commitIndex,
      reads: leadership.readWaiting,
    }
    leadership.readWaiting = []
  }
}

function answer(state: State, request: ReadRequest, index: number): void {
  if (request.from === 'self') {
    state.outbox.reads.push({ id: request.id, outcome: 'ready', index })
  } else {
    const { from, peer, key } = request
    const envelope = state.envelope(peer)
    if (from === 'peer') state.send({ type: 'readIndexReply', ...envelope, key, index })
    else state.send({ type: 'teachReply', ...envelope, key, lastIndex: state.log.lastIndex })
  }
}

function refuse(state: State, request: ReadRequest, reason: ReadRefusal): void {
  if (request.from === 'self') {
    state.outbox.reads.push({ id: request.id, outcome: 'refused', reason })
  } else if (request.from === 'peer') {
    const { peer, key } = request
    state.send({ type: 'readIndexReply', ...state.envelope(peer), key })
  }
}

/** The leader is another, or none: whether the reads that wait could have been answered is not known any more. */
export function refuseReads(state: State): void {
  const { leadership, forward } = state
  const own = leadership && [...(leadership.readBatch?.reads ?? []), ...leadership.readWaiting]
  const open = [...(own ?? []), ...(forward.sent?.reads ?? []), ...forward.waiting]
  forward.sent = undefined
  forward.waiting = []
  for (const request of open) refuse(state, request, 'leader-changed')
}

/** One question is under way at a time; reads that come meanwhile share the next. */
function forwardReads(state: State): void {
  const { forward, leader } = state
  if (forward.sent !== undefined || forward.waiting.length === 0 || leader === undefined) return
  const key = state.newKey()
  forward.sent = { key, reads: forward.waiting, at: state.now }
  forward.waiting = []
  state.send({ type: 'readIndex', ...state.envelope(leader), key })
}

export function onReadIndexReply(state: State, { key, index }: ReadIndexReply): void {
  const { forward } = state
  const { sent } = forward
  if (sent?.key !== key) return
  forward.sent = undefined
  for (const request of sent.reads) {
    if (index !== undefined) answer(state, request, index)
    else refuse(state, request, 'leader-changed')
  }
  forwardReads(state)
}

/** Asks again, under a new key, what got no answer for T/2; gives up after 2T. */
export function expireForwardedReads(state: State): void {
  const { forward, settings, now } = state
  const { electionTimeoutMs } = settings
  const { sent } = forward
  if (sent === undefined || now - sent.at < electionTimeoutMs / 2) return
  forward.sent = undefined
  const isOpen = ({ at }: OwnRead): boolean => now - at < 2 * electionTimeoutMs
  for (const request of sent.reads) if (!isOpen(request)) refuse(state, request, 'timeout')
  forward.waiting = [...sent.reads.filter(isOpen), ...forward.waiting]
  forwardReads(state)
}
