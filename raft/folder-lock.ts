/**
 * One opener per data folder.
 *
 * LevelDB has a lock of its own, but a second attempt in the same process fails *and drops that lock*, after
 * which another process may open the live database. So we keep our own book first: folders open in this
 * process, and a file that names the owner, for a copy of this module in another thread or bundle.
 *
 * The file alone decides only within one process; between processes LevelDB's lock does, and a file left by a
 * process that is gone is taken over.
 */
import { lstat, mkdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RaftError } from './error.ts'

const open = new Set<string>()

/**
 * Takes the folder (made if absent); the function returned gives it free.
 *
 * @throws RaftError RAFT_LOCKED, RAFT_STORAGE
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = await storageCall(async () => {
    await mkdir(folder, { recursive: true })
    return realpath(folder)
  })
  if (open.has(path)) throw new RaftError('RAFT_LOCKED', `${folder} is open in this process.`)
  open.add(path)
  try {
    const file = join(path, 'owner')
    const self = await ownName(path)
    const owner = await readFile(file, 'utf8').catch(() => '')
    if (self !== undefined && owner === self) {
      throw new RaftError('RAFT_LOCKED', `${folder} is open in this process.`)
    }
    await storageCall(() => writeFile(file, self ?? ''))
    return async () => {
      await rm(file, { force: true }).catch(() => {})
      open.delete(path)
    }
  } catch (error) {
    open.delete(path)
    throw error
  }
}

/**
 * Boot, process id and its start time: no other process ever has the same. And the folder itself, so that a
 * copy of it is not taken. Linux alone tells.
 */
async function ownName(path: string): Promise<string | undefined> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    const stat = await readFile('/proc/self/stat', 'utf8')
    // The name of the program, in brackets, may contain spaces; start time is field 22, 20th after it.
    const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    const { dev, ino } = await lstat(path)
    if (start === undefined) return undefined
    return `${boot.trim()} ${process.pid} ${start} ${dev}:${ino}`
  } catch {
    return undefined
  }
}

/** Runs a file operation; what it throws becomes RAFT_STORAGE. */
export async function storageCall<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (cause) {
    if (cause instanceof RaftError) throw cause
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new RaftError('RAFT_STORAGE', `${text}.`, { cause })
  }
}
