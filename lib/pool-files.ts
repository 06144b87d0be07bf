/**
 * The files of a server: what `licd init` writes, and what a server reads before it runs.
 *
 * A data folder holds `server.json` (who it is), `pool.key` (the pool's MAC key and key pair, for this user's eyes
 * alone), `pool.pub.json` (the public key, for vendors), `raft/` (the log), and after a clean stop `seats.book`.
 *
 * All folders of a pool are made at once and hold the same first log: the pool exists from then on. An empty
 * folder never forms a pool; `server.json` is written last, so a folder that was not finished is none.
 */
import { createHash, generateKeyPairSync } from 'node:crypto'
import { chmod, mkdir, open, readFile, readdir, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { configurationOf } from '../raft/core/configuration.ts'
import { bootstrap, openLevelStorage, RaftError, type Storage } from '../raft/index.ts'
import { commandCodec } from './command-codec.ts'
import { LicdError } from './error.ts'
import { bounds, type Command, type Settings, type VendorKey } from './ledger/command.ts'
import { isName, isServerName } from './protocol/subject.ts'
import { fileBookStore, type BookStore } from './server/book-file.ts'
import { ed25519Thumbprint, isFields, settingsRefusal } from './server/ctl-request.ts'
import { asLicdError } from './server/fatal.ts'

const format = 1
const macKeyBytes = 32
/** More voters make every commit slower and no pool safer; clients do not count. */
const serversMax = 7

export const defaultPoolSettings: Settings = { tickMs: 1_000, leaseTicks: 30, seatTicks: 30 }

export interface InitOptions {
  /** Gets one data folder per server: `<folder>/<server>`. */
  readonly folder: string
  readonly pool: string
  readonly servers: readonly string[]
  readonly vendors?: readonly VendorKey[]
  readonly settings?: Settings
  /** The calendar starts here, milliseconds since 1970. */
  readonly wall: () => number
  readonly randomBytes: (count: number) => Uint8Array
}

export interface InitialisedPool {
  readonly pool: string
  readonly fingerprint: string
  readonly clusterId: string
  /** Server -> its data folder. */
  readonly folders: Readonly<Record<string, string>>
}

/** Who a data folder belongs to. */
export interface ServerFile {
  readonly format: typeof format
  readonly pool: string
  readonly server: string
  readonly servers: readonly string[]
  readonly fingerprint: string
  readonly clusterId: string
}

export interface DataFolder extends ServerFile {
  readonly folder: string
  readonly macKey: Uint8Array
  /** The pool's private key as a JWK. */
  readonly poolKey: Readonly<Record<string, unknown>>
  /** Opened, and thereby locked. Closing it gives the folder free. */
  readonly storage: Storage
  readonly books: BookStore
}

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

export function generatePoolKey(): PoolKey {
  const { privateKey } = generateKeyPairSync('ed25519')
  const { x, d } = privateKey.export({ format: 'jwk' })
  if (x === undefined || d === undefined) throw new LicdError('LICD_INTERNAL', 'No key was made.')
  return { jwk: { kty: 'OKP', crv: 'Ed25519', x, d }, fingerprint: ed25519Thumbprint(x) }
}

/**
 * Makes the data folders of a new pool. Writes nothing when anything is wrong.
 *
 * @throws LicdError LICD_BAD_CONFIG (names, settings, too many servers), LICD_ALREADY_INITIALISED, LICD_STORAGE
 */
export async function initPool(options: InitOptions): Promise<InitialisedPool> {
  const servers = checkedServers(options)
  const { folder, pool, randomBytes } = options
  const folders = Object.fromEntries(servers.map(server => [server, join(folder, server)]))
  for (const path of Object.values(folders)) await refuseUsed(path)

  const key = generatePoolKey()
  const genesis = genesisOf({ ...options, servers }, key.fingerprint)
  const encoded = commandCodec.encode(genesis)
  const { fingerprint } = key
  const clusterId = createHash('sha256').update(pool).update(encoded).digest('base64url')
  const macKey = Buffer.from(randomBytes(macKeyBytes)).toString('base64url')
  for (const [server, path] of Object.entries(folders)) {
    const file: ServerFile = { format, pool, server, servers, fingerprint, clusterId }
    await storageCall(path, async () => {
      await mkdir(path, { recursive: true, mode: 0o700 })
      await writeSynced(join(path, 'pool.key'), 0o600, { format, macKey, jwk: key.jwk })
      const { d: _private, ...jwk } = key.jwk
      await writeSynced(join(path, 'pool.pub.json'), 0o644, { format, pool, fingerprint, jwk })
      await writeFirstLog(join(path, 'raft'), servers, encoded)
      await writeSynced(join(path, 'server.json'), 0o644, file)
      await syncFolder(path)
    })
  }
  await storageCall(folder, () => syncFolder(folder))
  return { pool, fingerprint, clusterId, folders }
}

function checkedServers({ pool, servers, settings, vendors }: InitOptions): string[] {
  const wrong = (detail: string): never => {
    throw new LicdError('LICD_BAD_CONFIG', detail)
  }
  if (!isName(pool)) wrong(`Pool name ${JSON.stringify(pool)}: 1 to 32 of A-Z a-z 0-9 _ -.`)
  for (const server of servers) {
    if (!isServerName(server)) {
      wrong(`Server name ${JSON.stringify(server)}: 1 to 32 of A-Z a-z 0-9 _ -, and not "any".`)
    }
  }
  if (new Set(servers).size !== servers.length) wrong('A server is named twice.')
  if (servers.length < 1 || servers.length > serversMax) wrong(`1 to ${serversMax} servers.`)
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
  options: Pick<InitOptions, 'pool' | 'servers' | 'vendors' | 'settings' | 'wall'>,
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
  const { macKey, poolKey } = await readPoolKey(join(folder, 'pool.key'), file.fingerprint)
  const storage = await storageCall(folder, () => openLevelStorage(join(folder, 'raft')))
  const books = fileBookStore(join(folder, 'seats.book'))
  return { ...file, folder, macKey, poolKey, storage, books }
}

async function readServerFile(folder: string): Promise<ServerFile> {
  const file = await readJson(join(folder, 'server.json'))
  if (file === undefined) throw new LicdError('LICD_NOT_INITIALISED', `Folder ${folder}.`)
  const { pool, server, servers, fingerprint, clusterId } = file
  if (
    file.format !== format ||
    typeof pool !== 'string' ||
    typeof server !== 'string' ||
    !Array.isArray(servers) ||
    !servers.every(name => typeof name === 'string') ||
    typeof fingerprint !== 'string' ||
    typeof clusterId !== 'string'
  ) {
    throw new LicdError('LICD_DATA_DAMAGED', `${folder}/server.json is not of format ${format}.`)
  }
  return { format, pool, server, servers, fingerprint, clusterId }
}

async function readPoolKey(
  path: string,
  fingerprint: string,
): Promise<{ macKey: Uint8Array; poolKey: Readonly<Record<string, unknown>> }> {
  const bad = (why: string): LicdError => new LicdError('LICD_BAD_KEY', `${path}: ${why}.`)
  const file = await readJson(path)
  if (file === undefined) throw bad('it is missing')
  const { mode } = await stat(path)
  // Whoever can read it can make seats out of nothing.
  if ((mode & 0o077) !== 0) throw bad('others may read it; chmod 600 it')
  const { macKey: text, jwk } = file
  if (file.format !== format || typeof text !== 'string' || !isFields(jwk)) {
    throw bad(`it is not of format ${format}`)
  }
  const macKey = new Uint8Array(Buffer.from(text, 'base64url'))
  if (macKey.length !== macKeyBytes) throw bad('its MAC key is damaged')
  if (typeof jwk.x !== 'string' || ed25519Thumbprint(jwk.x) !== fingerprint) {
    throw new LicdError('LICD_WRONG_POOL', `${path} is another pool's key.`)
  }
  return { macKey, poolKey: jwk }
}

async function readJson(path: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (isErrno(cause, 'ENOENT') || isErrno(cause, 'ENOTDIR')) return undefined
    throw new LicdError('LICD_STORAGE', `${path}.`, { cause })
  }
  try {
    const value: unknown = JSON.parse(text)
    if (isFields(value)) return value
  } catch {
    // Said below.
  }
  throw new LicdError('LICD_DATA_DAMAGED', `${path} is no JSON object.`)
}

async function refuseUsed(path: string): Promise<void> {
  let names: string[]
  try {
    names = await readdir(path)
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return
    throw new LicdError('LICD_ALREADY_INITIALISED', `${path}.`, { cause })
  }
  if (names.length > 0) throw new LicdError('LICD_ALREADY_INITIALISED', `${path}.`)
}

async function writeSynced(path: string, mode: number, content: object): Promise<void> {
  const file: FileHandle = await open(path, 'wx', mode)
  try {
    await file.writeFile(`${JSON.stringify(content, undefined, 2)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await chmod(path, mode) // whatever the umask says
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function storageCall<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (cause) {
    if (cause instanceof RaftError || cause instanceof LicdError) throw asLicdError(cause)
    throw new LicdError('LICD_STORAGE', `${path}.`, { cause })
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
