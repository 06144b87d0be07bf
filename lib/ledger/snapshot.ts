/**
 * The ledger's state as a list of small plain rows: what a snapshot holds and what the hash is taken over.
 *
 * A row is JSON- and msgpack-safe and is built with its fields in one fixed order and its lists sorted, so that
 * equal states give equal text on every server (I5). The first row of a snapshot is the pool's.
 */
import assert from 'node:assert/strict'
import { levelMax } from './command.ts'
import type { CodeContent, CodeLimits, Result, Settings } from './command.ts'
import { History, type UsageBlock } from './history.ts'
import type {
  AuditRecord,
  CodeRecord,
  Demand,
  Feature,
  LedgerState,
  Move,
  ServerRecord,
  TokenKeyUse,
  VendorRecord,
} from './state.ts'

export interface PoolRow {
  readonly kind: 'pool'
  /** The pool's level: the rows of a pool of level 1 are those of before levels. */
  readonly version: number
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
  /** From version 2 on. */
  readonly audited?: number
  readonly tokenKeys?: TokenKeyUse
  /** From version 3 on. */
  readonly forgettableFrom?: number
  readonly forgottenBefore?: number
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
  readonly limits?: Feature['limits']
  readonly serves?: readonly string[]
}

export type ServerRow = { readonly kind: 'server' } & Readonly<ServerRecord>
export type VendorRow = { readonly kind: 'vendor' } & VendorRecord
export type MoveRow = { readonly kind: 'move' } & Move
/** The key of an operator who is trusted no more. */
export interface RevokedRow {
  readonly kind: 'revoked'
  readonly key: string
}

export type AuditRow = { readonly kind: 'audit' } & AuditRecord

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

export type UsageRow = { readonly kind: 'usage' } & Readonly<UsageBlock>

export type Row =
  | PoolRow
  | ServerRow
  | VendorRow
  | FeatureRow
  | CodeRow
  | MoveRow
  | UsageRow
  | ResultRow
  | AuditRow
  | RevokedRow

/** A whole ledger as frozen plain data. */
export interface LedgerSnapshot {
  readonly rows: readonly Row[]
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const byKey = (a: readonly [string, ...unknown[]], b: readonly [string, ...unknown[]]): number =>
  byText(a[0], b[0])

export function poolRow(state: LedgerState): PoolRow {
  const { pool, fingerprint, settings, tick, calendar, tokensUntil, revision } = state
  const { heldUntil, incarnationFloor, promisedMs, level, audited, tokenKeys } = state
  const { forgettableFrom, forgottenBefore } = state
  const { tickMs, leaseTicks, seatTicks } = settings
  return {
    kind: 'pool',
    version: level,
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
    ...(level === 1 ? {} : { audited }),
    ...(tokenKeys === undefined ? {} : { tokenKeys: copyKeyUse(tokenKeys) }),
    ...(level < 3 ? {} : { forgettableFrom, forgottenBefore }),
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
    ...(record.keys === undefined ? {} : { keys: record.keys }),
  }
}

/** With its fields in the fixed order of a row and nothing beside them. */
function copyKeyUse({ current, since, before, retired }: TokenKeyUse): TokenKeyUse {
  return Object.freeze({
    current,
    since,
    before: Object.freeze(before.map(({ kid, until }) => Object.freeze({ kid, until }))),
    retired: Object.freeze([...retired]),
  })
}

export function vendorRow(vendor: VendorRecord): VendorRow {
  const { kid, name, publicKey, root, certificate, certifiedBy, revoked } = vendor
  return {
    kind: 'vendor',
    kid,
    name,
    publicKey,
    ...(root === undefined ? {} : { root }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(certifiedBy === undefined ? {} : { certifiedBy }),
    ...(revoked === undefined ? {} : { revoked }),
  }
}

export function auditRow(record: AuditRecord): AuditRow {
  const { seq, tick, at, id, by, key, action, subject, detail, outcome } = record
  return {
    kind: 'audit',
    seq,
    tick,
    at,
    id,
    by,
    ...(key === undefined ? {} : { key }),
    action,
    ...(subject === undefined ? {} : { subject }),
    ...(detail === undefined ? {} : { detail }),
    outcome,
  }
}

export function revokedRow(key: string): RevokedRow {
  return { kind: 'revoked', key }
}

export function featureRow(feature: Feature): FeatureRow {
  const { targets, vendor, endsAt, limits, serves } = feature
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
    ...(limits === undefined ? {} : { limits: copyLimits(limits) }),
    ...(serves === undefined ? {} : { serves: [...serves] }),
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

export function usageRow({ unit, feature, start, slots }: UsageBlock): UsageRow {
  return { kind: 'usage', unit, feature, start, slots: [...slots] }
}

export function resultRow(id: string, result: Result, forgetAt: number): ResultRow {
  return { kind: 'result', id, result, forgetAt }
}

/** The content with its fields in the fixed order of a row and nothing beside them. */
export function copyContent(content: CodeContent): CodeContent {
  const { expiresAt, limits, serves, renews } = content
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
    ...(limits === undefined ? {} : { limits: copyLimits(limits) }),
    ...(serves === undefined ? {} : { serves: Object.freeze([...serves]) }),
    ...(renews === undefined ? {} : { renews }),
  })
}

export function copyLimits({ leaseMs, seatMs, offlineDays }: CodeLimits): CodeLimits {
  return Object.freeze({
    ...(leaseMs === undefined ? {} : { leaseMs }),
    ...(seatMs === undefined ? {} : { seatMs }),
    ...(offlineDays === undefined ? {} : { offlineDays }),
  })
}

/** The state before genesis. */
export function emptyState(): LedgerState {
  return {
    level: 1,
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
    tokenKeys: undefined,
    servers: new Map(),
    vendors: new Map(),
    features: new Map(),
    codes: new Map(),
    moves: new Map(),
    results: new Map(),
    forgettableFrom: 0,
    forgottenBefore: 0,
    revoked: new Set(),
    audited: 0,
    audit: [],
    history: new History(),
  }
}

/**
 * Puts what a row of a snapshot describes into the state. The row was checked (checksums) before it came here; one of
 * another version is a bug and an assertion.
 */
export function putRow(state: LedgerState, row: Row): void {
  switch (row.kind) {
    case 'pool': {
      const { kind: _kind, version: level, tokenKeys, ...pool } = row
      assert(level >= 1 && level <= levelMax, 'a pool row of this version')
      Object.assign(state, { level, ...pool })
      state.tokenKeys = tokenKeys && copyKeyUse(tokenKeys)
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
    case 'usage': {
      const { unit, feature, start, slots } = row
      state.history.restore({ unit, feature, start, slots })
      break
    }
    case 'revoked':
      state.revoked.add(row.key)
      break
    case 'audit': {
      const { kind: _kind, ...record } = row
      state.audit.push(Object.freeze({ ...record }))
      break
    }
    case 'result':
      state.results.set(row.id, Object.freeze({ result: row.result, forgetAt: row.forgetAt }))
      break
  }
}

function featureFromRow(row: FeatureRow): Feature {
  const { vendor, endsAt, limits, serves } = row
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
    ...(limits === undefined ? {} : { limits: copyLimits(limits) }),
    ...(serves === undefined ? {} : { serves: Object.freeze([...serves]) }),
  }
}
