/**
 * The disk of a server: a folder, opened by one process, checked at start, synced at every write.
 *
 * It holds `db/` (LevelDB), `vote` and `mark` (see `vote-file.ts`), `owner` (see `folder-lock.ts`), and after a
 * damage `damaged-<n>/`, the database as it was found, for whoever wants to look into it; `DAMAGED` is there from
 * when a fault was found until a start has dealt with it.
 */
import { existsSync } from 'node:fs'
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { RaftError } from './error.ts'
import { lockFolder, ownerOf, storageCall } from './folder-lock.ts'
import { LevelDisk } from './level-disk.ts'
import { suspicion } from './level-log.ts'
import { markerText } from './marker.ts'
import { openLogStore } from './open-store.ts'
import { silentLogger, type Logger } from './ports.ts'
import type { Storage } from './storage.ts'
import { readStore } from './store-check.ts'
import { writeWhole } from './whole-file.ts'

/**
 * Opens the folder (made if absent), and checks all that is in it. A damaged database is set aside and the
 * server begins anew, without a voice, until a leader has taught it (`PersistedState.trust`, `Storage.damage`);
 * that is logged as `raft-damaged`.
 *
 * @throws RaftError RAFT_LOCKED, RAFT_DAMAGED (again and again), RAFT_STORE_VERSION, RAFT_STORAGE
 */
export async function openLevelStorage(
  folder: string,
  { log = silentLogger }: { readonly log?: Logger } = {},
): Promise<Storage> {
  const disk = new LevelDisk(folder, await lockFolder(folder))
  return new Promise((resolve, reject) => {
    openLogStore(
      disk,
      (error, store) => {
        if (store === undefined) disk.close(() => reject(error ?? new Error('no store')))
        else resolve(store)
      },
      (event, found) => {
        if (event === 'raft-damaged') log.error(event, { code: 'RAFT_DAMAGED', folder, found })
        else log.warn(event, { folder, found })
      },
    )
  })
}

/**
 * Looks whether the log of a folder is whole, and changes nothing of it: what is wrong, in words for an operator, or
 * undefined. It is read from a copy: LevelDB tells of what it drops in the one open that drops it, and that shall be
 * the server's own. `scratch` is a folder for the copy, which the caller removes.
 *
 * @throws RaftError RAFT_LOCKED (a process runs on it), RAFT_STORAGE
 */
export async function inspectLevelStorage(
  folder: string,
  scratch: string,
): Promise<string | undefined> {
  const database = join(folder, 'db')
  if (!existsSync(database)) return 'it has no database'
  if (existsSync(join(folder, 'DAMAGED')))
    return 'a fault was found, and no start has dealt with it'
  if ((await ownerOf(folder)) !== undefined) throw new RaftError('RAFT_LOCKED', `${folder}.`)
  const found = await storageCall(async () => {
    const wrong = await suspicion(database)
    if (wrong === undefined) await cp(database, join(scratch, 'db'), { recursive: true })
    return wrong
  })
  return found ?? (await readCopy(new LevelDisk(scratch, () => Promise.resolve())))
}

async function readCopy(disk: LevelDisk): Promise<string | undefined> {
  try {
    return await new Promise((resolve, reject) => {
      const failed = (error: RaftError): void => {
        if (error.code === 'RAFT_DAMAGED') resolve(error.detail ?? error.message)
        else reject(error)
      }
      disk.open((error, opened) => {
        const { database, evidence = ['it cannot be opened'] } = opened ?? {}
        if (error !== undefined) failed(error)
        else if (database === undefined || evidence.length > 0) resolve(evidence[0])
        else
          readStore(database, wrong => (wrong === undefined ? resolve(undefined) : failed(wrong)))
      })
    })
  } finally {
    await new Promise<void>(resolve => disk.close(resolve))
  }
}

/**
 * Notes that what a folder holds must not be believed, because of `reason`: its next start sets the database aside
 * and relearns everything. For a folder that is not open; `Storage.condemn` does it for one that is.
 *
 * @throws RaftError RAFT_LOCKED, RAFT_STORAGE
 */
export async function condemn(folder: string, reason: string): Promise<void> {
  const unlock = await lockFolder(folder)
  try {
    await storageCall(async () => {
      await mkdir(folder, { recursive: true })
      await writeWhole(join(folder, 'DAMAGED'), markerText({ reason }))
    })
  } finally {
    await unlock()
  }
}
