/**
 * Rules of the protocol as an observer sees them broken, long before two servers disagree: who campaigns was told that
 * it may, who leads has the votes, nobody unvotes, an answer names a round that was heard, and nobody can be elected
 * without what is committed.
 *
 * Each is a rule of the paper or the thesis, asked of what servers show and send, not of how they are made.
 */
import assert from 'node:assert/strict'
import type { Configuration } from '../../raft/core/configuration.ts'
import type { Effects } from '../../raft/core/effect.ts'
import type { Input } from '../../raft/core/input.ts'
import type { Message } from '../../raft/core/message.ts'
import { majority } from '../../raft/core/quorum.ts'
import type { Raft } from '../../raft/core/raft.ts'
import type { SimServer } from './raft-server.ts'

/** A server that has just taken a step, and what is on its disk. */
export interface Stepped {
  readonly id: string
  readonly raft: Raft
  readonly durable: { readonly currentTerm: number; readonly votedFor: string | undefined }
}

/** One run of one server. */
interface Run {
  readonly raft: Raft
  role: Raft['role']
  term: number
  votedFor: string | undefined
  /** The newest round that its leader's messages named, and the term of that leader. */
  heard: { term: number; round: number }
  /** The term of its last own candidacy. */
  candidacy: number
}

export class Rules {
  readonly #runs = new Map<string, Run>()
  /** As `voter>candidate:term`. */
  readonly #votes = new Set<string>()
  readonly #preVotes = new Set<string>()

  /** After a step that `input` led to, before anything that it sends has left. */
  step({ id, raft, durable }: Stepped, input: Input, effects: Effects): void {
    const run = this.#runOf(id, raft)
    const { currentTerm, votedFor, role } = raft
    if (input.type === 'message') hear(run, input.message)
    if (run.votedFor !== undefined && run.term === currentTerm) {
      assert.equal(votedFor, run.votedFor, `one vote a term (5.2): ${id} in ${currentTerm}`)
    }
    const isNew = role !== run.role || currentTerm !== run.term
    const isTold = input.type === 'message' && input.message.type === 'timeoutNow'
    if (isNew && role === 'candidate') {
      if (!isTold) this.#asked(id, raft)
      // With nobody heard since, the last campaign is still its own affair.
      const isNext = run.candidacy === currentTerm - 1 && run.heard.term < run.candidacy
      const isWritten = durable.currentTerm >= run.candidacy
      assert(!isNext || isWritten, `${id} campaigns again before it could ask anyone`)
      run.candidacy = currentTerm
    }
    if (isNew && role === 'leader') {
      const isOwn = durable.currentTerm === currentTerm && durable.votedFor === id
      const hasVote = (voter: string): boolean =>
        voter === id ? isOwn : this.#votes.has(`${voter}>${id}:${currentTerm}`)
      assert(
        isQuorum(raft.configuration, hasVote),
        `${id} leads ${currentTerm} without votes (5.2)`,
      )
    }
    for (const { message } of effects.send) this.#say(run, message)
    run.role = role
    run.term = currentTerm
    run.votedFor = votedFor
  }

  #runOf(id: string, raft: Raft): Run {
    const known = this.#runs.get(id)
    if (known?.raft === raft) return known
    const heard = { term: 0, round: 0 }
    const run: Run = { raft, role: 'follower', term: 0, votedFor: undefined, heard, candidacy: -1 }
    this.#runs.set(id, run)
    return run
  }

  /** Nobody disturbs the others who was not told by a quorum that it could win (thesis 9.6). */
  #asked(id: string, { configuration, currentTerm }: Raft): void {
    const isFor = (voter: string): boolean =>
      voter === id || this.#preVotes.has(`${voter}>${id}:${currentTerm}`)
    assert(isQuorum(configuration, isFor), `${id} campaigns for ${currentTerm} without pre-votes`)
  }

  #say(run: Run, message: Message): void {
    const { type, from, to, term } = message
    switch (type) {
      case 'preVoteReply':
        if (message.voteGranted) this.#preVotes.add(`${from}>${to}:${message.nextTerm}`)
        return
      case 'requestVoteReply':
        if (message.voteGranted) this.#votes.add(`${from}>${to}:${term}`)
        return
      case 'heartbeatReply':
      case 'appendEntriesReply':
      case 'installSnapshotReply': {
        const { round } = message
        const { heard } = run
        const isHeard = round === 0 || (heard.term === term && round <= heard.round)
        assert(isHeard, `${from} answers round ${round} of term ${term}, which it never heard`)
        return
      }
      default:
        return
    }
  }
}

/** What a leader's message says of its round. */
function hear({ heard }: Run, message: Message): void {
  const { type, term } = message
  if (type !== 'heartbeat' && type !== 'appendEntries' && type !== 'installSnapshot') return
  if (term > heard.term) Object.assign(heard, { term, round: message.round })
  else if (term === heard.term) heard.round = Math.max(heard.round, message.round)
}

function isQuorum({ voters, outgoing }: Configuration, has: (id: string) => boolean): boolean {
  const isMajority = (half: readonly string[]): boolean =>
    half.length === 0 || half.filter(has).length >= majority(half.length)
  return isMajority(voters) && isMajority(outgoing)
}

/**
 * If all of them crashed now, nobody could be elected who lacks what was just committed at `index`: else it is not
 * committed at all (5.4; Figure 8 is how it may come to that). For clusters whose members stay the same.
 */
export function assertKept(
  index: number,
  chain: number,
  voters: readonly string[],
  servers: readonly SimServer[],
): void {
  const logs = servers.flatMap(({ id, disk }) => {
    if (!voters.includes(id) || disk.trust.kind !== 'full') return []
    const { last } = disk.chain
    const link = disk.chain.at(index)
    const has = link === undefined ? index < last : link.chain === chain
    return [{ id, last, term: disk.chain.at(last)?.term ?? 0, has }]
  })
  for (const one of logs) {
    if (one.has) continue
    const votes = logs.filter(
      ({ term, last }) => one.term > term || (one.term === term && one.last >= last),
    )
    assert(
      votes.length < majority(voters.length),
      `${index} is committed, and yet ${one.id} could be elected without it (5.4)`,
    )
  }
}
