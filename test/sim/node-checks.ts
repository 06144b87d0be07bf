/**
 * What must be true at every moment (paper, Figure 3), asked after every step of every core, every write and every
 * applied command, and incrementally: a check costs what changed.
 *
 * The checks know all that ever happened in the world. What a server holds is told by the effects of its core
 * (`memory`) and by the writes that were reported done (`disk`).
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import type { Configuration } from '../../raft/core/configuration.ts'
import type { Effects, Persist } from '../../raft/core/effect.ts'
import type { ConfigurationEntry } from '../../raft/core/entry.ts'
import type { Input, PersistedState } from '../../raft/core/input.ts'
import type { Message } from '../../raft/core/message.ts'
import { majority } from '../../raft/core/quorum.ts'
import type { Raft } from '../../raft/core/raft.ts'
import type { Batch } from '../../raft/storage.ts'
import { Shadow } from './node-shadow.ts'
import { Rules } from './raft-rules.ts'

/** One server through all its runs. */
export class Watched {
  readonly id: string
  memory = new Shadow()
  /** What is durable for sure. */
  disk = new Shadow()
  /** Whom it voted for, durably, by term. */
  readonly votes = new Map<number, string>()
  /** How far its log was ever durable while its durable term was this. */
  readonly durable = new Map<number, number>()
  /** What it must still know. */
  durableTerm = 0
  /** Its disk was harmed, or is new, and its word does not yet count again. */
  damaged = true
  /** Whatever was done to its disk was before the start that ended in its last open. */
  judged = true
  /** Something was done to its disk since it was started: after it was read, perhaps. */
  harmedSinceStart = false
  /** The term in which its vote is no vote, but spent when its word began to count again. */
  spent = -1
  term = 0
  commit = 0
  role = 'follower'
  run: Raft | undefined
  /** Chunks that were written, or begun to be, as `snapshot number`. */
  readonly chunks = new Set<string>()
  /** Being written: after a crash it may be there or not. */
  pending: readonly Persist[] = []

  constructor(id: string) {
    this.id = id
  }
}

/** Terms times this, plus an index. */
const termSpan = 2 ** 24

export class NodeChecks {
  readonly #servers = new Map<string, Watched>()
  readonly #leaders = new Map<number, string>()
  /** By term and index: the chain of that entry. */
  readonly #chains = new Map<number, number>()
  /** By index. */
  readonly #committed: (number | undefined)[] = []
  /** By index: the term in which it was first committed. */
  readonly #committedIn: number[] = []
  readonly #commands = new Map<number, number>()
  /** All that were ever appended and may be in force: those before a committed one are forgotten. */
  #configurations: { index: number; chain: number; configuration: Configuration }[] = []
  readonly #hashes = new Map<number, string>()
  readonly #rules = new Rules()
  maxCommit = 0
  maxTerm = 0
  elections = 0
  truncations = 0
  snapshots = 0
  steps = 0

  watch(id: string): Watched {
    const known = this.#servers.get(id)
    if (known !== undefined) return known
    const watched = new Watched(id)
    this.#servers.set(id, watched)
    return watched
  }

