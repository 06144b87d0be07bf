/**
 * One server as a value: its core, its disk, what is being written, and what waits for that.
 *
 * Nothing here ever changes: a step makes another server out of a copy. What is on disk is written in order; a crash
 * leaves that alone, and of the rest nothing. That some more writes reached the disk unheard is the same as that they
 * were heard of, and what came of it lost.
 */
import assert from 'node:assert/strict'
import type { Effects, Persist, Send } from '../../raft/core/effect.ts'
import type { Input, PersistedState } from '../../raft/core/input.ts'
import type { Message, SnapshotMeta } from '../../raft/core/message.ts'
import type { Raft } from '../../raft/core/raft.ts'
import { type RaftOptions } from '../../raft/core/raft.ts'
import { ProposalFate } from '../../raft/fate.ts'
import { copyOf, freeze, Hash } from './graph.ts'
import { settings, still } from './still.ts'
import type { Limits } from './scope.ts'
import type { Trie } from './trie.ts'

export type CoreClass = new (options: RaftOptions) => Raft

/** A proposal that was taken: where it stood. */
interface Taken {
  readonly id: number
  readonly index: number
  readonly term: number
}

export interface Server {
  readonly raft: Raft
  readonly disk: PersistedState
  readonly writes: readonly Persist[]
  readonly held: readonly Send[]
  readonly taken: readonly Taken[]
  readonly fate: ProposalFate
  readonly run: number
  /** The log in memory and the one on disk, as the effects tell. */
  readonly log: number
  readonly diskLog: number
}

/** What a step did that others must know of. */
export interface Deed {
  sent: Message[]
  /** Of proposals that were called lost. */
  lost: Taken[]
  truncatedFrom: number | undefined
  installed: boolean
}

/** Starts a server from its disk; `run` numbers its starts, so that no two draw the same chances. */
export function start(
  core: CoreClass,
  options: {
    readonly id: string
    readonly disk: PersistedState
    readonly log: number
    readonly run: number
  },
): Server {
  const { id, disk, log, run } = options
  const raft = new core({ id, settings, persisted: disk, seed: run })
  still(raft)
  const fate = new ProposalFate()
  return { raft, disk, writes: [], held: [], taken: [], fate, run, log, diskLog: log }
}

export function hashOf({ raft, disk, writes, held, taken, fate, run }: Server): Hash {
  const hash = new Hash()
  for (const part of [raft, disk, writes, held, taken, fate, run]) hash.value(part)
  return hash
}

/** A server at work: a copy that may be stepped. */
export class Work {
  readonly raft: Raft
  readonly deed: Deed = { sent: [], lost: [], truncatedFrom: undefined, installed: false }
  private readonly trie: Trie
  private readonly fate: ProposalFate
  private disk: PersistedState
  private writes: Persist[]
  private held: Send[]
  private taken: readonly Taken[]
  private log: number
  private diskLog: number
  private readonly run: number
  private doneSeq = 0

  private readonly limits: Limits

  constructor(server: Server, trie: Trie, limits: Limits) {
    this.raft = copyOf(server.raft)
    this.fate = copyOf(server.fate)
    this.trie = trie
    this.limits = limits
    this.disk = server.disk
    this.writes = [...server.writes]
    this.held = [...server.held]
    this.taken = server.taken
    this.run = server.run
    this.log = server.log
    this.diskLog = server.diskLog
  }

  /** The server as it is now, for good. */
  finish(): Server {
    if (this.limits.quickDisks === true) while (this.writes.length > 0) this.finishWrites(1)
    const { raft, doneSeq, log } = this
    assert.equal(this.trie.indexOf(log), raft.lastIndex, 'effects tell of every change of the log')
    still(raft)
    return {
      raft,
      disk: this.disk,
      writes: this.writes.map(write => freeze({ ...write, seq: write.seq - doneSeq })),
      held: this.held.map(({ message, after = 0 }) => freeze({ message, after: after - doneSeq })),
      taken: this.taken,
      fate: this.fate,
      run: this.run,
      log,
      diskLog: this.diskLog,
    }
  }

  step(input: Input): void {
    const effects = this.raft.step(input)
    if (effects.persist !== undefined) this.persist(effects.persist)
    assert.deepEqual(effects.violations, [], 'no server says that another breaks a property')
    for (const send of effects.send) this.send(send)
    for (const header of effects.sendChunks) {
      this.deed.sent.push(freeze({ ...header, data: new Uint8Array() }))
    }
    for (const result of [...effects.proposals, ...this.fate.after(effects)]) {
      if (result.outcome === 'accepted') {
        const { id, index, term } = result
        this.taken = freeze([...this.taken, { id, index, term }])
      } else if (result.outcome === 'lost') {
        this.deed.lost.push(...this.taken.filter(({ id }) => id === result.id))
      }
    }
    this.work(effects)
  }

