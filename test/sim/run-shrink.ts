/**
 * A failing run made smaller while it still fails: fewer kinds of fault, less time, fewer servers, fewer single faults.
 *
 * Any failure counts, for one that shows earlier or more simply is as good. The result is a request that replays.
 */
import { NodeFailure, runNodes } from './node-world.ts'
import type { RunRequest } from './node-options.ts'

export interface Shrunk {
  readonly request: RunRequest
  readonly failure: NodeFailure
  readonly attempts: number
}

/** `maxAttempts` runs at most. */
export function shrink(request: RunRequest, failure: NodeFailure, maxAttempts = 250): Shrunk {
  const shrinker = new Shrinker(request, failure, maxAttempts)
  shrinker.shorten()
  shrinker.dropKinds()
  shrinker.dropServers()
  shrinker.shorten()
  shrinker.dropFaults()
  return shrinker
}

class Shrinker implements Shrunk {
  request: RunRequest
  failure: NodeFailure
  attempts = 0
  readonly #maxAttempts: number

  constructor(request: RunRequest, failure: NodeFailure, maxAttempts: number) {
    this.request = request
    this.failure = failure
    this.#maxAttempts = maxAttempts
  }

  /** Keeps what is asked for if it still fails. */
  #try(request: RunRequest): boolean {
    if (this.attempts >= this.#maxAttempts) return false
    this.attempts++
    const failure = failureOf(request)
    if (failure === undefined) return false
    this.request = request
    this.failure = failure
    return true
  }

  /** Nothing after the failure matters; often the end before it does not either. */
  shorten(): void {
    const until = Math.ceil(this.failure.at)
    if (until < (this.request.faultsMs ?? Infinity)) this.#try({ ...this.request, faultsMs: until })
    for (let ms = Math.floor((this.request.faultsMs ?? until) / 2); ms > 200;) {
      if (!this.#try({ ...this.request, faultsMs: ms })) break
      ms = Math.floor(ms / 2)
    }
  }

  dropKinds(): void {
    const happened = new Set(this.failure.happened.map(name => name.slice(0, name.indexOf('#'))))
    for (const kind of happened) {
      const without = this.request.without ?? []
      this.#try({ ...this.request, without: [...without, kind] })
    }
  }

  dropServers(): void {
    for (let size = 1; size < 5; size++) {
      if (size >= (this.request.size ?? 5)) return
      if (this.#try({ ...this.request, size })) return
    }
  }

  /** Halves, then quarters, and so on of the single faults that are left go. */
  dropFaults(): void {
    let only = [...this.failure.happened]
    for (let size = Math.ceil(only.length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let start = 0; start < only.length;) {
        const fewer = only.toSpliced(start, size)
        if (this.#try({ ...this.request, only: fewer })) only = fewer
        else start += size
      }
      if (this.attempts >= this.#maxAttempts) return
    }
  }
}

export function failureOf(request: RunRequest): NodeFailure | undefined {
  try {
    runNodes(request)
    return undefined
  } catch (error) {
    if (error instanceof NodeFailure) return error
    throw error
  }
}
