/**
 * Who waits for what: each caller of a node hears the outcome of what it asked for exactly once.
 *
 * The core says where a command stands in the log; it is committed when that index is applied here with that
 * term. A server that is cut off hears nothing more, so what is older than the time allowed is "unknown".
 *
 * Invariant: a caller is in exactly one of the maps, and in none once it was told.
 */
import type {
  ChangeRefusal,
  ChangeResult,
  ProposalResult,
  ProposeRefusal,
  ReadRefusal,
  ReadResult,
  TransferRefusal,
  TransferResult,
} from './core/effect.ts'
import type { Entry } from './core/entry.ts'
import type { SettledProposal } from './fate.ts'
import type { RaftSettings } from './core/settings.ts'
import type { Logger } from './ports.ts'

/** `stopped` also while the node is still reading its disk. */
export type ProposeFailure = ProposeRefusal | 'stopped'

export type ProposeOutcome =
  /** Applied to the state machine of this server. */
  | { readonly outcome: 'committed'; readonly index: number }
  /** Certainly not, now or later. */
  | {
      readonly outcome: 'refused'
      readonly reason: ProposeFailure | 'lost'
      readonly leader: string | undefined
      /** When it may be worth while to try again, in ms; 0 at once, elsewhere. Absent: never as it is. */
      readonly retryAfterMs?: number
    }
  /** May or may not be committed, now or later. */
  | { readonly outcome: 'unknown' }

export type ReadOutcome =
  | { readonly ok: true; readonly index: number }
  | {
      readonly ok: false
      readonly reason: ReadRefusal | 'stopped'
      /** As of a proposal. */
      readonly retryAfterMs?: number
    }

export type TransferOutcome =
  { readonly ok: true } | { readonly ok: false; readonly reason: TransferRefusal | 'stopped' }

export type ChangeOutcome =
  /** `done` when the final configuration is committed; `unknown` when leadership was lost before. */
  | { readonly outcome: 'done' | 'unknown' }
  | { readonly outcome: 'refused'; readonly reason: ChangeRefusal | 'stopped' }

interface Waiting {
  readonly done: (outcome: ProposeOutcome) => void
  readonly since: number
  /** Where it stands, once taken into the log. */
  index?: number
  term?: number
}

interface WaitingRead {
  readonly done: (outcome: ReadOutcome) => void
  readonly since: number
  /** Waits for this index to be applied, once it knows it. */
  readonly index?: number
}

export class Calls {
  readonly #log: Logger
  readonly #settings: Pick<RaftSettings, 'heartbeatMs' | 'electionTimeoutMs'>
  readonly #proposals = new Map<number, Waiting>()
  /** The same, by the index at which they were taken. A later one at an index takes the place of an earlier. */
  readonly #byIndex = new Map<number, number>()
  readonly #reads = new Map<number, WaitingRead>()
  readonly #transfers = new Map<number, (outcome: TransferOutcome) => void>()
  readonly #changes = new Map<number, (outcome: ChangeOutcome) => void>()
  /** Reads that know their index and wait for it to be applied; in no order. */
  #ready: (WaitingRead & { readonly index: number })[] = []
  #nextId = 1

  constructor(log: Logger, settings: Pick<RaftSettings, 'heartbeatMs' | 'electionTimeoutMs'>) {
    this.#log = log
    this.#settings = settings
  }

  /**
   * A refusal, with when to try again: what is too much drains in a heartbeat, and so long does a transfer take as a
   * rule; a leader is found in an election.
   */
  refused(reason: ProposeFailure | 'lost', leader: string | undefined): ProposeOutcome {
    const { heartbeatMs, electionTimeoutMs } = this.#settings
    const refusal = { outcome: 'refused', reason, leader } as const
    switch (reason) {
      case 'stopped':
      case 'too-large':
        return refusal
      case 'busy':
      case 'transferring':
        return { ...refusal, retryAfterMs: heartbeatMs }
      case 'lost':
      case 'not-leader':
        return { ...refusal, retryAfterMs: leader === undefined ? electionTimeoutMs : 0 }
      case 'no-quorum':
        return { ...refusal, retryAfterMs: electionTimeoutMs }
    }
  }

  addProposal(done: (outcome: ProposeOutcome) => void, now: number): number {
    const id = this.#nextId++
    this.#proposals.set(id, { done, since: now })
    return id
  }

  addRead(done: (outcome: ReadOutcome) => void, now: number): number {
    const id = this.#nextId++
    this.#reads.set(id, { done, since: now })
    return id
  }

  addTransfer(done: (outcome: TransferOutcome) => void): number {
    const id = this.#nextId++
    this.#transfers.set(id, done)
    return id
  }

