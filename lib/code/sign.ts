/**
 * Making license codes: the vendor's side. A pool never signs any.
 */
import { LicdError } from '../error.ts'
import type { CodeLimits } from '../ledger/command.ts'
import { claimsError, codeType, parseCode, type CodeClaims } from './claims.ts'
import { signJws } from './jws.ts'
import type { VendorSigner } from './vendor-key.ts'

/** What a vendor sells. Times are milliseconds since 1970 and are cut to whole seconds. */
export interface CodeOrder {
  /** Unique for good among the vendor's codes: 1 to 64 characters of `A-Z a-z 0-9 . _ -`. */
  readonly codeId: string
  readonly customer: string
  /** Fingerprint of the pool the code is for. */
  readonly fingerprint: string
  readonly kind: 'feature' | 'allocations'
  readonly feature: string
  readonly version?: string
  readonly allocations: number
  readonly startsAt: number
  readonly expiresAt?: number
  readonly issuedAt: number
  /** Times are cut to whole seconds. */
  readonly limits?: CodeLimits
  /** Other versions of the feature whose clients get seats of this one: `cad@2025`, or `cad`. */
  readonly serves?: readonly string[]
  /** Id of the code whose place this one takes when that ends. */
  readonly renews?: string
}

/**
 * Signs a code.
 *
 * @throws LicdError LICD_BAD_REQUEST when a field is one that no pool would accept (the message names it)
 */
export function signCode(order: CodeOrder, signer: VendorSigner): string {
  const newer = newerClaims(order)
  const claims: CodeClaims = {
    jti: order.codeId,
    iss: signer.name,
    sub: order.customer,
    aud: order.fingerprint,
    iat: Math.floor(order.issuedAt / 1000),
    nbf: Math.floor(order.startsAt / 1000),
    ...(order.expiresAt === undefined ? {} : { exp: Math.floor(order.expiresAt / 1000) }),
    licd: {
      v: Object.keys(newer).length === 0 ? 1 : 2,
      kind: order.kind,
      feature: order.feature,
      ...(order.version === undefined ? {} : { version: order.version }),
      allocations: order.allocations,
      ...newer,
    },
  }
  const text = signJws(claims, { kid: signer.kid, typ: codeType }, signer)
  // Whoever signs reads as strictly as whoever verifies: a code that no pool takes must not be sold.
  const parsed = parseCode(text)
  if (!parsed.ok) throw new LicdError('LICD_BAD_REQUEST', claimsError(claims) ?? parsed.detail)
  return text
}

/** What only claims of version 2 can say. */
function newerClaims(order: CodeOrder): Pick<CodeClaims['licd'], 'limits' | 'serves' | 'renews'> {
  const { limits = {}, serves = [], renews } = order
  const { leaseMs, seatMs, offlineDays } = limits
  const claimed = {
    ...(leaseMs === undefined ? {} : { lease: Math.floor(leaseMs / 1000) }),
    ...(seatMs === undefined ? {} : { seat: Math.floor(seatMs / 1000) }),
    ...(offlineDays === undefined ? {} : { offlineDays }),
  }
  return {
    ...(Object.keys(claimed).length === 0 ? {} : { limits: claimed }),
    ...(serves.length === 0 ? {} : { serves }),
    ...(renews === undefined ? {} : { renews }),
  }
}
