/**
 * Compact JWS by Ed25519, the form of everything that is signed: codes, certificates, proofs of seats.
 *
 * On `node:crypto` alone and synchronous, because the ledger looks at signatures as it applies entries. Strict: base64url
 * in its one canonical form, one algorithm, one type; the header never chooses how it is verified. That what is made
 * and taken here is JWS as others know it is tested against a library.
 */
import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'

export const jwsAlgorithm = 'EdDSA'

/** What the text holds, nothing of it judged. */
export interface Jws {
  readonly header: unknown
  readonly payload: unknown
}

/** A key pair: base64url `x` and `d` of an Ed25519 JWK. */
export interface SigningKey {
  readonly publicKey: string
  readonly privateKey: string
}

/** A fresh key pair. */
export function makeSigningKey(): SigningKey {
  const { x, d } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  assert(x !== undefined && d !== undefined, 'an Ed25519 key pair')
  return { publicKey: x, privateKey: d }
}

/** Bytes of base64url in its one canonical form, or `undefined`. */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

/** The JSON of header and payload (`undefined` where it is none), or `undefined` for what is not three parts. */
export function readJws(text: string): Jws | undefined {
  const parts = text.split('.')
  const [header, payload] = parts
  if (parts.length !== 3 || header === undefined || payload === undefined) return undefined
  return { header: decodePart(header), payload: decodePart(payload) }
}

/** JSON of one part; `undefined` when it is none, or its base64url could also be written otherwise. */
function decodePart(part: string): unknown {
  const bytes = decodeBase64url(part)
  if (bytes === undefined) return undefined
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return undefined
  }
}

/** Whether the key signed exactly this text. False too for a key that is none. */
export function isSignedBy(text: string, publicKey: string): boolean {
  const dot = text.lastIndexOf('.')
  const signature = decodeBase64url(text.slice(dot + 1))
  if (signature?.length !== 64) return false
  try {
    const key = createPublicKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: publicKey },
      format: 'jwk',
    })
    return verify(null, Buffer.from(text.slice(0, dot)), key, signature)
  } catch {
    // A key that is no key verifies nothing.
    return false
  }
}

/** Signs `payload` as JSON. `header` gets the algorithm. */
export function signJws(
  payload: object,
  header: { readonly kid: string; readonly typ: string },
  { publicKey: x, privateKey: d }: SigningKey,
): string {
  const { kid, typ } = header
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: jwsAlgorithm, kid, typ })}.${part(payload)}`
  const key = createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', x, d }, format: 'jwk' })
  return `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`
}
