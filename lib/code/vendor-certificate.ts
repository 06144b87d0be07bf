/**
 * A vendor's word that a new key of its is its own: signed by a key that pools trust already.
 *
 * With it a pool takes what the new key signs for the vendor's features, and an application that knows the old key alone
 * believes a code by the new one. It is a compact JWS as codes are, of another type, so neither is ever taken for
 * the other.
 *
 *   header  {"alg":"EdDSA","kid":"<thumbprint of the key that vouches>","typ":"licd-vendor-key+jwt"}
 *   payload {"v":1,"iss":"<vendor's name>","x":"<the new public key>","iat"}
 */
import { LicdError, type Code } from '../error.ts'
import type { VendorKey } from '../ledger/command.ts'
import { filled, isOf, one, strict, text, whole } from '../shape.ts'
import { codeBounds } from './claims.ts'
import { isSignedBy, jwsAlgorithm, readJws, signJws } from './jws.ts'
import { checkVendorKey, thumbprint, type VendorSigner } from './vendor-key.ts'

export const certificateType = 'licd-vendor-key+jwt'
const textMax = 4 * 1024

const headerShape = strict({
  alg: one(jwsAlgorithm),
  kid: text(64),
  typ: one(certificateType),
})
const payloadShape = strict({
  v: one(1),
  iss: filled(codeBounds.vendorMax),
  x: text(64),
  iat: whole(0, codeBounds.secondsMax),
})

export type ReadCertificate =
  | { readonly ok: true; readonly vendor: VendorKey; readonly signedBy: string }
  | { readonly ok: false; readonly code: Code; readonly detail: string }

/** `signer` vouches for `key`. `issuedAt`: milliseconds since 1970. */
export function certifyVendorKey(key: VendorKey, signer: VendorSigner, issuedAt: number): string {
  const { name, publicKey } = checkVendorKey(key)
  const payload = { v: 1, iss: name, x: publicKey, iat: Math.floor(issuedAt / 1000) }
  return signJws(payload, { kid: signer.kid, typ: certificateType }, signer)
}

/** The key that the text vouches for, if one of `vendors` that is not revoked signed it. Never throws. */
export function readVendorCertificate(
  text: string,
  vendors: Iterable<VendorKey & { readonly revoked?: true }>,
): ReadCertificate {
  const refuse = (code: Code, detail: string) => ({ ok: false, code, detail }) as const
  const jws = text.length > textMax ? undefined : readJws(text)
  if (jws === undefined || !isOf(headerShape, jws.header) || !isOf(payloadShape, jws.payload)) {
    return refuse('LICD_BAD_KEY', 'The text is no certificate of a vendor key.')
  }
  const { kid } = jws.header
  const { iss, x } = jws.payload
  const signer = [...vendors].find(vendor => vendor.kid === kid)
  if (signer === undefined)
    return refuse('LICD_UNKNOWN_VENDOR', 'Its certificate is by no key here.')
  if (signer.revoked) return refuse('LICD_VENDOR_REVOKED', 'It can vouch for no other.')
  if (!isSignedBy(text, signer.publicKey)) {
    return refuse('LICD_BAD_KEY', 'The certificate\u2019s signature does not fit its text.')
  }
  try {
    const vendor = checkVendorKey({ kid: thumbprint(x), name: iss, publicKey: x })
    return { ok: true, vendor, signedBy: kid }
  } catch (error) {
    if (error instanceof LicdError) return refuse('LICD_BAD_KEY', 'It is for no Ed25519 key.')
    throw error
  }
}
