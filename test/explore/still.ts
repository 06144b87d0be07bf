/**
 * Time taken out of a core: what is left is the same for all moments that lead to the same future.
 *
 * The explorer chooses when a timer fires, so how long ago something happened must not tell two situations apart. A
 * leader counts as heard a moment ago by all, a follower as having heard nobody lately: the protection of a leader
 * (thesis 4.2.3) only keeps messages from having an effect, which a loss does as well. Write numbers count from the
 * last one on disk.
 */
import assert from 'node:assert/strict'
import type { Raft } from '../../raft/core/raft.ts'
import { defaultSettings, type RaftSettings } from '../../raft/core/settings.ts'
import type { State } from '../../raft/core/state.ts'
import { freeze } from './graph.ts'

/** One entry a message, so that logs can be partly replicated; a small window, so that messages can be overtaken. */
export const settings: RaftSettings = freeze({
  ...defaultSettings,
  electionTimeoutMs: 100,
  heartbeatMs: 10,
  maxEntriesPerMessage: 1,
  maxInflightMessages: 2,
  trailingEntries: 0,
})

const { electionTimeoutMs } = settings

/** What to let pass until a follower campaigns, a leader beats, and a leader that hears nobody gives up. */
export const waits = {
  campaign: 1.5 * electionTimeoutMs,
  heartbeat: settings.heartbeatMs,
  resign: 2 * electionTimeoutMs,
} as const

function field<T>(object: object, name: string, kind: string): T {
  const value: unknown = Reflect.get(object, name)
  assert.equal(typeof value, kind, `the core keeps ${name}`)
  return value as T
}

function shift(object: object, name: string, by: number): void {
  Reflect.set(object, name, Math.max(0, field<number>(object, name, 'number') - by))
}

/** Between two steps. */
export function still(raft: Raft): void {
  const state = field<State>(raft, 'state', 'object')
  Object.assign(state, {
    now: 0,
    electionElapsed: 0,
    electionTimeout: waits.campaign,
    heardAt: -Infinity,
    probedAt: -Infinity,
  } satisfies Partial<State>)
  field<number>(state.random, 'state', 'number')
  Reflect.set(state.random, 'state', 1)
  const { leadership, lesson } = state
  if (lesson !== undefined && lesson.askedAt > 0) lesson.askedAt = 0
  if (leadership !== undefined) {
    Object.assign(leadership, { sinceHeartbeat: 0, graceFrom: 0 })
    leadership.roundTimes = [{ round: leadership.round, at: 0 }]
    for (const progress of leadership.progress.values()) {
      Object.assign(progress, { ackedAt: 0, heardAt: 0 })
      const { mode } = progress
      if (mode.kind === 'replicate')
        for (const sent of mode.inflight) Object.assign(sent, { sentAt: 0 })
      if (mode.kind === 'snapshot') mode.movedAt = 0
    }
  }
  renumberWrites(state)
}

function renumberWrites(state: State): void {
  const done = field<number>(state, 'persistedSeq', 'number')
  if (done === 0) return
  for (const write of field<object[]>(state, 'writes', 'object')) shift(write, 'seq', done)
  for (const name of ['issuedSeq', 'persistedSeq']) shift(state, name, done)
  if (state.standing.role === 'candidate') shift(state.standing, 'ownVoteSeq', done)
}
