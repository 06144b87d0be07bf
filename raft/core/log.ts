/**
 * The log, held whole in memory behind its base: the core never reads the disk.
 *
 * The base is the last entry dropped; of it, index and term are kept for the consistency check (paper, 5.3, 7).
 *
 * Invariant: entries are contiguous from base + 1, their terms never fall.
 */
import assert from 'node:assert/strict'
import { type Entry, sizeOf } from './entry.ts'
import type { PersistedState } from './input.ts'

export class Log {
  /** Of the last entry dropped; `end` as in `ends`. */
  private base: { readonly index: number; readonly term: number; readonly end: number }
  private entries: Entry[] = []
  /** Bytes from some fixed origin to the end of each entry: every byte count is a difference, so none leaks. */
  private ends: number[] = []

  constructor(baseIndex: number, baseTerm: number, entries: readonly Entry[] = []) {
    this.base = { index: baseIndex, term: baseTerm, end: 0 }
    this.append(entries)
  }

  get baseIndex(): number {
    return this.base.index
  }

  get lastIndex(): number {
    return this.base.index + this.entries.length
  }

  get lastTerm(): number {
    return this.entries[this.entries.length - 1]?.term ?? this.base.term
  }

  /** What a candidate tells of its log (5.4.1). */
  get end(): { readonly lastLogIndex: number; readonly lastLogTerm: number } {
    return { lastLogIndex: this.lastIndex, lastLogTerm: this.lastTerm }
  }

  /** `undefined` before the base and after the end. */
  termAt(index: number): number | undefined {
    if (index === this.base.index) return this.base.term
    return this.entryAt(index)?.term
  }

  entryAt(index: number): Entry | undefined {
    return index <= this.base.index ? undefined : this.entries[index - this.base.index - 1]
  }

  /** Bytes of the entries in (after, upTo]; what is compacted counts nothing. */
  bytesBetween(after: number, upTo: number): number {
    return Math.max(0, this.endOf(upTo) - this.endOf(after))
  }

  private endOf(index: number): number {
    const held = Math.min(index - this.base.index, this.entries.length)
    return held <= 0 ? this.base.end : (this.ends[held - 1] ?? this.base.end)
  }

  /** Entries from `from` on, up to both limits; a first one is taken whatever its size. */
  slice(from: number, maxEntries: number, maxBytes: number): Entry[] {
    assert(from > this.base.index)
    const start = from - this.base.index - 1
    const before = this.endOf(from - 1)
    let end = start
    while (end < this.entries.length && end - start < maxEntries) {
      if (end > start && (this.ends[end] ?? 0) - before > maxBytes) break
      end += 1
    }
    return this.entries.slice(start, end)
  }

  /** All entries from `from` to the end. */
  from(from: number): Entry[] {
    assert(from > this.base.index)
    return this.entries.slice(from - this.base.index - 1)
  }

  append(entries: readonly Entry[]): void {
    // At a start it may be many thousands, in code that was never run before: nothing is looked up twice.
    let { lastIndex, lastTerm } = this
    let end = this.endOf(lastIndex)
    for (const entry of entries) {
      const { index, term } = entry
      lastIndex += 1
      assert(index === lastIndex, 'the log has no gaps')
      assert(term >= lastTerm, 'terms never fall along the log')
      lastTerm = term
      end += sizeOf(entry)
      this.ends.push(end)
      this.entries.push(entry)
    }
  }

  /** Drops `index` and everything after it. Callers make sure that nothing of it is committed. */
  truncateFrom(index: number): void {
    assert(index > this.base.index && index <= this.lastIndex)
    this.entries.length = index - this.base.index - 1
    this.ends.length = this.entries.length
  }

  /** Drops everything up to and including `index`, which becomes the base. */
  compactTo(index: number): void {
    const term = this.termAt(index)
    assert(term !== undefined && index >= this.base.index)
    const dropped = index - this.base.index
    const end = this.endOf(index)
    this.entries = this.entries.slice(dropped)
    this.ends = this.ends.slice(dropped)
    this.base = { index, term, end }
  }

  /** Drops everything: a snapshot takes its place. */
  reset(index: number, term: number): void {
    assert(index > this.base.index)
    this.entries = []
    this.ends = []
    this.base = { index, term, end: this.base.end }
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
    let low = this.base.index
    let high = Math.max(low, Math.min(index, this.lastIndex))
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((this.termAt(middle) ?? 0) <= term) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** The disk may hold entries at and before the snapshot; the first of those is then the base. */
export function restoredLog({ snapshot, entries }: PersistedState): Log {
  const at = snapshot?.lastIncludedIndex ?? 0
  const first = entries[0]
  if (first === undefined || first.index === at + 1) {
    return new Log(at, snapshot?.lastIncludedTerm ?? 0, entries)
  }
  return new Log(first.index, first.term, entries.slice(1))
}
