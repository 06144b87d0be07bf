/**
 * The files of a server: what `licd init` writes, and what a server reads before it runs.
 *
 * A data folder holds `server.json` (who it is), `pool.key` (the pool's MAC key and key pair, for this user's eyes
 * alone), `pool.pub.json` (the public key, for vendors), `raft/` (the log), and after a clean stop `seats.book`.
 *
 * All folders of a pool are made at once and hold the same first log: the pool exists from then on. An empty
 * folder never forms a pool; `server.json` is written last, so a folder that was not finished is none.
 */
import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { bootstrap, configurationOf, openLevelStorage, type Storage } from '../raft/index.ts'
import type { Address } from './access/address.ts'
import {
  createAuthority,
  issueContext,
  issuedOf,
  needAuthority,
  remember,
  writeContext,
  writeNatsFolder,
  type Authority,
  type Issued,
} from './access/authority.ts'
import { readContextFile } from './access/context-file.ts'
import { subjectOf } from './access/nats-account.ts'
import { natsFiles, natsFolder } from './access/nats-config.ts'
import { ownerOf } from './access/operator.ts'
import { rememberIn } from './account-file.ts'
import type { SigningKey } from './code/jws.ts'
import { commandCodec } from './command-codec.ts'
import { LicdError } from './error.ts'
import { bounds, levelMax, type Command, type Settings, type VendorKey } from './ledger/command.ts'
import {
  readJson,
  refusePresent,
  refuseUsed,
  storageCall,
  syncFolder,
  writeSynced,
} from './folder.ts'
import {
  generatePoolKey,
  keyFileContent,
  macKeyBytes,
  publicContent,
  readPoolKey,
  type PoolIdentity,
  type PoolKeyFile,
} from './pool-key.ts'
import { isName, isServerName } from './protocol/subject.ts'
import { readSecret } from './secret-file.ts'
import { fileBookStore, type BookStore } from './server/book-file.ts'
import { ed25519Thumbprint, settingsRefusal } from './server/ctl-request.ts'

const format = 1

export const defaultPoolSettings: Settings = { tickMs: 1_000, leaseTicks: 30, seatTicks: 30 }

export interface InitOptions {
  /** Gets one data folder per server: `<folder>/<server>`. */
  readonly folder: string
  readonly pool: string
  readonly servers: readonly string[]
  readonly vendors?: readonly VendorKey[]
  readonly settings?: Settings
  /** By which rules it goes: the newest, unless a pool of before is meant. */
  readonly level?: number
  /**
   * Server -> where its nats-server is to be reached. With it the pool has TLS, roles and credentials, and
   * `pool.join`, `operator.context` and `client.context` beside the folders.
   */
  readonly addresses?: ReadonlyMap<string, Address>
  /** The calendar starts here, milliseconds since 1970. */
  readonly wall: () => number
  readonly randomBytes: (count: number) => Uint8Array
  /** Told what is being done. */
  readonly onStep?: (what: string) => void
}

export interface InitialisedPool {
  readonly pool: string
  readonly fingerprint: string
  readonly clusterId: string
  /** Server -> its data folder. */
  readonly folders: Readonly<Record<string, string>>
  /** Of a pool with TLS and roles. */
  readonly handed?: HandedOut
}

/** Who a data folder belongs to. */
export interface ServerFile extends PoolIdentity {
  readonly format: typeof format
  readonly server: string
  /** Those that founded the pool, or its present beginning; none for a server that joined. */
  readonly servers: readonly string[]
}

export interface DataFolder extends ServerFile {
  readonly folder: string
  /** Newest first. They may be others when `keyFile` is read again. */
  readonly macKeys: readonly Uint8Array[]
  readonly keyFile: string
  /** See `ServerIdentity`. */
  readonly issuer?: string
  /** The pool's key pair, which certifies the server's own key. */
  readonly poolKey: SigningKey
  /** Opened, and thereby locked. Closing it gives the folder free. */
  readonly storage: Storage
  readonly books: BookStore
}

