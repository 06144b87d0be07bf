/**
 * Whether a pool may believe a license code.
 *
 * Done by the server that takes the code, before it proposes the entry, and again by every server when the entry is
 * applied: a function of its arguments, with the pool's calendar as its time. The checks run from what the text is to what it says, so that a refusal names the first thing wrong:
 * form, trust in the key, signature, addressee, end. A code that has not started yet is good: the ledger lets it wait.
 *
 * Invariant: `ok: true` only for a text signed, exactly as it stands, by a key among `vendors`, for this pool.
 */
import type { CodeContent, VendorKey } from '../ledger/command.ts'
import { codeType, contentOf, parseCode, refuseCode, type CodeRefusal } from './claims.ts'
import { isSignedBy, jwsAlgorithm } from './jws.ts'

export type VerifiedCode = { readonly ok: true; readonly content: CodeContent } | CodeRefusal

export interface VerifyOptions {
  /** The keys the pool trusts, and those it trusts no more. */
  readonly vendors: Iterable<VendorKey & { readonly revoked?: true }>
  /** The pool's fingerprint: the code must be made out to it. */
  readonly fingerprint: string
  /** Milliseconds since 1970, of the pool's calendar (R10): a code whose end has come is refused. */
  readonly now: number
}

/**
 * Verifies the text of a code (no white space around it). Refusals: LICD_CODE_MALFORMED, LICD_CODE_UNTRUSTED,
 * LICD_VENDOR_REVOKED, LICD_CODE_FORGED, LICD_CODE_FOREIGN, LICD_CODE_EXPIRED. Never throws for any text.
 */
export function verifyCode(text: string, options: VerifyOptions): VerifiedCode {
  const parsed = parseCode(text)
  if (!parsed.ok) return parsed
  const { header, claims } = parsed
  if (header.typ !== codeType) {
    return refuseCode('LICD_CODE_MALFORMED', `Its type is not \`${codeType}\`.`)
  }
  // Checked before the key is looked up: `alg` comes from the text and must not choose how it is verified.
  if (header.alg !== jwsAlgorithm) {
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
  if (vendor.revoked) {
    return refuseCode('LICD_VENDOR_REVOKED', `It is signed by ${vendor.kid} of "${vendor.name}".`)
  }
  if (!isSignedBy(text, vendor.publicKey)) {
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

/** For messages: what came from outside must not write to a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 64)
}
