/**
 * Whether a pool may believe a license code.
 *
 * Done once, by the server that takes the code, before it proposes the entry; the ledger then keeps text and
 * content. The checks run from what the text is to what it says, so that a refusal names the first thing wrong:
 * form, trust in the key, signature, addressee, end. A code that has not started yet is good: the ledger lets it wait.
 *
 * Invariant: `ok: true` only for a text signed, exactly as it stands, by a key among `vendors`, for this pool.
 */
import { compactVerify, errors, importJWK } from 'jose'
import type { CodeContent, VendorKey } from '../ledger/command.ts'
import {
  codeAlgorithm,
  codeType,
  contentOf,
  decodeBase64url,
  parseCode,
  refuseCode,
  type CodeRefusal,
} from './claims.ts'

export type VerifiedCode = { readonly ok: true; readonly content: CodeContent } | CodeRefusal

export interface VerifyOptions {
  /** The keys the pool trusts. */
  readonly vendors: Iterable<VendorKey>
  /** The pool's fingerprint: the code must be made out to it. */
  readonly fingerprint: string
  /** Milliseconds since 1970, of the pool's calendar (R10): a code whose end has come is refused. */
  readonly now: number
}

/**
 * Verifies the text of a code (no white space around it). Refusals: LICD_CODE_MALFORMED, LICD_CODE_UNTRUSTED,
 * LICD_CODE_FORGED, LICD_CODE_FOREIGN, LICD_CODE_EXPIRED. Never throws for any text.
 */
export async function verifyCode(text: string, options: VerifyOptions): Promise<VerifiedCode> {
  const parsed = parseCode(text)
  if (!parsed.ok) return parsed
  const { header, claims } = parsed
  if (header.typ !== codeType) {
    return refuseCode('LICD_CODE_MALFORMED', `Its type is not \`${codeType}\`.`)
  }
  // Checked before the key is looked up: `alg` comes from the text and must not choose how it is verified.
  if (header.alg !== codeAlgorithm) {
    return refuseCode(
      'LICD_CODE_FORGED',
      `It is signed by \`${printable(header.alg)}\`, not EdDSA.`,
    )
  }
  const vendor = [...options.vendors].find(({ kid }) => kid === header.kid)
  if (vendor === undefined) {
    return refuseCode(
      'LICD_CODE_UNTRUSTED',
      `It names the key ${printable(header.kid ?? 'none')} of "${claims.iss}".`,
    )
  }
  if (!(await isSigned(text, vendor))) {
    return refuseCode('LICD_CODE_FORGED', `It claims to come from "${vendor.name}".`)
  }
  // The name shown everywhere is the one under which the operator trusted the key.
  if (claims.iss !== vendor.name) {
    return refuseCode(
      'LICD_CODE_UNTRUSTED',
      `Its key is trusted as "${vendor.name}", but it says "${claims.iss}".`,
    )
  }
  if (claims.aud !== options.fingerprint) {
    return refuseCode(
      'LICD_CODE_FOREIGN',
      `It is for ${claims.aud}, this pool is ${options.fingerprint}.`,
    )
  }
  const content = contentOf(claims, vendor.kid)
  if (content.expiresAt !== undefined && content.expiresAt <= options.now) {
    return refuseCode(
      'LICD_CODE_EXPIRED',
      `It ended on ${new Date(content.expiresAt).toISOString()}.`,
    )
  }
  return { ok: true, content }
}

async function isSigned(text: string, vendor: VendorKey): Promise<boolean> {
  const signature = decodeBase64url(text.slice(text.lastIndexOf('.') + 1))
  if (signature?.length !== 64) return false
  try {
    const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: vendor.publicKey }, codeAlgorithm)
    await compactVerify(text, key, { algorithms: [codeAlgorithm] })
    return true
  } catch (error) {
    // A key that is no key (WebCrypto's DataError) verifies nothing.
    if (error instanceof errors.JOSEError || error instanceof DOMException) return false
    if (error instanceof TypeError) return false
    throw error
  }
}

/** For messages: what came from outside must not write to a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 64)
}
