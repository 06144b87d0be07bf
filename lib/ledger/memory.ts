/**
 * What the ledger remembers of commands, so that each takes effect once (R8, I4).
 *
 * A command *ends* when no copy of it with that deadline can be applied any more: at its deadline, or, if it was applied
 * later than that, at the tick of then. Its result is kept until 600 ticks after. Where all the room is taken, the oldest
 * result of a command that has ended is forgotten early (level 3); of that there remains how far it went, so that a copy
 * that may have been applied before is told from one that was not (`mayBeForgotten`).
 *
 * Ids are held in buckets by the tick that forgets them, in the order of the log, so forgetting costs what is forgotten;
 * the buckets are derived and filled anew, in the same order, at restore.
 */
import assert from 'node:assert/strict'
import { bounds } from './command.ts'
import type { Command, CommandBody, Result } from './command.ts'
import type { Changes } from './changes.ts'
import { resultRow } from './snapshot.ts'
import type { ResultRow } from './snapshot.ts'
import type { LedgerState } from './state.ts'

/** What servers say for themselves: an id is used with one deadline only. */
const ofServers: ReadonlySet<CommandBody['type']> = new Set([
  ...(['hello', 'leave', 'hold-keys', 'borrow', 'demand', 'return', 'lend'] as const),
])

/** From the end of a command to the tick that forgets it. */
const keptTicks = bounds.resultTicks + 1

interface Bucket {
  readonly rows: ResultRow[]
  /** So many of `rows`, the first ones, were forgotten early. */
  forgotten: number
  /** Not to be forgotten early. */
  readonly lasting: ResultRow[]
}

export class Memory {
  readonly #state: LedgerState
  readonly #changes: Changes
  readonly #max: number
  readonly #buckets = new Map<number, Bucket>()
  /** No bucket below it has a row to be forgotten early, and none will. */
  #oldest = 0

  /** Holds at most `max` results. */
  constructor(state: LedgerState, changes: Changes, max: number) {
    this.#state = state
    this.#changes = changes
    this.#max = max
  }

  /** A result that a snapshot holds; whoever read it has told `changes`. */
  restore({ id, result, forgetAt }: ResultRow): void {
    this.#file(Object.freeze(resultRow(id, result, forgetAt)))
  }

  /** Whether one more result can be kept. */
  hasRoom(): boolean {
    return this.#state.results.size < this.#max || this.#forgettable() !== undefined
  }

  find(id: string): Result | undefined {
    return this.#state.results.get(id)?.result
  }

  /**
   * Whether a copy of a command that is not remembered may have been applied and forgotten early (R8). Never so for a
   * command of which no copy was made before what was forgotten ended.
   */
  mayBeForgotten({ body, deadline, since = 0 }: Command): boolean {
    const { forgottenBefore, tick } = this.#state
    // By now it would be forgotten anyway.
    if (tick >= forgottenBefore + bounds.resultTicks) return false
    return (ofServers.has(body.type) ? deadline : since) < forgottenBefore
  }

  /** The result of a command that was applied now. There must be room. */
  keep(id: string, deadline: number, result: Result): void {
    const { results, tick, level } = this.#state
    assert(!results.has(id), 'a result is kept once')
    if (results.size >= this.#max) this.#forgetOldest()
    // A deadline far ahead is refused for good within the time that any repetition can be under way.
    const near = Math.min(deadline, tick + bounds.deadlineTicks)
    const end = level < 3 ? near : Math.max(near, tick)
    const row = Object.freeze(resultRow(id, result, end + keptTicks))
    this.#changes.added(row)
    this.#file(row)
  }

  #file(row: ResultRow): void {
    this.#state.results.set(row.id, row)
    let bucket = this.#buckets.get(row.forgetAt)
    if (bucket === undefined) {
      bucket = { rows: [], forgotten: 0, lasting: [] }
      this.#buckets.set(row.forgetAt, bucket)
    }
    // Its deadline may lie ahead of all that is remembered: a copy that comes then must not be applied.
    const isLasting = !row.result.ok && row.result.code === 'LICD_BAD_DEADLINE'
    if (isLasting) bucket.lasting.push(row)
    else bucket.rows.push(row)
  }

  /** Ticks come one by one, so each bucket is met. */
  forget(tick: number): void {
    const bucket = this.#buckets.get(tick)
    if (bucket === undefined) return
    for (const row of bucket.rows.slice(bucket.forgotten)) this.#remove(row)
    for (const row of bucket.lasting) this.#remove(row)
    this.#buckets.delete(tick)
  }

  #remove(row: ResultRow): void {
    this.#changes.removed(row)
    this.#state.results.delete(row.id)
  }

  #forgetOldest(): void {
    const bucket = this.#forgettable()
    const row = bucket?.rows[bucket.forgotten]
    assert(bucket !== undefined && row !== undefined, 'there is room')
    bucket.forgotten++
    this.#remove(row)
    this.#state.forgottenBefore = row.forgetAt - keptTicks + 1
  }

  /**
   * The oldest bucket with a row to be forgotten early; `undefined` when no command that ended is left. What is kept from
   * now on goes into no bucket that was passed: each is passed once.
   */
  #forgettable(): Bucket | undefined {
    const { tick, level, forgettableFrom } = this.#state
    if (level < 3) return undefined
    this.#oldest = Math.max(this.#oldest, tick + 1, forgettableFrom + keptTicks)
    for (; this.#oldest < tick + keptTicks; this.#oldest++) {
      const bucket = this.#buckets.get(this.#oldest)
      if (bucket !== undefined && bucket.forgotten < bucket.rows.length) return bucket
    }
    return undefined
  }

  /** The rows of this moment. Buckets only grow until they are dropped whole, so figures say what was in them. */
  rows(): Iterable<ResultRow> {
    const held = [...this.#buckets.values()].flatMap(({ rows, forgotten, lasting }) => [
      { rows, from: forgotten, to: rows.length },
      { rows: lasting, from: 0, to: lasting.length },
    ])
    return walk(held)
  }
}

interface Held {
  readonly rows: readonly ResultRow[]
  readonly from: number
  readonly to: number
}

function* walk(held: readonly Held[]): Generator<ResultRow> {
  for (const { rows, from, to } of held) {
    for (let at = from; at < to; at++) {
      const row = rows[at]
      assert(row !== undefined)
      yield row
    }
  }
}
