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
 * The id of the process that has the folder open, by the file that names it; undefined when none is known to. A process in
 * a container of its own is not seen from outside, and none is where the system is not Linux.
 */
export async function ownerOf(folder: string): Promise<number | undefined> {
  const owner = await readFile(join(folder, 'owner'), 'utf8').catch(() => '')
  const [boot, id = '', start] = owner.split(' ')
  const now = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  if (owner === '' || boot !== now.trim() || !/^\d+$/.test(id)) return undefined
  return (await startOf(id).catch(() => undefined)) === start ? Number(id) : undefined
}

/** When a process began, as the system counts it. */
async function startOf(id: string): Promise<string | undefined> {
  const stat = await readFile(`/proc/${id}/stat`, 'utf8')
  // The name of the program, in brackets, may contain spaces; start time is field 22, 20th after it.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}

/**
 * Boot, process id and its start time: no other process ever has the same. And the folder itself, so that a
 * copy of it is not taken. Linux alone tells.
 */
async function ownName(path: string): Promise<string | undefined> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    const start = await startOf('self')
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
