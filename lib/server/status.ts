/**
 * What a server says about the pool: from the ledger as applied here, with its own figures live.
 */
import type { NodeStatus } from '../../raft/index.ts'
import { levelMax } from '../ledger/command.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Feature, ServerRecord } from '../ledger/state.ts'
import type {
  FeatureStatus,
  Health,
  PoolStatus,
  ServerStatus,
  ShareStatus,
} from '../protocol/ctl.ts'
import type { DarkCount } from '../protocol/why.ts'
import { darkOf, type DarkViewer } from './dark.ts'
import type { Host, SeatService } from './parts.ts'

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
  /** Its own dark seats by feature. */
  readonly dark: ReadonlyMap<string, readonly DarkCount[]>
  readonly wall: number
  readonly http: string | undefined
  readonly version: string | undefined
  readonly clientLink: PoolStatus['clientLink']
}

/** A running server as its own viewer. */
export function viewerOf(
  server: Pick<Host, 'server' | 'ledger' | 'leader' | 'clock' | 'tickAppliedAt' | 'leaseUntil'> & {
    readonly service: SeatService
    readonly raft: NodeStatus | undefined
    readonly clientLink: PoolStatus['clientLink']
  },
  replica: { readonly index: number; hash(): string; readonly health: Health | undefined },
  startedAt: number,
  { http, version }: { readonly http?: string; readonly version?: string },
): Viewer {
  const { ledger, leader, service, raft, leaseUntil } = server
  const now = server.clock.now()
  return {
    server: server.server,
    ledger,
    leader,
    term: raft?.term ?? 0,
    commitIndex: raft?.commitIndex ?? 0,
    lastApplied: replica.index,
    tickAgeMs: Math.round(now - Math.max(server.tickAppliedAt, startedAt)),
    leaseLeftMs: Math.max(0, Math.round(leaseUntil - now)),
    hash: replica.hash(),
    health: replica.health,
    inUse: feature => service.inUse(feature),
    dark: service.report.dark(),
    wall: server.clock.wall(),
    http,
    version,
    clientLink: server.clientLink,
  }
}

export function poolStatus(viewer: Viewer): PoolStatus {
  const { features } = viewer.ledger.state
  return {
    ...poolHead(viewer),
    features: sortedKeys(features).flatMap(name => {
      const feature = features.get(name)
      return feature === undefined ? [] : [featureStatus(viewer, feature)]
    }),
  }
}

/** The pool but for its features. */
export function poolHead(viewer: Viewer): Omit<PoolStatus, 'features'> {
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
    level: state.level,
    levelMax,
    ...(viewer.version === undefined ? {} : { version: viewer.version }),
    wall: viewer.wall,
    hash: viewer.hash,
    ...(viewer.health === undefined ? {} : { health: viewer.health }),
    ...(viewer.clientLink === undefined ? {} : { clientLink: viewer.clientLink }),
    ...(viewer.http === undefined ? {} : { http: viewer.http }),
    servers: sortedKeys(state.servers).flatMap(name => {
      const record = state.servers.get(name)
      return record === undefined ? [] : [serverStatus(viewer, record)]
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

/**
 * One feature as it stands, with what is dark where the viewer knows it: every server of the pool has a row, whether it
 * owns any or not.
 */
export function featureStatus(
  viewer: Pick<Viewer, 'server' | 'ledger' | 'inUse'> & Partial<DarkViewer>,
  feature: Feature,
): FeatureStatus {
  const { server, ledger, tickAgeMs, dark } = viewer
  const { state } = ledger
  const vendorName =
    feature.vendor === undefined ? undefined : (state.vendors.get(feature.vendor)?.name ?? '?')
  return {
    name: feature.name,
    ...(vendorName === undefined ? {} : { vendor: vendorName }),
    allocations: feature.allocations,
    owed: feature.owed,
    free: feature.free,
    ...(feature.endsAt === undefined ? {} : { endsAt: feature.endsAt }),
    ...(feature.limits === undefined ? {} : { limits: feature.limits }),
    ...(feature.serves === undefined ? {} : { serves: feature.serves }),
    even: feature.targets === 'even',
    ...(tickAgeMs === undefined || dark === undefined
      ? {}
      : { dark: darkOf({ server, ledger, tickAgeMs, dark }, feature) }),
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