  /** A store was opened and read. */
  opened(server: Watched, state: PersistedState | undefined): void {
    const { snapshot, entries = [], currentTerm = 0, votedFor } = state ?? {}
    const log = (): Shadow => {
      const shadow = new Shadow()
      const at = snapshot?.lastIncludedIndex ?? 0
      if (snapshot !== undefined) {
        shadow.reset(at, snapshot.lastIncludedTerm, this.#chainOfSnapshot(at))
      }
      for (const entry of entries) {
        if (entry.index <= at) continue
        const chain = shadow.append(entry)
        if (entry.kind === 'configuration') this.#note(entry, chain)
      }
      return shadow
    }
    if (state !== undefined) this.#assertStored(server, state)
    const before = server.disk
    const { trust = { kind: state === undefined ? 'unknown' : 'full' } } = state ?? {}
    server.memory = log()
    server.disk = log()
    server.run = undefined
    server.judged ||= !server.harmedSinceStart
    const pending = server.pending
    server.pending = []
    if (trust.kind !== 'full') {
      assert(server.damaged, `disk: ${server.id} lost its word without a damage`)
      if (trust.kind === 'unknown') server.durableTerm = 0
      return
    }
    this.#forgotNothing(server, before, pending, { currentTerm, votedFor })
  }

  /** Whatever befell its disk: a server that is trusted has all that it ever promised. */
  #forgotNothing(
    server: Watched,
    before: Shadow,
    pending: readonly Persist[],
    { currentTerm, votedFor }: { currentTerm: number; votedFor: string | undefined },
  ): void {
    const { id, disk, votes, durableTerm, damaged, spent } = server
    const what = damaged ? 'disk: a damage was not noticed:' : 'disk:'
    assert(currentTerm >= durableTerm, `${what} ${id} forgot term ${durableTerm}`)
    const vote = votes.get(currentTerm)
    const isKept = vote === undefined || vote === votedFor || spent === currentTerm
    assert(isKept, `${what} ${id} forgot its vote`)
    // What was under way may have truncated.
    const cuts = pending.map(({ truncateFrom = Infinity }) => truncateFrom - 1)
    const last = Math.min(before.last, ...cuts)
    assert(disk.last >= last, `${what} ${id} forgot entries above ${disk.last}`)
    const chain = disk.chainAt(last)
    const isSame = last < disk.base || last < before.base || chain === before.chainAt(last)
    assert(isSame, `${what} ${id} has another entry at ${last}`)
    this.#noteDurable(server, currentTerm, votedFor)
  }

  writing(server: Watched, { persists = [], chunks = [] }: Batch): void {
    server.pending = persists
    for (const { snapshotId, chunk } of chunks) server.chunks.add(`${snapshotId} ${chunk}`)
  }

