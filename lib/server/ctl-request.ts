/**
 * Operators' requests as they arrive, turned into commands or refused by name.
 *
 * Only the shape is judged here: names, counts, bounds. Whether a feature, server or code exists is for the
 * ledger to say when the command is applied, since this server may be a little behind.
 */
import { createHash } from 'node:crypto'
import type { Code } from '../error.ts'
import {
  bounds,
  levelMax,
  type Command,
  type CommandBody,
  type Settings,
  type VendorKey,
} from '../ledger/command.ts'
import type { LedgerState } from '../ledger/state.ts'
import { ctlBounds, type Change } from '../protocol/ctl.ts'
import { isFeatureName, isServerName } from '../protocol/subject.ts'
import type { SeatQuery } from './parts.ts'

export interface Refusal {
  readonly code: Code
  readonly detail: string
  /** When to ask again, milliseconds, where that may help. */
  readonly retryAfterMs?: number
}

export type Fields = Readonly<Record<string, unknown>>
export type Read<T> = { readonly ok: true; readonly value: T } | ({ readonly ok: false } & Refusal)

export const timeoutMaxMs = 60_000
export const codeTextMax = 8 * 1024
export const byMax = 128
/** Characters of a text that seats are searched for. */
const searchMax = 128

export function refuse(code: Code, detail: string): { readonly ok: false } & Refusal {
  return { ok: false, code, detail }
}

/** What is too much at this moment is less in the next. */
const busyMs = 500

export function busy(detail: string, retryAfterMs = busyMs): { readonly ok: false } & Refusal {
  return { ok: false, code: 'LICD_TOO_BUSY', detail, retryAfterMs }
}

function take<T>(value: T): Read<T> {
  return { ok: true, value }
}

function malformed(field: string, what: string): { readonly ok: false } & Refusal {
  return refuse('LICD_BAD_REQUEST', `Field ${field} must be ${what}.`)
}

export function isCommandId(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(value)
}

export function readTimeout({ timeoutMs }: Fields): Read<number> {
  if (typeof timeoutMs === 'number' && timeoutMs >= 1 && timeoutMs <= timeoutMaxMs) {
    return take(timeoutMs)
  }
  return malformed('timeoutMs', `a number of milliseconds from 1 to ${timeoutMaxMs}`)
}

/** The fields common to every change. */
export function readChange(fields: Fields): Read<Change> {
  const { id, by, since, provenKey } = fields
  if (!isCommandId(id)) return malformed('id', '1 to 64 characters of A-Z a-z 0-9 . _ -')
  if (typeof by !== 'string' || by === '' || by.length > byMax) {
    return malformed('by', `a text of 1 to ${byMax} characters`)
  }
  const timeout = readTimeout(fields)
  if (!timeout.ok) return timeout
  if (since !== undefined && !isWhole(since, 0, Number.MAX_SAFE_INTEGER)) {
    return malformed('since', 'a tick of the pool clock')
  }
  const known = {
    ...(since === undefined ? {} : { since }),
    ...(typeof provenKey === 'string' ? { provenKey } : {}),
  }
  return take({ id, by, timeoutMs: timeout.value, fresh: fields['fresh'] === true, ...known })
}

/**
 * Who proved to ask, and since when there may be copies (R8), for a pool whose servers can read that. Of what is sent for
 * the first time there is none yet.
 */
export function originOf(
  { fresh, since, provenKey }: Pick<Change, 'fresh' | 'since' | 'provenKey'>,
  { level, tick }: Pick<LedgerState, 'level' | 'tick'>,
): Pick<Command, 'key' | 'since'> {
  return {
    ...(provenKey === undefined ? {} : { key: provenKey }),
    ...(level < 3 ? {} : { since: since ?? (fresh === true ? tick : 0) }),
  }
}

/** Changes that are commands as they stand; `code-add` needs its text verified first. */
export const changeOperations = [
  'feature-add',
  'code-remove',
  'allocations-add',
  'criteria-set',
  'threshold-set',
  'vendor-add',
  'vendor-revoke',
  'operators-revoke',
  'level-set',
  'settings-set',
] as const
export type ChangeOperation = (typeof changeOperations)[number]

export function isChangeOperation(operation: string): operation is ChangeOperation {
  return changeOperations.some(known => known === operation)
}