/**
 * Makes the data folders of a new pool. Writes nothing when anything is wrong.
 *
 * @throws LicdError LICD_BAD_CONFIG (names, settings, too many servers), LICD_ALREADY_INITIALISED, LICD_STORAGE
 */
export async function initPool(options: InitOptions): Promise<InitialisedPool> {
  const servers = checkedServers(options)
  const { folder, pool, randomBytes, addresses } = options
  const folders = Object.fromEntries(servers.map(server => [server, join(folder, server)]))
  for (const path of Object.values(folders)) await refuseUsed(path)
  if (addresses !== undefined) {
    const files = handedOut(folder)
    for (const path of [files.join, files.operator, files.client]) await refusePresent(path)
  }

  const { jwk, fingerprint } = generatePoolKey()
  const genesis = genesisOf({ ...options, servers }, fingerprint)
  const encoded = commandCodec.encode(genesis)
  const clusterId = createHash('sha256').update(pool).update(encoded).digest('base64url')
  const macKeys = [randomBytes(macKeyBytes)]
  const now = Math.trunc(options.wall())
  const authority =
    addresses === undefined ? undefined : createAuthority(pool, addresses, { now, randomBytes })
  const issuer = authority && { issuer: subjectOf(authority.account.accountJwt) }
  const key = { pool, fingerprint, clusterId, epoch: now, macKeys, jwk, ...issuer }
  const issued: Issued[] = []
  for (const [server, path] of Object.entries(folders)) {
    const address = addresses?.get(server)
    options.onStep?.(`writing ${path}`)
    await makeFolder(path, { server, servers, key }, async () => {
      await writeFirstLog(join(path, 'raft'), servers, encoded)
      if (authority === undefined || address === undefined) return
      const of = { pool, server, address }
      issued.push(await writeNatsFolder(path, authority, of, { now, randomBytes }))
    })
  }
  const handed =
    authority &&
    (await writeHandedOut(folder, { ...key, authority: remember(authority, issued, now) }, now))
  await storageCall(folder, () => syncFolder(folder))
  const made = { pool, fingerprint, clusterId, folders }
  return handed === undefined ? made : { ...made, handed }
}

/** Files of a new pool that go to people and not to servers. */
export interface HandedOut {
  /** What new servers and credentials are made with. */
  readonly join: string
  readonly operator: string
  readonly client: string
}

function handedOut(folder: string): HandedOut {
  return {
    join: join(folder, 'pool.join'),
    operator: join(folder, 'operator.context'),
    client: join(folder, 'client.context'),
  }
}

async function writeHandedOut(
  folder: string,
  key: PoolKeyFile & { readonly authority: Authority },
  now: number,
): Promise<HandedOut> {
  const files = handedOut(folder)
  const { pool, authority } = key
  const made = (['operator', 'client'] as const).map(role => {
    const user = { pool, role, name: role, now }
    return { file: files[role], user, context: issueContext(authority, user) }
  })
  const issued = made.map(({ context, user }) => issuedOf(context, user))
  const content = keyFileContent({ ...key, authority: remember(authority, issued, now) })
  await storageCall(folder, () => writeSynced(files.join, 0o600, content))
  for (const { file, context } of made) await writeContext(file, context)
  return files
}

/** Writes one data folder, `server.json` last: a folder that was not finished is none. */
export async function makeFolder(
  path: string,
  of: {
    readonly server: string
    readonly servers: readonly string[]
    readonly key: PoolKeyFile
  },
  writeLog: () => Promise<void>,
): Promise<void> {
  await storageCall(path, async () => {
    await mkdir(path, { recursive: true, mode: 0o700 })
    await writeSynced(join(path, 'pool.key'), 0o600, keyFileContent(of.key))
    await writeSynced(join(path, 'pool.pub.json'), 0o644, publicContent(of.key))
    await writeLog()
    await writeSynced(join(path, 'server.json'), 0o644, serverFile(of))
    await syncFolder(path)
  })
}

export function serverFile({ server, servers, key }: Parameters<typeof makeFolder>[1]): ServerFile {
  const { pool, fingerprint, clusterId, epoch } = key
  return { format, pool, server, servers, fingerprint, clusterId, epoch }
}

