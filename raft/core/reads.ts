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
import type { Leadership, ReadRequest } from './leadership.ts'
import type { ReadIndex, ReadIndexReply } from './message.ts'
import type { State } from './state.ts'

/** A caller on this server wants a read point. */
export function read(state: State, id: number): void {
  const { leadership } = state
  if (leadership !== undefined) return readAtLeader(state, leadership, { from: 'self', id })
  const { waiting, sent } = state.forward
  if (state.leader === undefined) return refuse(state, { from: 'self', id }, 'no-leader')
  if (waiting.length + (sent?.reads.length ?? 0) >= state.settings.maxPendingReads) {
    return refuse(state, { from: 'self', id }, 'busy')
  }
  waiting.push({ id, at: state.now })
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

/** Leadership ended: whether these reads could have been answered is not known any more. */
export function refuseLeaderReads(state: State, leadership: Leadership): void {
  const open = [...(leadership.readBatch?.reads ?? []), ...leadership.readWaiting]
  leadership.readBatch = undefined
  leadership.readWaiting = []
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
  for (const { id } of sent.reads) {
    if (index !== undefined) answer(state, { from: 'self', id }, index)
    else refuse(state, { from: 'self', id }, 'leader-changed')
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
  const isOpen = ({ at }: { readonly at: number }) => now - at < 2 * electionTimeoutMs
  for (const { id, at } of sent.reads) {
    if (!isOpen({ at })) refuse(state, { from: 'self', id }, 'timeout')
  }
  forward.waiting = [...sent.reads.filter(isOpen), ...forward.waiting]
  forwardReads(state)
}

export function refuseForwardedReads(state: State): void {
  const { forward } = state
  const open = [...(forward.sent?.reads ?? []), ...forward.waiting]
  forward.sent = undefined
  forward.waiting = []
  for (const { id } of open) refuse(state, { from: 'self', id }, 'leader-changed')
}