export function readBody(operation: ChangeOperation, fields: Fields): Read<CommandBody> {
  switch (operation) {
    case 'feature-add':
      return readAmount(fields, 'allocations', (feature, allocations) => ({
        type: 'add-feature',
        feature,
        allocations,
      }))
    case 'allocations-add':
      return readAmount(fields, 'count', (feature, count) => ({
        type: 'add-allocations',
        feature,
        count,
      }))
    case 'code-remove': {
      const { codeId } = fields
      if (typeof codeId !== 'string' || codeId === '' || codeId.length > 256) {
        return malformed('codeId', 'a text of 1 to 256 characters')
      }
      return take({ type: 'remove-code', codeId })
    }
    case 'criteria-set':
      return readCriteria(fields)
    case 'threshold-set':
      return readThreshold(fields)
    case 'vendor-add':
      return readVendor(fields)
    case 'vendor-revoke': {
      const { kid } = fields
      if (!isKeyId(kid)) return malformed('kid', 'the id of a key')
      return take({ type: 'revoke-vendor', kid })
    }
    case 'operators-revoke': {
      const { operator } = fields
      if (!isKeyId(operator)) return malformed('operator', 'the key of an operator (U...)')
      return take({ type: 'revoke-operator', operator })
    }
    case 'level-set': {
      const { level } = fields
      if (!isWhole(level, 1, levelMax)) return malformed('level', `from 1 to ${levelMax}`)
      return take({ type: 'set-level', level })
    }
    case 'settings-set':
      return readSettings(fields.settings)
  }
}

/** Decisions on who belongs to the pool: commands once the leader has looked whether they are wise. */
export type MemberOperation =
  'servers-add' | 'servers-promote' | 'servers-demote' | 'servers-remove'

const rolesOf = {
  'servers-promote': 'voter',
  'servers-demote': 'learner',
  'servers-remove': 'removed',
} as const

export function isMemberOperation(operation: string): operation is MemberOperation {
  return operation === 'servers-add' || Object.hasOwn(rolesOf, operation)
}

export function readMember(
  operation: MemberOperation,
  { server, role = 'voter' }: Fields,
): Read<Extract<CommandBody, { type: 'add-server' | 'set-role' }>> {
  if (typeof server !== 'string' || !isServerName(server)) {
    return malformed('server', 'a name of 1 to 32 of A-Z a-z 0-9 _ -, and not "any"')
  }
  if (operation !== 'servers-add') {
    return take({ type: 'set-role', server, role: rolesOf[operation] })
  }
  if (role !== 'voter' && role !== 'learner') return malformed('role', 'voter or learner')
  return take({ type: 'add-server', server, role })
}

/** A page of seats: the whole one unless `limit` says less. */
export function readSeatQuery({ feature, search, after, limit }: Fields): Read<SeatQuery> {
  if (feature !== undefined && typeof feature !== 'string') return malformed('feature', 'a text')
  if (after !== undefined && typeof after !== 'string') return malformed('after', 'a seat id')
  if (search !== undefined && (typeof search !== 'string' || search.length > searchMax)) {
    return malformed('search', `a text of at most ${searchMax} characters`)
  }
  if (limit !== undefined && !isWhole(limit, 1, ctlBounds.pageMax)) {
    return refuse('LICD_BAD_REQUEST', `Field limit: from 1 to ${ctlBounds.pageMax}.`)
  }
  return take({
    ...(feature === undefined ? {} : { feature }),
    ...(search === undefined ? {} : { search }),
    ...(after === undefined ? {} : { after }),
    limit: limit ?? ctlBounds.pageMax,
  })
}

function readFeature({ feature }: Fields): Read<string> {
  if (typeof feature === 'string' && isFeatureName(feature)) return take(feature)
  return malformed('feature', 'a feature id such as cad or cad@2026')
}

function readAmount(
  fields: Fields,
  field: 'allocations' | 'count',
  make: (feature: string, count: number) => CommandBody,
): Read<CommandBody> {
  const feature = readFeature(fields)
  if (!feature.ok) return feature
  const count = fields[field]
  if (!isWhole(count, 1, bounds.allocationsMax)) {
    return refuse('LICD_BAD_COUNT', `Field ${field}: from 1 to ${bounds.allocationsMax}.`)
  }
  return take(make(feature.value, count))
}

function readCriteria(fields: Fields): Read<CommandBody> {
  const feature = readFeature(fields)
  if (!feature.ok) return feature
  const targets =
    fields.targets === 'even'
      ? take<'even'>('even')
      : readPerServer(fields.targets, 'targets', count =>
          isWhole(count, 0, bounds.allocationsMax)
            ? undefined
            : refuse('LICD_BAD_COUNT', `Field targets: from 0 to ${bounds.allocationsMax}.`),
        )
  if (!targets.ok) return targets
  const type = 'change-criteria'
  if (fields.thresholds === undefined) {
    return take({ type, feature: feature.value, targets: targets.value })
  }
  const thresholds = readPerServer(fields.thresholds, 'thresholds', threshold =>
    isThreshold(threshold) ? undefined : badThreshold,
  )
  if (!thresholds.ok) return thresholds
  return take({
    type,
    feature: feature.value,
    targets: targets.value,
    thresholds: thresholds.value,
  })
}

