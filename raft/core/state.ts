/**
 * One server's state (paper, Figure 2), and the only ways in which it changes.
 *
 * The other files of the core decide; this one keeps what must stay true whatever they decide. Its assertions run
 * in production: a server that finds its own state impossible stops, rather than spread it.
 *
 * Invariant: base <= snapshot, applied <= handed out <= min(commit, persisted); commit <= last; currentTerm and
 * commitIndex never fall; a vote is never changed within a term.
 */
import assert from 'node:assert/strict'
import { type Configuration, isMember } from './configuration.ts'
import type { Effects, Persist, Send, Violation } from './effect.ts'
import type { Entry } from './entry.ts'
import { type Forward, type Incoming, incomingOf, type Lesson } from './following.ts'
import { ConfigurationHistory } from './history.ts'
import type { PersistedState, Trust } from './input.ts'
import type { Leadership } from './leadership.ts'
import { type Log, restoredLog } from './log.ts'
import type { Message, SnapshotMeta } from './message.ts'
import { emptyOutbox, isDirty, type Outbox } from './outbox.ts'
import { Randomness } from './random.ts'
import type { RaftSettings } from './settings.ts'

export type Standing =
  | { readonly role: 'follower' }
  | { readonly role: 'preCandidate'; readonly votes: Map<string, boolean> }
  | {
      readonly role: 'candidate'
      readonly votes: Map<string, boolean>
      /** The own vote counts once this seq is on disk. */
      readonly ownVoteSeq: number
    }
  | { readonly role: 'leader'; readonly leadership: Leadership }

export interface RaftOptions {
  readonly id: string
  readonly settings: RaftSettings
  /** As read from the own disk; the state machine must already be restored from `persisted.snapshot`. */
  readonly persisted: PersistedState
  /** 32 bits of chance, different at every start. */
  readonly seed: number
  /** `restoredLog(persisted)`, where it was made before: a long log takes a while. */
  readonly log?: Log
}

export class State {
  readonly id: string
  readonly settings: RaftSettings
  readonly random: Randomness
  readonly log: Log
  readonly history = new ConfigurationHistory()
  /** Of the step under way. */
  outbox: Outbox = emptyOutbox()

  private readonly hard: { currentTerm: number; votedFor: string | undefined; trust: Trust }
  /** Indices that only rise, but for `persisted` when the log is cut. */
  private readonly reached = { committed: 0, handedOut: 0, persisted: 0 }
  standing: Standing = { role: 'follower' }
  leader: string | undefined
  snapshot: SnapshotMeta | undefined
  lastApplied = 0

  /** Ms since start. */
  now = 0
  electionElapsed = 0
  electionTimeout = 0
  /** When the leader was last heard, and its newest round then. */
  heardAt = -Infinity
  heardRound = 0
  /** Somebody said that nobody listens at the leader's. Cleared when it is heard. */
  leaderGone = false
  probedAt = -Infinity

  incoming: Incoming | undefined
  readonly forward: Forward = { waiting: [], sent: undefined }
  lesson: Lesson | undefined
  private nextKey: number

  private issuedSeq = 0
  private persistedSeq = 0
  private writes: { readonly seq: number; readonly trust: Trust; lastIndex: number }[] = []
  /** As it is on the own disk. */
  durableTrust: Trust
  private belonged = false

  constructor({ id, settings, persisted, seed, log = restoredLog(persisted) }: RaftOptions) {
    this.id = id
    this.settings = settings
    this.random = new Randomness(seed)
    this.nextKey = this.random.key()
    const { trust = { kind: 'full' } } = persisted
    this.hard = { currentTerm: persisted.currentTerm, votedFor: persisted.votedFor, trust }
    this.durableTrust = trust
    this.snapshot = persisted.snapshot
    const at = persisted.snapshot?.lastIncludedIndex ?? 0
    this.log = log
    assert(this.log.lastIndex >= at && this.log.baseIndex <= at, 'no gap behind the snapshot')
    assert.equal(log.termAt(at), persisted.snapshot?.lastIncludedTerm ?? 0, 'the two agree')
    if (persisted.snapshot !== undefined) {
      this.history.restore(at, persisted.snapshot.configuration, false)
    }
    this.history.append(this.log.from(at + 1))
    assert(this.log.lastTerm <= persisted.currentTerm, 'no entry is newer than the term')
    this.reached.committed = at
    this.lastApplied = at
    this.reached.handedOut = at
    const { partial } = persisted
    if (partial !== undefined && partial.snapshot.lastIncludedIndex > at) {
      this.incoming = incomingOf(partial.snapshot, this.newKey(), partial.stored)
    }
    this.reached.persisted = this.log.lastIndex
    this.belonged = isMember(this.history.latest, this.id)
    this.resetElectionTimer()
    // A leader would be heard before. Servers that start together need not wait for one that is not there.
    const { heartbeatMs, electionTimeoutMs } = this.settings
    const wait = this.random.between(heartbeatMs, Math.min(3 * heartbeatMs, electionTimeoutMs))
    this.electionElapsed = this.electionTimeout - wait
  }

