/**
 * What a server says about the pool: from the ledger as applied here, with its own figures live.
 */
import type { Ledger } from '../ledger/ledger.ts'
import type { Feature, ServerRecord } from '../ledger/state.ts'
import type {
  FeatureStatus,
  Health,
  PoolStatus,
  ServerStatus,
  ShareStatus,
} from '../protocol/ctl.ts'

/** The answering server's own view that the ledger does not hold. */
export interface Viewer {
  readonly server: string
  readonly ledger: Ledger
  readonly leader: string | undefined
  readonly term: number
  readonly commitIndex: number
  readonly lastApplied: number
  readonly tickAgeMs: number
  readonly leaseLeftMs: number
  readonly hash: string
  readonly health: Health | undefined
  /** Seats in use here, live. */
  readonly inUse: (feature: string) => number
}

export function poolStatus(viewer: Viewer): PoolStatus {
  const { ledger, leader } = viewer
  const { state } = ledger
  return {
    pool: state.pool,
    fingerprint: state.fingerprint,
    ...(leader === undefined ? {} : { leader }),
    term: viewer.term,
    tick: state.tick,
    calendar: state.calendar,
    revision: state.revision,
    commitIndex: viewer.commitIndex,
    lastApplied: viewer.lastApplied,
    settings: state.settings,
    tickAgeMs: viewer.tickAgeMs,
    leaseLeftMs: viewer.leaseLeftMs,
    ...(state.heldUntil > state.tick ? { heldTicks: state.heldUntil - state.tick } : {}),
    hash: viewer.hash,
    ...(viewer.health === undefined ? {} : { health: viewer.health }),
    servers: sortedKeys(state.servers).flatMap(name => {
      const record = state.servers.get(name)
      return record === undefined ? [] : [serverStatus(viewer, record)]
    }),
    features: sortedKeys(state.features).flatMap(name => {
      const feature = state.features.get(name)
      return feature === undefined ? [] : [featureStatus(viewer, feature)]
    }),
  }
}

function serverStatus({ ledger, leader }: Viewer, record: ServerRecord): ServerStatus {
  const { tick } = ledger.state
  return {
    name: record.name,
    state: ledger.serverState(record.name),
    leader: record.name === leader,
    incarnation: record.incarnation,
    listedTicksAgo: tick - record.listedTick,
    downInTicks: Math.max(0, record.downAt - tick),
  }
}

/** One feature as it stands: every server of the pool has a row, whether it owns any or not. */
export function featureStatus(
  viewer: Pick<Viewer, 'server' | 'ledger' | 'inUse'>,
  feature: Feature,
): FeatureStatus {
  const { state } = viewer.ledger
  const vendorName =
    feature.vendor === undefined ? undefined : (state.vendors.get(feature.vendor)?.name ?? '?')
  return {
    name: feature.name,
    ...(vendorName === undefined ? {} : { vendor: vendorName }),
    allocations: feature.allocations,
    owed: feature.owed,
    free: feature.free,
    ...(feature.endsAt === undefined ? {} : { endsAt: feature.endsAt }),
    even: feature.targets === 'even',
    shares: sortedKeys(state.servers).map(server => shareStatus(viewer, feature, server)),
  }
}

function shareStatus(
  { server: own, ledger, inUse }: Pick<Viewer, 'server' | 'ledger' | 'inUse'>,
  feature: Feature,
  server: string,
): ShareStatus {
  return {
    server,
    share: feature.shares.get(server) ?? 0,
    inUse: server === own ? inUse(feature.name) : (feature.usage.get(server)?.inUse ?? 0),
    target: ledger.target(feature, server),
    threshold: ledger.threshold(feature, server),
    demand: feature.demand.find(entry => entry.server === server)?.count ?? 0,
  }
}

function sortedKeys(map: ReadonlyMap<string, unknown>): string[] {
  return [...map.keys()].sort()
}