function readPerServer(
  value: unknown,
  field: string,
  problem: (figure: number) => ({ readonly ok: false } & Refusal) | undefined,
): Read<Readonly<Record<string, number>>> {
  if (!isFields(value)) return malformed(field, 'a figure per server')
  const entries = Object.entries(value)
  if (entries.length > bounds.servers) return malformed(field, `${bounds.servers} servers at most`)
  const figures: [string, number][] = []
  for (const [server, figure] of entries) {
    if (!isServerName(server)) {
      return refuse('LICD_UNKNOWN_SERVER', `Field ${field} names ${JSON.stringify(server)}.`)
    }
    if (typeof figure !== 'number') return malformed(`${field}.${server}`, 'a number')
    const wrong = problem(figure)
    if (wrong !== undefined) return wrong
    figures.push([server, figure])
  }
  return take(Object.fromEntries(figures))
}

const badThreshold = refuse('LICD_BAD_THRESHOLD', 'The threshold is not.')

function readThreshold(fields: Fields): Read<CommandBody> {
  const feature = readFeature(fields)
  if (!feature.ok) return feature
  const { server, threshold } = fields
  if (!isThreshold(threshold)) return badThreshold
  const body = { type: 'set-threshold' as const, feature: feature.value, threshold }
  if (server === undefined) return take(body)
  if (typeof server !== 'string' || !isServerName(server)) return malformed('server', 'a name')
  return take({ ...body, server })
}

/** The key's id must be its thumbprint, so that one key has one id in every pool. */
function readVendor({ vendor: value, sameAs, certificate }: Fields): Read<CommandBody> {
  if (!isFields(value)) return malformed('vendor', 'a vendor key')
  const { kid, name, publicKey } = value
  if (typeof name !== 'string' || name === '' || name.length > byMax) {
    return malformed('vendor.name', `a text of 1 to ${byMax} characters`)
  }
  if (typeof publicKey !== 'string' || !/^[A-Za-z0-9_-]{43}$/.test(publicKey)) {
    return refuse('LICD_BAD_KEY', 'The public key is no Ed25519 key in base64url.')
  }
  if (kid !== ed25519Thumbprint(publicKey)) {
    return refuse('LICD_BAD_KEY', 'The key id is not the thumbprint of the public key.')
  }
  const vendor: VendorKey = { kid, name, publicKey }
  if (sameAs !== undefined && !isKeyId(sameAs)) return malformed('sameAs', 'the id of a key')
  const isText = typeof certificate === 'string' && certificate.length <= codeTextMax
  if (certificate !== undefined && !isText) return malformed('certificate', 'a short text')
  return take({
    type: 'add-vendor',
    vendor,
    ...(sameAs === undefined ? {} : { sameAs }),
    ...(certificate === undefined ? {} : { certificate }),
  })
}

export function isKeyId(value: unknown): value is string {
  return typeof value === 'string' && value.length >= 1 && value.length <= 256
}

/** RFC 7638, over the members of an Ed25519 public JWK in their order. */
export function ed25519Thumbprint(publicKey: string): string {
  const members = JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x: publicKey })
  return createHash('sha256').update(members).digest('base64url')
}

/** What the shortest lease and seat last, milliseconds: below, one slow write to a disk or one late timer costs them. */
export const shortestMs = { lease: 500, seat: 300 } as const

/** What is wrong with the settings of a pool, or `undefined`. */
export function settingsRefusal({ tickMs, leaseTicks, seatTicks }: Settings): Refusal | undefined {
  const wrong = (field: string, range: string): Refusal => ({
    code: 'LICD_BAD_REQUEST',
    detail: `Field ${field} must be a whole number ${range}.`,
  })
  const short = (field: string, what: string, leastMs: number): Refusal =>
    wrong(field, `from ${Math.ceil(leastMs / tickMs)}: ${what} lasts ${leastMs} ms at least`)
  if (!isWhole(tickMs, 20, 60_000)) return wrong('tickMs', 'from 20 to 60,000')
  if (!isWhole(leaseTicks, 3, 1_000_000)) return wrong('leaseTicks', 'from 3 to 1,000,000')
  if (!isWhole(seatTicks, 2, leaseTicks)) return wrong('seatTicks', 'from 2 to leaseTicks')
  const { lease, seat } = shortestMs
  if (leaseTicks * tickMs < lease) return short('leaseTicks', 'a lease', lease)
  if (seatTicks * tickMs < seat) return short('seatTicks', 'a seat', seat)
  return undefined
}

function readSettings(value: unknown): Read<CommandBody> {
  if (!isFields(value)) return malformed('settings', 'tickMs, leaseTicks and seatTicks')
  const { tickMs, leaseTicks, seatTicks } = value
  if (
    typeof tickMs !== 'number' ||
    typeof leaseTicks !== 'number' ||
    typeof seatTicks !== 'number'
  ) {
    return malformed('settings', 'tickMs, leaseTicks and seatTicks, all numbers')
  }
  const settings: Settings = { tickMs, leaseTicks, seatTicks }
  const wrong = settingsRefusal(settings)
  return wrong === undefined ? take({ type: 'change-settings', settings }) : { ok: false, ...wrong }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isWhole(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
}

function isThreshold(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && value <= 1
}
