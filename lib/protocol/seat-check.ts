/**
 * What a field of the client protocol may hold. Both forms of a message (msgpack and JSON) are judged here, so
 * that they cannot drift apart; `seat-codec.ts` and `seat-json.ts` know the forms alone.
 *
 * A fault names the field and is answered with a code; the item it is in changes nothing.
 */
import type { Code } from '../error.ts'
import {
  seatBounds,
  type AcquireItem,
  type ReleaseItem,
  type RenewItem,
  type SeatResult,
} from './seat.ts'
import { isFeatureName } from './subject.ts'

export type Refused = Extract<SeatResult, { kind: 'refused' }>

/** Characters that need no escape anywhere: subjects, files, logs. No `/`: it divides a seat id. */
const requestIdPattern = /^[A-Za-z0-9._-]{1,40}$/
const seatIdPattern = /^[A-Za-z0-9._-]{1,40}(\/[0-9]{1,3})?$/
/** Labels are printed on terminals: no control characters. */
const labelPattern = /^\P{Cc}*$/u

export function isRequestId(value: unknown): value is string {
  return typeof value === 'string' && requestIdPattern.test(value)
}

export function isSeatId(value: unknown): value is string {
  return typeof value === 'string' && seatIdPattern.test(value)
}

export function isLabel(value: unknown): value is string {
  return (
    typeof value === 'string' && value.length <= seatBounds.labelMax && labelPattern.test(value)
  )
}

export function isToken(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.length <= seatBounds.tokenMax
}

/** A count or a time on the wire: whole or not, but finite, not negative, exact. */
export function isAmount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
}

export function isWhole(value: unknown): value is number {
  return isAmount(value) && Number.isInteger(value)
}

/** The fields of an item as they came, each of them anything. */
export type Raw<Item> = { readonly [Key in keyof Item]-?: unknown }

function refuse(id: unknown, code: Code, detail: string): Refused {
  // An id that is none cannot be answered to; the empty id means the message as a whole.
  return { kind: 'refused', id: isSeatId(id) ? id : '', code, detail }
}

function badField(id: unknown, field: string): Refused {
  return refuse(id, 'LICD_BAD_REQUEST', `Field ${field} is missing or not as documented.`)
}

export function checkAcquire(raw: Raw<AcquireItem>): AcquireItem | Refused {
  const { requestId, feature, count, user, host, waitMs } = raw
  if (!isRequestId(requestId)) return badField(requestId, 'requestId')
  if (typeof feature !== 'string' || !isFeatureName(feature)) return badField(requestId, 'feature')
  if (!isWhole(count) || count < 1 || count > seatBounds.countMax) {
    const bound = `The count of one request is 1 to ${seatBounds.countMax}.`
    return refuse(requestId, 'LICD_BAD_COUNT', bound)
  }
  if (!isLabel(user)) return badField(requestId, 'user')
  if (!isLabel(host)) return badField(requestId, 'host')
  if (!isAmount(waitMs) || waitMs > seatBounds.waitMaxMs) return badField(requestId, 'waitMs')
  return { requestId, feature, count, user, host, waitMs }
}

export function checkRenew(raw: Raw<RenewItem>): RenewItem | Refused {
  const { seatId, feature, token, user, host, failover, confirm } = raw
  if (!isSeatId(seatId)) return badField(seatId, 'seatId')
  if (typeof feature !== 'string' || !isFeatureName(feature)) return badField(seatId, 'feature')
  if (!isToken(token)) return badField(seatId, 'token')
  if (!isLabel(user)) return badField(seatId, 'user')
  if (!isLabel(host)) return badField(seatId, 'host')
  if (typeof failover !== 'boolean') return badField(seatId, 'failover')
  const item = { seatId, feature, token, user, host, failover }
  if (confirm === undefined || confirm === null) return item
  return isToken(confirm) ? { ...item, confirm } : badField(seatId, 'confirm')
}

/** An empty token withdraws a request that waits; `seatId` is its request id then. */
export function checkRelease(raw: Raw<ReleaseItem>): ReleaseItem | Refused {
  const { seatId, token } = raw
  if (!isSeatId(seatId)) return badField(seatId, 'seatId')
  return isToken(token) ? { seatId, token } : badField(seatId, 'token')
}

export function isRefused(item: object): item is Refused {
  return 'kind' in item
}
