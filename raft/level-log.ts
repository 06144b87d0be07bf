/**
 * Looks through LevelDB's write-ahead log before LevelDB does.
 *
 * LevelDB tells of records whose checksum is wrong, but takes a header of zeros for the end of the written part
 * and skips the rest of its block without a word: one zeroed page then silently cuts acknowledged writes off. So
 * zeros are believed only where nothing but zeros follows.
 *
 * Format: blocks of 32 KiB; in them records of CRC (4 bytes), length (2, little endian), type (1), data; a block's
 * last bytes, too few for a header, are zero.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

const blockBytes = 32 * 1024
const headerBytes = 7

/** The name of a log with written data behind a hole, or `undefined`. */
export async function findHole(database: string): Promise<string | undefined> {
  const names = await readdir(database).catch(() => [])
  for (const name of names.filter(one => one.endsWith('.log')).sort()) {
    if (hasHole(await readFile(join(database, name)))) return name
  }
  return undefined
}

export function hasHole(log: Buffer): boolean {
  let at = 0
  while (at + headerBytes <= log.length) {
    const left = blockBytes - (at % blockBytes)
    if (left < headerBytes) {
      at += left
      continue
    }
    const length = log.readUInt16LE(at + 4)
    if (length === 0 && log[at + 6] === 0) return log.subarray(at).some(byte => byte !== 0)
    // A record never crosses a block: LevelDB itself reports what claims to.
    at += Math.min(left, headerBytes + length)
  }
  return false
}
