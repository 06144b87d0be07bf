/**
 * Sending a snapshot to a follower whose entries are compacted (paper, 7), in chunks.
 *
 * The core counts chunks; the driver holds the bytes. The receiver's answer is the credit: so many chunks beyond the
 * last one stored may be on the way. What stalls is repeated from there, so a transfer resumes and never blocks.
 */
import type { Leadership } from './leadership.ts'
import { isHeard } from './heartbeat.ts'
import type { InstallSnapshotReply } from './message.ts'
import type { Progress, Sending } from './progress.ts'
import type { State } from './state.ts'
import { answered } from './trust.ts'

export function flushSnapshot(state: State, progress: Progress, mode: Sending): void {
  const { snapshot } = mode
  const envelope = { type: 'installSnapshot', ...state.envelope(progress.id) } as const
  const end = Math.min(snapshot.chunks, mode.ackedChunks + mode.window)
  for (; mode.nextChunk < end; mode.nextChunk += 1) {
    const { nextChunk: chunk } = mode
    state.outbox.sendChunks.push({ ...envelope, snapshot, chunk, round: state.round })
  }
}

export function onInstallSnapshotReply(state: State, message: InstallSnapshotReply): void {
  const progress = answered(state, message)
  if (progress === undefined) return
  const { matchIndex, snapshotId, session, nextChunk } = message
  const { mode } = progress
  if (matchIndex !== undefined) {
    if (matchIndex > state.log.lastIndex) state.refuse(message, 'log-matching')
    else progress.matched(matchIndex)
    return
  }
  if (mode.kind !== 'snapshot' || mode.snapshot.id !== snapshotId) return
  if (nextChunk > mode.snapshot.chunks) return state.refuse(message, 'log-matching')
  if (mode.session !== undefined && mode.session !== session) {
    // The receiver began anew, after a restart for instance: what it had stored is gone.
    mode.nextChunk = nextChunk
  } else if (nextChunk <= mode.ackedChunks) {
    mode.session = session
    return
  }
  mode.session = session
  mode.ackedChunks = nextChunk
  mode.nextChunk = Math.max(mode.nextChunk, nextChunk)
  mode.window = state.settings.snapshotWindow
  mode.movedAt = state.now
}

/** Nothing moved for T/2: one chunk again, the last one if all are stored, to learn where the receiver stands. */
export function elapseSnapshots(state: State, { progress }: Leadership): void {
  const { now, settings, snapshot: newest, log } = state
  for (const peer of progress.values()) {
    const { mode } = peer
    if (mode.kind !== 'snapshot' || now - mode.movedAt < settings.electionTimeoutMs / 2) continue
    if (!isHeard(state, peer)) continue
    if (newest !== undefined && mode.snapshot.lastIncludedIndex < log.baseIndex) {
      // The log no longer continues that snapshot.
      peer.sendSnapshot(newest, now, 1)
      continue
    }
    mode.nextChunk = Math.min(mode.ackedChunks, mode.snapshot.chunks - 1)
    mode.window = 1
    mode.movedAt = now
  }
}
