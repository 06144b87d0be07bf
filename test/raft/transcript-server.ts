/**
 * One server of a transcript: a real core with a disk, a state machine and what waits for either, each of which
 * goes on only as the transcript says.
 *
 * Nothing that a write must come before leaves until that write is done; a crash takes all that was not.
 */
import assert from 'node:assert/strict'
import type { Effects, Persist } from '../../raft/core/effect.ts'
import type { Entry } from '../../raft/core/entry.ts'
import type { Input, PersistedState } from '../../raft/core/input.ts'
import type { Message, SnapshotMeta } from '../../raft/core/message.ts'
import { Raft } from '../../raft/core/raft.ts'
import type { RaftSettings } from '../../raft/core/settings.ts'
import { ProposalFate } from '../../raft/fate.ts'
import {
  commandName,
  entriesText,
  type HardState,
  persistText,
  statusText,
} from './transcript-words.ts'

/** What can be held back: writes, the state machine, the storing of received chunks. */
export const held = ['disk', 'apply', 'chunks'] as const
export type Held = (typeof held)[number]

/** The world around a server. */
export interface Surroundings {
  say(text: string): void
  post(message: Message): void
  /** The chunks of every snapshot ever taken, by id. */
  readonly snapshots: Map<string, readonly string[]>
  /** After each step, with what it did. */
  stepped(server: Server, effects: Effects): void
  /** Says what a step decided. */
  tell(server: Server, effects: Effects): void
}

type Work =
  | { readonly kind: 'apply'; readonly entries: readonly Entry[] }
  | { readonly kind: 'restore'; readonly snapshot: SnapshotMeta; readonly after: number }

export class Server {
  readonly id: string
  readonly settings: RaftSettings
  raft: Raft | undefined
  /** Role, term and leader, as they were told last. */
  status = ''
  fate = new ProposalFate()
  disk: PersistedState
  /** Commands applied, in order. */
  machine: string[] = []
  /** The log as the core has it in memory. */
  memory: Entry[] = []
  readonly held = new Set<Held>()
  private readonly world: Surroundings
  private starts = 0
  private shown: HardState
  private writes: Persist[] = []
  private written = 0
  private waiting: { readonly message: Message; readonly after: number }[] = []
  private work: Work[] = []
  private chunks: { readonly snapshotId: string; readonly chunk: number }[] = []
  private received = new Map<string, string[]>()
  /** Of the snapshot whose chunks came last: what a crash may have left of them. */
  private coming: SnapshotMeta | undefined
  private inputs: Input[] = []

  constructor(id: string, disk: PersistedState, settings: RaftSettings, world: Surroundings) {
    this.id = id
    this.disk = disk
    this.shown = disk
    this.settings = settings
    this.world = world
  }

  /** Starts from what the disk holds; with the first `partial` chunks of the snapshot that was being received. */
  start(partial = 0): void {
    assert(this.raft === undefined, `${this.id} runs`)
    const { disk, id, settings } = this
    this.starts += 1
    const seed = [...id].reduce(
      (sum, letter) => sum * 31 + letter.charCodeAt(0),
      this.starts * 7919,
    )
    this.shown = disk
    this.memory = [...disk.entries]
    this.machine = disk.snapshot === undefined ? [] : this.stateOf(disk.snapshot.id)
    const { coming } = this
    const kept = coming === undefined ? [] : (this.received.get(coming.id) ?? []).slice(0, partial)
    this.received.clear()
    const isKept = coming !== undefined && kept.length > 0
    if (isKept) this.received.set(coming.id, kept)
    const rest = isKept ? { partial: { snapshot: coming, stored: kept.length } } : {}
    this.raft = new Raft({ id, settings, persisted: { ...disk, ...rest }, seed })
    this.status = statusText(this.raft)
    this.fate = new ProposalFate()
  }

  /** Everything that was not on disk is gone. */
  crash(): void {
    this.raft = undefined
    this.memory = []
    this.machine = []
    this.writes = []
    this.written = 0
    this.waiting = []
    this.work = []
    this.chunks = []
    this.inputs = []
  }

  step(input: Input): void {
    this.inputs.push(input)
    this.drain()
  }

  private drain(): void {
    for (;;) {
      const next = this.inputs.shift()
      if (next === undefined || this.raft === undefined) return
      this.take(this.raft, next)
    }
  }

  private take(raft: Raft, input: Input): void {
    let effects: Effects
    try {
      effects = raft.step(input)
    } catch (error) {
      if (!(error instanceof assert.AssertionError)) throw error
      this.world.say(`${this.id} STOPS: ${error.message.split('\n')[0] ?? ''}`)
      this.crash()
      return
    }
    this.world.tell(this, effects)
    const { persist } = effects
    if (persist !== undefined) this.issue(persist)
    this.world.stepped(this, effects)
    this.send(effects)
    for (const { snapshot, chunk, data } of effects.storeChunks) {
      const parts = chunk === 0 ? [] : (this.received.get(snapshot.id) ?? [])
      parts[chunk] = new TextDecoder().decode(data)
      this.received.set(snapshot.id, parts)
      this.coming = snapshot
      this.chunks.push({ snapshotId: snapshot.id, chunk })
    }
    const { restore } = effects
    if (restore) this.work.push({ kind: 'restore', snapshot: restore, after: persist?.seq ?? 0 })
    if (effects.apply.length > 0) this.work.push({ kind: 'apply', entries: effects.apply })
    this.goOn()
  }

  private issue(persist: Persist): void {
    const isHeld = this.held.has('disk')
    const text = persistText(persist, this.shown)
    this.world.say(
      isHeld ? `${this.id} writes #${persist.seq}: ${text}` : `${this.id} saves: ${text}`,
    )
    this.shown = persist
    this.memory = withPersist(this.memory, persist)
    this.writes.push(persist)
    // Done before anything leaves; the core hears of it after all else that the step brought.
    if (!isHeld) {
      for (const write of this.writes.splice(0)) this.write(write)
      this.inputs.push({ type: 'persisted', seq: persist.seq })
    }
  }