export interface JoinOptions {
  /** Becomes the new server's data folder. */
  readonly folder: string
  readonly server: string
  /** `pool.key` of any server of the pool; `pool.join` of a pool with TLS and roles. */
  readonly keyFile: string
  /** `pool.join`, where that is not the key file: after a recovery the keys of the pool are others. */
  readonly authorityFile?: string
  /** Where its nats-server is to be reached: of a pool with TLS and roles, and no other. */
  readonly address?: Address
  readonly now: number
  readonly randomBytes: (count: number) => Uint8Array
}

/**
 * Makes the data folder of a server that is to join a pool. Its log is empty: it waits until an operator adds it.
 *
 * @throws LicdError LICD_BAD_CONFIG (name), LICD_BAD_KEY, LICD_ALREADY_INITIALISED, LICD_STORAGE
 */
export async function joinPool(options: JoinOptions): Promise<ServerFile> {
  const { folder, server, keyFile, address, now, randomBytes } = options
  if (!isServerName(server)) throw new LicdError('LICD_BAD_CONFIG', badServerName(server))
  const { authority: own, ...key } = await readPoolKey(keyFile)
  const file = options.authorityFile
  const authority = file === undefined ? own : await readAuthorityOf(file, key)
  if (authority !== undefined && address === undefined) {
    const what = `The pool has TLS: say where ${server} is reached, ${server}=HOST.`
    throw new LicdError('LICD_BAD_CONFIG', what)
  }
  const found = address === undefined ? undefined : needAuthority(authority, file ?? keyFile)
  await refuseUsed(folder)
  const of = { server, servers: [], key }
  await makeFolder(folder, of, async () => {
    if (address === undefined || found === undefined) return
    const where = { pool: key.pool, server, address }
    const issued = await writeNatsFolder(folder, found, where, { now, randomBytes })
    await rememberIn(file ?? keyFile, issued, now)
  })
  return serverFile(of)
}

/** The authority in a `pool.join` of this pool, or of its past. Throws LICD_BAD_KEY, LICD_WRONG_POOL. */
async function readAuthorityOf(file: string, { fingerprint }: PoolIdentity): Promise<Authority> {
  const { authority, fingerprint: other } = await readPoolKey(file)
  if (other !== fingerprint) throw new LicdError('LICD_WRONG_POOL', `${file} is another pool's.`)
  return needAuthority(authority, file)
}

function badServerName(server: string): string {
  return `Server name ${JSON.stringify(server)}: 1 to 32 of A-Z a-z 0-9 _ -, and not "any".`
}

function checkedServers({ pool, servers, settings, vendors }: InitOptions): string[] {
  const wrong = (detail: string): never => {
    throw new LicdError('LICD_BAD_CONFIG', detail)
  }
  if (!isName(pool)) wrong(`Pool name ${JSON.stringify(pool)}: 1 to 32 of A-Z a-z 0-9 _ -.`)
  for (const server of servers) {
    if (!isServerName(server)) wrong(badServerName(server))
  }
  if (new Set(servers).size !== servers.length) wrong('A server is named twice.')
  // More voters make every commit slower and no pool safer; others may join as learners.
  if (servers.length < 1 || servers.length > bounds.voters) wrong(`1 to ${bounds.voters} servers.`)
  if ((vendors?.length ?? 0) > bounds.vendors) wrong(`At most ${bounds.vendors} vendors.`)
  for (const { kid, publicKey, name } of vendors ?? []) {
    if (kid !== ed25519Thumbprint(publicKey)) wrong(`The key of vendor ${name} is not its own.`)
  }
  const refusal = settingsRefusal(settings ?? defaultPoolSettings)
  if (refusal !== undefined) wrong(refusal.detail)
  return [...servers].sort()
}

