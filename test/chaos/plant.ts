/**
 * A double grant planted in the history of a real run: what the checker must find, and does.
 *
 * At a moment when every seat of a feature was in use, one seat more is written down, as a server that grants one allocation
 * twice would have had it.
 */
import { beliefsOf, limitsOf } from './checker.ts'
import type { Line } from './history.ts'

export interface Planted {
  readonly lines: readonly Line[]
  readonly feature: string
  readonly t: number
}

/** Undefined when no feature was ever in use to the last seat. */
export function plantDoubleGrant(lines: readonly Line[]): Planted | undefined {
  const beliefs = beliefsOf(lines)
  for (const [feature, steps] of limitsOf(lines)) {
    const own = beliefs.filter(belief => belief.feature === feature)
    for (const { from, until } of own) {
      const limit = steps.findLast(({ t }) => t <= from)?.limit ?? 0
      const valid = own.filter(belief => belief.from <= from && from < belief.until)
      const inUse = valid.reduce((sum, { count }) => sum + count, 0)
      if (limit === 0 || inUse < limit) continue
      const seat = { seat: 'planted', client: 'planted', feature, count: 1, at: 'planted' }
      const grant = { k: 'grant', t: from, until, askedMs: 0, ...seat } as const
      return { lines: [...lines, grant], feature, t: from }
    }
  }
  return undefined
}
