/**
 * One simulated server of the Raft core: a disk that writes late and in order, a state machine that is a hash, and
 * the driver's duties kept to the letter.
 *
 * A crash loses everything but the disk; of the writes under way any number of the first may have happened, and
 * nobody was told.
 */
import assert from 'node:assert/strict'
import type { Effects, Persist } from '../../raft/core/effect.ts'
import type { Entry } from '../../raft/core/entry.ts'
import { blankState, type Input, type PersistedState, type Trust } from '../../raft/core/input.ts'
import type { InstallSnapshot, Message, SnapshotMeta } from '../../raft/core/message.ts'
import type { Raft } from '../../raft/core/raft.ts'
import type { RaftWorld } from './raft-world.ts'

/** What a server's log is at a point: its term, and a hash of everything up to it. */
export interface Link {
  readonly term: number
  readonly chain: number
}

export function linkOf(previous: number, entry: Entry): Link {
  let hash = Math.imul(previous ^ entry.term, 0x9e3779b1) ^ entry.index
  const bytes =
    entry.kind === 'command' ? entry.data : new TextEncoder().encode(JSON.stringify(entry))
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return { term: entry.term, chain: hash >>> 0 }
}

/** A log as links, behind a base. */
export class Chain {
  #base = 0
  #links: Link[] = [{ term: 0, chain: 0 }]

  get last(): number {
    return this.#base + this.#links.length - 1
  }

  at(index: number): Link | undefined {
    return index < this.#base ? undefined : this.#links[index - this.#base]
  }

  append(entry: Entry): Link {
    assert.equal(entry.index, this.last + 1, 'written without a gap')
    const previous = this.#links[this.#links.length - 1]
    const link = linkOf(previous?.chain ?? 0, entry)
    this.#links.push(link)
    return link
  }

