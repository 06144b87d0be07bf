/** States of pools, made by hand, for tests of what commands show of them. */
import type { PoolView } from '../../lib/ctl/pool-view.ts'
import type { FeatureStatus, ServerStatus } from '../../lib/protocol/ctl.ts'

export function server(name: string, change: Partial<ServerStatus> = {}): ServerStatus {
  const up = {
    state: 'up',
    leader: false,
    incarnation: 1,
    listedTicksAgo: 0,
    downInTicks: 30,
  } as const
  return { name, ...up, ...change }
}

/** What a server has of a feature. */
export type Share = readonly [
  server: string,
  share: number,
  inUse: number,
  target: number,
  demand?: number,
]

export function feature(
  name: string,
  shares: readonly Share[],
  change: Partial<FeatureStatus> = {},
): FeatureStatus {
  const owned = shares.reduce((sum, [, share]) => sum + share, 0)
  return {
    ...{
      name,
      allocations: owned + (change.free ?? 0) - (change.owed ?? 0),
      owed: 0,
      free: 0,
      even: true,
    },
    shares: shares.map(([server, share, inUse, target, demand = 0]) => ({
      ...{ server, share, inUse, target, demand, threshold: 0.9 },
    })),
    ...change,
  }
}

/** A pool whose servers that are up have answered. */
export function view(
  servers: readonly ServerStatus[],
  features: readonly FeatureStatus[],
): PoolView {
  const live = servers.filter(({ state }) => state === 'up').map(({ name }) => name)
  return {
    status: {
      ...{
        pool: 'default',
        fingerprint: 'f',
        leader: 'alpha',
        term: 1,
        tick: 47,
        calendar: 0,
        revision: 6,
      },
      ...{ commitIndex: 1, lastApplied: 1, tickAgeMs: 100, leaseLeftMs: 27_000, hash: 'h' },
      settings: { tickMs: 1000, leaseTicks: 30, seatTicks: 20 },
      servers,
      features,
    },
    ...{ answeredBy: 'beta', live, healthOf: {}, levelOf: {}, httpOf: {} },
    lease: Object.fromEntries(live.map(name => [name, { leaseLeftMs: 27_000, tickAgeMs: 100 }])),
  }
}
