/**
 * The next MAC key of a pool on its way to the servers: a file of its own, made once, brought to each host by a way that
 * nobody else can read, and taken into `pool.key` there. It crosses no wire of licd's and stands in no log.
 */
import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { LicdError } from './error.ts'
import { readJson, replaceSynced, storageCall, syncFolder, writeSynced } from './folder.ts'
import {
  keyFileContent,
  macKeyBytes,
  macKeysMax,
  readMacKey,
  readPoolKey,
  type PoolKeyFile,
} from './pool-key.ts'
import { refuseLoose } from './secret-file.ts'
import type { KeyStore } from './server/key-holder.ts'
import { asLicdError } from './server/fatal.ts'
import { macKeyId } from './token-keys.ts'

const format = 1

/** Ids of the keys in a file, newest first, and which file it is. */
export interface HeldKeys {
  readonly file: string
  readonly kids: readonly string[]
  /** It was so already. */
  readonly unchanged: boolean
}

/**
 * Makes a new key for the pool whose `pool.key` or `pool.join` is given. Answers its id.
 *
 * @throws LicdError LICD_BAD_KEY, LICD_STORAGE (`out` is there already)
 */
export async function makeKeyFile(options: {
  readonly keyFile: string
  readonly out: string
  readonly randomBytes: (count: number) => Uint8Array
}): Promise<{ readonly pool: string; readonly kid: string }> {
  const { out, randomBytes } = options
  const { pool, clusterId } = await readPoolKey(await keyFileOf(options.keyFile))
  const macKey = randomBytes(macKeyBytes)
  const kid = macKeyId(macKey)
  const text = Buffer.from(macKey).toString('base64url')
  await storageCall(out, async () => {
    await writeSynced(out, 0o600, { format, pool, clusterId, kid, macKey: text })
    await syncFolder(dirname(out))
  })
  return { pool, kid }
}

/**
 * Takes a key into a server's data folder, or into a `pool.key` or `pool.join`. The file is replaced as a whole and
 * keeps its owner; a key that it holds already is no error.
 *
 * @throws LicdError LICD_BAD_KEY, LICD_WRONG_POOL, LICD_TOO_MANY (the message says what to type), LICD_STORAGE
 */
export async function addKey(from: string, to: string): Promise<HeldKeys> {
  const fresh = await readKeyFile(from)
  const file = await keyFileOf(to)
  const key = await readPoolKey(file)
  if (fresh.pool !== key.pool || fresh.clusterId !== key.clusterId) {
    const what = `${from} is for pool ${fresh.pool} as it was when it was made, and ${file} is not.`
    throw new LicdError('LICD_WRONG_POOL', what)
  }
  const kids = key.macKeys.map(macKeyId)
  if (kids.includes(fresh.kid)) return { file, kids, unchanged: true }
  if (kids.length === macKeysMax) {
    const what = `${file} holds ${macKeysMax} keys: licd key drop one that is heard no more.`
    throw new LicdError('LICD_TOO_MANY', what)
  }
  return await replace(file, { ...key, macKeys: [fresh.macKey, ...key.macKeys] })
}

/**
 * Takes a key out of such a file. The last one stays.
 *
 * @throws LicdError LICD_BAD_KEY (it is not there, or is the last), LICD_STORAGE
 */
export async function dropKey(kid: string, from: string): Promise<HeldKeys> {
  const file = await keyFileOf(from)
  const key = await readPoolKey(file)
  const macKeys = key.macKeys.filter(macKey => macKeyId(macKey) !== kid)
  if (macKeys.length === key.macKeys.length) {
    throw new LicdError('LICD_BAD_KEY', `${file} does not hold key ${kid}.`)
  }
  if (macKeys.length === 0) throw new LicdError('LICD_BAD_KEY', `${kid} is all that ${file} has.`)
  return await replace(file, { ...key, macKeys })
}

/** Of such a file, or of what `makeKeyFile` made. Throws LICD_BAD_KEY, LICD_STORAGE. */
export async function listKeys(of: string): Promise<HeldKeys> {
  const file = await keyFileOf(of)
  if ((await readJson(file))?.kid !== undefined) {
    return { file, kids: [(await readKeyFile(file)).kid], unchanged: true }
  }
  const { macKeys } = await readPoolKey(file)
  return { file, kids: macKeys.map(macKeyId), unchanged: true }
}

/** What a running server looks at again. */
export function fileKeyStore(file: string): KeyStore {
  return {
    read(done) {
      readPoolKey(file).then(
        ({ macKeys }) => done(macKeys),
        (cause: unknown) => done(undefined, asLicdError(cause)),
      )
    },
  }
}

async function replace(file: string, key: PoolKeyFile): Promise<HeldKeys> {
  const kids = key.macKeys.map(macKeyId)
  await storageCall(file, async () => {
    const { mode, uid, gid } = await stat(file)
    // Done by root for a server that runs as another user: it must be able to read it afterwards.
    await replaceSynced(file, mode & 0o777, keyFileContent(key), { uid, gid })
  })
  return { file, kids, unchanged: false }
}

/** The key file that is meant: of a data folder, its own. Throws LICD_BAD_KEY. */
async function keyFileOf(path: string): Promise<string> {
  try {
    return (await stat(path)).isDirectory() ? join(path, 'pool.key') : path
  } catch (cause) {
    throw new LicdError('LICD_BAD_KEY', `${path}: it is missing, or cannot be read.`, { cause })
  }
}

async function readKeyFile(path: string) {
  const bad = (why: string): LicdError => new LicdError('LICD_BAD_KEY', `${path}: ${why}.`)
  const file = await readJson(path)
  if (file === undefined) throw bad('it is missing')
  refuseLoose(path, await stat(path))
  const { pool, clusterId } = file
  const macKey = readMacKey(file.macKey)
  if (file.format !== format || typeof pool !== 'string' || typeof clusterId !== 'string') {
    throw bad('it is no key that licd key make made')
  }
  if (macKey === undefined || macKeyId(macKey) !== file.kid) throw bad('its key is damaged')
  return { pool, clusterId, macKey, kid: macKeyId(macKey) }
}
