/**
 * A vendor's Ed25519 key pair, and the two files it is kept in: a private JWK (mode 0600) that stays with the
 * vendor, and a public one that pools are given.
 *
 * A private key file is never overwritten and never accepted where a public one is meant: a pool that holds a
 * vendor's private key is a mistake somebody made, and is stopped here. A key's id (`kid`) is its RFC 7638
 * thumbprint, always computed from the key and never believed.
 */
import { createHash, createPublicKey, sign, verify } from 'node:crypto'
import { constants } from 'node:fs'
import { open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { LicdError } from '../error.ts'
import type { VendorKey } from '../ledger/command.ts'
import { isOf, loose, one, optional, text } from '../shape.ts'
import { codeBounds, isLabel } from './claims.ts'
import { decodeBase64url, makeSigningKey, type SigningKey } from './jws.ts'

/** A vendor key with its private part (`d` of the JWK). */
export interface VendorSigner extends VendorKey {
  readonly privateKey: string
}

export interface VendorKeyFiles {
  readonly key: VendorKey
  readonly privateFile: string
  readonly publicFile: string
}

const fileBytesMax = 16 * 1024

const keyFile = loose({
  kty: one('OKP'),
  crv: one('Ed25519'),
  x: text(64),
  d: optional(text(64)),
  kid: optional(text(64)),
  name: text(codeBounds.vendorMax),
})

/** RFC 7638 thumbprint (SHA-256, base64url) of an Ed25519 public key: 43 characters. */
export function thumbprint(publicKey: string): string {
  return createHash('sha256')
    .update(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x: publicKey }))
    .digest('base64url')
}

/**
 * A vendor key as it comes from outside (an operator's command, a file), checked: its name can be shown, its
 * public key is one, and its `kid` is the thumbprint of it.
 *
 * @throws LicdError LICD_BAD_KEY, the message says why
 */
export function checkVendorKey(key: VendorKey): VendorKey {
  if (!isLabel(key.name, codeBounds.vendorMax)) {
    throw badKey(`A vendor's name has 1 to ${codeBounds.vendorMax} characters that can be shown.`)
  }
  if (!isPublicKey(key.publicKey)) throw badKey('It is no Ed25519 public key.')
  if (key.kid !== thumbprint(key.publicKey))
    throw badKey('Its id is not the thumbprint of its key.')
  return { kid: key.kid, name: key.name, publicKey: key.publicKey }
}

function isPublicKey(x: string): boolean {
  if (decodeBase64url(x)?.length !== 32) return false
  try {
    return (
      createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
        .asymmetricKeyType === 'ed25519'
    )
  } catch {
    return false
  }
}

/** A fresh key pair. Its id is typed in commands: it never begins as an option does. */
export function makeVendorKey(name: string, make: () => SigningKey = makeSigningKey): VendorSigner {
  for (;;) {
    const { publicKey, privateKey } = make()
    const kid = thumbprint(publicKey)
    if (kid.startsWith('-')) continue
    return { ...checkVendorKey({ kid, name, publicKey }), privateKey }
  }
}

/**
 * Makes a key pair and writes `<stem>.key.json` (0600) and `<stem>.pub.json` into `folder`, which must exist.
 *
 * @throws LicdError LICD_BAD_KEY when the name is none, or one of the files exists: nothing is overwritten
 */
export async function writeVendorKey(
  name: string,
  { folder, stem }: { readonly folder: string; readonly stem: string },
): Promise<VendorKeyFiles> {
  const signer = makeVendorKey(name)
  const { kid, publicKey, privateKey } = signer
  const shared = { kty: 'OKP', crv: 'Ed25519', x: publicKey, alg: 'EdDSA', use: 'sig', kid, name }
  const privateFile = join(folder, `${stem}.key.json`)
  const publicFile = join(folder, `${stem}.pub.json`)
  await writeNew(privateFile, { ...shared, d: privateKey }, 0o600)
  try {
    await writeNew(publicFile, shared, 0o644)
  } catch (error) {
    // The private key was made a moment ago and is known to nobody: without it the command did nothing.
    await unlink(privateFile)
    throw error
  }
  return { key: { kid, name, publicKey }, privateFile, publicFile }
}

async function writeNew(path: string, value: unknown, mode: number): Promise<void> {
  try {
    const file = await open(path, 'wx', mode)
    try {
      await file.writeFile(`${JSON.stringify(value, undefined, 2)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (cause) {
    const exists = codeOf(cause) === 'EEXIST'
    throw badKey(
      exists ? `${path} exists and is not overwritten.` : `${path} cannot be written.`,
      cause,
    )
  }
}

/**
 * Reads a vendor's public key file.
 *
 * @throws LicdError LICD_BAD_KEY, also when the file holds a private key
 */
export async function readVendorKey(path: string): Promise<VendorKey> {
  const { key, privateKey } = await readKeyFile(path)
  if (privateKey !== undefined) {
    throw badKey(`${path} holds the vendor's private key; give the public file (.pub.json).`)
  }
  return key
}

/**
 * Reads a vendor's private key file, which nobody but its owner may be able to read.
 *
 * @throws LicdError LICD_BAD_KEY
 */
export async function readVendorSigner(path: string): Promise<VendorSigner> {
  const { key, privateKey, mode } = await readKeyFile(path)
  if (privateKey === undefined)
    throw badKey(`${path} holds no private key; give the .key.json file.`)
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw badKey(`${path} can be read by others; run chmod 600 on it.`)
  }
  if (!isPair(key.publicKey, privateKey))
    throw badKey(`${path}: its two halves are not of one key.`)
  return { ...key, privateKey }
}

interface KeyFile {
  readonly key: VendorKey
  readonly privateKey: string | undefined
  readonly mode: number
}

async function readKeyFile(path: string): Promise<KeyFile> {
  const { text, mode } = await readBounded(path)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    // The parser's message quotes the text, which may be a private key.
    throw badKey(`${path} is no JSON.`, cause instanceof SyntaxError ? undefined : cause)
  }
  if (!isOf(keyFile, value)) throw badKey(`${path} is no Ed25519 vendor key (a JWK with a name).`)
  const kid = thumbprint(value.x)
  if (value.kid !== undefined && value.kid !== kid) {
    throw badKey(`${path}: its \`kid\` is not the thumbprint of its key.`)
  }
  return {
    key: checkVendorKey({ kid, name: value.name, publicKey: value.x }),
    privateKey: value.d,
    mode,
  }
}

async function readBounded(path: string): Promise<{ text: string; mode: number }> {
  try {
    // O_NONBLOCK: a pipe in the file's place must not hang the command.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stat = await file.stat()
      if (!stat.isFile()) throw badKey(`${path} is no file.`)
      if (stat.size > fileBytesMax) throw badKey(`${path} is too large for a key.`)
      return { text: await file.readFile('utf8'), mode: stat.mode }
    } finally {
      await file.close()
    }
  } catch (cause) {
    if (cause instanceof LicdError) throw cause
    const missing = codeOf(cause) === 'ENOENT'
    throw badKey(missing ? `There is no file ${path}.` : `${path} cannot be read.`, cause)
  }
}

function isPair(x: string, d: string): boolean {
  if (decodeBase64url(d)?.length !== 32) return false
  try {
    const probe = Buffer.from('licd')
    const made = sign(null, probe, {
      key: { kty: 'OKP', crv: 'Ed25519', x, d },
      format: 'jwk',
    })
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
    return verify(null, probe, key, made)
  } catch {
    return false
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

function badKey(detail: string, cause?: unknown): LicdError {
  return new LicdError('LICD_BAD_KEY', detail, cause === undefined ? {} : { cause })
}
