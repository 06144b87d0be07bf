/**
 * Credentials that must not come in any more: shut out by the pool's NATS account, which is signed anew where `pool.join` is
 * kept, brought to each host, and taken into the configuration of the nats-server there.
 *
 * The account is no secret: it holds public keys and a signature that nobody else can make.
 */
import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { needAuthority, remember, type Authority, type Issued } from './access/authority.ts'
import { readContextFile } from './access/context-file.ts'
import { claimsOf, revokeUsers, type AccountClaims } from './access/nats-account.ts'
import { natsFiles, natsFolder } from './access/nats-config.ts'
import { ownerOf } from './access/operator.ts'
import { LicdError } from './error.ts'
import {
  isErrno,
  readJson,
  replaceSynced,
  replaceTextSynced,
  storageCall,
  syncFolder,
  writeSynced,
} from './folder.ts'
import { keyFileContent, readPoolKey, type PoolKeyFile } from './pool-key.ts'

const format = 1

/** Credentials as `pool.join` remembers them. */
export interface Listed extends Issued {
  readonly state: 'good' | 'expired' | 'revoked'
}

/**
 * What was made with a `pool.join`, oldest first, and keys that were shut out without being remembered.
 *
 * @throws LicdError LICD_BAD_KEY, LICD_STORAGE
 */
export async function listCredentials(
  file: string,
  now: number,
): Promise<{ readonly credentials: readonly Listed[]; readonly others: readonly string[] }> {
  const { authority } = await readAuthorityFile(file)
  const { revocations } = claimsOf(authority.account.accountJwt)
  const credentials = authority.issued.map((issued): Listed => {
    if (Object.hasOwn(revocations, issued.key)) return { ...issued, state: 'revoked' }
    const { expiresAt = Infinity } = issued
    return { ...issued, state: expiresAt <= now ? 'expired' : 'good' }
  })
  const known = new Set(authority.issued.map(({ key }) => key))
  return { credentials, others: Object.keys(revocations).filter(key => !known.has(key)) }
}

/**
 * Has `pool.join` remember credentials that were made with it. False when it cannot be written, as where it lies on what
 * is only read: then they can be shut out by their key alone.
 *
 * @throws LicdError LICD_BAD_KEY
 */
export async function rememberIn(file: string, issued: Issued, now: number): Promise<boolean> {
  const { key, authority } = await readAuthorityFile(file)
  try {
    await replace(file, { ...key, authority: remember(authority, [issued], now) })
    return true
  } catch (cause) {
    if (cause instanceof LicdError && cause.code === 'LICD_STORAGE') return false
    throw cause
  }
}

export interface Revoked {
  readonly pool: string
  /** Whom it shuts out from now on; without a role where it was named by its key. */
  readonly revoked: readonly (Pick<Issued, 'key'> & Partial<Issued>)[]
  /** All that the account shuts out now. */
  readonly total: number
}

/**
 * Shuts credentials out: `who` is a name, `role.name`, a key (`U...`) or a context file. `pool.join` changes, so that later
 * servers know it too, and the account is written to `out`, for `licd account take` on each host.
 *
 * @throws LicdError LICD_BAD_KEY, LICD_BAD_CONFIG (nobody of that name), LICD_TOO_MANY, LICD_STORAGE
 */
export async function revokeCredentials(options: {
  readonly file: string
  readonly who: string
  readonly out: string
  readonly now: number
}): Promise<Revoked> {
  const { file, who, out, now } = options
  const { key, authority } = await readAuthorityFile(file)
  const revoked = await find(authority, who, file)
  const keys = revoked.map(found => found.key)
  const account = revokeUsers(authority.account, keys, now)
  const { pool } = key
  await replace(file, { ...key, authority: { ...authority, account } })
  await storageCall(out, async () => {
    const content = { format, pool, account: account.accountJwt }
    if (await isThere(out)) await replaceSynced(out, 0o644, content)
    else await writeSynced(out, 0o644, content)
    await syncFolder(dirname(out))
  })
  const total = Object.keys(claimsOf(account.accountJwt).revocations).length
  return { pool, revoked, total }
}

async function find(
  { issued, account }: Authority,
  who: string,
  file: string,
): Promise<Revoked['revoked']> {
  if (/^U[A-Z2-7]{55}$/.test(who)) {
    return [issued.find(({ key }) => key === who) ?? { key: who }]
  }
  if (await isThere(who)) {
    const { credentials, role, name } = await readContextFile(who)
    const { issuer, key } = ownerOf(credentials)
    if (issuer === claimsOf(account.accountJwt).sub) return [{ key, role, name }]
    throw new LicdError('LICD_WRONG_POOL', `${who} is of another pool than ${file}.`)
  }
  const { revocations } = claimsOf(account.accountJwt)
  const found = issued.filter(
    ({ role, name, key }) =>
      (name === who || `${role}.${name}` === who) && !Object.hasOwn(revocations, key),
  )
  if (found.length > 0) return found
  const what = `${file} remembers no credentials of ${JSON.stringify(who)} that are good (licd account list): give their key (U...) or context file.`
  throw new LicdError('LICD_BAD_CONFIG', what)
}

