/**
 * Feeds the state machine: committed commands in order, and now and then a snapshot in place of many.
 *
 * Work is done in slices of a few milliseconds with the event loop in between, because a heartbeat that waits
 * behind ten thousand commands looks to the others like a dead leader.
 *
 * Invariant: `applied` grows by one from entry to entry, or jumps to the index of a restored snapshot.
 */
import assert from 'node:assert/strict'
import type { Entry } from './core/entry.ts'
import type { SnapshotMeta } from './core/message.ts'
import { RaftError } from './error.ts'
import type { Clock } from './ports.ts'
import { restoreSnapshot } from './restore.ts'
import type { StateMachine } from './state-machine.ts'
import type { Storage } from './storage.ts'

export interface ApplierOptions {
  readonly machine: StateMachine
  readonly storage: Storage
  readonly clock: Clock
  /** Everything up to and including `index` is applied; `entries` are those of this slice. */
  readonly onApplied: (index: number, entries: readonly Entry[]) => void
  /** The state is compared with other servers' at every index that this divides, and at the machine's checkpoints. */
  readonly compareEveryEntries: number
  /** The machine's hash when exactly the entries up to `index` are applied. */
  readonly onDigest: (index: number, hash: string) => void
  /** The machine took a snapshot. */
  readonly onRestored: () => void
  readonly onError: (error: RaftError) => void
}

/** With what follows from them, the answers to their callers say, a slice is to stay well below 5 ms. */
const sliceMs = 2
/** So that a slice ends in simulated time too, where no time passes within it. */
const sliceEntries = 1024
/** So few are applied at once: what they lead to then leaves in one write with what else the turn sends. */
const fewEntries = 16

type Work =
  | { readonly kind: 'apply'; readonly entries: readonly Entry[]; next: number }
  /** Not before everything up to `seq` is durable. */
  | { readonly kind: 'restore'; readonly snapshot: SnapshotMeta; readonly seq: number }

export class Applier {
  readonly #options: ApplierOptions
  /** Bounded by the core: it hands out `maxUnappliedBytes` at most. */
  readonly #queue: Work[] = []
  #applied: number
  /** Being read. */
  #restoring: string | undefined
  #persistedSeq = 0
  #busy = false
  #running = false
  #stopped = false

  /** `applied`: the last index that the machine already includes. */
  constructor(options: ApplierOptions, applied: number) {
    this.#options = options
    this.#applied = applied
  }

  get applied(): number {
    return this.#applied
  }

  /** Ids of snapshots that the machine has still to take: they must not be deleted, old as they may be. */
  get needed(): readonly string[] {
    const queued = this.#queue.flatMap(work => (work.kind === 'restore' ? [work.snapshot.id] : []))
    return this.#restoring === undefined ? queued : [this.#restoring, ...queued]
  }

  /** A few that nothing stands before wait for `turn`; what is more has a turn of its own. */
  apply(entries: readonly Entry[]): void {
    this.#queue.push({ kind: 'apply', entries, next: 0 })
    if (!this.#isFew) this.#schedule()
  }

  /** The steps of this turn are done: a few entries are applied now. */
  turn(): void {
    if (this.#isFew) this.#slice()
  }

  get #isFew(): boolean {
    const [work] = this.#queue
    if (this.#busy || this.#running || this.#queue.length !== 1) return false
    return work?.kind === 'apply' && work.entries.length - work.next <= fewEntries
  }

  /** Waits until everything up to `seq` is durable, and what comes after it waits too. */
  restore(snapshot: SnapshotMeta, seq: number): void {
    this.#queue.push({ kind: 'restore', snapshot, seq })
    this.#schedule()
  }

  /** Everything up to `seq` is durable. */
  persisted(seq: number): void {
    this.#persistedSeq = seq
    this.#schedule()
  }

  stop(): void {
    this.#stopped = true
    this.#queue.length = 0
  }

  #schedule(): void {
    const work = this.#queue[0]
    if (this.#busy || this.#stopped || work === undefined) return
    if (work.kind === 'restore' && work.seq > this.#persistedSeq) return
    this.#busy = true
    this.#options.clock.defer(() => {
      this.#busy = false
      this.#slice()
    })
  }

  #slice(): void {
    const work = this.#queue[0]
    if (work === undefined || this.#stopped) return
    if (work.kind === 'restore') {
      this.#queue.shift()
      this.#restore(work.snapshot)
      return
    }
    this.#running = true
    const entries = this.#run(work)
    if (work.next === work.entries.length) this.#queue.shift()
    if (!this.#stopped && entries.length > 0) this.#options.onApplied(this.#applied, entries)
    this.#running = false
    if (entries.length > 0) this.#schedule()
  }

  /** Applies entries until the slice is used up. */
  #run(work: Work & { kind: 'apply' }): readonly Entry[] {
    const { clock, machine, onError } = this.#options
    const start = clock.now()
    const first = work.next
    while (work.next < work.entries.length && work.next - first < sliceEntries) {
      const entry = work.entries[work.next]
      assert(entry !== undefined)
      assert.equal(entry.index, this.#applied + 1)
      try {
        if (entry.kind === 'command') machine.apply(entry)
        this.#applied = entry.index
        this.#compare(entry)
      } catch (cause) {
        onError(new RaftError('RAFT_STATE_MACHINE', `At entry ${entry.index}.`, { cause }))
        return []
      }
      work.next++
      if (clock.now() - start >= sliceMs) break
    }
    return work.entries.slice(first, work.next)
  }

  #compare({ kind, index }: Entry): void {
    const { machine, compareEveryEntries, onDigest } = this.#options
    const isDue = index % compareEveryEntries === 0
    if (!isDue && (kind !== 'command' || machine.isCheckpoint?.() !== true)) return
    const hash = machine.digest?.()
    if (hash !== undefined) onDigest(index, hash)
  }

  #restore(snapshot: SnapshotMeta): void {
    const { machine, storage, clock, onApplied, onRestored, onError } = this.#options
    this.#busy = true
    this.#restoring = snapshot.id
    const isStopped = (): boolean => this.#stopped
    restoreSnapshot({ machine, storage, clock, snapshot, isStopped }, error => {
      this.#busy = false
      this.#restoring = undefined
      if (error !== undefined) {
        onError(error)
        return
      }
      this.#applied = snapshot.lastIncludedIndex
      onRestored()
      onApplied(this.#applied, [])
      this.#schedule()
    })
  }
}
