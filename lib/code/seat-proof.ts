/**
 * A seat that proves itself: what a program checks by itself, offline, with its vendor's public key alone.
 *
 * A chain of signatures, each link naming the next: the vendor's key signs the code; the code names the pool's key by
 * its fingerprint; the pool's key signs a certificate of the server's own key; that signs the seat, with the nonce
 * of whoever asked. So a proof shows that a server of the pool that the vendor sold to holds this seat for this asker,
 * and until when. The nonce tells it from a proof recorded earlier: choose it at random, each time.
 *
 * A proof is a JSON text: {"v":1,"code","keys"?,"pool","server","seat"}; `code`, `keys` (certificates of vendor keys),
 * `server` and `seat` are compact JWS, `pool` is the pool's public key. Times are milliseconds since 1970 by the
 * pool's calendar (R10).
 */
import type { GenericSchema } from 'valibot'
import type { Code } from '../error.ts'
import type { CodeContent, VendorKey } from '../ledger/command.ts'
import { filled, isOf, list, one, optional, strict, whole, type ValueOf } from '../shape.ts'
import { codeBounds, parseCode } from './claims.ts'
import { isSignedBy, jwsAlgorithm, readJws, signJws, type SigningKey } from './jws.ts'
import { readVendorCertificate } from './vendor-certificate.ts'
import { thumbprint } from './vendor-key.ts'
import { verifyCode } from './verify.ts'

export const proofBounds = {
  /** Characters of a proof. */
  textMax: 64 * 1024,
  /** Bytes of a nonce. */
  nonceMin: 16,
  nonceMax: 64,
  /** Certificates of vendor keys, each vouching for the next. */
  keysMax: 8,
} as const

const serverType = 'licd-server+jwt'
const seatType = 'licd-seat+jwt'

const time = whole(0, codeBounds.secondsMax * 1000)
const name = (max: number) => filled(max)

const proofShape = strict({
  v: one(1),
  code: name(codeBounds.textMax),
  keys: optional(list(name(4_096), { max: proofBounds.keysMax })),
  pool: name(64),
  server: name(2_048),
  seat: name(4_096),
})
const headerOf = (typ: string) => strict({ alg: one(jwsAlgorithm), kid: name(64), typ: one(typ) })
const serverHeader = headerOf(serverType)
const seatHeader = headerOf(seatType)
const serverPayload = strict({ v: one(1), server: name(64), x: name(64), from: time, until: time })
const seatPayload = strict({
  v: one(1),
  feature: name(129),
  seat: name(64),
  server: name(64),
  nonce: name(128),
  from: time,
  until: time,
})

/** What a proof says, once it is believed. */
export interface ProvenSeat {
  /** Milliseconds since 1970. A proof says nothing of later: ask for the next one before. */
  readonly validUntil: number
  readonly feature: string
  readonly seatId: string
  readonly server: string
  /** Of the pool. */
  readonly fingerprint: string
  readonly customer: string
  readonly vendor: string
  readonly codeId: string
}

export interface ProofExpected {
  /**
   * Public keys of the vendor, base64url: `x` of its .pub.json. One that they certified is believed too; one that certified
   * them is not, so that a program goes on without a key that was stolen.
   */
  readonly vendorKeys: readonly string[]
  /** What the program is. A code that serves this version will do. */
  readonly feature: string
  /** As it was given to whoever asked for the proof. */
  readonly nonce: Uint8Array
  /** Milliseconds since 1970 by this program's clock. */
  readonly now: number
  /** How far this clock and the pool's may be apart, milliseconds. Default 30,000. */
  readonly toleranceMs?: number
}

export type VerifiedProof =
  | { readonly ok: true; readonly seat: ProvenSeat }
  | { readonly ok: false; readonly code: Code; readonly detail: string }

function refuse(code: Code, detail: string): VerifiedProof & { ok: false } {
  return { ok: false, code, detail }
}

/** The key of one server: certified by the pool's, for a time. */
export interface ServerSeal {
  readonly key: SigningKey
  readonly certificate: string
  readonly until: number
}

/** Certifies a server's key. `poolKey`: the pool's pair. Times are milliseconds since 1970. */
export function certifyServer(
  { server, key, from, until }: { server: string; key: SigningKey; from: number; until: number },
  poolKey: SigningKey,
): ServerSeal {
  const payload = {
    v: 1,
    server,
    x: key.publicKey,
    from: Math.floor(from),
    until: Math.floor(until),
  }
  const header = { kid: thumbprint(poolKey.publicKey), typ: serverType }
  return { key, certificate: signJws(payload, header, poolKey), until: payload.until }
}

/** What a server signs of a seat. Times are milliseconds since 1970. */
export interface SeatClaim {
  readonly feature: string
  readonly seatId: string
  readonly server: string
  readonly nonce: Uint8Array
  readonly from: number
  readonly until: number
}

/** Makes a proof. `code`: text of a code of the feature; `keys`: certificates that lead to the key that signed it. */
export function proveSeat(
  claim: SeatClaim,
  seal: ServerSeal,
  of: { readonly code: string; readonly keys: readonly string[]; readonly poolPublicKey: string },
): string {
  const { feature, seatId, server, nonce, from, until } = claim
  const payload = {
    v: 1,
    feature,
    seat: seatId,
    server,
    nonce: Buffer.from(nonce).toString('base64url'),
    from: Math.floor(from),
    until: Math.floor(until),
  }
  const seat = signJws(payload, { kid: thumbprint(seal.key.publicKey), typ: seatType }, seal.key)
  const { code, keys, poolPublicKey: pool } = of
  return JSON.stringify({
    v: 1,
    code,
    ...(keys.length === 0 ? {} : { keys }),
    pool,
    server: seal.certificate,
    seat,
  })
}