export interface TakenAccount {
  readonly file: string
  /** It was so already. */
  readonly unchanged: boolean
  /** How many it shuts out. */
  readonly revoked: number
}

/**
 * Takes an account into the configuration of the nats-server in a data folder: its text stays as it is but for that. It
 * must be of the same account, by the same signer, no older, and let nobody in again.
 *
 * @throws LicdError LICD_BAD_KEY, LICD_BAD_CONFIG, LICD_WRONG_POOL, LICD_STORAGE
 */
export async function takeAccount(from: string, dataFolder: string): Promise<TakenAccount> {
  const { jwt } = await readAccountFile(from)
  return await takeJwt(jwt, join(dataFolder, natsFolder, natsFiles.config), from)
}

/** The same of an account that did not come as a file; `from` names it in messages. */
export async function takeJwt(jwt: string, file: string, from: string): Promise<TakenAccount> {
  const claims = claimsOf(jwt)
  const text = await readConfig(file)
  if (text === undefined) {
    const what = `${file} is missing: the pool's nats-server is configured elsewhere. Put the account there by hand, in resolver_preload.`
    throw new LicdError('LICD_BAD_CONFIG', what)
  }
  const present = jwtsIn(text).find(other => other.claims.sub === claims.sub)
  if (present === undefined || present.claims.iss !== claims.iss) {
    throw new LicdError('LICD_WRONG_POOL', `${file} is of another account than ${from}.`)
  }
  const revoked = Object.keys(claims.revocations).length
  if (present.jwt === jwt) return { file, unchanged: true, revoked }
  if (present.claims.iat >= claims.iat) {
    throw new LicdError('LICD_BAD_KEY', `${from} is older than what ${file} has: use a newer one.`)
  }
  refuseReturning(present.claims, claims, from)
  await storageCall(file, async () => {
    const { mode, uid, gid } = await stat(file)
    await replaceTextSynced(file, mode & 0o777, text.replaceAll(present.jwt, jwt), { uid, gid })
  })
  return { file, unchanged: false, revoked }
}

/** Two copies of `pool.join` that went their own ways know nothing of whom the other shut out. */
function refuseReturning(present: AccountClaims, next: AccountClaims, from: string): void {
  const returning = Object.keys(present.revocations).filter(
    key => !Object.hasOwn(next.revocations, key),
  )
  if (returning.length === 0) return
  const what = `${from} would let ${returning.length} in again that are shut out here: another copy of pool.join made it. Revoke them with that one too: licd account revoke ${returning.slice(0, 3).join(', ')}.`
  throw new LicdError('LICD_BAD_KEY', what)
}

/**
 * The account in the configuration of a nats-server: the one that has users, not the system's. `undefined` where there is no
 * such file, or no account in it.
 *
 * @throws LicdError LICD_STORAGE
 */
export async function accountIn(
  file: string,
): Promise<{ readonly jwt: string; readonly claims: AccountClaims } | undefined> {
  const text = await readConfig(file)
  if (text === undefined) return undefined
  const system = /^\s*system_account:\s*"?([A-Z2-7]+)/m.exec(text)?.[1]
  return jwtsIn(text).find(({ claims }) => claims.sub.startsWith('A') && claims.sub !== system)
}

/** `undefined` where there is none. Throws LICD_STORAGE. */
async function readConfig(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    if (isErrno(cause, 'ENOENT') || isErrno(cause, 'ENOTDIR')) return undefined
    throw new LicdError('LICD_STORAGE', `${file}.`, { cause })
  }
}

/** Those of accounts, signatures checked. */
function jwtsIn(text: string): { readonly jwt: string; readonly claims: AccountClaims }[] {
  return [...text.matchAll(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g)].flatMap(([jwt]) => {
    try {
      return [{ jwt, claims: claimsOf(jwt) }]
    } catch {
      // Some other text.
      return []
    }
  })
}

/** What {@link revokeCredentials} wrote, its signature checked. Throws LICD_BAD_KEY, LICD_DATA_DAMAGED, LICD_STORAGE. */
export async function readAccountFile(
  path: string,
): Promise<{ readonly jwt: string; readonly claims: AccountClaims }> {
  const bad = (why: string): LicdError => new LicdError('LICD_BAD_KEY', `${path}: ${why}.`)
  const file = await readJson(path)
  if (file === undefined) throw bad('it is missing')
  const { account: jwt } = file
  if (file.format !== format || typeof jwt !== 'string') {
    throw bad('it is no account that licd account revoke made')
  }
  return { jwt, claims: claimsOf(jwt) }
}

async function readAuthorityFile(
  path: string,
): Promise<{ readonly key: PoolKeyFile; readonly authority: Authority }> {
  const key = await readPoolKey(path)
  return { key, authority: needAuthority(key.authority, path) }
}

async function replace(file: string, key: PoolKeyFile): Promise<void> {
  await storageCall(file, async () => {
    const { mode, uid, gid } = await stat(file)
    await replaceSynced(file, mode & 0o777, keyFileContent(key), { uid, gid })
  })
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
