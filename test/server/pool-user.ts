/** A user of a simulated pool: the real client SDK over virtual time, asked in the plainest way. */
import { ClientCore, type Hold, type Outcome } from '../../lib/client/core.ts'
import type { SimulatedPool } from '../sim/pool.ts'
import { SeededRandom } from '../sim/seeded-random.ts'

export interface Wish {
  readonly feature?: string
  /** Absent: does not wait. */
  readonly waitMs?: number
}

/** A client of the real SDK that lives at the first of `prefer`. */
export function user(pool: SimulatedPool, name: string, ...prefer: string[]) {
  const { bus, clock } = pool.connect(name)
  const core = new ClientCore(
    { bus, clock, random: new SeededRandom(name) },
    { pool: 'simulated', prefer },
  )
  const acquire = (count = 1, options: Wish = {}): { outcome: Outcome | undefined } => {
    const asked: { outcome: Outcome | undefined } = { outcome: undefined }
    const { feature = 'cad', waitMs } = options
    core.acquire(
      { feature, count, user: name, host: 'ws1', waitMs },
      { moved: () => {}, renewed: () => {}, lost: () => {} },
      outcome => (asked.outcome = outcome),
    )
    return asked
  }
  const hold = (count = 1): Hold => {
    const asked = acquire(count)
    pool.runUntil(() => asked.outcome !== undefined, 15_000)
    if (asked.outcome?.ok !== true) throw new Error(JSON.stringify(asked.outcome))
    return asked.outcome.hold
  }
  const refused = (count = 1, options: Wish = {}) => {
    const asked = acquire(count, options)
    pool.runUntil(() => asked.outcome !== undefined, 20_000)
    return asked.outcome?.ok === false ? asked.outcome : undefined
  }
  /** The process is gone: nobody releases or renews what it holds. */
  const vanish = (): void => {
    clock.end()
    bus.close()
  }
  return { core, clock, acquire, hold, refused, vanish }
}
