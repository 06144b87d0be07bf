/**
 * A failing run of a pool made smaller while it still fails: less time, fewer kinds of fault, fewer clients, fewer servers,
 * fewer single faults. Any failure counts. The result is a request that replays.
 */
import type { PoolRequest } from './pool-options.ts'
import { PoolFailure, runPool } from './pool-world.ts'

export interface SmallerPool {
  readonly request: PoolRequest
  readonly failure: PoolFailure
  readonly attempts: number
}

/** `maxAttempts` runs at most. */
export function shrinkPool(
  request: PoolRequest,
  failure: PoolFailure,
  maxAttempts = 120,
): SmallerPool {
  let best: SmallerPool = { request, failure, attempts: 0 }
  const accepts = (smaller: PoolRequest): boolean => {
    if (best.attempts >= maxAttempts) return false
    best = { ...best, attempts: best.attempts + 1 }
    const found = failureOf(smaller)
    if (found === undefined) return false
    best = { request: smaller, failure: found, attempts: best.attempts }
    return true
  }
  shorten(() => best, accepts)
  const happened = new Set(best.failure.happened.map(name => name.slice(0, name.indexOf('#'))))
  for (const kind of happened) {
    accepts({ ...best.request, without: [...(best.request.without ?? []), kind] })
  }
  for (const clients of [3, 8, 20, 60]) if (accepts({ ...best.request, clients })) break
  for (const servers of [2, 3, 4]) if (accepts({ ...best.request, servers })) break
  let only = [...best.failure.happened]
  for (let size = Math.ceil(only.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let start = 0; start < only.length && best.attempts < maxAttempts;) {
      const fewer = only.toSpliced(start, size)
      if (accepts({ ...best.request, only: fewer })) only = fewer
      else start += size
    }
  }
  shorten(() => best, accepts)
  return best
}

/** Nothing after the failure matters; often the end before it does not either. */
function shorten(best: () => SmallerPool, accepts: (request: PoolRequest) => boolean): void {
  for (let ms = Math.ceil(best().failure.at); ms > 500; ms = Math.floor(ms * 0.7)) {
    if (ms >= (best().request.faultsMs ?? Infinity)) continue
    if (!accepts({ ...best().request, faultsMs: ms })) return
  }
}

function failureOf(request: PoolRequest): PoolFailure | undefined {
  try {
    runPool(request)
    return undefined
  } catch (error) {
    if (error instanceof PoolFailure) return error
    throw error
  }
}
