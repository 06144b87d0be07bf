/** A server's answer to `status`, as far as the checker wants it. */
import type { PoolStatus } from '../../lib/protocol/ctl.ts'
import type { SampleLine } from './history.ts'

export function sampleOf(status: PoolStatus, server: string, t: number): SampleLine {
  const { leader, term, revision, lastApplied, hash, health, features } = status
  return {
    ...{ k: 'sample', t, server, term, revision, lastApplied, hash },
    ...(leader === undefined ? {} : { leader }),
    differing: health?.differing ?? [],
    features: features.map(({ name, allocations, owed, free, shares }) => ({
      ...{ name, allocations, owed, free },
      owned: shares.reduce((sum, { share }) => sum + share, 0),
    })),
  }
}
