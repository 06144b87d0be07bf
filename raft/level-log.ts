/**
 * Looks at LevelDB's files, since it does not say all that is wrong with them.
 *
 * Of its write-ahead log it reports records whose checksum is wrong, to a log of its own doings alone, and takes a
 * header of zeros for the end of the written part, skipping the rest of its block without a word: one zeroed page
 * then silently cuts acknowledged writes off. So zeros are believed only where nothing but zeros follows.
 *
 * Format: blocks of 32 KiB; in them records of CRC (4 bytes), length (2, little endian), type (1), data; a block's
 * last bytes, too few for a header, are zero.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

const blockBytes = 32 * 1024
const headerBytes = 7

/** What speaks against the database in this folder, or `undefined`. Reads, and changes nothing. */
export async function suspicion(database: string): Promise<string | undefined> {
  const names = (await readdir(database)).sort()
  const told = await readFile(join(database, 'LOG'), 'utf8').catch(() => '')
  const line = told.split('\n').find(one => /dropping \d+ bytes|corruption/i.test(one))
  if (line !== undefined) {
    const [, name = 'its log', what = line] = /([^/\s]+): (dropping .*)$/i.exec(line) ?? []
    return `the database, when it was opened, says of ${name}: ${what}`
  }
  for (const name of names.filter(one => one.endsWith('.log'))) {
    if (hasHole(await readFile(join(database, name))))
      return `the database's log ${name} has a hole`
  }
  const current = await readFile(join(database, 'CURRENT'), 'utf8').catch(() => undefined)
  if (current !== undefined && !names.includes(current.trim())) {
    return `the database's file ${JSON.stringify(current.trim())} is missing`
  }
  // LevelDB takes it for a new database, and would delete the files that are there.
  const isBegun = names.some(name => /\.(ldb|sst|log)$/.test(name))
  if (current === undefined && isBegun) return "the database's file CURRENT is missing"
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
