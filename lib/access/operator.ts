/**
 * Who an operator is, proven: commands signed with the nkey of the operator's credentials (ADR-14), which the pool's
 * account certified for the role operator and a name. Nothing is told to the servers beforehand: they know the account.
 *
 * Checked before a command is proposed. The ledger keeps who it was, and refuses by itself those that were revoked.
 */
import { fromPublic, fromSeed, type KeyPair } from 'nkeys.js'
import type { Code } from '../error.ts'
import { LicdError } from '../error.ts'
import type { Signer } from '../ctl/signing.ts'
import { signedAheadTicks, signedPrefix, signedTicks } from '../protocol/signed.ts'
import { isFields, refuse, type Fields, type Refusal } from '../server/ctl-request.ts'
import { isName } from '../protocol/subject.ts'

const jwtMax = 8_192

/** Whose credentials they are: the text of a `.creds` file. Throws LICD_BAD_KEY. */
export function signerOf(credentials: string): Signer {
  const jwt = jwtIn(credentials)
  const seed = /BEGIN USER NKEY SEED-*\s+(\S+)\s/.exec(credentials)?.[1]
  let pair: KeyPair
  try {
    pair = fromSeed(Buffer.from(seed ?? '', 'latin1'))
  } catch {
    // What went wrong may quote the seed.
    throw new LicdError('LICD_BAD_KEY', 'The credentials hold no key to sign with.')
  }
  return {
    sign: text => ({
      jwt,
      text,
      signature: Buffer.from(pair.sign(Buffer.from(signedPrefix + text))).toString('base64url'),
    }),
  }
}

/** The account that signed credentials (`A...`), and whose they are (`U...`). Throws LICD_BAD_KEY. */
export function ownerOf(credentials: string): { readonly issuer: string; readonly key: string } {
  const claims = claimsIn(jwtIn(credentials))
  const { iss, sub } = claims ?? {}
  if (typeof iss === 'string' && typeof sub === 'string') return { issuer: iss, key: sub }
  throw new LicdError('LICD_BAD_KEY', 'The credentials are damaged.')
}

/**
 * The account that made a license server's credentials: that of a pool with roles, whatever the server's folder says.
 * `undefined` for none, and for credentials that licd did not make for a server: their account may have no operators.
 */
export function accountOfServer(credentials: string | undefined): string | undefined {
  const jwt = /BEGIN NATS USER JWT-*\s+(\S+)\s/.exec(credentials ?? '')?.[1]
  const { iss, name } = (jwt === undefined ? undefined : claimsIn(jwt)) ?? {}
  const isServer = typeof name === 'string' && name.startsWith('server.')
  return isServer && typeof iss === 'string' ? iss : undefined
}

export interface Expected {
  /** The pool's account, `A...`. */
  readonly issuer: string
  readonly cluster: string
  readonly operation: string
  /** The pool clock and the pool's calendar, milliseconds since 1970. */
  readonly tick: number
  readonly calendar: number
}

export type Proven =
  | {
      readonly ok: true
      readonly name: string
      /** The public key, `U...`. */
      readonly key: string
      readonly id: string
      /** A tick of before the id was used first; 0 where that is not known. */
      readonly since: number
      readonly request: Fields
    }
  | ({ readonly ok: false } & Refusal)

/** Who signed a request, and what; or why it does not count. */
export function proveOperator(signed: unknown, expected: Expected): Proven {
  const { operation, cluster, tick } = expected
  if (!isFields(signed)) {
    return refuse('LICD_UNSIGNED', `\`${operation}\` is not signed.`)
  }
  const { jwt, text, signature } = signed
  if (typeof jwt !== 'string' || typeof text !== 'string' || typeof signature !== 'string') {
    return not('it is malformed')
  }
  const owner = certified(jwt, expected)
  if (!owner.ok) return owner
  const isSigned = verify(owner.key, signedPrefix + text, signature)
  if (!isSigned) return not(`it is not by ${owner.name}, or the command was altered`)
  const statement = parse(text)
  const { id, request } = statement ?? {}
  if (statement === undefined || typeof id !== 'string' || !isFields(request)) {
    return not('it is malformed')
  }
  if (statement.operation !== operation) return not('it is for another operation')
  if (statement.cluster !== cluster) {
    return stale('It is for another pool, or for this one before it was restored.')
  }
  const at = statement.tick
  if (typeof at !== 'number' || !(tick - at <= signedTicks && at - tick <= signedAheadTicks)) {
    return stale(`It is of tick ${String(at)}, and this is ${tick}.`)
  }
  const { since = 0 } = statement
  if (!isTick(since)) return not('it is malformed')
  return { ok: true, name: owner.name, key: owner.key, id, since: Math.min(since, at), request }
}

function not(why: string, code: Code = 'LICD_NOT_OPERATOR'): { readonly ok: false } & Refusal {
  return refuse(code, `The signature does not count: ${why}.`)
}

function stale(detail: string): { readonly ok: false } & Refusal {
  return refuse('LICD_STALE_SIGNATURE', detail)
}

/** What the pool's account says of a key: that it is an operator's, whose, and until when. */
function certified(
  jwt: string,
  { issuer, calendar }: Expected,
): { readonly ok: true; readonly name: string; readonly key: string } | Refused {
  const claims = jwt.length <= jwtMax ? claimsIn(jwt) : undefined
  if (claims === undefined) return not('its credentials are malformed')
  const { iss, sub, name, exp } = claims
  if (iss !== issuer) return not('its credentials are another pool\u2019s')
  const dot = jwt.lastIndexOf('.')
  if (!verify(issuer, jwt.slice(0, dot), jwt.slice(dot + 1)))
    return not('its credentials are forged')
  if (typeof sub !== 'string' || typeof name !== 'string')
    return not('its credentials are malformed')
  const [role, person = '', ...more] = name.split('.')
  if (role !== 'operator' || more.length > 0 || !isName(person)) {
    return not(`its credentials are for the role ${String(role).slice(0, 32)}`)
  }
  if (exp !== undefined && !(typeof exp === 'number' && exp * 1_000 > calendar)) {
    return not(`the credentials of ${person} have expired`)
  }
  return { ok: true, name: person, key: sub }
}

function isTick(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

type Refused = { readonly ok: false } & Refusal

/** Whether an nkey signed a text; false for what is no key, or no signature. */
export function verify(publicKey: string, text: string, signature: string): boolean {
  try {
    return fromPublic(publicKey).verify(Buffer.from(text), Buffer.from(signature, 'base64url'))
  } catch {
    // No key, or no signature: then it is not signed by it.
    return false
  }
}

function jwtIn(credentials: string): string {
  const jwt = /BEGIN NATS USER JWT-*\s+(\S+)\s/.exec(credentials)?.[1]
  if (jwt === undefined) throw new LicdError('LICD_BAD_KEY', 'The credentials are damaged.')
  return jwt
}

function claimsIn(jwt: string): Fields | undefined {
  const [header = '', body = '', , ...more] = jwt.split('.')
  const { typ, alg } = parse(Buffer.from(header, 'base64url').toString()) ?? {}
  if (more.length > 0 || typ !== 'JWT' || alg !== 'ed25519-nkey') return undefined
  return parse(Buffer.from(body, 'base64url').toString())
}

function parse(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isFields(value) ? value : undefined
  } catch {
    // Whatever it is, it says nothing.
    return undefined
  }
}
