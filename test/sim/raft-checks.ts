/**
 * What must be true of a cluster at every moment (paper, Figure 3), and of every promise a message makes.
 *
 * The checks know everything that ever happened in the world, on all servers; each is asked after every step of the
 * server that took it.
 */
import assert from 'node:assert/strict'
import type { Message } from '../../raft/core/message.ts'
import type { Effects, Role } from '../../raft/core/effect.ts'
import { majority } from '../../raft/core/quorum.ts'
import type { Input } from '../../raft/core/input.ts'
import { assertKept, Rules } from './raft-rules.ts'
import type { Chain, Link, SimServer } from './raft-server.ts'

interface Committed {
  readonly chain: number
  /** The term of the leader that committed it. */
  readonly inTerm: number
}

interface Seen {
  role: Role
  term: number
  commit: number
  raft: unknown
}

export class Checks {
  readonly #leaders = new Map<number, string>()
  /** By term and server. */
  readonly #votes = new Map<string, string>()
  /** By term and index: a hash of that entry and everything before it. */
  readonly #chains = new Map<string, number>()
  readonly #committed = new Map<number, Committed>()
  readonly #applied = new Map<number, number>()
  readonly #seen = new Map<string, Seen>()
  readonly #rules = new Rules()
  /** Whether members may change. */
  readonly #membership: boolean
  maxCommit = 0
  elections = 0

  constructor(membership: boolean) {
    this.#membership = membership
  }

  committedChain(index: number): number | undefined {
    return this.#committed.get(index)?.chain
  }

