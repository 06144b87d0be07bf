/**
 * One feature's allocations as parts of a whole, so that a bar can be drawn of them: each is counted once.
 *
 * in use + idle + dark + owed + free = allocations + owed: what is owed is in use or dark at some server, and
 * is shown as owed first. A server that is silent or down has its whole share dark: what it uses nobody knows.
 */
import type { FeatureStatus } from '../protocol/ctl.ts'

export interface Parts {
  readonly inUse: number
  /** Owned by a server and not in use there. */
  readonly idle: number
  readonly dark: number
  readonly owed: number
  /** In the free pool. */
  readonly free: number
}

export interface ShareParts {
  readonly inUse: number
  readonly idle: number
  readonly dark: number
}

export function partsOf(feature: FeatureStatus): Parts {
  const { owed, free, allocations, dark = [] } = feature
  if (dark.some(({ kind }) => kind === 'held')) {
    return { inUse: 0, idle: 0, dark: allocations, owed, free: 0 }
  }
  let [inUse, idle, darkCount] = [0, 0, 0]
  for (const share of feature.shares) {
    const parts = shareParts(feature, share)
    inUse += parts.inUse
    idle += parts.idle
    darkCount += parts.dark
  }
  let rest = Math.min(owed, inUse + idle + darkCount)
  const take = (from: number): number => {
    const taken = Math.min(rest, from)
    rest -= taken
    return from - taken
  }
  return { inUse: take(inUse), dark: take(darkCount), idle: take(idle), owed, free }
}

/** The same of one server's share. In use never exceeds what it owns here: an old figure may. */
export function shareParts(
  { dark = [] }: Pick<FeatureStatus, 'dark'>,
  { server, share, inUse: used }: FeatureStatus['shares'][number],
): ShareParts {
  const own = dark.filter(row => row.server === server)
  if (own.some(({ kind }) => kind === 'silent' || kind === 'down')) {
    return { inUse: 0, idle: 0, dark: share }
  }
  const known = Math.min(used, share)
  const darkCount = Math.min(
    own.reduce((sum, { count }) => sum + count, 0),
    known,
  )
  return { inUse: known - darkCount, idle: share - known, dark: darkCount }
}
