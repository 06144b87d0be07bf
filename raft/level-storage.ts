/**
 * The disk of a server: a folder, opened by one process, checked at start, synced at every write.
 *
 * It holds `db/` (LevelDB), `vote` and `mark` (see `vote-file.ts`), `owner` (see `folder-lock.ts`), and after a
 * damage `damaged-<n>/`, the database as it was found, for whoever wants to look into it; `DAMAGED` is there from
 * when a fault was found until a start has dealt with it.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { lockFolder, storageCall } from './folder-lock.ts'
import { LevelDisk } from './level-disk.ts'
import { markerText } from './marker.ts'
import { openLogStore } from './open-store.ts'
import { silentLogger, type Logger } from './ports.ts'
import type { Storage } from './storage.ts'
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
