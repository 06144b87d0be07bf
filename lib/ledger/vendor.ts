/**
 * The keys of vendors: trusted, followed by others of the same vendor, and revoked.
 *
 * A vendor's features belong to its first key, its *root*. A later key that the operator adds as the same vendor's, or
 * that one of the vendor's keys certified, signs for them too, and what the older key signed stays good. A revoked key
 * is kept, so that nobody trusts it again: the codes it signed end (R9), and what renews them takes over.
 */
import { bounds } from './command.ts'
import type { CommandBody, VendorKey } from './command.ts'
import { belowLevel, endNow, rootOf, tooMany } from './code.ts'
import { done, refuse } from './outcome.ts'
import type { Context, Outcome, Refusal } from './outcome.ts'
import { vendorRow } from './snapshot.ts'
import type { LedgerState, VendorRecord } from './state.ts'

type AddVendor = Extract<CommandBody, { type: 'add-vendor' }>

const certificateMax = 4_096

export function isVendor({ kid, name, publicKey }: VendorKey): boolean {
  return [kid, name, publicKey].every(text => text.length >= 1 && text.length <= 256)
}

export function putVendor({ state, changes }: Context, vendor: VendorRecord): void {
  const before = state.vendors.get(vendor.kid)
  if (before !== undefined) changes.removed(vendorRow(before))
  const { kind: _kind, ...kept } = vendorRow(vendor)
  changes.added(vendorRow(kept))
  state.vendors.set(vendor.kid, Object.freeze(kept))
}

/** A key that is known keeps its bytes and its root for good and may get another name. */
export function applyAddVendor(context: Context, body: AddVendor): Outcome {
  const { vendors } = context.state
  const { vendor, sameAs, certificate } = body
  if (!isVendor(vendor)) return refuse('LICD_BAD_KEY', 'A field is empty or too long.')
  const known = vendors.get(vendor.kid)
  if (known !== undefined && known.publicKey !== vendor.publicKey) {
    return refuse('LICD_BAD_KEY', 'Another key has that key id.')
  }
  if (known?.revoked) return refuse('LICD_VENDOR_REVOKED')
  if (known === undefined && vendors.size >= bounds.vendors)
    return tooMany('vendors', bounds.vendors)
  const root = rootFor(context, body)
  if (typeof root === 'object') return root
  if (root !== undefined && known !== undefined && rootOf(context.state, vendor.kid) !== root) {
    return refuse('LICD_BAD_KEY', 'The key is trusted already, as that of another vendor.')
  }
  putVendor(context, {
    ...(known ?? (root === undefined || root === vendor.kid ? {} : { root })),
    ...(certificate === undefined || sameAs === undefined
      ? {}
      : { certificate, certifiedBy: sameAs }),
    kid: vendor.kid,
    name: vendor.name,
    publicKey: vendor.publicKey,
  })
  return done
}

/** The first key of the vendor that the new one is said to be of, `undefined` for a vendor of its own. */
function rootFor(
  { state, judge }: Context,
  { vendor, sameAs, certificate }: AddVendor,
): string | Refusal | undefined {
  if (sameAs === undefined && certificate === undefined) return undefined
  if (state.level < 2) return belowLevel(2)
  const earlier = sameAs === undefined ? undefined : state.vendors.get(sameAs)
  if (earlier === undefined) return refuse('LICD_UNKNOWN_VENDOR')
  if (earlier.revoked) return refuse('LICD_VENDOR_REVOKED', 'It can vouch for no other.')
  if (certificate === undefined) return rootOf(state, earlier.kid)
  if (certificate.length > certificateMax) return refuse('LICD_BAD_KEY', 'The certificate.')
  const judged = judge?.certificate(certificate, state.vendors)
  if (judged?.ok === false) return judged
  if (judged !== undefined) {
    const isOfKey =
      judged.signedBy === earlier.kid &&
      judged.vendor.kid === vendor.kid &&
      judged.vendor.publicKey === vendor.publicKey &&
      judged.vendor.name === vendor.name
    if (!isOfKey) return refuse('LICD_BAD_KEY', 'The certificate is for another key.')
  }
  return rootOf(state, earlier.kid)
}

/** For good: its codes end now, and those that renew them under another key start in the same moment. */
export function applyRevokeVendor(
  context: Context,
  { kid }: Extract<CommandBody, { type: 'revoke-vendor' }>,
): Outcome {
  const { state, codeIndex } = context
  if (state.level < 2) return belowLevel(2)
  const vendor = state.vendors.get(kid)
  if (vendor === undefined) return refuse('LICD_UNKNOWN_VENDOR')
  if (vendor.revoked) return done
  putVendor(context, { ...vendor, revoked: true })
  endNow(context, codeIndex.by(kid))
  return done
}

/**
 * Certificates that lead to a key, the first one first: each vouches for the key that signed the next. Where an operator
 * said by word that a key is the same vendor's, the chain begins there.
 */
export function certificatesOf({ vendors }: LedgerState, kid: string): readonly string[] {
  const chain: string[] = []
  let at = vendors.get(kid)
  // A key is certified by one that was there before it, so this ends; the bound is that of a proof.
  while (at?.certificate !== undefined && at.certifiedBy !== undefined && chain.length < 8) {
    chain.unshift(at.certificate)
    at = vendors.get(at.certifiedBy)
  }
  return chain
}
