/**
 * A failing run made smaller while it still fails: fewer kinds of fault, less time, fewer servers, fewer single faults.
 *
 * Any failure counts, for one that shows earlier or more simply is as good. The result is a request that replays.
 */
import { NodeFailure, runNodes } from './node-world.ts'
import { faultKinds, type RunRequest } from './node-options.ts'

export interface Shrunk {
  readonly request: RunRequest
  readonly failure: NodeFailure
  readonly attempts: number
}

/** `maxAttempts` runs at most. */
export function shrink(request: RunRequest, failure: NodeFailure, maxAttempts = 150): Shrunk {
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
    const idle = faultKinds.filter(kind => !happened.has(kind))
    for (const kind of [...idle, ...happened]) {
      const without = this.request.without ?? []
      if (without.includes(kind)) continue
      // What never happened goes without a trial.
      if (idle.includes(kind as (typeof idle)[number])) continue
      this.#try({ ...this.request, without: [...without, kind] })
    }
  }

  dropServers(): void {
    for (let size = 1; size < 5; size++) {
      if (size >= (this.request.size ?? 5)) return
      if (this.#try({ ...this.request, size })) return
    }
  }

  /** Halves, then quarters, and so on of the single faults that are left. */
  dropFaults(): void {
    for (let parts = 2; ; parts *= 2) {
      const names = this.failure.happened
      const size = Math.ceil(names.length / parts)
      if (size === 0) return
      for (let start = 0; start < names.length; start += size) {
        const skip = [...(this.request.skip ?? []), ...names.slice(start, start + size)]
        this.#try({ ...this.request, skip })
      }
      if (size === 1 || this.attempts >= this.#maxAttempts) return
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
