/**
 * Making license codes: the vendor's side. A pool never signs any.
 */
import { CompactSign, importJWK } from 'jose'
import { LicdError } from '../error.ts'
import { claimsError, codeAlgorithm, codeType, parseCode, type CodeClaims } from './claims.ts'
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
}

/**
 * Signs a code.
 *
 * @throws LicdError LICD_BAD_REQUEST when a field is one that no pool would accept (the message names it)
 */
export async function signCode(order: CodeOrder, signer: VendorSigner): Promise<string> {
  const claims: CodeClaims = {
    jti: order.codeId,
    iss: signer.name,
    sub: order.customer,
    aud: order.fingerprint,
    iat: Math.floor(order.issuedAt / 1000),
    nbf: Math.floor(order.startsAt / 1000),
    ...(order.expiresAt === undefined ? {} : { exp: Math.floor(order.expiresAt / 1000) }),
    licd: {
      v: 1,
      kind: order.kind,
      feature: order.feature,
      ...(order.version === undefined ? {} : { version: order.version }),
      allocations: order.allocations,
    },
  }
  const { kid, publicKey, privateKey } = signer
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey, d: privateKey }
  const text = await new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
    .setProtectedHeader({ alg: codeAlgorithm, kid, typ: codeType })
    .sign(await importJWK(jwk, codeAlgorithm))
  // Whoever signs reads as strictly as whoever verifies: a code that no pool takes must not be sold.
  const parsed = parseCode(text)
  if (!parsed.ok) throw new LicdError('LICD_BAD_REQUEST', claimsError(claims) ?? parsed.detail)
  return text
}
