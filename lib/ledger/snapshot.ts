/**
 * The ledger's state as a list of small plain rows: what a snapshot holds and what the hash is taken over.
 *
 * A row is JSON- and msgpack-safe and is built with its fields in one fixed order and its lists sorted, so that
 * equal states give equal text on every server (I5). The first row of a snapshot is the pool's.
 */
import assert from 'node:assert/strict'
import type { CodeContent, Result, Settings, VendorKey } from './command.ts'
import type { CodeRecord, Demand, Feature, LedgerState, Move, ServerRecord } from './state.ts'

export interface PoolRow {
  readonly kind: 'pool'
  readonly version: 1
  readonly pool: string
  readonly fingerprint: string
  readonly settings: Settings
  readonly tick: number
  readonly calendar: number
  readonly tokensUntil: number
  /** Absent for 0. */
  readonly promisedMs?: number
  readonly revision: number
  readonly heldUntil: number
  readonly incarnationFloor: number
}

export interface FeatureRow {
  readonly kind: 'feature'
  readonly name: string
  readonly vendor?: string
  readonly allocations: number
  readonly owed: number
  readonly free: number
  readonly shares: readonly (readonly [server: string, share: number])[]
  readonly targets: 'even' | readonly (readonly [server: string, target: number])[]
  readonly defaultThreshold: number
  readonly thresholds: readonly (readonly [server: string, threshold: number])[]
  readonly demand: readonly Readonly<Demand>[]
  readonly usage: readonly (readonly [
    server: string,
    inUse: number,
    granted: number,
    denied: number,
  ])[]
  readonly endsAt?: number
}

export type ServerRow = { readonly kind: 'server' } & Readonly<ServerRecord>
export type VendorRow = { readonly kind: 'vendor' } & VendorKey
export type MoveRow = { readonly kind: 'move' } & Move

export interface CodeRow {
  readonly kind: 'code'
  readonly content: CodeContent
  readonly text: string
  readonly addedTick: number
  readonly state: CodeRecord['state']
}

export interface ResultRow {
  readonly kind: 'result'
  readonly id: string
  readonly result: Result
  readonly forgetAt: number
}

export type Row = PoolRow | ServerRow | VendorRow | FeatureRow | CodeRow | MoveRow | ResultRow