/**
 * Whether a proof holds, offline. Refusals: LICD_PROOF_MALFORMED; LICD_PROOF_FORGED (a signature, or a link that leads
 * to another key); LICD_PROOF_OTHER (another feature, or a nonce that is not yours: a repeated proof);
 * LICD_PROOF_EXPIRED (by your clock); and those of the code in it, as LICD_CODE_UNTRUSTED. Never throws for any text.
 */
export function verifySeatProof(proof: string, expected: ProofExpected): VerifiedProof {
  const { now, toleranceMs = 30_000 } = expected
  const read = readProof(proof)
  if (read === undefined) return refuse('LICD_PROOF_MALFORMED', '')
  const fingerprint = thumbprint(read.pool)
  const judged = judgeCode(read, expected, fingerprint)
  if (!judged.ok) return judged
  const { content } = judged
  const certified = readSigned(read.server, serverHeader, serverPayload, read.pool)
  if (certified === undefined) {
    return refuse('LICD_PROOF_FORGED', 'The pool\u2019s key did not sign the server\u2019s.')
  }
  const seat = readSigned(read.seat, seatHeader, seatPayload, certified.x)
  if (seat === undefined || seat.server !== certified.server) {
    return refuse('LICD_PROOF_FORGED', 'The server\u2019s key did not sign the seat.')
  }
  const other = otherThan(seat, content, expected)
  if (other !== undefined) return refuse('LICD_PROOF_OTHER', other)
  const from = Math.max(seat.from, certified.from, content.startsAt)
  const until = Math.min(seat.until, certified.until, content.expiresAt ?? Infinity)
  if (from > now + toleranceMs) return refuse('LICD_PROOF_EXPIRED', 'It is of a time to come.')
  if (until <= now - toleranceMs) {
    return refuse('LICD_PROOF_EXPIRED', `It held until ${new Date(until).toISOString()}.`)
  }
  return {
    ok: true,
    seat: {
      validUntil: until,
      feature: seat.feature,
      seatId: seat.seat,
      server: seat.server,
      fingerprint,
      customer: content.customer,
      vendor: content.vendor,
      codeId: content.codeId,
    },
  }
}

function readProof(proof: string) {
  if (proof.length > proofBounds.textMax) return undefined
  try {
    const value: unknown = JSON.parse(proof)
    return isOf(proofShape, value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The payload of a JWS of this type that the key signed. */
function readSigned<S extends GenericSchema>(
  jws: string,
  header: typeof serverHeader,
  payload: S,
  publicKey: string,
): ValueOf<S> | undefined {
  const read = readJws(jws)
  if (read === undefined || !isOf(header, read.header)) return undefined
  if (read.header.kid !== thumbprint(publicKey) || !isSignedBy(jws, publicKey)) return undefined
  return isOf(payload, read.payload) ? read.payload : undefined
}

/** The code in the proof, signed by the vendor, or by a key that the vendor's key certified, for this very pool. */
function judgeCode(
  { code, keys = [] }: { readonly code: string; readonly keys?: readonly string[] },
  { vendorKeys, now, toleranceMs = 30_000 }: ProofExpected,
  fingerprint: string,
): { readonly ok: true; readonly content: CodeContent } | (VerifiedProof & { ok: false }) {
  const parsed = parseCode(code)
  if (!parsed.ok) return refuse(parsed.code, parsed.detail)
  // Under which name a pool's operator trusts the vendor is no business of the program's.
  const name = parsed.claims.iss
  const vendors: VendorKey[] = vendorKeys.map(publicKey => ({
    ...{ kid: thumbprint(publicKey), name, publicKey },
  }))
  for (const certificate of keys) {
    const read = readVendorCertificate(certificate, vendors)
    if (read.ok) vendors.push({ ...read.vendor, name })
    // By a key from before those that this program knows, an old one that it was told to believe no more: it proves nothing.
    else if (read.code !== 'LICD_UNKNOWN_VENDOR') return refuse('LICD_PROOF_FORGED', read.detail)
  }
  const verified = verifyCode(code, { vendors, fingerprint, now: now - toleranceMs })
  return verified.ok ? verified : refuse(verified.code, verified.detail)
}

/** In what the proof is of something else than was asked. */
function otherThan(
  seat: { readonly feature: string; readonly nonce: string },
  content: CodeContent,
  { feature, nonce }: ProofExpected,
): string | undefined {
  if (seat.feature !== content.feature) return `Its seat is of ${seat.feature}, its code is not.`
  if (feature !== content.feature && content.serves?.includes(feature) !== true) {
    return `It is of ${content.feature}, not of ${feature}.`
  }
  const isShort = nonce.length < proofBounds.nonceMin
  if (isShort || seat.nonce !== Buffer.from(nonce).toString('base64url')) {
    return 'Its nonce is another: it was made for somebody else, or at another time.'
  }
  return undefined
}
