/**
 * The pool as the API tells it: what `licd ctl status` shows, in one object, each figure counted once.
 *
 * Made from a `PoolView` alone. Client ids are in none of it: who knows one can give back that client's seats.
 */
import type { PoolView } from '../ctl/pool-view.ts'
import type { FeatureStatus, Health, ServerStatus } from '../protocol/ctl.ts'
import type { Dark } from '../protocol/why.ts'
import type { ServerRole } from '../ledger/state.ts'
import { partsOf, shareParts, type Parts, type ShareParts } from './figures.ts'

export interface PoolHead {
  readonly pool: string
  /** The server whose address was asked, and the one whose word of the distribution this is. */
  readonly server: string
  readonly says: string
  /** Wall time of `server`, milliseconds since 1970. */
  readonly at: number
  readonly leader?: string
  readonly term: number
  readonly tick: number
  readonly tickMs: number
  /** How old what is said is. */
  readonly tickAgeMs: number
  readonly revision: number
  /** Milliseconds until a restored or recovered pool serves; absent for one that may. */
  readonly heldMs?: number
  readonly servers: readonly ServerReport[]
}

export interface ServerReport {
  readonly name: string
  readonly state: ServerStatus['state']
  readonly role: 'leader' | ServerRole
  /** Whether it answered just now. */
  readonly answers: boolean
  /** How long it may grant: its own word, or, of one that did not answer, at most. */
  readonly leaseMs: number
  readonly heardMs: number
  readonly incarnation: number
  /** Over all features. */
  readonly share: number
  readonly inUse: number
  /** Its page, where it has one. */
  readonly http?: string
  /** What is wrong with it, in words. */
  readonly remarks: readonly string[]
}

export interface FeatureReport {
  readonly name: string
  readonly vendor?: string
  readonly allocations: number
  readonly even: boolean
  readonly endsAt?: number
  readonly parts: Parts
  /** Seats that wait, over all servers. */
  readonly waiting: number
  readonly shares: readonly ShareReport[]
  readonly dark: readonly Dark[]
}

export interface ShareReport extends ShareParts {
  readonly server: string
  readonly share: number
  readonly target: number
  /** Owned beyond the target. */
  readonly borrowed: number
  readonly threshold: number
  readonly waiting: number
  /** False where this is as of the last keepalive. */
  readonly live: boolean
}

export interface PoolReport extends PoolHead {
  readonly features: readonly FeatureReport[]
}

export interface ReportOptions {
  readonly server: string
  readonly at: number
  readonly roleOf: (server: string) => ServerRole
  /** Addresses of pages, known from now or before. */
  readonly httpOf: (server: string) => string | undefined
}

/** All but the features. */
export function headOf(view: PoolView, options: ReportOptions): PoolHead {
  const { status, answeredBy } = view
  const { pool, leader, term, tick, tickAgeMs, revision, settings, heldTicks } = status
  return {
    pool,
    server: options.server,
    says: answeredBy,
    at: options.at,
    ...(leader === undefined ? {} : { leader }),
    ...{ term, tick, tickMs: settings.tickMs, tickAgeMs, revision },
    ...(heldTicks === undefined ? {} : { heldMs: heldTicks * settings.tickMs }),
    servers: status.servers.map(server => serverReport(view, server, options)),
  }
}

function serverReport(
  { status, live, lease, healthOf }: PoolView,
  { name, state, incarnation, listedTicksAgo, downInTicks, leader }: ServerStatus,
  { roleOf, httpOf }: ReportOptions,
): ServerReport {
  const answers = live.includes(name)
  const { tickMs } = status.settings
  const own = lease[name]
  let [share, inUse] = [0, 0]
  for (const { shares } of status.features) {
    const row = shares.find(({ server }) => server === name)
    share += row?.share ?? 0
    inUse += row?.inUse ?? 0
  }
  const http = httpOf(name)
  return {
    ...{ name, state, incarnation, share, inUse, answers },
    role: leader ? 'leader' : roleOf(name),
    leaseMs: own?.leaseLeftMs ?? downInTicks * tickMs,
    heardMs: own?.tickAgeMs ?? listedTicksAgo * tickMs + status.tickAgeMs,
    ...(http === undefined ? {} : { http }),
    remarks: remarksOf(healthOf[name]),
  }
}

function remarksOf(health: Health | undefined): string[] {
  if (health === undefined) return []
  const { trust, damage, differing } = health
  return [
    ...(trust === 'full' ? [] : ['lost a part of its log, and is counted in no majority']),
    ...(damage === undefined ? [] : [`its disk was damaged: ${damage}`]),
    ...(differing.length === 0
      ? []
      : [`its ledger differs from ${differing.join(', ')}: please report it with the logs`]),
  ]
}

export function featureReport(
  { live }: Pick<PoolView, 'live'>,
  feature: FeatureStatus,
): FeatureReport {
  const { name, vendor, allocations, even, endsAt, dark = [] } = feature
  return {
    ...{ name, allocations, even, dark },
    ...(vendor === undefined ? {} : { vendor }),
    ...(endsAt === undefined ? {} : { endsAt }),
    parts: partsOf(feature),
    waiting: feature.shares.reduce((sum, { demand }) => sum + demand, 0),
    shares: feature.shares.map(row => ({
      server: row.server,
      share: row.share,
      target: row.target,
      borrowed: Math.max(0, row.share - row.target),
      threshold: row.threshold,
      waiting: row.demand,
      live: live.includes(row.server),
      ...shareParts(feature, row),
    })),
  }
}