  truncateFrom(index: number): void {
    assert(index > this.#base)
    this.#links.length = Math.min(this.#links.length, index - this.#base)
  }

  compactTo(index: number): void {
    assert(index <= this.last)
    if (index <= this.#base) return
    this.#links = this.#links.slice(index - this.#base)
    this.#base = index
  }

  reset(index: number, link: Link): void {
    this.#base = index
    this.#links = [link]
  }

  /** As `persist` says; `linkAt` tells what a received snapshot stands for. */
  write(persist: Persist, linkAt: (snapshot: SnapshotMeta) => Link): void {
    const { snapshot, truncateFrom, compactTo, entries } = persist
    if (snapshot !== undefined) {
      const { lastIncludedIndex: index } = snapshot
      const link = linkAt(snapshot)
      if (this.at(index)?.term !== snapshot.lastIncludedTerm) this.reset(index, link)
      else assert.equal(this.at(index)?.chain, link.chain, 'a snapshot of what the log says')
    }
    if (truncateFrom !== undefined && truncateFrom <= this.last) this.truncateFrom(truncateFrom)
    if (compactTo !== undefined) this.compactTo(compactTo)
    for (const entry of entries) this.append(entry)
  }
}

/** What is on disk. */
class Disk {
  currentTerm = 0
  votedFor: string | undefined
  /** Nobody believes an empty disk. */
  trust: Trust = { kind: 'unknown' }
  snapshot: SnapshotMeta | undefined
  entries: Entry[] = []
  chain = new Chain()
  readonly chunks = new Map<string, Uint8Array[]>()

  write(persist: Persist, linkAt: (snapshot: SnapshotMeta) => Link): void {
    const { snapshot, truncateFrom, compactTo, entries } = persist
    this.currentTerm = persist.currentTerm
    this.votedFor = persist.votedFor
    this.trust = persist.trust ?? this.trust
    if (snapshot !== undefined) this.snapshot = snapshot
    if (truncateFrom !== undefined) {
      this.entries = this.entries.filter(entry => entry.index < truncateFrom)
    }
    if (compactTo !== undefined) {
      this.entries = this.entries.filter(entry => entry.index > compactTo)
    }
    this.entries.push(...entries)
    this.chain.write(persist, linkAt)
  }

  read(): PersistedState {
    const { currentTerm, votedFor, trust, snapshot, entries } = this
    return { currentTerm, votedFor, trust, snapshot, entries: [...entries] }
  }

  /** The log ends before `index`. Term and vote are kept apart from it. */
  loseFrom(index: number): void {
    this.entries = this.entries.filter(entry => entry.index < index)
    if (index <= this.chain.last) this.chain.truncateFrom(index)
    if (this.trust.kind === 'full') this.trust = { kind: 'relearning' }
  }

  loseAll(): void {
    Object.assign(this, { ...blankState, entries: [] })
    this.chain = new Chain()
    this.chunks.clear()
  }
}

type MachineWork =
  | { readonly kind: 'restore'; readonly snapshot: SnapshotMeta; readonly after: number }
  | { readonly kind: 'apply'; readonly entries: readonly Entry[] }

export class SimServer {
  readonly id: string
  readonly disk = new Disk()
  readonly #world: RaftWorld
  raft: Raft | undefined
  /** The log in memory, as its effects tell. */
  log = new Chain()
  /** Stopped for good: it was told that it is no member any more. */
  retired = false
  pausedUntil = 0
  slowDisk = false
  /** What is written until then is not done before. */
  hangsUntil = 0
  /** Its disk has lost something, once. */
  damaged = false
  /** The state machine: what it has applied. */
  applied: { index: number; chain: number } = { index: 0, chain: 0 }
  #run = 0
  #writes: Persist[] = []
  #isWriting = false
  #persistedSeq = 0
  #held: { readonly message: Message; readonly after: number; readonly link: Link | undefined }[] =
    []
  #machine: MachineWork[] = []
  #machineBusy = false
  #savingSnapshot = false
  #tells = false

  constructor(world: RaftWorld, id: string) {
    this.#world = world
    this.id = id
  }

  start(): void {
    assert(this.raft === undefined)
    const { disk } = this
    this.#run += 1
    this.raft = this.#world.makeCore(this.id, disk.read())
    this.log = new Chain()
    if (disk.snapshot !== undefined) {
      const link = this.#world.snapshotLink(disk.snapshot)
      this.log.reset(disk.snapshot.lastIncludedIndex, link)
      this.applied = { index: disk.snapshot.lastIncludedIndex, chain: link.chain }
    } else this.applied = { index: 0, chain: 0 }
    for (const entry of disk.entries) if (entry.index > this.log.last) this.log.append(entry)
    this.#world.check(this, undefined)
  }

  crash(): void {
    if (this.raft === undefined) return
    this.raft = undefined
    this.#run += 1
    const done = this.#world.random.between(0, this.#writes.length)
    for (const write of this.#writes.slice(0, done)) this.#toDisk(write)
    for (const id of this.disk.chunks.keys()) {
      if (id !== this.disk.snapshot?.id) this.disk.chunks.delete(id)
    }
    this.#writes = []
    this.#isWriting = false
    this.#persistedSeq = 0
    this.#held = []
    this.#machine = []
    this.#machineBusy = false
    this.#savingSnapshot = false
    this.#tells = false
  }

  /** Only while it is down. */
  loseTail(): void {
    const { disk } = this
    const first = (disk.snapshot?.lastIncludedIndex ?? 0) + 1
    if (disk.chain.last >= first) {
      disk.loseFrom(this.#world.random.between(first, disk.chain.last))
      this.damaged = true
    }
  }

  /** Only while it is down. */
  wipe(): void {
    this.disk.loseAll()
    this.damaged = true
  }

  step(input: Input): Effects | undefined {
    const { raft } = this
    if (raft === undefined) return undefined
    const effects = raft.step(input)
    if (effects.persist) this.#persist(effects.persist)
    this.#world.check(this, effects, input)
    this.#carryOut(effects)
    if (raft.owesNews && !this.#tells) this.#tell(raft.commitIndex)
    return effects
  }

  #tell(index: number): void {
    this.#tells = true
    this.#later(5, () => {
      this.#tells = false
      this.step({ type: 'tell', index })
    })
  }

  /** Calls `run` later, unless this server has crashed by then. */
  #later(ms: number, run: () => void): void {
    const current = this.#run
    this.#world.time.after(ms, () => {
      if (this.#run === current && this.raft !== undefined) run()
    })
  }

  #persist(persist: Persist): void {
    this.log.write(persist, snapshot => this.#world.snapshotLink(snapshot))
    this.#writes.push(persist)
    this.#writeNext()
  }