  get currentTerm(): number {
    return this.hard.currentTerm
  }

  get votedFor(): string | undefined {
    return this.hard.votedFor
  }

  /** Whether this server's word counts (trust.ts). */
  get trust(): Trust {
    return this.hard.trust
  }

  get commitIndex(): number {
    return this.reached.committed
  }

  /** Up to here the log as it stands is on the own disk. */
  get persistedIndex(): number {
    return this.reached.persisted
  }

  get configuration(): Configuration {
    return this.history.latest
  }

  get leadership(): Leadership | undefined {
    return this.standing.role === 'leader' ? this.standing.leadership : undefined
  }

  /** Of the newest heartbeats; 0 unless leader. */
  get round(): number {
    return this.leadership?.round ?? 0
  }

  /** Whether an entry of the current term is committed: only then is commitIndex all that is committed (5.4.2, 8). */
  get committedInTerm(): boolean {
    return this.log.termAt(this.reached.committed) === this.hard.currentTerm
  }

  /** Enters a later term, or votes in this one, for good. */
  setTerm(term: number, votedFor: string | undefined): void {
    assert(term >= this.hard.currentTerm, 'terms never fall')
    assert(term > this.hard.currentTerm || this.hard.votedFor === undefined, 'one vote a term')
    this.hard.currentTerm = term
    this.hard.votedFor = votedFor
    this.outbox.dirt.hardState = true
  }

  setTrust(trust: Trust): void {
    this.hard.trust = trust
    this.outbox.trust = trust
    this.outbox.dirt.hardState = true
  }

  append(entries: readonly Entry[]): void {
    const first = entries[0]
    if (first === undefined) return
    this.log.append(entries)
    this.history.append(entries)
    const { dirt } = this.outbox
    dirt.stagedFrom = Math.min(dirt.stagedFrom ?? first.index, first.index)
    this.noteConfiguration()
  }

  /** For a real conflict with a newer leader's entry alone (5.3). */
  truncateFrom(index: number): void {
    assert(index > this.reached.committed, 'what is committed stays')
    assert(this.standing.role !== 'leader', 'a leader only appends')
    this.log.truncateFrom(index)
    this.history.truncateFrom(index)
    this.unpersistFrom(index)
    const { dirt } = this.outbox
    dirt.truncateFrom = Math.min(dirt.truncateFrom ?? index, index)
    this.noteConfiguration()
  }

  /** What is being written now of the truncated part no longer tells anything about the log. */
  private unpersistFrom(index: number): void {
    this.reached.persisted = Math.min(this.reached.persisted, index - 1)
    for (const write of this.writes) write.lastIndex = Math.min(write.lastIndex, index - 1)
  }

  /** Raises commitIndex; a lower one is old news. */
  commitTo(index: number): void {
    if (index <= this.reached.committed) return
    assert(index <= this.log.lastIndex, 'only what is there can be committed')
    this.reached.committed = index
    this.noteRemoval()
  }

  private noteRemoval(): void {
    const { latest, latestIndex } = this.history
    if (latestIndex > this.reached.committed || !this.belonged || isMember(latest, this.id)) return
    this.belonged = false
    this.outbox.removed = true
  }

  private noteConfiguration(): void {
    this.belonged ||= isMember(this.history.latest, this.id)
    this.outbox.configuration = this.history.latest
  }

  /** The own state machine's snapshot is durable: the log up to `base` is no longer needed. */
  compact(snapshot: SnapshotMeta, base: number): void {
    assert(snapshot.lastIncludedIndex <= this.lastApplied && base <= snapshot.lastIncludedIndex)
    assert.equal(this.log.termAt(snapshot.lastIncludedIndex), snapshot.lastIncludedTerm)
    this.snapshot = snapshot
    this.history.compactTo(snapshot.lastIncludedIndex)
    if (base <= this.log.baseIndex) return
    this.log.compactTo(base)
    this.outbox.dirt.compactTo = base
  }

  /** A received snapshot takes the place of everything up to its index (paper, 7). */
  install(snapshot: SnapshotMeta): void {
    const { lastIncludedIndex: index, lastIncludedTerm: term } = snapshot
    assert(index > this.reached.committed, 'a snapshot never takes back what is committed')
    const { dirt } = this.outbox
    const keepSuffix = this.log.termAt(index) === term
    if (keepSuffix) this.log.compactTo(index)
    else {
      if (this.log.lastIndex > index) dirt.truncateFrom = index + 1
      this.log.reset(index, term)
      this.unpersistFrom(index + 1)
    }
    this.history.restore(index, snapshot.configuration, keepSuffix)
    dirt.snapshot = snapshot
    dirt.compactTo = index
    this.snapshot = snapshot
    this.outbox.restore = snapshot
    this.reached.committed = index
    this.reached.handedOut = index
    this.noteConfiguration()
    this.noteRemoval()
  }