  addChange(done: (outcome: ChangeOutcome) => void): number {
    const id = this.#nextId++
    this.#changes.set(id, done)
    return id
  }

  proposalResult(result: ProposalResult | SettledProposal, leader: string | undefined): void {
    const waiting = this.#proposals.get(result.id)
    if (waiting === undefined) return
    switch (result.outcome) {
      case 'accepted':
        waiting.index = result.index
        waiting.term = result.term
        this.#byIndex.set(result.index, result.id)
        return
      case 'refused':
        this.#settle(result.id, waiting, this.refused(result.reason, result.leader))
        return
      case 'lost':
        this.#settle(result.id, waiting, this.refused('lost', leader))
        return
      case 'unknown':
        this.#settle(result.id, waiting, { outcome: 'unknown' })
    }
  }

  readResult(result: ReadResult, applied: number): void {
    const read = this.#reads.get(result.id)
    if (read === undefined) return
    const { done } = read
    this.#reads.delete(result.id)
    if (result.outcome === 'refused') {
      const { heartbeatMs, electionTimeoutMs } = this.#settings
      const retryAfterMs = result.reason === 'busy' ? heartbeatMs : electionTimeoutMs
      this.call(() => done({ ok: false, reason: result.reason, retryAfterMs }))
    } else if (result.index <= applied) {
      this.call(() => done({ ok: true, index: result.index }))
    } else this.#ready.push({ ...read, index: result.index })
  }

  transferResult(result: TransferResult): void {
    const done = this.#transfers.get(result.id)
    this.#transfers.delete(result.id)
    const outcome: TransferOutcome =
      result.outcome === 'done' ? { ok: true } : { ok: false, reason: result.reason }
    if (done !== undefined) this.call(() => done(outcome))
  }

  changeResult({ id, ...outcome }: ChangeResult): void {
    const done = this.#changes.get(id)
    this.#changes.delete(id)
    if (done !== undefined) this.call(() => done(outcome))
  }

  /** Everything up to `index` is applied; `entries` are those just now. */
  applied(index: number, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const id = this.#byIndex.get(entry.index)
      const waiting = id === undefined ? undefined : this.#proposals.get(id)
      if (id === undefined || waiting === undefined || waiting.term !== entry.term) continue
      this.#settle(id, waiting, { outcome: 'committed', index: entry.index })
    }
    if (this.#ready.length === 0) return
    const due = this.#ready.filter(read => read.index <= index)
    this.#ready = this.#ready.filter(read => read.index > index)
    for (const read of due) this.call(() => read.done({ ok: true, index: read.index }))
  }

  /** Gives up on proposals made before `time`, and on reads. */
  expire(time: number): void {
    this.#expireReads(time)
    for (const [id, waiting] of this.#proposals) {
      if (waiting.since >= time) return
      this.#settle(id, waiting, { outcome: 'unknown' })
    }
  }

  #expireReads(time: number): void {
    const late: WaitingRead[] = []
    for (const [id, read] of this.#reads) {
      if (read.since >= time) break
      late.push(read)
      this.#reads.delete(id)
    }
    if (this.#ready.some(({ since }) => since < time)) {
      late.push(...this.#ready.filter(({ since }) => since < time))
      this.#ready = this.#ready.filter(({ since }) => since >= time)
    }
    for (const { done } of late) this.call(() => done({ ok: false, reason: 'timeout' }))
  }

  /** Nothing more will be heard: the node stops. */
  end(): void {
    for (const [id, waiting] of this.#proposals) {
      this.#settle(id, waiting, { outcome: 'unknown' })
    }
    const reads = [...this.#reads.values(), ...this.#ready]
    this.#reads.clear()
    this.#ready = []
    for (const { done } of reads) this.call(() => done({ ok: false, reason: 'stopped' }))
    const transfers = [...this.#transfers.values()]
    this.#transfers.clear()
    for (const done of transfers) this.call(() => done({ ok: false, reason: 'stopped' }))
    const changes = [...this.#changes.values()]
    this.#changes.clear()
    for (const done of changes) this.call(() => done({ outcome: 'unknown' }))
  }

  /** Runs a caller's code: what it throws is its own defect, and must not stop the node. */
  call(run: () => void): void {
    try {
      run()
    } catch (error) {
      const text = error instanceof Error ? error.stack : String(error)
      this.#log.error('raft-callback-threw', { error: text })
    }
  }

  #settle(id: number, waiting: Waiting, outcome: ProposeOutcome): void {
    this.#proposals.delete(id)
    if (waiting.index !== undefined && this.#byIndex.get(waiting.index) === id) {
      this.#byIndex.delete(waiting.index)
    }
    this.call(() => waiting.done(outcome))
  }
}
