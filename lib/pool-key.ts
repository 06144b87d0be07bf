/**
 * The pool's secret: `pool.key`, in each server's folder, and what an operator hands to the host of a new one. For a
 * pool with TLS and roles that is `pool.join`, the same with what makes certificates and credentials.
 *
 * It holds the MAC keys of tokens (one, but for a pool whose key was rotated), the pool's key pair, and what says which pool it is: with it, and nothing else, a
 * new server can be made. So whoever has it can make seats out of nothing: it is for the owner's eyes alone.
 */
import { stat } from 'node:fs/promises'
import { authorityContent, readAuthority, type Authority } from './access/authority.ts'
import { makeSigningKey, type SigningKey } from './code/jws.ts'
import { LicdError } from './error.ts'
import { readJson } from './folder.ts'
import { isName } from './protocol/subject.ts'
import { refuseLoose } from './secret-file.ts'
import { ed25519Thumbprint, isFields, type Fields } from './server/ctl-request.ts'

export const keyFormat = 1
/** The same with several MAC keys, newest first. Format 1 goes on being read, and written where there is one key. */
const ringFormat = 2
export const macKeyBytes = 32
/** MAC keys in one file: the one in use, one of before, one to come, and one that was never used. */
export const macKeysMax = 4

/** An Ed25519 key pair as a private JWK, with the thumbprint of its public half. */
export interface PoolKey {
  readonly jwk: {
    readonly kty: 'OKP'
    readonly crv: 'Ed25519'
    readonly x: string
    readonly d: string
  }
  readonly fingerprint: string
}

/** Which pool a folder, a key or a snapshot is of, and since when it is that pool. */
export interface PoolIdentity {
  readonly pool: string
  /** Of the pool's key pair: stays for good, license codes are made out to it. */
  readonly fingerprint: string
  /** Tells this pool's messages from those of any other, its own past included. */
  readonly clusterId: string
  /** Grows whenever the pool begins anew (restored or recovered). */
  readonly epoch: number
}

export interface PoolKeyFile extends PoolIdentity {
  /** Newest first; one at least. */
  readonly macKeys: readonly Uint8Array[]
  readonly jwk: Readonly<Record<string, unknown>>
  /** The account that signs credentials, of a pool with roles; files of before do not say. */
  readonly issuer?: string
  /** In `pool.join` alone: what makes servers and credentials of a pool with TLS and roles. */
  readonly authority?: Authority
}

/** A fresh one. Its fingerprint is typed by vendors: it never begins as an option does. */
export function generatePoolKey(make: () => SigningKey = makeSigningKey): PoolKey {
  for (;;) {
    const { publicKey: x, privateKey: d } = make()
    const fingerprint = ed25519Thumbprint(x)
    if (!fingerprint.startsWith('-'))
      return { jwk: { kty: 'OKP', crv: 'Ed25519', x, d }, fingerprint }
  }
}

/** What `pool.key` holds; with the authority it is `pool.join`. */
export function keyFileContent(key: PoolKeyFile): object {
  const { macKeys, jwk, authority, issuer, ...identity } = key
  const { pool, fingerprint, clusterId, epoch } = identity
  const texts = macKeys.map(macKey => Buffer.from(macKey).toString('base64url'))
  const isRing = texts.length > 1
  const more = authority === undefined ? {} : { authority: authorityContent(authority) }
  return {
    format: isRing ? ringFormat : keyFormat,
    ...{ pool, fingerprint, clusterId, epoch },
    ...(isRing ? { macKeys: texts } : { macKey: texts[0] }),
    jwk,
    ...(issuer === undefined ? {} : { issuer }),
    ...more,
  }
}

/** What `pool.pub.json` holds, for vendors. */
export function publicContent({ pool, fingerprint, jwk }: PoolKeyFile): object {
  const { d: _private, ...rest } = jwk
  return { format: keyFormat, pool, fingerprint, jwk: rest }
}

/** @throws LicdError LICD_BAD_KEY, LICD_STORAGE */
export async function readPoolKey(path: string): Promise<PoolKeyFile> {
  const bad = (why: string): LicdError => new LicdError('LICD_BAD_KEY', `${path}: ${why}.`)
  const file = await readJson(path)
  if (file === undefined) throw bad('it is missing')
  // Whoever can read it can make seats out of nothing.
  refuseLoose(path, await stat(path))
  const { jwk, pool, fingerprint, clusterId, epoch } = file
  const texts = macKeyTexts(file)
  if (texts === undefined || !isFields(jwk)) {
    throw bad(`it is not of format ${keyFormat} or ${ringFormat}`)
  }
  const isOfPool = typeof pool === 'string' && isName(pool) && typeof clusterId === 'string'
  if (!isOfPool || typeof epoch !== 'number') throw bad('it does not say which pool it is of')
  const macKeys = texts.map(readMacKey)
  if (!macKeys.every(macKey => macKey !== undefined)) throw bad('its MAC key is damaged')
  if (typeof jwk.x !== 'string' || ed25519Thumbprint(jwk.x) !== fingerprint) {
    throw bad('its key pair is damaged')
  }
  const { issuer } = file
  const key = {
    ...{ pool, fingerprint: ed25519Thumbprint(jwk.x), clusterId, epoch, macKeys, jwk },
    ...(typeof issuer === 'string' ? { issuer } : {}),
  }
  if (file.authority === undefined) return key
  const authority = readAuthority(file.authority)
  if (authority === undefined) throw bad('its authority is damaged')
  return { ...key, authority }
}

/** `undefined` for a file of another format. */
function macKeyTexts({ format, macKey, macKeys }: Fields): readonly unknown[] | undefined {
  if (format === keyFormat) return [macKey]
  if (format !== ringFormat || !Array.isArray(macKeys)) return undefined
  return macKeys.length >= 1 && macKeys.length <= macKeysMax ? macKeys : undefined
}

/** `undefined` for a text that is none. */
export function readMacKey(text: unknown): Uint8Array | undefined {
  if (typeof text !== 'string') return undefined
  const macKey = new Uint8Array(Buffer.from(text, 'base64url'))
  return macKey.length === macKeyBytes ? macKey : undefined
}
