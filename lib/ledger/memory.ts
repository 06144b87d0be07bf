/**
 * What the ledger remembers of commands, so that each takes effect once (R8, I4).
 *
 * A result is kept until 600 ticks after its command's deadline. Ids are held in buckets by the tick that forgets
 * them, so forgetting costs what is forgotten; the buckets are derived and filled anew at restore.
 */
import assert from 'node:assert/strict'
import { bounds } from './command.ts'
import type { Result } from './command.ts'
import type { Changes } from './changes.ts'
import { resultRow } from './snapshot.ts'
import type { ResultRow } from './snapshot.ts'
import type { LedgerState } from './state.ts'

export class Memory {
  readonly #state: LedgerState
  readonly #changes: Changes
  readonly #buckets = new Map<number, ResultRow[]>()

  constructor(state: LedgerState, changes: Changes) {
    this.#state = state
    this.#changes = changes
  }

  /** A result that a snapshot holds; whoever read it has told `changes`. */
  restore({ id, result, forgetAt }: ResultRow): void {
    this.#file(Object.freeze(resultRow(id, result, forgetAt)))
  }

  get isFull(): boolean {
    return this.#state.results.size >= bounds.results
  }

  find(id: string): Result | undefined {
    return this.#state.results.get(id)?.result
  }

  keep(id: string, result: Result, forgetAt: number): void {
    assert(!this.#state.results.has(id), 'a result is kept once')
    const row = Object.freeze(resultRow(id, result, forgetAt))
    this.#changes.added(row)
    this.#file(row)
  }

  #file(row: ResultRow): void {
    this.#state.results.set(row.id, row)
    const bucket = this.#buckets.get(row.forgetAt)
    if (bucket === undefined) this.#buckets.set(row.forgetAt, [row])
    else bucket.push(row)
  }

  /** Ticks come one by one, so each bucket is met. */
  forget(tick: number): void {
    for (const row of this.#buckets.get(tick) ?? []) {
      this.#changes.removed(row)
      this.#state.results.delete(row.id)
    }
    this.#buckets.delete(tick)
  }

  /** The rows of this moment. Buckets only grow until they are dropped whole, so their lengths say what was in them. */
  rows(): Iterable<ResultRow> {
    const held = [...this.#buckets.values()].map(bucket => ({ bucket, length: bucket.length }))
    return walk(held)
  }
}

function* walk(held: readonly { bucket: ResultRow[]; length: number }[]): Generator<ResultRow> {
  for (const { bucket, length } of held) {
    for (let at = 0; at < length; at++) {
      const row = bucket[at]
      assert(row !== undefined)
      yield row
    }
  }
}