  /** @returns false when this is no news. */
  persisted(seq: number): boolean {
    assert(seq <= this.issuedSeq, 'nothing is on disk that was never written')
    if (seq <= this.persistedSeq) return false
    this.persistedSeq = seq
    const done = this.writes.filter(write => write.seq <= seq)
    this.writes = this.writes.filter(write => write.seq > seq)
    const last = done[done.length - 1]
    this.reached.persisted = last?.lastIndex ?? this.reached.persisted
    this.durableTrust = last?.trust ?? this.durableTrust
    return true
  }

  isPersisted(seq: number): boolean {
    return seq <= this.persistedSeq
  }

  /** The seq that covers everything changed so far, this step included. */
  get coveringSeq(): number {
    return this.issuedSeq + (isDirty(this.outbox) ? 1 : 0)
  }

  applied(index: number): void {
    assert(index <= this.reached.handedOut, 'nothing is applied that was not handed out')
    this.lastApplied = Math.max(this.lastApplied, index)
  }

  envelope(to: string): { readonly from: string; readonly to: string; readonly term: number } {
    return { from: this.id, to, term: this.hard.currentTerm }
  }

  send(message: Send['message']): void {
    this.outbox.send.push({ message })
  }

  /** For what promises something: leaves when all that was changed so far is on disk. */
  sendDurably(message: Send['message']): void {
    const after = this.coveringSeq
    this.outbox.send.push(this.isPersisted(after) ? { message } : { message, after })
  }

  /** For a message that no correct server sends: that is all that comes of it. */
  refuse({ from, term }: Message, property: Violation['property']): void {
    this.outbox.violations.push({ property, from, term })
  }

  /** Never the same twice, in earlier runs neither (chance). */
  newKey(): number {
    this.nextKey += 1
    return this.nextKey
  }

  /** A new random timeout in [T, 2T), counted from now (5.2, 9.3). */
  resetElectionTimer(): void {
    const { electionTimeoutMs } = this.settings
    this.electionElapsed = 0
    this.electionTimeout = this.random.between(electionTimeoutMs, 2 * electionTimeoutMs)
  }

  /** Ends the step. */
  finish(): Effects {
    this.handOut()
    this.assertInvariants()
    const persist = isDirty(this.outbox) ? this.write() : undefined
    const { dirt: _, ...effects } = this.outbox
    this.outbox = emptyOutbox()
    return persist === undefined ? effects : Object.assign(effects, { persist })
  }

  private write(): Persist {
    const { dirt, trust } = this.outbox
    const { hardState: _, stagedFrom, ...changes } = dirt
    this.issuedSeq += 1
    this.writes.push({ seq: this.issuedSeq, trust: this.trust, lastIndex: this.log.lastIndex })
    const { currentTerm, votedFor } = this.hard
    // An empty disk has no trust written yet; it must never be read as full.
    const isTold = trust !== undefined || this.trust.kind !== 'full'
    const entries = stagedFrom === undefined ? [] : this.log.from(stagedFrom)
    return {
      seq: this.issuedSeq,
      currentTerm,
      votedFor,
      ...(isTold && { trust: this.trust }),
      ...changes,
      entries,
    }
  }

  /**
   * Gives committed entries to the state machine. Only those on the own disk: a snapshot of what was applied must
   * never be ahead of the log. At the bound on unapplied bytes they wait for `applied`.
   */
  private handOut(): void {
    const limit = Math.min(this.reached.committed, this.reached.persisted)
    while (this.reached.handedOut < limit) {
      const waiting = this.log.bytesBetween(this.lastApplied, this.reached.handedOut)
      if (waiting >= this.settings.maxUnappliedBytes) break
      const entry = this.log.entryAt(this.reached.handedOut + 1)
      assert(entry !== undefined)
      this.outbox.apply.push(entry)
      this.reached.handedOut += 1
    }
  }

  private assertInvariants(): void {
    const { log } = this
    assert(log.baseIndex <= (this.snapshot?.lastIncludedIndex ?? 0))
    assert(
      this.lastApplied <= this.reached.handedOut &&
        this.reached.handedOut <= this.reached.committed,
    )
    assert(this.reached.committed <= log.lastIndex && this.reached.persisted <= log.lastIndex)
    assert(log.lastTerm <= this.hard.currentTerm, 'no entry is newer than the term')
    if (this.standing.role === 'leader') {
      assert.equal(this.leader, this.id)
      assert.equal(this.hard.votedFor, this.id)
    }
    assert(this.trust.kind === 'full' || this.standing.role === 'follower')
  }
}