  private send(effects: Effects): void {
    for (const { message, after } of effects.send) {
      if (after !== undefined && after > this.written) {
        this.waiting.push({ message, after })
        this.world.say(`${this.id}>${message.to} ${message.type} waits for write #${after}`)
      } else this.world.post(message)
    }
    for (const header of effects.sendChunks) {
      const text = this.world.snapshots.get(header.snapshot.id)?.[header.chunk]
      assert(text !== undefined, 'a snapshot in use is kept')
      this.world.post({ ...header, data: new TextEncoder().encode(text) })
    }
  }

  private write(persist: Persist): void {
    const { currentTerm, votedFor, snapshot } = persist
    this.written = persist.seq
    if (snapshot !== undefined) {
      const parts = this.received.get(snapshot.id) ?? []
      assert.deepEqual(parts, this.world.snapshots.get(snapshot.id), 'all chunks are stored')
    }
    this.disk = {
      ...this.disk,
      ...('trust' in persist && { trust: persist.trust }),
      currentTerm,
      votedFor,
      snapshot: snapshot ?? this.disk.snapshot,
      entries: withPersist(this.disk.entries, persist),
    }
  }

  /** Ends `count` writes, the oldest first, one after another. @returns whether there was one. */
  persist(count: number): boolean {
    const done = this.writes.splice(0, count)
    for (const write of done) {
      this.write(write)
      this.world.say(`${this.id} has write #${write.seq} on disk`)
      const free = this.waiting.filter(({ after }) => after <= write.seq)
      this.waiting = this.waiting.filter(({ after }) => after > write.seq)
      for (const { message } of free) this.world.post(message)
      this.step({ type: 'persisted', seq: write.seq })
    }
    return done.length > 0
  }

  apply(count: number): boolean {
    const done = this.work.splice(0, count)
    for (const work of done) this.carryOut(work)
    this.drain()
    return done.length > 0
  }

  /** Stores end in any order: the oldest `count` first, or the newest. */
  storeChunks(count: number, order?: 'newest'): boolean {
    if (order === 'newest') this.chunks.reverse()
    const done = this.chunks.splice(0, count)
    if (order === 'newest') this.chunks.reverse()
    for (const { snapshotId, chunk } of done) {
      this.world.say(`${this.id} stored chunk ${chunk + 1} of ${snapshotId}`)
      this.step({ type: 'chunkStored', snapshotId, chunk })
    }
    return done.length > 0
  }

  /** From now on everything of that kind is done at once. */
  release(kind: Held): void {
    this.held.delete(kind)
    if (kind === 'disk') this.persist(Infinity)
    if (kind === 'chunks') this.storeChunks(Infinity)
    this.goOn()
    this.drain()
  }

  private goOn(): void {
    if (!this.held.has('chunks')) {
      for (const { snapshotId, chunk } of this.chunks.splice(0)) {
        this.inputs.push({ type: 'chunkStored', snapshotId, chunk })
      }
    }
    if (this.held.has('apply')) return
    for (;;) {
      const [next] = this.work
      if (next === undefined || (next.kind === 'restore' && next.after > this.written)) break
      this.work.shift()
      this.carryOut(next)
    }
  }

  private carryOut(work: Work): void {
    if (work.kind === 'restore') {
      const { id, lastIncludedIndex } = work.snapshot
      this.machine = this.stateOf(id)
      this.world.say(`${this.id} restores ${id}: [${this.machine.join(' ')}]`)
      this.inputs.push({ type: 'applied', index: lastIncludedIndex })
      return
    }
    const { entries } = work
    for (const entry of entries) if (entry.kind === 'command') this.machine.push(nameOf(entry))
    this.world.say(`${this.id} applies ${entriesText(entries)}`)
    const last = entries[entries.length - 1]
    assert(last !== undefined)
    this.inputs.push({ type: 'applied', index: last.index })
  }

  private stateOf(snapshotId: string): string[] {
    const text = this.world.snapshots.get(snapshotId)?.join('') ?? ''
    return text === '' ? [] : text.split(' ')
  }

  /** A snapshot of what is applied, durable at once, cut into `count` chunks. */
  saveSnapshot(count: number): SnapshotMeta {
    const { raft, machine, id } = this
    assert(raft !== undefined)
    const index = raft.lastApplied
    const term = raft.termAt(index)
    assert(term !== undefined)
    const text = machine.join(' ')
    const size = Math.max(1, Math.ceil(text.length / count))
    const parts = Array.from({ length: count }, (_, n) => text.slice(n * size, (n + 1) * size))
    const snapshot: SnapshotMeta = {
      id: `${id}@${index}`,
      lastIncludedIndex: index,
      lastIncludedTerm: term,
      configuration: raft.configurationAt(index),
      bytes: text.length,
      chunks: count,
    }
    this.world.snapshots.set(snapshot.id, parts)
    this.disk = { ...this.disk, snapshot }
    return snapshot
  }

  get isIdle(): boolean {
    return this.writes.length === 0 && this.work.length === 0 && this.chunks.length === 0
  }
}

function nameOf(entry: Entry & { readonly kind: 'command' }): string {
  return commandName(entry.data) || `${entry.index}t${entry.term}`
}

function withPersist(entries: readonly Entry[], persist: Persist): Entry[] {
  const { truncateFrom = Infinity, compactTo = 0 } = persist
  const kept = entries.filter(({ index }) => index < truncateFrom && index > compactTo)
  return [...kept, ...persist.entries]
}
