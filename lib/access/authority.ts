/**
 * The pool's authority over its doors: what certifies nats-servers and signs credentials, in `pool.join`.
 *
 * Whoever has that file can make servers, operators and clients of the pool: it is kept off the servers, which need
 * none of it to run.
 */
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { LicdError } from '../error.ts'
import { storageCall, syncFolder, writeSynced, writeTextSynced } from '../folder.ts'
import { isFields } from '../server/ctl-request.ts'
import { formatAddress, parseAddress, type Address } from './address.ts'
import { certifyServer, makeAuthority, type Certified, type Issue } from './certificate.ts'
import { contextContent, type Context } from './context-file.ts'
import { makeAccount, makeCredentials, type NatsAccount } from './nats-account.ts'
import { natsConfig, natsFiles, natsFolder } from './nats-config.ts'
import { ownerOf } from './operator.ts'
import { inboxPrefix, roles, type Role } from './roles.ts'

export interface Authority {
  readonly certificates: Certified
  readonly account: NatsAccount
  /** Server -> where its nats-server is reached: those that were there when the pool was made. */
  readonly servers: ReadonlyMap<string, Address>
  /** Credentials that were made with it, oldest first: to find by name whom to shut out. */
  readonly issued: readonly Issued[]
}

/** Credentials that went out of the house. */
export interface Issued {
  readonly role: Role
  readonly name: string
  /** `U...` */
  readonly key: string
  /** Milliseconds since 1970: from when, and until when they are good where that is said. */
  readonly at: number
  readonly expiresAt?: number
}

/** Credentials that are remembered. Beyond it those that were made first are forgotten: they can be shut out by their key. */
export const issuedMax = 10_000

/** The authority that remembers more; what has expired is let go. */
export function remember(authority: Authority, more: readonly Issued[], now: number): Authority {
  const issued = [...authority.issued, ...more].filter(
    ({ expiresAt }) => expiresAt === undefined || expiresAt > now,
  )
  return { ...authority, issued: issued.slice(-issuedMax) }
}

/** What is remembered of a context. */
export function issuedOf(context: Context, user: Pick<User, 'now' | 'expiresAt'>): Issued {
  const { role, name, credentials } = context
  const { now: at, expiresAt } = user
  const { key } = ownerOf(credentials)
  return { role, name, key, at, ...(expiresAt === undefined ? {} : { expiresAt }) }
}

export function createAuthority(
  pool: string,
  servers: ReadonlyMap<string, Address>,
  issue: Issue,
): Authority {
  return {
    certificates: makeAuthority(`licd ${pool}`, issue),
    account: makeAccount(pool, issue.now),
    servers,
    issued: [],
  }
}

/** What `pool.join` holds of it. */
export function authorityContent(authority: Authority): object {
  const { certificates, account, servers, issued } = authority
  const addresses: Record<string, string> = {}
  for (const [name, { host, port }] of servers) addresses[name] = formatAddress(host, port)
  return { certificates, account, servers: addresses, ...(issued.length > 0 ? { issued } : {}) }
}

/** Reads it back; undefined for what is none. Throws LICD_BAD_CONFIG (an address). */
export function readAuthority(value: unknown): Authority | undefined {
  if (!isFields(value)) return undefined
  const { certificates, account, servers } = value
  if (!isFields(certificates) || !isFields(account) || !isFields(servers)) return undefined
  const { key, certificate } = certificates
  const { operatorSeed, operatorJwt, accountSeed, accountJwt, systemJwt } = account
  if (typeof key !== 'string' || typeof certificate !== 'string') return undefined
  if (typeof operatorSeed !== 'string' || typeof operatorJwt !== 'string') return undefined
  if (typeof accountSeed !== 'string' || typeof accountJwt !== 'string') return undefined
  if (typeof systemJwt !== 'string') return undefined
  const addresses = new Map<string, Address>()
  for (const [name, address] of Object.entries(servers)) {
    if (typeof address !== 'string') return undefined
    addresses.set(name, parseAddress(address))
  }
  return {
    certificates: { key, certificate },
    account: { operatorSeed, operatorJwt, accountSeed, accountJwt, systemJwt },
    servers: addresses,
    issued: Array.isArray(value.issued) ? value.issued.filter(isIssued) : [],
  }
}

function isIssued(value: unknown): value is Issued {
  if (!isFields(value)) return false
  const { role, name, key, at, expiresAt } = value
  if (typeof name !== 'string' || typeof key !== 'string' || typeof at !== 'number') return false
  return roles.some(known => known === role) && ['undefined', 'number'].includes(typeof expiresAt)
}

export interface User {
  readonly pool: string
  readonly role: Role
  readonly name: string
  readonly now: number
  readonly expiresAt?: number
}

/** A context for a user: new credentials, and where the pool is; `first` is the address to prefer. */
export function issueContext(authority: Authority, user: User, first?: Address): Context {
  const { pool, role, name } = user
  const others = [...authority.servers.values()].filter(
    ({ host, port }) => host !== first?.host || port !== first.port,
  )
  const addresses = [...(first === undefined ? [] : [first]), ...others]
  return {
    pool,
    role,
    name,
    url: addresses.map(({ host, port }) => `tls://${formatAddress(host, port)}`).join(','),
    inboxPrefix: inboxPrefix(role, name),
    ca: authority.certificates.certificate,
    credentials: makeCredentials(authority.account, user),
  }
}

/** Writes a context file; one that is there already is an error. Throws LICD_STORAGE. */
export async function writeContext(path: string, context: Context): Promise<void> {
  await storageCall(path, async () => {
    await writeSynced(path, 0o600, contextContent(context))
    await syncFolder(dirname(path))
  })
}

/** Writes what the nats-server of one license server needs, and the way in of that license server. Answers what to remember of it. */
export async function writeNatsFolder(
  dataFolder: string,
  authority: Authority,
  of: { readonly pool: string; readonly server: string; readonly address: Address },
  issue: Issue,
): Promise<Issued> {
  const { pool, server, address } = of
  const { account, certificates, servers } = authority
  const hosts = [address.host]
  const own = certifyServer(certificates, { name: server, hosts }, issue)
  const user = { pool, role: 'server', name: server, now: issue.now } as const
  const routes = [...servers].filter(([name]) => name !== server).map(([, route]) => route)
  const folder = join(dataFolder, natsFolder)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const write = (name: string, mode: number, text: string): Promise<void> =>
    writeTextSynced(join(folder, name), mode, text)
  await write(natsFiles.authority, 0o644, certificates.certificate)
  await write(natsFiles.certificate, 0o644, own.certificate)
  await write(natsFiles.key, 0o600, own.key)
  const context = issueContext(authority, user, address)
  await writeContext(join(folder, natsFiles.context), context)
  await write(
    natsFiles.config,
    0o644,
    natsConfig({
      pool,
      server,
      address,
      routes,
      account,
    }),
  )
  await syncFolder(folder)
  return issuedOf(context, user)
}

/** @throws LicdError LICD_BAD_KEY: `path` has no authority. */
export function needAuthority(authority: Authority | undefined, path: string): Authority {
  if (authority !== undefined) return authority
  throw new LicdError(
    'LICD_BAD_KEY',
    `${path} is no pool.join: of a pool made with hosts (licd init --servers alpha=host1,...) it is.`,
  )
}
