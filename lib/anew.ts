/**
 * A pool that begins anew: restored from a snapshot, or recovered from one survivor (R11).
 *
 * It keeps its name and its key pair (license codes are made out to that), and gets another MAC key, so that no token
 * of before proves anything, another cluster id, so that no message of before is heard, and a later epoch, so that
 * a server of before that comes back finds out and stops. What may still be in use is waited for: the ledger holds
 * everything for the longest lease and one tick.
 */
import { rm } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { openLevelStorage, recover, remainsOf, seed, type Remains } from '../raft/index.ts'
import type { RaftError, Storage } from '../raft/index.ts'
import type { Address } from './access/address.ts'
import { remember, writeNatsFolder, type Authority, type Issued } from './access/authority.ts'
import { commandCodec } from './command-codec.ts'
import { LicdError } from './error.ts'
import {
  refusePresent,
  refuseUsed,
  replaceSynced,
  storageCall,
  syncFolder,
  writeSynced,
} from './folder.ts'
import { bounds, type Command } from './ledger/command.ts'
import { makeFolder, readServerFile, serverFile, type ServerFile } from './pool-files.ts'
import {
  keyFileContent,
  macKeyBytes,
  readPoolKey,
  type PoolIdentity,
  type PoolKeyFile,
} from './pool-key.ts'
import { isServerName } from './protocol/subject.ts'
import type { Snapshot } from './snapshot-file.ts'

interface Chance {
  readonly wall: () => number
  readonly randomBytes: (count: number) => Uint8Array
}

export interface RestoreOptions extends Chance {
  /** Read and checked. */
  readonly snapshot: Snapshot
  /** `pool.key` of any server that the pool had; `pool.join` of a pool with TLS and roles. */
  readonly keyFile: string
  /** Gets one data folder per server: `<folder>/<server>`. */
  readonly folder: string
  /** The new pool's voters; those of the snapshot when absent. Others that it names are removed. */
  readonly servers?: readonly string[]
  /** Serve no sooner than after so many ticks: for a pool whose lease was made longer after the snapshot. */
  readonly holdTicks?: number
  /** Told what is being done. */
  readonly onStep?: (what: string) => void
}

export interface Anew {
  readonly identity: PoolIdentity
  /** Server -> its data folder. */
  readonly folders: Readonly<Record<string, string>>
  /** The pool has roles, and its folders nothing to get in with: the key was no `pool.join`. */
  readonly isWithoutDoors: boolean
}

/** The voters of a snapshot. */
export function votersIn({ state }: Snapshot): string[] {
  return [...state.servers.values()]
    .filter(({ role }) => role === 'voter')
    .map(({ name }) => name)
    .sort()
}

/**
 * Makes the data folders of a pool that goes on from a snapshot. Writes nothing when anything is wrong.
 *
 * @throws LicdError LICD_BAD_CONFIG (names), LICD_BAD_KEY, LICD_WRONG_POOL (another pool's key),
 *   LICD_ALREADY_INITIALISED, LICD_STORAGE
 */
export async function restorePool(options: RestoreOptions): Promise<Anew> {
  const { snapshot, keyFile, folder } = options
  const servers = checkedServers(options.servers ?? votersIn(snapshot))
  const { header, chunks } = snapshot
  const { authority, ...old } = await readPoolKey(keyFile)
  if (old.fingerprint !== header.fingerprint) {
    throw new LicdError('LICD_WRONG_POOL', `${keyFile} is not the key of the pool in the snapshot.`)
  }
  const folders = Object.fromEntries(servers.map(server => [server, join(folder, server)]))
  for (const path of Object.values(folders)) await refuseUsed(path)
  if (authority !== undefined) await refusePresent(join(folder, 'pool.join'))
  const key = renewed(options, { ...old, epoch: Math.max(old.epoch, header.epoch) })
  const recovery = recoverCommand(options, servers, 'restore')
  const { pool } = old
  const places = authority && new Map(servers.map(name => [name, addressOf(authority, name)]))
  const issue = { now: Math.trunc(options.wall()), randomBytes: options.randomBytes }
  const issued: Issued[] = []
  for (const [server, path] of Object.entries(folders)) {
    options.onStep?.(`writing ${path}`)
    await makeFolder(path, { server, servers, key }, async () => {
      await onStorage(join(path, 'raft'), (storage, done) =>
        seed(
          storage,
          {
            chunks,
            index: header.index,
            term: header.term,
            voters: servers,
            commands: [recovery],
          },
          done,
        ),
      )
      const address = places?.get(server)
      if (authority === undefined || address === undefined) return
      issued.push(await writeNatsFolder(path, authority, { pool, server, address }, issue))
    })
  }
  await storageCall(folder, async () => {
    // The doors stay the same, and so do contexts; the keys are new.
    if (authority !== undefined) {
      const content = { ...key, authority: remember(authority, issued, issue.now) }
      await writeSynced(join(folder, 'pool.join'), 0o600, keyFileContent(content))
    }
    await syncFolder(folder)
  })
  const isWithoutDoors = authority === undefined && old.issuer !== undefined
  return { identity: identityOf(key), folders, isWithoutDoors }
}