  /** One batch at a time: the next write, or all that wait. */
  #writeNext(): void {
    const { random, swarm } = this.#world
    if (this.#isWriting || this.#writes.length === 0) return
    const count = random.chance(swarm.mergeRate) ? this.#writes.length : 1
    this.#isWriting = true
    this.#later(this.#world.diskDelay(this), () => {
      this.#isWriting = false
      const batch = this.#writes.splice(0, count)
      for (const write of batch) this.#toDisk(write)
      const seq = batch.at(-1)?.seq ?? 0
      this.#persistedSeq = seq
      const free = this.#held.filter(({ after }) => after <= seq)
      this.#held = this.#held.filter(({ after }) => after > seq)
      for (const { message, link } of free) this.#world.transmit(this, message, link)
      this.#writeNext()
      this.step({ type: 'persisted', seq })
      this.#runMachine()
    })
  }

  #toDisk(write: Persist): void {
    this.disk.write(write, snapshot => this.#world.snapshotLink(snapshot))
  }

  #carryOut(effects: Effects): void {
    const { random } = this.#world
    for (const { message, after } of effects.send) {
      const link = this.#promised(message)
      if (after !== undefined && after > this.#persistedSeq)
        this.#held.push({ message, after, link })
      else this.#world.transmit(this, message, link)
    }
    for (const header of effects.sendChunks) {
      const data = this.disk.chunks.get(header.snapshot.id)?.[header.chunk]
      assert(data !== undefined, 'a snapshot in use was deleted')
      const message: InstallSnapshot = { ...header, data }
      this.#later(random.next() * 2, () => this.#world.transmit(this, message, undefined))
    }
    for (const { snapshot, chunk, data } of effects.storeChunks) {
      const stored = chunk === 0 ? [] : (this.disk.chunks.get(snapshot.id) ?? [])
      stored[chunk] = data
      this.disk.chunks.set(snapshot.id, stored)
      this.#later(this.#world.diskDelay(this), () => {
        this.step({ type: 'chunkStored', snapshotId: snapshot.id, chunk })
      })
    }
    if (effects.restore !== undefined) {
      assert(effects.persist !== undefined)
      this.#machine = [{ kind: 'restore', snapshot: effects.restore, after: effects.persist.seq }]
    }
    if (effects.apply.length > 0) this.#machine.push({ kind: 'apply', entries: effects.apply })
    this.#runMachine()
    if (effects.removed) this.#world.retire(this)
  }

  /** What a successful answer says is on this server's disk. */
  #promised(message: Message): Link | undefined {
    if (message.type === 'installSnapshotReply') return this.log.at(message.matchIndex ?? 0)
    if (message.type !== 'appendEntriesReply' || !message.result.success) return undefined
    return this.log.at(message.result.matchIndex)
  }

  #runMachine(): void {
    const work = this.#machine[0]
    if (work === undefined || this.#machineBusy) return
    if (work.kind === 'restore' && work.after > this.#persistedSeq) return
    this.#machineBusy = true
    this.#later(this.#world.random.next() * 4, () => {
      this.#machineBusy = false
      // A restore that came meanwhile took this work's place.
      if (this.#machine[0] !== work) return this.#runMachine()
      this.#machine.shift()
      if (work.kind === 'restore') this.#restore(work.snapshot)
      else for (const entry of work.entries) this.#apply(entry)
      this.step({ type: 'applied', index: this.applied.index })
      this.#maybeSaveSnapshot()
      this.#runMachine()
    })
  }

  #restore(snapshot: SnapshotMeta): void {
    const bytes = (this.disk.chunks.get(snapshot.id) ?? []).map(chunk =>
      new TextDecoder().decode(chunk),
    )
    const state = JSON.parse(bytes.join('')) as { index: number; chain: number }
    assert.equal(state.index, snapshot.lastIncludedIndex, 'the snapshot is whole')
    this.applied = state
    this.#world.noteApplied(this.applied)
  }

  #apply(entry: Entry): void {
    assert.equal(entry.index, this.applied.index + 1, 'applied in order, each once')
    this.applied = { index: entry.index, chain: linkOf(this.applied.chain, entry).chain }
    this.#world.noteApplied(this.applied)
  }

  #maybeSaveSnapshot(): void {
    const { raft, applied } = this
    if (raft === undefined || this.#savingSnapshot) return
    if (applied.index - raft.snapshotIndex < this.#world.swarm.snapshotEvery) return
    const text = JSON.stringify(applied)
    const chunks = this.#world.random.between(1, 5)
    const size = Math.ceil(text.length / chunks)
    const parts = Array.from({ length: chunks }, (_, n) => text.slice(n * size, (n + 1) * size))
    const lastIncludedTerm = raft.termAt(applied.index)
    assert(lastIncludedTerm !== undefined)
    const snapshot: SnapshotMeta = {
      id: this.#world.newSnapshotId(this.id),
      lastIncludedIndex: applied.index,
      lastIncludedTerm,
      configuration: raft.configurationAt(applied.index),
      bytes: text.length,
      chunks,
    }
    this.#world.registerSnapshot(snapshot, { term: lastIncludedTerm, chain: applied.chain })
    this.#savingSnapshot = true
    this.#later(this.#world.diskDelay(this) * 3, () => {
      this.#savingSnapshot = false
      if (raft.snapshotIndex >= snapshot.lastIncludedIndex) return
      this.disk.snapshot = snapshot
      this.disk.chunks.set(
        snapshot.id,
        parts.map(part => new TextEncoder().encode(part)),
      )
      this.step({ type: 'snapshotSaved', snapshot })
      this.#dropOldChunks(raft)
    })
  }

  #dropOldChunks(raft: Raft): void {
    for (const id of this.disk.chunks.keys()) {
      const isOld = this.#world.snapshotIndex(id) < raft.snapshotIndex
      if (isOld && id !== this.disk.snapshot?.id && !raft.snapshotsInUse.includes(id)) {
        this.disk.chunks.delete(id)
      }
    }
  }
}
