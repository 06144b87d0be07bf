/**
 * What callers ask of a node, gathered into steps: all of one turn of the loop, very much of it in parts.
 *
 * While a leader's disk writes, entries made of more proposals could not be written sooner, and each step would be a
 * message of its own to every follower. So they wait for the batch under way, and are written and sent with the next: as
 * many messages as batches (thesis 10.2.2). Reads wait for nothing.
 *
 * Invariant: nothing waits for the disk longer than until `flush` is called, which each beat does: a disk that hangs holds
 * nothing up but what needs it.
 */
import type { Input, Proposal } from './core/input.ts'
import type { Clock } from './ports.ts'

const maxUnstepped = 16_384
/** Stepped at a stretch, with the loop between: a ms or two of work. */
export const maxFlushed = 128
/** At first so many, and after each full one so many more: code that has hardly run yet takes several times as long. */
const flushedMore = 16
/** So many do not wait for the disk: the followers have them to work at meanwhile. */
const enough = 16

export interface BatcherOptions {
  readonly clock: Clock
  /** Whether what is proposed now would only wait for the disk. */
  readonly isWriting: () => boolean
  readonly step: (input: Input) => void
}

export class Batcher {
  readonly #options: BatcherOptions
  #proposals: Proposal[] = []
  #reads: number[] = []
  #isDue = false
  #most = flushedMore

  constructor(options: BatcherOptions) {
    this.#options = options
  }

  /** No more proposals are taken. */
  get isFull(): boolean {
    return this.#proposals.length >= maxUnstepped
  }

  propose(proposal: Proposal): void {
    this.#proposals.push(proposal)
    if (!this.#isWaiting) this.#later()
  }

  read(id: number): void {
    this.#reads.push(id)
    this.#later()
  }

  /** Steps what there is, whatever the disk does. */
  flush(): void {
    const proposals = this.#proposals.splice(0, this.#most)
    const reads = this.#reads.splice(0, this.#most)
    const isMany = Math.max(proposals.length, reads.length) === this.#most
    if (isMany) this.#most = Math.min(maxFlushed, this.#most + flushedMore)
    const { step } = this.#options
    if (proposals.length > 0) step({ type: 'propose', proposals })
    for (const id of reads) step({ type: 'read', id })
    if (this.#proposals.length > 0 || this.#reads.length > 0) this.#later()
  }

  get #isWaiting(): boolean {
    return this.#proposals.length < enough && this.#options.isWriting()
  }

  #later(): void {
    if (this.#isDue) return
    this.#isDue = true
    this.#options.clock.defer(() => {
      this.#isDue = false
      if (this.#reads.length > 0 || !this.#isWaiting) this.flush()
    })
  }
}