function addressOf(authority: Authority, server: string): Address {
  const address = authority.servers.get(server)
  if (address !== undefined) return address
  const what = `pool.join does not say where ${server} is reached: restore others, and join it to them.`
  throw new LicdError('LICD_BAD_CONFIG', what)
}

export interface Recovery {
  readonly file: ServerFile
  readonly remains: Remains
  /** Does it, and closes. */
  carryOut(
    options: Chance & {
      /** Servers that will come back with new folders, beside this one. Others are removed. */
      readonly survivors: readonly string[]
      readonly holdTicks?: number
    },
  ): Promise<PoolIdentity>
  /** Gives the folder free. */
  close(): Promise<void>
}

/**
 * Opens the folder of a survivor, whose server must not run, to go on from it without the majority.
 *
 * @throws LicdError LICD_NOT_INITIALISED, LICD_DATA_LOCKED, LICD_DATA_DAMAGED, LICD_BAD_KEY, LICD_STORAGE
 */
export async function openRecovery(folder: string): Promise<Recovery> {
  const file = await readServerFile(folder)
  const old = await readPoolKey(join(folder, 'pool.key'))
  const storage = await storageCall(folder, () => openLevelStorage(join(folder, 'raft')))
  const close = () => new Promise<void>(resolve => storage.close(resolve))
  try {
    const remains = await readRemains(folder, storage)
    return {
      file,
      remains,
      close,
      carryOut: async options => {
        try {
          return await begin(folder, { file, old, storage }, options)
        } finally {
          await close()
        }
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** The key and the identity first: a crash between leaves a server that can lead nobody, and this can be repeated. */
async function begin(
  folder: string,
  { file, old, storage }: { file: ServerFile; old: PoolKeyFile; storage: Storage },
  options: Chance & { readonly survivors: readonly string[]; readonly holdTicks?: number },
): Promise<PoolIdentity> {
  const { server } = file
  const names = checkedServers([...new Set([server, ...options.survivors])])
  const key = renewed(options, { ...old, epoch: Math.max(old.epoch, file.epoch) })
  const command = recoverCommand(options, names, 'recover')
  await storageCall(folder, async () => {
    await replaceSynced(join(folder, 'pool.key'), 0o600, keyFileContent(key))
    const next = serverFile({ server, servers: [server], key })
    await replaceSynced(join(folder, 'server.json'), 0o644, next)
    await raftCall(done => recover(storage, { voter: server, commands: [command] }, done))
    await rm(join(folder, 'seats.book'), { force: true })
    await syncFolder(folder)
  })
  return identityOf(key)
}

async function readRemains(folder: string, storage: Storage): Promise<Remains> {
  const remains = await new Promise<Remains | undefined>((resolve, reject) => {
    storage.read((error, state) => {
      if (error === undefined) resolve(remainsOf(state))
      else reject(error)
    })
  })
  if (remains === undefined) {
    const what = `${folder} holds no log: there is nothing to go on from. Restore a snapshot.`
    throw new LicdError('LICD_NOT_INITIALISED', what)
  }
  return remains
}

function checkedServers(servers: readonly string[]): string[] {
  const names = [...new Set(servers)].sort()
  const wrong = names.find(name => !isServerName(name))
  if (wrong !== undefined) {
    throw new LicdError('LICD_BAD_CONFIG', `Server name ${JSON.stringify(wrong)} is none.`)
  }
  if (names.length < 1 || names.length > bounds.voters) {
    throw new LicdError('LICD_BAD_CONFIG', `1 to ${bounds.voters} servers.`)
  }
  return names
}

/** The same pool with nothing that proves what was. */
function renewed({ wall, randomBytes }: Chance, old: PoolKeyFile): PoolKeyFile {
  const clusterId = createHash('sha256')
    .update(old.clusterId)
    .update(randomBytes(32))
    .digest('base64url')
  const epoch = Math.max(old.epoch + 1, Math.trunc(wall()))
  return { ...old, clusterId, epoch, macKeys: [randomBytes(macKeyBytes)] }
}

function identityOf({ pool, fingerprint, clusterId, epoch }: PoolKeyFile): PoolIdentity {
  return { pool, fingerprint, clusterId, epoch }
}

function recoverCommand(
  { wall, holdTicks = 0 }: Chance & { readonly holdTicks?: number },
  servers: readonly string[],
  by: string,
): Uint8Array {
  const body = { type: 'recover', servers, holdTicks, wallMs: Math.trunc(wall()) } as const
  const command: Command = { id: '', deadline: 0, by, body }
  return commandCodec.encode(command)
}

async function onStorage(
  folder: string,
  run: (storage: Storage, done: (error: RaftError | undefined) => void) => void,
): Promise<void> {
  const storage = await openLevelStorage(folder)
  try {
    await raftCall(done => run(storage, done))
  } finally {
    await new Promise<void>(resolve => storage.close(resolve))
  }
}

function raftCall(run: (done: (error: RaftError | undefined) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    run(error => {
      if (error === undefined) resolve()
      else reject(error)
    })
  })
}