  /** Of a snapshot, published or being received, a start finds no more than was ever stored. */
  #assertStored({ id, chunks }: Watched, { snapshot, partial }: PersistedState): void {
    const found = [
      { id: snapshot?.id, count: snapshot?.chunks ?? 0 },
      { id: partial?.snapshot.id, count: partial?.stored ?? 0 },
    ]
    for (const { id: name, count } of found) {
      for (let chunk = 0; chunk < count; chunk++) {
        assert(chunks.has(`${name} ${chunk}`), `disk: ${id} never stored chunk ${chunk} of ${name}`)
      }
    }
  }

  /** Writes were reported done. */
  written(server: Watched, persists: readonly Persist[]): void {
    server.pending = []
    for (const persist of persists) {
      const { currentTerm, votedFor } = persist
      server.disk.write(persist, index => this.#chainOfSnapshot(index))
      this.#noteDurable(server, currentTerm, votedFor)
    }
  }

  #noteDurable(server: Watched, term: number, votedFor: string | undefined): void {
    if (votedFor !== undefined) this.#vote(server, term, votedFor)
    server.durableTerm = Math.max(server.durableTerm, term)
    const until = server.durable.get(term) ?? 0
    server.durable.set(term, Math.max(until, server.disk.last))
  }

  #vote(server: Watched, term: number, votedFor: string): void {
    const { votes, damaged, id } = server
    const before = votes.get(term)
    if (before === undefined) votes.set(term, votedFor)
    else if (before !== votedFor && damaged) server.spent = term
    else if (before !== votedFor && server.spent !== term) {
      assert.fail(`two votes: ${id} voted for ${before} and ${votedFor} in term ${term}`)
    }
  }

  #chainOfSnapshot(index: number): number {
    const chain = this.#committed[index]
    assert(chain !== undefined, `a snapshot at ${index}, which nobody committed`)
    return chain
  }

  stepped(server: Watched, raft: Raft, input: Input, effects: Effects): void {
    this.steps++
    if (server.run !== raft) {
      server.run = raft
      server.term = 0
      server.commit = 0
      server.role = 'follower'
    }
    if (input.type === 'message') this.#promised(input.message)
    const { currentTerm, commitIndex, role } = raft
    assert(currentTerm >= server.term, 'the term fell')
    assert(commitIndex >= server.commit, 'the commit index fell')
    if (effects.persist !== undefined) this.#write(server, effects.persist)
    assert.deepEqual(effects.violations, [], 'no server says that another breaks a property')
    assert.ok(server.memory.last === raft.lastIndex, 'effects tell of every change of the log')
    if (role === 'leader') {
      if (server.role !== 'leader' || server.term !== currentTerm) this.#elected(server, raft)
      if (effects.persist?.truncateFrom !== undefined) assert.fail('leader append-only')
    }
    if (commitIndex > server.commit) this.#commit(server, raft)
    this.#judgeTrust(server, raft, effects)
    const votedFor = server.votes.get(currentTerm)
    const durable = { currentTerm: server.durableTerm, votedFor }
    this.#rules.step({ id: server.id, raft, durable }, input, effects)
    server.term = currentTerm
    server.commit = commitIndex
    server.role = role
    if (currentTerm > this.maxTerm) this.maxTerm = currentTerm
  }

  #judgeTrust(server: Watched, raft: Raft, effects: Effects): void {
    const isTrusted = raft.trust.kind === 'full'
    if (!server.damaged) {
      assert(isTrusted, `${server.id} lost its word without a damage`)
      return
    }
    if (!isTrusted) assert(raft.role === 'follower', `${server.id} campaigns without a word`)
    if (!isTrusted || !server.judged || effects.persist !== undefined) return
    // Its word counts from the write of that on: then it holds all it ever promised.
    if (server.pending.length > 0 || server.disk.last < raft.lastIndex) return
    server.damaged = false
  }

  /** What a message promises is on its sender's disk, or was when it was sent. */
  #promised(message: Message): void {
    const { type, from, term } = message
    const sender = this.#servers.get(from)
    if (sender === undefined || sender.damaged) return
    if (type === 'requestVote') this.#voted(sender, term, from)
    else if (type === 'requestVoteReply' && message.voteGranted) {
      this.#voted(sender, term, message.to)
    } else if (type === 'appendEntriesReply' && message.result.success) {
      this.#holds(sender, term, message.result.matchIndex)
    } else if (type === 'installSnapshotReply' && message.matchIndex !== undefined) {
      this.#holds(sender, term, message.matchIndex)
    }
  }

  #voted({ id, votes }: Watched, term: number, candidate: string): void {
    if (votes.get(term) === candidate) return
    assert.fail(`persisted before acknowledged: the vote of ${id} for ${candidate} in ${term}`)
  }

  #holds({ id, durable }: Watched, term: number, index: number): void {
    if ((durable.get(term) ?? -1) >= index) return
    assert.fail(`persisted before acknowledged: entry ${index} of ${id} in term ${term}`)
  }

  /** Entries of one index and term are one entry, after one history (5.3). */
  #write(server: Watched, persist: Persist): void {
    const { memory } = server
    if (persist.truncateFrom !== undefined) this.truncations++
    if (persist.snapshot !== undefined) this.snapshots++
    memory.write(persist, index => this.#chainOfSnapshot(index))
    for (const entry of persist.entries) {
      const { index, term } = entry
      const chain = memory.chainAt(index)
      if (chain === undefined) continue
      if (entry.kind === 'configuration') this.#note(entry, chain)
      const key = term * termSpan + index
      const known = this.#chains.get(key)
      if (known === undefined) this.#chains.set(key, chain)
      else if (known !== chain) assert.fail(`log matching: two histories end in ${term}:${index}`)
    }
  }

  #note({ index, configuration }: ConfigurationEntry, chain: number): void {
    this.#configurations.push({ index, chain, configuration })
  }

  #elected(server: Watched, raft: Raft): void {
    const { currentTerm: term, snapshotIndex } = raft
    const leader = this.#leaders.get(term)
    if (leader === undefined) {
      this.#leaders.set(term, server.id)
      this.elections++
    } else assert.equal(leader, server.id, `election safety: two leaders in term ${term}`)
    // Leader completeness (5.4.3): the newest entry committed in an earlier term, and with it all before.
    for (let index = this.maxCommit; index > 0; index--) {
      const inTerm = this.#committedIn[index]
      if (inTerm === undefined || inTerm >= term) continue
      const chain = server.memory.chainAt(index)
      const isBefore = chain === undefined && index < snapshotIndex
      assert(
        isBefore || chain === this.#committed[index],
        `leader completeness: ${server.id} leads term ${term} without committed ${index}`,
      )
      return
    }
  }

  #commit(server: Watched, raft: Raft): void {
    const { memory } = server
    const { commitIndex, currentTerm } = raft
    // One that is not part of the configuration it commits gives up leadership in the same step.
    const leads =
      raft.role === 'leader' || (server.role === 'leader' && server.term === currentTerm)
    for (let index = server.commit + 1; index <= commitIndex; index++) {
      const chain = memory.chainAt(index)
      if (chain === undefined || index < memory.base) continue
      const committed = this.#committed[index]
      if (committed === undefined) {
        assert(leads, `only a leader commits first (${index})`)
        this.#committed[index] = chain
        this.#committedIn[index] = currentTerm
      } else if (committed !== chain) {
        assert.fail(`state machine safety: two entries are committed at ${index}`)
      }
    }
    if (commitIndex > this.maxCommit) this.maxCommit = commitIndex
    if (leads) this.#durable(raft, memory)
  }

  /** What a leader commits is on the disks of a quorum. */
  #durable({ commitIndex, configuration }: Raft, memory: Shadow): void {
    const chain = memory.chainAt(commitIndex)
    for (const half of [configuration.voters, configuration.outgoing]) {
      if (half.length === 0) continue
      let have = 0
      for (const id of half) {
        const server = this.#servers.get(id)
        if (server === undefined) continue
        const { disk, damaged } = server
        const there = disk.chainAt(commitIndex)
        if (damaged || (there === undefined ? commitIndex < disk.base : there === chain)) have++
      }
      assert(
        have >= majority(half.length),
        `durability: ${commitIndex} is committed on ${have} of ${half.length} disks`,
      )
    }
  }

  /** The newest committed configuration, and all later ones that any log may hold. */
  configurationsInForce(): Configuration[] {
    const mayHold = this.#configurations.filter(({ index, chain }) => {
      const committed = this.#committed[index]
      return committed === undefined ? index > this.maxCommit : committed === chain
    })
    const settled = mayHold.filter(({ index }) => this.#committed[index] !== undefined)
    const newest = Math.max(0, ...settled.map(({ index }) => index))
    this.#configurations = mayHold.filter(({ index }) => index >= newest)
    return this.#configurations.map(({ configuration }) => configuration)
  }

  committedAt(index: number): number | undefined {
    return this.#committed[index]
  }

  /** A command was applied: the same one at one index everywhere. */
  command(index: number, data: Uint8Array): void {
    const crc = crc32(data)
    const known = this.#commands.get(index)
    if (known === undefined) this.#commands.set(index, crc)
    else if (known !== crc) assert.fail(`state machine safety: two commands at ${index}`)
  }

  /** What was acknowledged is what was applied there. */
  acknowledged(index: number, data: Uint8Array): void {
    assert(this.#committed[index] !== undefined, `acknowledged at ${index}, never committed`)
    assert.equal(
      this.#commands.get(index),
      crc32(data),
      `acknowledged at ${index}, but is not there`,
    )
  }

  /** I5: one index, one ledger. */
  state(id: string, index: number, hash: string): void {
    const known = this.#hashes.get(index)
    if (known === undefined) this.#hashes.set(index, hash)
    else if (known !== hash) assert.fail(`I5: the ledger of ${id} differs at ${index}`)
  }
}
