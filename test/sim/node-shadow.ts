/**
 * What a log is, told by what was written to it: for each index the term and a hash of everything up to there.
 *
 * Two logs are the same up to an index exactly when the chains there are equal (but for chance), so a check of one
 * entry is a check of its whole history.
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import type { Persist } from '../../raft/core/effect.ts'
import type { Entry } from '../../raft/core/entry.ts'

export function chainOf(previous: number, entry: Entry): number {
  const seed = (Math.imul(previous ^ entry.term, 0x9e3779b1) ^ entry.index) >>> 0
  switch (entry.kind) {
    case 'command':
      return crc32(entry.data, seed)
    case 'configuration':
      return crc32(JSON.stringify(entry.configuration), seed)
    case 'noop':
      return seed
  }
}

export class Shadow {
  #base = 0
  readonly #terms = [0]
  readonly #chains = [0]

  get base(): number {
    return this.#base
  }

  get last(): number {
    return this.#base + this.#terms.length - 1
  }

  termAt(index: number): number | undefined {
    return this.#terms[index - this.#base]
  }

  chainAt(index: number): number | undefined {
    return this.#chains[index - this.#base]
  }

  append(entry: Entry): number {
    assert.equal(entry.index, this.last + 1, 'written without a gap')
    const chain = chainOf(this.#chains[this.#chains.length - 1] ?? 0, entry)
    this.#terms.push(entry.term)
    this.#chains.push(chain)
    return chain
  }

  truncateFrom(index: number): void {
    assert(index > this.#base, 'truncated below the base')
    const length = Math.min(this.#terms.length, index - this.#base)
    this.#terms.length = length
    this.#chains.length = length
  }

  compactTo(index: number): void {
    assert(index <= this.last, 'compacted beyond the end')
    if (index <= this.#base) return
    this.#terms.splice(0, index - this.#base)
    this.#chains.splice(0, index - this.#base)
    this.#base = index
  }

  reset(index: number, term: number, chain: number): void {
    this.#base = index
    this.#terms.length = 0
    this.#chains.length = 0
    this.#terms.push(term)
    this.#chains.push(chain)
  }

  /** As `persist` says; `chainAt` tells what stands at the index of a received snapshot. */
  write(persist: Persist, chainAt: (index: number) => number): void {
    const { snapshot, truncateFrom, compactTo, entries } = persist
    if (snapshot !== undefined) {
      const { lastIncludedIndex: index, lastIncludedTerm: term } = snapshot
      const chain = chainAt(index)
      if (this.termAt(index) !== term) this.reset(index, term, chain)
      else assert.equal(this.chainAt(index), chain, 'a snapshot of what the log says')
    }
    if (truncateFrom !== undefined && truncateFrom <= this.last) this.truncateFrom(truncateFrom)
    if (compactTo !== undefined) this.compactTo(compactTo)
    for (const entry of entries) this.append(entry)
  }
}
