/**
 * The pool's account at its nats-servers, and its users: NATS JWTs, signed by nkeys (ADR-14).
 *
 * A nats-server is told whose signature to believe, and nothing of any user: so servers, operators and clients get
 * their credentials off line, each its own, and no configuration changes for them.
 */
import { createAccount, createOperator, createUser, fromSeed, type KeyPair } from 'nkeys.js'
import { LicdError } from '../error.ts'
import { isFields } from '../server/ctl-request.ts'
import { verify } from './operator.ts'
import { permissionsOf, type Role } from './roles.ts'

/** What makes users. `operatorJwt` and `accountJwt` are public; the seeds are secret. */
export interface NatsAccount {
  readonly operatorSeed: string
  readonly operatorJwt: string
  readonly accountSeed: string
  readonly accountJwt: string
  /** Of what nats-servers tell each other. It has no users. */
  readonly systemJwt: string
}

export interface UserOptions {
  readonly pool: string
  readonly role: Role
  readonly name: string
  /** Milliseconds since 1970. */
  readonly now: number
  /** From then on NATS refuses it, milliseconds since 1970; for good when absent. */
  readonly expiresAt?: number
}

const noLimits = { subs: -1, data: -1, payload: -1 }

/** A new account for a pool. */
export function makeAccount(pool: string, now: number): NatsAccount {
  const operator = createOperator()
  const account = createAccount()
  const jwtOf = (pair: KeyPair, name: string, nats: object): string =>
    encodeJwt(operator, { sub: pair.getPublicKey(), name, now }, nats)
  const limits = { ...noLimits, imports: 0, exports: 0, wildcards: true, conn: -1, leaf: 0 }
  const ofAccount = { type: 'account', limits }
  return {
    operatorSeed: seedOf(operator),
    operatorJwt: jwtOf(operator, `licd-${pool}`, { type: 'operator' }),
    accountSeed: seedOf(account),
    accountJwt: jwtOf(account, `licd-${pool}`, ofAccount),
    systemJwt: jwtOf(createAccount(), 'system', ofAccount),
  }
}

/** Whose a JWT is (`A...`). Throws LICD_BAD_KEY. */
export function subjectOf(jwt: string): string {
  const claims = parseClaims(jwt)
  if (typeof claims?.sub === 'string') return claims.sub
  throw new LicdError('LICD_BAD_KEY', 'A part of the pool\u2019s NATS account is damaged.')
}

/** Users that one account shuts out at most: it is one line of a nats-server's configuration, of 200 KiB then. */
export const revokedMax = 2_000

/**
 * The account with more users shut out, signed anew: a nats-server that gets it ends their connections and lets them in no
 * more. `keys` are theirs (`U...`); credentials made later have other keys. Newer than what it was made of by `iat`.
 *
 * @throws LicdError LICD_TOO_MANY, LICD_BAD_KEY
 */
export function revokeUsers(
  account: NatsAccount,
  keys: readonly string[],
  now: number,
): NatsAccount {
  const claims = claimsOf(account.accountJwt)
  const { nats, iat, name, sub } = claims
  const at = Math.max(Math.floor(now / 1000), iat + 1)
  const revocations: Record<string, number> = { ...claims.revocations }
  for (const key of keys) revocations[key] = at
  if (Object.keys(revocations).length > revokedMax) {
    const what = `An account shuts out ${revokedMax} users at most.`
    throw new LicdError('LICD_TOO_MANY', what)
  }
  const operator = readSeed(account.operatorSeed)
  const accountJwt = encodeJwt(operator, { sub, name, now: at * 1000 }, { ...nats, revocations })
  return { ...account, accountJwt }
}

export interface AccountClaims {
  /** The account, `A...`, and who signed it, `O...`. */
  readonly sub: string
  readonly iss: string
  readonly name: string
  /** Seconds since 1970. */
  readonly iat: number
  /** User -> the second up to which credentials of that key are shut out. */
  readonly revocations: Readonly<Record<string, number>>
  readonly nats: Readonly<Record<string, unknown>>
}

/** What an account's JWT says, its signature checked. Throws LICD_BAD_KEY. */
export function claimsOf(jwt: string): AccountClaims {
  const claims = parseClaims(jwt)
  const { sub, iss, name, iat, nats } = claims ?? {}
  if (typeof iss === 'string' && isSignedBy(iss, jwt) && isFields(nats)) {
    const revocations = readRevocations(nats.revocations)
    if (typeof sub === 'string' && typeof name === 'string' && typeof iat === 'number') {
      return { sub, iss, name, iat, revocations, nats }
    }
  }
  throw new LicdError('LICD_BAD_KEY', 'The pool\u2019s NATS account is damaged.')
}

function readRevocations(given: unknown): Record<string, number> {
  if (!isFields(given)) return {}
  const entries = Object.entries(given)
  return Object.fromEntries(
    entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  )
}

function isSignedBy(publicKey: string, jwt: string): boolean {
  const dot = jwt.lastIndexOf('.')
  return verify(publicKey, jwt.slice(0, dot), jwt.slice(dot + 1))
}

function parseClaims(jwt: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
    return isFields(claims) ? claims : undefined
  } catch {
    return undefined
  }
}

/** The text of a `.creds` file, as every NATS client knows it. Throws LICD_BAD_KEY. */
export function makeCredentials(account: NatsAccount, options: UserOptions): string {
  const { pool, role, name, now, expiresAt } = options
  const user = createUser()
  const { publish, subscribe } = permissionsOf(pool, role, name)
  const jwt = encodeJwt(
    readSeed(account.accountSeed),
    {
      sub: user.getPublicKey(),
      name: `${role}.${name}`,
      now,
      ...(expiresAt === undefined ? {} : { expiresAt }),
    },
    { type: 'user', pub: { allow: publish }, sub: { allow: subscribe }, ...noLimits },
  )
  return [
    '-----BEGIN NATS USER JWT-----',
    jwt,
    '------END NATS USER JWT------',
    '',
    '-----BEGIN USER NKEY SEED-----',
    seedOf(user),
    '------END USER NKEY SEED------',
    '',
  ].join('\n')
}

interface Claims {
  readonly sub: string
  readonly name: string
  readonly now: number
  readonly expiresAt?: number
}

function encodeJwt(signer: KeyPair, claims: Claims, nats: object): string {
  const { sub, name, now, expiresAt } = claims
  const iat = Math.floor(now / 1000)
  const body = {
    jti: `${sub}.${iat}`,
    iat,
    iss: signer.getPublicKey(),
    name,
    sub,
    ...(expiresAt === undefined ? {} : { exp: Math.floor(expiresAt / 1000) }),
    nats: { ...nats, version: 2 },
  }
  const signed = `${base64url({ typ: 'JWT', alg: 'ed25519-nkey' })}.${base64url(body)}`
  const signature = Buffer.from(signer.sign(Buffer.from(signed))).toString('base64url')
  return `${signed}.${signature}`
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function seedOf(pair: KeyPair): string {
  return Buffer.from(pair.getSeed()).toString('latin1')
}

function readSeed(seed: string): KeyPair {
  try {
    return fromSeed(Buffer.from(seed, 'latin1'))
  } catch {
    // What went wrong may quote the seed.
    throw new LicdError('LICD_BAD_KEY', 'A key of the pool\u2019s NATS account is damaged.')
  }
}
