/**
 * The log, held whole in memory behind its base: the core never reads the disk.
 *
 * The base is the last entry dropped; of it, index and term are kept for the consistency check (paper, 5.3, 7).
 *
 * Invariant: entries are contiguous from base + 1, their terms never fall.
 */
import assert from 'node:assert/strict'
import { type Entry, sizeOf } from './entry.ts'

export class Log {
  #baseIndex: number
  #baseTerm: number
  #entries: Entry[] = []
  /** Bytes from some fixed origin to the end of each entry: every byte count is a difference, so none leaks. */
  #ends: number[] = []
  #baseEnd = 0

  constructor(baseIndex: number, baseTerm: number, entries: readonly Entry[] = []) {
    this.#baseIndex = baseIndex
    this.#baseTerm = baseTerm
    this.append(entries)
  }

  get baseIndex(): number {
    return this.#baseIndex
  }

  get lastIndex(): number {
    return this.#baseIndex + this.#entries.length
  }

  get lastTerm(): number {
    return this.#entries[this.#entries.length - 1]?.term ?? this.#baseTerm
  }

  /** `undefined` before the base and after the end. */
  termAt(index: number): number | undefined {
    if (index === this.#baseIndex) return this.#baseTerm
    return this.entryAt(index)?.term
  }

  entryAt(index: number): Entry | undefined {
    return index <= this.#baseIndex ? undefined : this.#entries[index - this.#baseIndex - 1]
  }

  /** Bytes of the entries in (after, upTo]; what is compacted counts nothing. */
  bytesBetween(after: number, upTo: number): number {
    return Math.max(0, this.#endOf(upTo) - this.#endOf(after))
  }

  #endOf(index: number): number {
    const held = Math.min(index - this.#baseIndex, this.#entries.length)
    return held <= 0 ? this.#baseEnd : (this.#ends[held - 1] ?? this.#baseEnd)
  }

  /** Entries from `from` on, up to both limits, but at least one where there is one. */
  slice(from: number, maxEntries: number, maxBytes: number): Entry[] {
    assert(from > this.#baseIndex)
    const start = from - this.#baseIndex - 1
    const before = this.#endOf(from - 1)
    let end = start
    while (end < this.#entries.length && end - start < maxEntries) {
      if (end > start && (this.#ends[end] ?? 0) - before > maxBytes) break
      end += 1
    }
    return this.#entries.slice(start, end)
  }

  /** All entries from `from` to the end. */
  from(from: number): Entry[] {
    assert(from > this.#baseIndex)
    return this.#entries.slice(from - this.#baseIndex - 1)
  }

  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert.equal(entry.index, this.lastIndex + 1, 'the log has no gaps')
      assert(entry.term >= this.lastTerm, 'terms never fall along the log')
      this.#ends.push(this.#endOf(this.lastIndex) + sizeOf(entry))
      this.#entries.push(entry)
    }
  }

  /** Drops `index` and everything after it. Callers make sure that nothing of it is committed. */
  truncateFrom(index: number): void {
    assert(index > this.#baseIndex && index <= this.lastIndex)
    this.#entries.length = index - this.#baseIndex - 1
    this.#ends.length = this.#entries.length
  }

  /** Drops everything up to and including `index`, which becomes the base. */
  compactTo(index: number): void {
    const term = this.termAt(index)
    assert(term !== undefined && index >= this.#baseIndex)
    const dropped = index - this.#baseIndex
    this.#baseEnd = this.#endOf(index)
    this.#entries = this.#entries.slice(dropped)
    this.#ends = this.#ends.slice(dropped)
    this.#baseIndex = index
    this.#baseTerm = term
  }

  /** Drops everything: a snapshot takes its place. */
  reset(index: number, term: number): void {
    assert(index > this.#baseIndex)
    this.#entries = []
    this.#ends = []
    this.#baseIndex = index
    this.#baseTerm = term
  }

  /** Whether a log that ends so is at least as up-to-date as this one (5.4.1): the term first, then the length. */
  isUpToDate(lastLogIndex: number, lastLogTerm: number): boolean {
    if (lastLogTerm !== this.lastTerm) return lastLogTerm > this.lastTerm
    return lastLogIndex >= this.lastIndex
  }

  /**
   * The largest index at or below `index` whose term is at most `term`, or the base. Entries above it cannot match
   * a log that has `term` at `index`, so both sides of a probe skip them: a round trip a term, not an entry (5.3).
   */
  lastWithTermAtMost(term: number, index: number): number {
    let low = this.#baseIndex
    let high = Math.max(low, Math.min(index, this.lastIndex))
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((this.termAt(middle) ?? 0) <= term) low = middle
      else high = middle - 1
    }
    return low
  }
}
