/**
 * Whose requests a server carries out: in a pool with roles, changes that an operator of the pool has signed.
 *
 * What is not signed can be asked by whoever NATS lets in. A pool without credentials proves nobody: there `by` is what
 * the operator's program claims. So it is in a pool of level 1, whose programs do not sign yet.
 */
import { proveOperator } from '../access/operator.ts'
import type { LedgerState } from '../ledger/state.ts'
import type { Now } from '../protocol/signed.ts'
import {
  isChangeOperation,
  isMemberOperation,
  refuse,
  type Fields,
  type Read,
} from './ctl-request.ts'

export interface Doors {
  /** The account that signs credentials; absent where the pool has none. */
  readonly issuer: string | undefined
  readonly clusterId: string
  readonly state: () => LedgerState
}

const others: ReadonlySet<string> = new Set([
  ...['code-add', 'key-use', 'transfer-leader', 'snapshot-open', 'account-push'],
])

/** Operations that change something, or take everything along. */
export function isSignedOperation(operation: string): boolean {
  return isChangeOperation(operation) || isMemberOperation(operation) || others.has(operation)
}

export function tellNow({ issuer, clusterId, state }: Doors): Now {
  const { tick, settings, level } = state()
  const signs = issuer !== undefined && level >= 2
  return { cluster: clusterId, tick, tickMs: settings.tickMs, signs }
}

/** The fields to go by: signed ones are the operator's own words, with who that is. */
export function admit(operation: string, given: Fields, doors: Doors): Read<Fields> {
  const { provenKey: _claimed, signed, ...fields } = given
  const { issuer, clusterId, state } = doors
  const { level, tick, calendar } = state()
  if (issuer === undefined || level < 2 || !isSignedOperation(operation)) {
    return { ok: true, value: fields }
  }
  const proven = proveOperator(signed, { issuer, cluster: clusterId, operation, tick, calendar })
  if (!proven.ok) return proven
  const { id, since, name, key, request } = proven
  if (fields.id !== undefined && fields.id !== id) {
    return refuse('LICD_NOT_OPERATOR', 'The signature does not count: it is for another id.')
  }
  if (state().revoked.has(key))
    return refuse('LICD_NOT_OPERATOR', `The key of ${name} was revoked.`)
  const { timeoutMs, fresh } = fields
  const value = { ...request, id, by: name, provenKey: key, since, timeoutMs, fresh }
  return { ok: true, value }
}