/** A whole ledger as frozen plain data. */
export interface LedgerSnapshot {
  readonly rows: readonly Row[]
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const byKey = (a: readonly [string, ...unknown[]], b: readonly [string, ...unknown[]]): number =>
  byText(a[0], b[0])

export function poolRow(state: LedgerState): PoolRow {
  const { pool, fingerprint, settings, tick, calendar, tokensUntil, revision } = state
  const { heldUntil, incarnationFloor, promisedMs } = state
  const { tickMs, leaseTicks, seatTicks } = settings
  return {
    kind: 'pool',
    version: 1,
    pool,
    fingerprint,
    settings: { tickMs, leaseTicks, seatTicks },
    tick,
    calendar,
    tokensUntil,
    ...(promisedMs === 0 ? {} : { promisedMs }),
    revision,
    heldUntil,
    incarnationFloor,
  }
}

export function serverRow(record: ServerRecord): ServerRow {
  return {
    kind: 'server',
    name: record.name,
    role: record.role,
    incarnation: record.incarnation,
    bootId: record.bootId,
    endedIncarnation: record.endedIncarnation,
    helloTick: record.helloTick,
    helloPending: record.helloPending,
    leaving: record.leaving,
    relearnUntil: record.relearnUntil,
    listedTick: record.listedTick,
    listedNumber: record.listedNumber,
    downAt: record.downAt,
    wallMs: record.wallMs,
  }
}

export function vendorRow({ kid, name, publicKey }: VendorKey): VendorRow {
  return { kind: 'vendor', kid, name, publicKey }
}

export function featureRow(feature: Feature): FeatureRow {
  const { targets, vendor, endsAt } = feature
  return {
    kind: 'feature',
    name: feature.name,
    ...(vendor === undefined ? {} : { vendor }),
    allocations: feature.allocations,
    owed: feature.owed,
    free: feature.free,
    shares: [...feature.shares].sort(byKey),
    targets: targets === 'even' ? 'even' : [...targets].sort(byKey),
    defaultThreshold: feature.defaultThreshold,
    thresholds: [...feature.thresholds].sort(byKey),
    demand: feature.demand.map(({ server, incarnation, count, since }) => ({
      server,
      incarnation,
      count,
      since,
    })),
    usage: [...feature.usage]
      .map(([server, { inUse, granted, denied }]) => [server, inUse, granted, denied] as const)
      .sort(byKey),
    ...(endsAt === undefined ? {} : { endsAt }),
  }
}

export function codeRow({ content, text, addedTick, state }: CodeRecord): CodeRow {
  return { kind: 'code', content, text, addedTick, state }
}

export function moveRow(move: Move): MoveRow {
  return {
    kind: 'move',
    seatId: move.seatId,
    feature: move.feature,
    from: move.from,
    to: move.to,
    toIncarnation: move.toIncarnation,
    tick: move.tick,
    until: move.until,
  }
}

export function resultRow(id: string, result: Result, forgetAt: number): ResultRow {
  return { kind: 'result', id, result, forgetAt }
}

/** The content with its fields in the fixed order of a row and nothing beside them. */
export function copyContent(content: CodeContent): CodeContent {
  const { expiresAt } = content
  return Object.freeze({
    codeId: content.codeId,
    kid: content.kid,
    vendor: content.vendor,
    customer: content.customer,
    feature: content.feature,
    kind: content.kind,
    allocations: content.allocations,
    startsAt: content.startsAt,
    ...(expiresAt === undefined ? {} : { expiresAt }),
    issuedAt: content.issuedAt,
  })
}

/** The state before genesis. */
export function emptyState(): LedgerState {
  return {
    pool: '',
    fingerprint: '',
    settings: { tickMs: 1_000, leaseTicks: 30, seatTicks: 30 },
    tick: 0,
    calendar: 0,
    tokensUntil: 0,
    promisedMs: 0,
    revision: 0,
    heldUntil: 0,
    incarnationFloor: 0,
    servers: new Map(),
    vendors: new Map(),
    features: new Map(),
    codes: new Map(),
    moves: new Map(),
    results: new Map(),
  }
}

/**
 * Puts what a row of a snapshot describes into the state. The row was checked (checksums) before it came here; one of
 * another version is a bug and an assertion.
 */
export function putRow(state: LedgerState, row: Row): void {
  switch (row.kind) {
    case 'pool': {
      assert(row.version === 1, 'a pool row of this version')
      const { kind: _kind, version: _version, ...pool } = row
      Object.assign(state, pool)
      break
    }
    case 'server': {
      const { kind: _kind, ...record } = row
      state.servers.set(row.name, { ...record })
      break
    }
    case 'vendor': {
      const { kind: _kind, ...vendor } = row
      state.vendors.set(row.kid, Object.freeze({ ...vendor }))
      break
    }
    case 'feature':
      state.features.set(row.name, featureFromRow(row))
      break
    case 'code': {
      const { content, text, addedTick, state: codeState } = row
      const record = { content: copyContent(content), text, addedTick, state: codeState }
      state.codes.set(content.codeId, record)
      break
    }
    case 'move': {
      const { kind: _kind, ...move } = row
      state.moves.set(row.seatId, Object.freeze({ ...move }))
      break
    }
    case 'result':
      state.results.set(row.id, Object.freeze({ result: row.result, forgetAt: row.forgetAt }))
      break
  }
}

function featureFromRow(row: FeatureRow): Feature {
  const { vendor, endsAt } = row
  return {
    name: row.name,
    ...(vendor === undefined ? {} : { vendor }),
    allocations: row.allocations,
    owed: row.owed,
    free: row.free,
    shares: new Map(row.shares),
    targets: row.targets === 'even' ? 'even' : new Map(row.targets),
    defaultThreshold: row.defaultThreshold,
    thresholds: new Map(row.thresholds),
    demand: row.demand.map(entry => ({ ...entry })),
    usage: new Map(
      row.usage.map(([server, inUse, granted, denied]) => [server, { inUse, granted, denied }]),
    ),
    ...(endsAt === undefined ? {} : { endsAt }),
  }
}
