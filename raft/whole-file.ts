/**
 * Files that are there as a whole or not at all, whatever moment a crash picks.
 */
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Replaces the file; it is on the disk when this resolves. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const fresh = `${path}.new`
  const file = await open(fresh, 'w')
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(fresh, path)
  await syncFolder(dirname(path))
}

/** A new name is not there for good before its folder is synced. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