  /** After a step, and after a start (`effects` undefined). */
  step(
    server: SimServer,
    effects: Effects | undefined,
    servers: readonly SimServer[],
    input: Input | undefined,
  ): void {
    const { raft } = server
    assert(raft !== undefined)
    if (effects !== undefined && input !== undefined) {
      this.#rules.step({ id: server.id, raft, durable: server.disk }, input, effects)
    }
    const known = this.#seen.get(server.id)
    const seen =
      known?.raft === raft ? known : ({ role: 'follower', term: 0, commit: 0, raft } as const)
    assert.equal(server.log.last, raft.lastIndex, 'effects tell of every change of the log')
    assert(raft.currentTerm >= seen.term && raft.commitIndex >= seen.commit, 'term or commit fell')
    if (effects?.persist) this.#logMatching(server, effects)
    assert.deepEqual(effects?.violations ?? [], [], 'no server says that another broke a property')
    if (raft.role === 'leader') {
      this.#electionSafety(server)
      if (seen.role !== 'leader' || seen.term !== raft.currentTerm) this.#completeness(server)
    }
    if (raft.commitIndex > seen.commit) this.#commit(server, seen, servers)
    this.#seen.set(server.id, {
      role: raft.role,
      term: raft.currentTerm,
      commit: raft.commitIndex,
      raft,
    })
  }

  /** At most one leader in a term (5.2). */
  #electionSafety({ raft, id }: SimServer): void {
    assert(raft !== undefined)
    const leader = this.#leaders.get(raft.currentTerm)
    if (leader === undefined) {
      this.#leaders.set(raft.currentTerm, id)
      this.elections += 1
    } else assert.equal(leader, id, `election safety: two leaders in term ${raft.currentTerm}`)
  }

  /** Entries of one index and term are one entry, after one history (5.3). Leaders only append. */
  #logMatching({ log, raft }: SimServer, { persist }: Effects): void {
    assert(persist !== undefined && raft !== undefined)
    if (raft.role === 'leader') assert.equal(persist.truncateFrom, undefined, 'leader append-only')
    for (const { index, term } of persist.entries) {
      const link = log.at(index)
      assert(link !== undefined && link.term === term)
      const key = `${term}:${index}`
      const chain = this.#chains.get(key)
      if (chain === undefined) this.#chains.set(key, link.chain)
      else assert.equal(link.chain, chain, `log matching: two histories end in ${key}`)
    }
  }

  /** A leader has every entry that a leader of an earlier term committed (5.4.3). */
  #completeness({ log, raft, id }: SimServer): void {
    assert(raft !== undefined)
    for (let index = this.maxCommit; index > 0; index--) {
      const committed = this.#committed.get(index)
      if (committed === undefined || committed.inTerm >= raft.currentTerm) continue
      const link = log.at(index)
      const isBefore = link === undefined && index < raft.snapshotIndex
      assert(
        isBefore || link?.chain === committed.chain,
        `leader completeness: ${id} leads term ${raft.currentTerm} without committed ${index}`,
      )
      return
    }
  }

  #commit(server: SimServer, seen: Seen, servers: readonly SimServer[]): void {
    const { raft, log } = server
    assert(raft !== undefined)
    // One that is not part of the configuration it commits gives up leadership in the same step.
    const leads =
      raft.role === 'leader' || (seen.role === 'leader' && seen.term === raft.currentTerm)
    for (let index = seen.commit + 1; index <= raft.commitIndex; index++) {
      const link = log.at(index)
      if (link === undefined) continue
      const committed = this.#committed.get(index)
      if (committed !== undefined) {
        assert.equal(link.chain, committed.chain, `state machine safety: two entries at ${index}`)
      } else {
        assert(leads, `only a leader commits first (${index})`)
        this.#committed.set(index, { chain: link.chain, inTerm: raft.currentTerm })
      }
    }
    this.maxCommit = Math.max(this.maxCommit, raft.commitIndex)
    if (!leads) return
    this.#durable(server, servers)
    const chain = log.at(raft.commitIndex)?.chain
    if (this.#membership || chain === undefined) return
    assertKept(raft.commitIndex, chain, raft.configuration.voters, servers)
  }

  /** What a leader commits is on the disks of a quorum, now. */
  #durable({ raft, log }: SimServer, servers: readonly SimServer[]): void {
    assert(raft !== undefined)
    const { commitIndex, configuration } = raft
    const link = log.at(commitIndex)
    for (const half of [configuration.voters, configuration.outgoing]) {
      if (half.length === 0) continue
      const have = servers.filter(
        ({ id, disk, damaged }) =>
          half.includes(id) &&
          // One that lost it had it once, and has no vote until it has it again.
          ((damaged && disk.trust.kind !== 'full') || isOnDisk(disk.chain, commitIndex, link)),
      )
      assert(
        have.length >= majority(half.length),
        `durability: ${commitIndex} is committed on ${have.length} of ${half.length} disks`,
      )
    }
  }

  applied(index: number, chain: number): void {
    const before = this.#applied.get(index)
    if (before === undefined) this.#applied.set(index, chain)
    else assert.equal(chain, before, `state machine safety: two states at ${index}`)
    const committed = this.#committed.get(index)
    if (committed !== undefined) assert.equal(chain, committed.chain, `applied at ${index}`)
  }

  /** Each server votes for at most one candidate in a term (5.2), itself included. */
  #oneVote(id: string, message: Message): void {
    const isAsking = message.type === 'requestVote'
    if (!isAsking && (message.type !== 'requestVoteReply' || !message.voteGranted)) return
    const key = `${message.term}:${id}`
    const candidate = isAsking ? id : message.to
    const before = this.#votes.get(key) ?? candidate
    this.#votes.set(key, before)
    assert.equal(candidate, before, `election safety: ${id} votes twice in term ${message.term}`)
  }

  /** A message leaves: what it promises must be on the sender's disk. */
  promise({ disk, id }: SimServer, message: Message, link: Link | undefined): void {
    const { term } = message
    this.#oneVote(id, message)
    if (message.type === 'requestVoteReply' && message.voteGranted) {
      assert(
        disk.currentTerm > term || (disk.currentTerm === term && disk.votedFor === message.to),
        `persisted before acknowledged: vote of ${id} in ${term}`,
      )
    }
    if (message.type === 'requestVote') {
      assert(
        disk.currentTerm > term || (disk.currentTerm === term && disk.votedFor === id),
        `persisted before acknowledged: candidacy of ${id} in ${term}`,
      )
    }
    if (message.type === 'installSnapshotReply' && message.matchIndex !== undefined) {
      assert(
        disk.currentTerm >= term && isOnDisk(disk.chain, message.matchIndex, link),
        `persisted before acknowledged: snapshot at ${message.matchIndex} of ${id}`,
      )
    }
    if (message.type === 'appendEntriesReply' && message.result.success) {
      const { matchIndex } = message.result
      assert(
        // A leader of a later term may have cut it in the same write: its election did not need it.
        disk.currentTerm > term ||
          (disk.currentTerm === term &&
            (link === undefined || isOnDisk(disk.chain, matchIndex, link))),
        `persisted before acknowledged: entry ${matchIndex} of ${id}`,
      )
    }
  }
}

/** The very entry with its history, or a snapshot beyond it. */
function isOnDisk(chain: Chain, index: number, link: Link | undefined): boolean {
  const there = chain.at(index)
  if (there === undefined) return index < chain.last && chain.at(chain.last) !== undefined
  return there.chain === link?.chain
}
