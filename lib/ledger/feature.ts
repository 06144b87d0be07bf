/**
 * One feature's figures: shares, criteria, and the invariant that holds them together.
 *
 * Invariant I1: free + sum(share) = allocations + owed, none below zero.
 */
import assert from 'node:assert/strict'
import { membersIn } from './server.ts'
import type { Feature, LedgerState } from './state.ts'

const featureName = /^[A-Za-z0-9_-]{1,64}(?:@[A-Za-z0-9_.-]{1,64})?$/

export const thresholdDefault = 0.9

export function isFeatureName(name: string): boolean {
  return featureName.test(name)
}

export function newFeature(name: string, vendor?: string): Feature {
  return {
    name,
    ...(vendor === undefined ? {} : { vendor }),
    allocations: 0,
    owed: 0,
    free: 0,
    shares: new Map(),
    targets: 'even',
    defaultThreshold: thresholdDefault,
    thresholds: new Map(),
    demand: [],
    usage: new Map(),
  }
}

export function shareOf(feature: Feature, server: string): number {
  return feature.shares.get(server) ?? 0
}

/** Raises a share, or lowers it with a negative count. A share of 0 has no entry. */
export function addShare(feature: Feature, server: string, count: number): void {
  const share = shareOf(feature, server) + count
  assert(share >= 0, 'no share falls below zero')
  if (share === 0) feature.shares.delete(server)
  else feature.shares.set(server, share)
}

/** Target share by the distribution criteria. `even` rounds down: the remainder stays in the free pool. */
export function targetOf(state: LedgerState, feature: Feature, server: string): number {
  const record = state.servers.get(server)
  if (record === undefined || record.role === 'removed') return 0
  if (feature.targets !== 'even') return feature.targets.get(server) ?? 0
  return Math.floor(feature.allocations / membersIn(state))
}

export function thresholdOf(feature: Feature, server: string): number {
  return feature.thresholds.get(server) ?? feature.defaultThreshold
}

export function isThreshold(threshold: number): boolean {
  return threshold > 0 && threshold <= 1
}

export function assertConserved(feature: Feature): void {
  let owned = 0
  for (const [server, share] of feature.shares) {
    assert(Number.isSafeInteger(share) && share > 0, `share of ${server} in ${feature.name}`)
    owned += share
  }
  const { name, free, allocations, owed } = feature
  assert(free >= 0 && allocations >= 0 && owed >= 0, `${name}: nothing is below zero`)
  assert.equal(free + owned, allocations + owed, `${name}: free + owned = allocations + owed`)
}
