/**
 * What the ledger remembers of commands, so that each takes effect once (R8, I4).
 *
 * A result is kept until 600 ticks after its command's deadline. Ids are held in buckets by the tick that forgets
 * them, so forgetting costs what is forgotten; the buckets are derived and made anew at restore.
 */
import assert from 'node:assert/strict'
import { bounds } from './command.ts'
import type { Result } from './command.ts'
import type { Changes } from './changes.ts'
import { resultRow } from './snapshot.ts'
import type { LedgerState } from './state.ts'

export class Memory {
  readonly #state: LedgerState
  readonly #changes: Changes
  readonly #buckets = new Map<number, string[]>()

  constructor(state: LedgerState, changes: Changes) {
    this.#state = state
    this.#changes = changes
    for (const [id, { forgetAt }] of state.results) this.#file(id, forgetAt)
  }

  get isFull(): boolean {
    return this.#state.results.size >= bounds.results
  }

  find(id: string): Result | undefined {
    return this.#state.results.get(id)?.result
  }

  keep(id: string, result: Result, forgetAt: number): void {
    assert(!this.#state.results.has(id), 'a result is kept once')
    this.#state.results.set(id, Object.freeze({ result, forgetAt }))
    this.#changes.added(resultRow(id, result, forgetAt))
    this.#file(id, forgetAt)
  }

  #file(id: string, forgetAt: number): void {
    const bucket = this.#buckets.get(forgetAt)
    if (bucket === undefined) this.#buckets.set(forgetAt, [id])
    else bucket.push(id)
  }

  /** Ticks come one by one, so each bucket is met. */
  forget(tick: number): void {
    const { results } = this.#state
    for (const id of this.#buckets.get(tick) ?? []) {
      const kept = results.get(id)
      assert(kept !== undefined)
      this.#changes.removed(resultRow(id, kept.result, kept.forgetAt))
      results.delete(id)
    }
    this.#buckets.delete(tick)
  }
}
