/**
 * Schedules that chance hardly ever finds, told by hand to a single core: what the simulator is not asked to find.
 *
 * Each throws where the core does what it must not.
 */
import assert from 'node:assert/strict'
import { configurationOf } from '../../raft/core/configuration.ts'
import type { Entry } from '../../raft/core/entry.ts'
import type { Input, PersistedState } from '../../raft/core/input.ts'
import type { Message } from '../../raft/core/message.ts'
import type { ProposalResult } from '../../raft/core/effect.ts'
import type { Raft, RaftOptions } from '../../raft/core/raft.ts'
import { defaultSettings } from '../../raft/core/settings.ts'
import { ProposalFate, type SettledProposal } from '../../raft/fate.ts'

export type CoreClass = new (options: RaftOptions) => Raft

function command(index: number, term: number): Entry {
  return { kind: 'command', index, term, data: new Uint8Array([index, term]) }
}

function persisted(state: Partial<PersistedState>, entries: readonly Entry[] = []): PersistedState {
  const configuration = configurationOf(['a', 'b', 'c'])
  return {
    currentTerm: 1,
    votedFor: undefined,
    snapshot: undefined,
    ...state,
    entries: [{ kind: 'configuration', index: 1, term: 1, configuration }, ...entries],
  }
}

/** A core `a` of three, whose disk is instant. */
class Hero {
  readonly raft: Raft
  readonly fate = new ProposalFate()
  readonly proposals: (ProposalResult | SettledProposal)[] = []
  readonly sent: Message[] = []

  constructor(core: CoreClass, state: PersistedState) {
    this.raft = new core({ id: 'a', settings: defaultSettings, persisted: state, seed: 1 })
  }

  step(input: Input): void {
    const effects = this.raft.step(input)
    const { persist, proposals, send } = effects
    this.proposals.push(...proposals, ...this.fate.after(effects))
    this.sent.push(...send.map(({ message }) => message))
    if (persist) this.step({ type: 'persisted', seq: persist.seq })
  }

  hear(message: Message): void {
    this.step({ type: 'message', message })
  }

  /** Becomes leader by the votes of `b`. */
  lead(): void {
    while (this.raft.role === 'follower') this.step({ type: 'elapse', ms: 20 })
    const term = this.raft.currentTerm
    const vote = { from: 'b', to: 'a', voteGranted: true } as const
    this.hear({ ...vote, type: 'preVoteReply', term, nextTerm: term + 1 })
    this.hear({ ...vote, type: 'requestVoteReply', term: term + 1 })
    assert.equal(this.raft.role, 'leader')
  }

  follow(
    from: string,
    prev: readonly [number, number],
    entries: readonly Entry[],
    leaderCommit: number,
  ): void {
    const [prevLogIndex, prevLogTerm] = prev
    const term = Math.max(...entries.map(entry => entry.term))
    const round = 1
    const body = {
      type: 'appendEntries',
      prevLogIndex,
      prevLogTerm,
      entries,
      leaderCommit,
      round,
    } as const
    this.hear({ ...body, from, to: 'a', term })
  }
}

/** Figure 8 (c): an entry of term 2 reaches a majority in term 4, and may still be overwritten. */
function oldEntryOnMajority(core: CoreClass): void {
  const hero = new Hero(core, persisted({ currentTerm: 3 }, [command(2, 2)]))
  hero.lead()
  const result = { success: true, matchIndex: 2 } as const
  hero.hear({ type: 'appendEntriesReply', from: 'b', to: 'a', term: 4, round: 1, result })
  assert.equal(hero.raft.commitIndex, 0, 'committed by counting')
}

/** Voted for b in term 2, crashed, came back; c asks in the same term. */
function secondVoteAfterRestart(core: CoreClass): void {
  const hero = new Hero(core, persisted({ currentTerm: 2, votedFor: 'b' }))
  const ask = { lastLogIndex: 1, lastLogTerm: 1, transfer: false } as const
  hero.hear({ type: 'requestVote', from: 'c', to: 'a', term: 2, ...ask })
  const granted = hero.sent.some(
    message => message.type === 'requestVoteReply' && message.voteGranted,
  )
  assert(!granted, 'two votes in one term')
}

/** Figure 8 (e): what was truncated comes back with a third leader, and is committed. */
function truncatedComesBack(core: CoreClass): void {
  const hero = new Hero(core, persisted({}))
  hero.lead()
  hero.step({ type: 'propose', proposals: [{ id: 7, data: new Uint8Array([1]) }] })
  const noop: Entry = { kind: 'noop', index: 2, term: 2 }
  hero.follow('b', [1, 1], [{ ...noop, term: 3 }], 0)
  assert.equal(hero.raft.lastIndex, 2, 'the proposal was truncated')
  const mine: Entry = { kind: 'command', index: 3, term: 2, data: new Uint8Array([1]) }
  hero.follow('c', [1, 1], [noop, mine, { kind: 'noop', index: 4, term: 4 }], 4)
  assert.equal(hero.raft.commitIndex, 4)
  assert(!hero.proposals.some(({ outcome }) => outcome === 'lost'), 'called lost, but committed')
}

/** A suffix left from another term is not committed by a message that does not reach it (cockroach#36353). */
function commitBeyondMatch(core: CoreClass): void {
  const hero = new Hero(core, persisted({}, [command(2, 1), command(3, 1)]))
  hero.follow('b', [1, 1], [command(2, 1)], 3)
  assert.equal(hero.raft.commitIndex, 2, 'committed what never matched')
}

export const stories = {
  commitBeyondMatch,
  oldEntryOnMajority,
  secondVoteAfterRestart,
  truncatedComesBack,
}