  /** The state machine and the store of chunks are as quick as can be. */
  private work({ storeChunks, restore, apply }: Effects): void {
    const { raft } = this
    for (const { snapshot, chunk } of storeChunks) {
      this.step({ type: 'chunkStored', snapshotId: snapshot.id, chunk })
    }
    if (restore !== undefined) {
      this.deed.installed = true
      this.step({ type: 'applied', index: restore.lastIncludedIndex })
    }
    for (const { index, term } of apply) {
      assert.equal(index, raft.lastApplied + 1, 'applied in order, each once')
      assert.equal(term, this.trie.termOf(this.trie.ancestor(this.log, index)))
      this.step({ type: 'applied', index })
    }
  }

  private send(send: Send): void {
    freeze(send)
    const { type } = send.message
    // Pre-votes are taken as won: see `campaign`.
    if (type === 'preVote' || type === 'preVoteReply') return
    if (this.limits.quiet === true && isIdle(send.message)) return
    if (send.after !== undefined && send.after > this.doneSeq) this.held.push(send)
    else this.deed.sent.push(send.message)
  }

  private persist(persist: Persist): void {
    freeze(persist)
    this.writes.push(persist)
    if (persist.truncateFrom !== undefined) this.deed.truncatedFrom = persist.truncateFrom
    this.log = this.written(this.log, persist)
  }

  /** What `persist` makes of a log. */
  private written(log: number, { snapshot, truncateFrom, entries }: Persist): number {
    const { trie } = this
    let node = log
    if (snapshot !== undefined) {
      const index = snapshot.lastIncludedIndex
      const there = trie.indexOf(node) < index ? undefined : trie.ancestor(node, index)
      if (there === undefined || trie.termOf(there) !== snapshot.lastIncludedTerm) {
        node = Number(snapshot.id)
      } else assert.equal(there, Number(snapshot.id), 'a snapshot of what the log says')
    }
    if (truncateFrom !== undefined && truncateFrom <= trie.indexOf(node)) {
      node = trie.ancestor(node, truncateFrom - 1)
    }
    for (const entry of entries) node = trie.child(node, entry)
    return node
  }

  /** So many of the writes under way, in one batch, are on disk. */
  finishWrites(count: number): void {
    const done = this.writes.splice(0, count)
    for (const write of done) this.toDisk(write)
    this.doneSeq = done.at(-1)?.seq ?? 0
    const { doneSeq } = this
    const isFree = ({ after = 0 }: Send) => after <= doneSeq
    this.deed.sent.push(...this.held.filter(isFree).map(({ message }) => message))
    this.held = this.held.filter(send => !isFree(send))
    this.step({ type: 'persisted', seq: doneSeq })
  }

  private toDisk(write: Persist): void {
    const { seq, snapshot, truncateFrom, compactTo, entries, ...rest } = write
    assert(seq > 0)
    const kept = this.disk.entries.filter(
      ({ index }) => index < (truncateFrom ?? Infinity) && index > (compactTo ?? 0),
    )
    this.diskLog = this.written(this.diskLog, write)
    this.disk = freeze({
      ...this.disk,
      ...rest,
      snapshot: snapshot ?? this.disk.snapshot,
      entries: [...kept, ...entries],
    })
  }

  /** Takes a snapshot of what is applied; its id names the log that it stands for. */
  saveSnapshot(): void {
    const { raft } = this
    const index = raft.lastApplied
    const node = this.trie.ancestor(this.log, index)
    const snapshot: SnapshotMeta = freeze({
      id: String(node),
      lastIncludedIndex: index,
      lastIncludedTerm: this.trie.termOf(node),
      configuration: raft.configurationAt(index),
      bytes: 0,
      chunks: 1,
    })
    this.disk = freeze({ ...this.disk, snapshot })
    this.step({ type: 'snapshotSaved', snapshot })
  }

  /**
   * The election timeout passes, and the pre-vote is won whoever there is to ask: it only keeps a server that cannot
   * win from disturbing others, so no safety rests on it.
   */
  campaign(ms: number): void {
    const { raft } = this
    this.step({ type: 'elapse', ms })
    const { voters, outgoing } = raft.configuration
    for (const from of [...voters, ...outgoing]) {
      if (raft.role !== 'preCandidate' || from === raft.id) continue
      const term = raft.currentTerm
      const reply = { from, to: raft.id, term, nextTerm: term + 1, voteGranted: true } as const
      this.step({ type: 'message', message: { type: 'preVoteReply', ...reply } })
    }
  }
}

function isIdle(message: Message): boolean {
  return message.type === 'heartbeat' && message.leaderCommit === 0
}
