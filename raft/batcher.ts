/** What callers ask of a node, gathered into steps: all of one turn of the loop, very much of it in parts. */
import type { Input, Proposal } from './core/input.ts'
import type { Clock } from './ports.ts'

const maxUnstepped = 16_384
/** Stepped at a stretch, with the loop between: a ms or two of work. */
export const maxFlushed = 128
/** At first so many, and after each full one so many more: code that has hardly run yet takes several times as long. */
const flushedMore = 16

export class Batcher {
  readonly #clock: Clock
  readonly #step: (input: Input) => void
  #proposals: Proposal[] = []
  #reads: number[] = []
  #isDue = false
  #most = flushedMore

  constructor(clock: Clock, step: (input: Input) => void) {
    this.#clock = clock
    this.#step = step
  }

  /** No more proposals are taken. */
  get isFull(): boolean {
    return this.#proposals.length >= maxUnstepped
  }

  propose(proposal: Proposal): void {
    this.#proposals.push(proposal)
    this.#later()
  }

  read(id: number): void {
    this.#reads.push(id)
    this.#later()
  }

  #later(): void {
    if (this.#isDue) return
    this.#isDue = true
    this.#clock.defer(() => this.#flush())
  }

  #flush(): void {
    this.#isDue = false
    const proposals = this.#proposals.splice(0, this.#most)
    const reads = this.#reads.splice(0, this.#most)
    const isMany = Math.max(proposals.length, reads.length) === this.#most
    if (isMany) this.#most = Math.min(maxFlushed, this.#most + flushedMore)
    if (proposals.length > 0) this.#step({ type: 'propose', proposals })
    for (const id of reads) this.#step({ type: 'read', id })
    if (this.#proposals.length > 0 || this.#reads.length > 0) this.#later()
  }
}
