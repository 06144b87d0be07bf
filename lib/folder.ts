/**
 * Files of a data folder, written so that they are there after a crash, and read with errors that say what to do.
 */
import { chmod, open, readFile, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { RaftError } from '../raft/error.ts'
import { LicdError } from './error.ts'
import { isFields } from './server/ctl-request.ts'
import { asLicdError } from './server/fatal.ts'

/** Refuses a folder that holds anything. Throws LICD_ALREADY_INITIALISED. */
export async function refuseUsed(path: string): Promise<void> {
  let names: string[]
  try {
    names = await readdir(path)
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return
    throw new LicdError('LICD_ALREADY_INITIALISED', `${path}.`, { cause })
  }
  if (names.length > 0) throw new LicdError('LICD_ALREADY_INITIALISED', `${path}.`)
}

/** Refuses a file that is there. Throws LICD_ALREADY_INITIALISED. */
export async function refusePresent(path: string): Promise<void> {
  try {
    await stat(path)
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return
    throw new LicdError('LICD_ALREADY_INITIALISED', `${path}.`, { cause })
  }
  throw new LicdError('LICD_ALREADY_INITIALISED', `${path} is there already.`)
}

/** A new file: one that is there already is an error. */
export async function writeSynced(path: string, mode: number, content: object): Promise<void> {
  await writeTextSynced(path, mode, `${JSON.stringify(content, undefined, 2)}\n`)
}

/** The same for text. */
export async function writeTextSynced(path: string, mode: number, text: string): Promise<void> {
  const file: FileHandle = await open(path, 'wx', mode)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await chmod(path, mode) // whatever the umask says
}

/** In the place of what is there: the old content or the new, never a part. */
export async function replaceSynced(
  path: string,
  mode: number,
  content: object,
  owner?: { readonly uid: number; readonly gid: number },
): Promise<void> {
  await replaceTextSynced(path, mode, `${JSON.stringify(content, undefined, 2)}\n`, owner)
}

/** The same for text. */
export async function replaceTextSynced(
  path: string,
  mode: number,
  text: string,
  owner?: { readonly uid: number; readonly gid: number },
): Promise<void> {
  const draft = `${path}.new`
  const file: FileHandle = await open(draft, 'w', mode)
  try {
    await file.chmod(mode)
    if (owner !== undefined) await file.chown(owner.uid, owner.gid)
    await file.writeFile(text)
    await file.sync()
    await rename(draft, path)
  } catch (cause) {
    await rm(draft, { force: true })
    throw cause
  } finally {
    await file.close()
  }
  await syncFolder(dirname(path))
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Runs what touches the disk; what it throws becomes a LicdError, LICD_STORAGE where it is nothing better known. */
export async function storageCall<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (cause) {
    if (cause instanceof RaftError || cause instanceof LicdError) throw asLicdError(cause)
    throw new LicdError('LICD_STORAGE', `${path}.`, { cause })
  }
}

/** `undefined` when there is no such file. Throws LICD_STORAGE, LICD_DATA_DAMAGED. */
export async function readJson(
  path: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
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

export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
