/**
 * A few cores joined by a queue, for tests that tell a story: disks are instant unless held, messages arrive in
 * order unless a link is cut, and nothing happens but what the test says.
 */
import assert from 'node:assert/strict'
import { configurationOf } from '../../../raft/core/configuration.ts'
import type { Effects, Persist } from '../../../raft/core/effect.ts'
import type { Entry } from '../../../raft/core/entry.ts'
import { blankState, type Input, type PersistedState } from '../../../raft/core/input.ts'
import type { Message, MessageType, SnapshotMeta } from '../../../raft/core/message.ts'
import { Raft } from '../../../raft/core/raft.ts'
import { defaultSettings, type RaftSettings } from '../../../raft/core/settings.ts'
import { ProposalFate, type SettledProposal } from '../../../raft/fate.ts'

export const T = defaultSettings.electionTimeoutMs

export function command(index: number, term: number, text = `${term}.${index}`): Entry {
  return { kind: 'command', index, term, data: bytes(text) }
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** A log that begins with its configuration; each further number is the term of a command. */
export function stateOf(
  voters: readonly string[],
  terms: readonly number[] = [],
  currentTerm = Math.max(1, ...terms),
): PersistedState {
  const first: Entry = {
    kind: 'configuration',
    index: 1,
    term: 1,
    configuration: configurationOf(voters),
  }
  return {
    currentTerm,
    votedFor: undefined,
    snapshot: undefined,
    entries: [first, ...terms.map((term, n) => command(n + 2, term))],
  }
}

export function coreOf(
  id: string,
  persisted: PersistedState,
  settings: Partial<RaftSettings> = {},
): Raft {
  const seed = id.charCodeAt(0)
  return new Raft({ id, settings: { ...defaultSettings, ...settings }, persisted, seed })
}

export class Cluster {
  readonly cores = new Map<string, Raft>()
  readonly #fates = new Map<string, ProposalFate>()
  /** What became of proposals after they were taken. */
  readonly settled = new Map<string, SettledProposal[]>()
  readonly #settings: Partial<RaftSettings>
  readonly #queue: Message[] = []
  readonly #held = new Map<string, { readonly writes: Persist[]; readonly sends: Message[] }>()
  /** Links that carry nothing: `a>b`, `a>*`, `*>a`. */
  readonly cut = new Set<string>()
  /** Messages that get lost, wherever they go. */
  lose: (message: Message) => boolean = () => false
  /** Every message that left, whether it arrived or not. */
  sent: Message[] = []
  /** All that each server's steps asked for, oldest first. */
  readonly effects = new Map<string, Effects[]>()
  readonly applied = new Map<string, string[]>()
  readonly #chunks = new Map<string, string[]>()

  constructor(
    states: Readonly<Record<string, PersistedState>>,
    settings: Partial<RaftSettings> = {},
  ) {
    this.#settings = settings
    for (const [id, state] of Object.entries(states)) this.add(id, state)
  }

  /** Starts a server, or starts it anew with what its disk holds. */
  add(id: string, state: PersistedState = blankState): void {
    this.cores.set(id, coreOf(id, state, this.#settings))
    this.effects.set(id, [])
    this.#fates.set(id, new ProposalFate())
    this.settled.set(id, [])
    this.applied.set(id, [])
    this.#held.delete(id)
  }

  core(id: string): Raft {
    const core = this.cores.get(id)
    assert(core !== undefined)
    return core
  }

  /** From now on writes of `id` do not end, until `release`. */
  holdDisk(id: string): void {
    this.#held.set(id, { writes: [], sends: [] })
  }

  release(id: string): void {
    const held = this.#held.get(id)
    assert(held !== undefined)
    this.#held.delete(id)
    const last = held.writes[held.writes.length - 1]
    if (last !== undefined) this.step(id, { type: 'persisted', seq: last.seq })
    for (const message of held.sends) this.#post(message)
  }

  step(id: string, input: Input): Effects {
    const effects = this.core(id).step(input)
    this.effects.get(id)?.push(effects)
    const settled = this.#fates.get(id)?.after(effects) ?? []
    this.settled.get(id)?.push(...settled)
    const held = this.#held.get(id)
    if (effects.persist) held?.writes.push(effects.persist)
    for (const { message, after } of effects.send) {
      if (after !== undefined && held !== undefined) held.sends.push(message)
      else this.#post(message)
    }
    for (const header of effects.sendChunks) {
      const text = this.#chunks.get(header.snapshot.id)?.[header.chunk]
      assert(text !== undefined)
      this.#post({ ...header, data: bytes(text) })
    }
    for (const { snapshot, chunk } of effects.storeChunks) {
      this.step(id, { type: 'chunkStored', snapshotId: snapshot.id, chunk })
    }
    if (effects.restore !== undefined) {
      this.applied.set(id, this.#chunks.get(effects.restore.id)?.join('').split(' ') ?? [])
      this.step(id, { type: 'applied', index: effects.restore.lastIncludedIndex })
    }
    const last = effects.apply[effects.apply.length - 1]
    if (last !== undefined) {
      for (const entry of effects.apply) {
        if (entry.kind !== 'command') continue
        this.applied.get(id)?.push(new TextDecoder().decode(entry.data))
      }
      this.step(id, { type: 'applied', index: last.index })
    }
    // Last, for what it brings comes after what this step brought.
    if (effects.persist && held === undefined) {
      this.step(id, { type: 'persisted', seq: effects.persist.seq })
    }
    return effects
  }

  #post(message: Message): void {
    this.sent.push(message)
    const { from, to } = message
    if (this.lose(message)) return
    if ([`${from}>${to}`, `${from}>*`, `*>${to}`].some(link => this.cut.has(link))) return
    this.#queue.push(message)
  }

  /** Puts a message on its way again, late. */
  resend(message: Message): void {
    this.#queue.push(message)
    this.settle()
  }

  /** Delivers until nothing is on the way. */
  settle(): void {
    for (let n = 0; ; n++) {
      assert(n < 100_000, 'it never ends')
      const message = this.#queue.shift()
      if (message === undefined) return
      if (this.cores.has(message.to)) this.step(message.to, { type: 'message', message })
    }
  }

  /** Time for some servers, or for all, with whatever that brings. */
  elapse(ms: number, ids: readonly string[] = [...this.cores.keys()].sort()): void {
    for (let passed = 0; passed < ms; passed += 20) {
      for (const id of ids) this.step(id, { type: 'elapse', ms: 20 })
      this.settle()
    }
  }

  /** Makes `id` the leader, by letting time pass for it alone. */
  elect(id: string): void {
    for (let n = 0; n < 200 && this.core(id).role !== 'leader'; n++) this.elapse(20, [id])
    assert.equal(this.core(id).role, 'leader', `${id} leads`)
  }

  propose(id: string, ...texts: string[]): void {
    const proposals = texts.map(text => ({
      id: Number(text.replace(/\D/g, '')),
      data: bytes(text),
    }))
    this.step(id, { type: 'propose', proposals })
    this.settle()
  }

  /** A snapshot of what `id` has applied, cut into `chunks`. */
  saveSnapshot(id: string, chunks = 3): SnapshotMeta {
    const core = this.core(id)
    const index = core.lastApplied
    const text = (this.applied.get(id) ?? []).join(' ')
    const size = Math.ceil(text.length / chunks)
    const term = core.termAt(index)
    assert(term !== undefined)
    const snapshot: SnapshotMeta = {
      id: `${id}@${index}`,
      lastIncludedIndex: index,
      lastIncludedTerm: term,
      configuration: core.configurationAt(index),
      bytes: text.length,
      chunks,
    }
    this.#chunks.set(
      snapshot.id,
      Array.from({ length: chunks }, (_, n) => text.slice(n * size, (n + 1) * size)),
    )
    this.step(id, { type: 'snapshotSaved', snapshot })
    return snapshot
  }

  /** Messages of a type that left since the last `sent = []`. */
  sentOf<K extends MessageType>(type: K): Extract<Message, { readonly type: K }>[] {
    return this.sent.filter(
      (message): message is Extract<Message, { readonly type: K }> => message.type === type,
    )
  }

  /** All results of one kind that a server ever gave. */
  results<K extends 'proposals' | 'reads' | 'transfers' | 'changes'>(
    id: string,
    kind: K,
  ): Effects[K][number][] {
    return (this.effects.get(id) ?? []).flatMap(effects => [...effects[kind]])
  }
}

/** `count` voters with one log. */
export function clusterOf(count: number, settings: Partial<RaftSettings> = {}): Cluster {
  const ids = ['a', 'b', 'c', 'd', 'e'].slice(0, count)
  return new Cluster(Object.fromEntries(ids.map(id => [id, stateOf(ids)])), settings)
}