/** The ledger's first command: the same bytes in every folder. */
export function genesisOf(
  options: Pick<InitOptions, 'pool' | 'servers' | 'vendors' | 'settings' | 'wall' | 'level'>,
  fingerprint: string,
): Command {
  return {
    id: 'genesis',
    deadline: 0,
    by: 'init',
    body: {
      type: 'genesis',
      pool: options.pool,
      fingerprint,
      settings: options.settings ?? defaultPoolSettings,
      servers: [...options.servers].sort(),
      vendors: options.vendors ?? [],
      wallMs: options.wall(),
      ...(options.level === 1 ? {} : { level: options.level ?? levelMax }),
    },
  }
}

async function writeFirstLog(
  folder: string,
  servers: readonly string[],
  genesis: Uint8Array,
): Promise<void> {
  const storage = await openLevelStorage(folder)
  try {
    await new Promise<void>((resolve, reject) => {
      const first = { configuration: configurationOf(servers), commands: [genesis] }
      bootstrap(storage, first, error => {
        if (error === undefined) resolve()
        else reject(error)
      })
    })
  } finally {
    await new Promise<void>(resolve => storage.close(resolve))
  }
}

/**
 * Opens a server's data folder, and with it takes the lock on it.
 *
 * @throws LicdError LICD_NOT_INITIALISED, LICD_WRONG_POOL (it is not what `expected` says), LICD_BAD_KEY,
 *   LICD_DATA_LOCKED, LICD_DATA_DAMAGED, LICD_STORAGE
 */
export async function openDataFolder(
  folder: string,
  expected: { readonly pool?: string; readonly server?: string } = {},
): Promise<DataFolder> {
  const file = await readServerFile(folder)
  const { pool = file.pool, server = file.server } = expected
  if (pool !== file.pool || server !== file.server) {
    throw new LicdError('LICD_WRONG_POOL', `${folder} is ${file.server} of pool ${file.pool}.`)
  }
  const keyFile = join(folder, 'pool.key')
  const key = await readPoolKey(keyFile)
  if (key.fingerprint !== file.fingerprint || key.clusterId !== file.clusterId) {
    throw new LicdError('LICD_WRONG_POOL', `${folder}/pool.key is another pool's key.`)
  }
  const { macKeys, jwk, issuer = await issuerOf(folder) } = key
  const { x, d } = jwk
  if (typeof x !== 'string' || typeof d !== 'string') {
    throw new LicdError('LICD_BAD_KEY', `${folder}/pool.key has no key pair.`)
  }
  const poolKey = { publicKey: x, privateKey: d }
  const storage = await storageCall(folder, () => openLevelStorage(join(folder, 'raft')))
  const books = fileBookStore(join(folder, 'seats.book'))
  return {
    ...file,
    folder,
    keyFile,
    macKeys,
    ...(issuer === undefined ? {} : { issuer }),
    poolKey,
    storage,
    books,
  }
}

/** By the credentials of the server itself, where `pool.key` does not say. Throws LICD_BAD_KEY, LICD_BAD_CONFIG. */
async function issuerOf(folder: string): Promise<string | undefined> {
  const path = join(folder, natsFolder, natsFiles.context)
  if ((await readSecret(path)) === undefined) return undefined
  return ownerOf((await readContextFile(path)).credentials).issuer
}

/** Who a data folder belongs to. Throws LICD_NOT_INITIALISED, LICD_DATA_DAMAGED, LICD_STORAGE. */
export async function readServerFile(folder: string): Promise<ServerFile> {
  const file = await readJson(join(folder, 'server.json'))
  if (file === undefined) throw new LicdError('LICD_NOT_INITIALISED', `Folder ${folder}.`)
  const { pool, server, servers, fingerprint, clusterId, epoch } = file
  if (
    file.format !== format ||
    typeof pool !== 'string' ||
    typeof server !== 'string' ||
    !Array.isArray(servers) ||
    !servers.every(name => typeof name === 'string') ||
    typeof fingerprint !== 'string' ||
    typeof clusterId !== 'string' ||
    typeof epoch !== 'number'
  ) {
    throw new LicdError('LICD_DATA_DAMAGED', `${folder}/server.json is not of format ${format}.`)
  }
  return { format, pool, server, servers, fingerprint, clusterId, epoch }
}
