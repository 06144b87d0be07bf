/**
 * Files that hold a secret: for their owner's eyes alone, or they are refused.
 */
import { readFile, stat } from 'node:fs/promises'
import { isErrno } from './folder.ts'
import { LicdError } from './error.ts'

/** No key, context or credentials file is larger. */
export const secretBytesMax = 64 * 1024

/**
 * Refuses a file that others may read, write or run. One that belongs to root may be read by the group of a process
 * that is not root: so secrets are mounted in containers.
 *
 * @throws LicdError LICD_BAD_KEY (it says what to type)
 */
export function refuseLoose(
  path: string,
  { mode, uid }: { readonly mode: number; readonly uid: number },
  processUid: number | undefined = process.getuid?.(),
): void {
  // Windows has no such modes: Node makes them up.
  if (processUid === undefined) return
  const mounted = uid === 0 && processUid !== 0
  if ((mode & (mounted ? 0o037 : 0o077)) === 0) return
  throw new LicdError('LICD_BAD_KEY', `${path}: others may read it; type: chmod 600 ${path}.`)
}

/**
 * The text of a secret file; undefined when there is no such file.
 *
 * @throws LicdError LICD_BAD_KEY (others may read it, it is too large, it cannot be read)
 */
export async function readSecret(path: string): Promise<string | undefined> {
  try {
    const found = await stat(path)
    refuseLoose(path, found)
    if (found.size > secretBytesMax) {
      throw new LicdError('LICD_BAD_KEY', `${path}: it is larger than ${secretBytesMax} bytes.`)
    }
    return await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof LicdError) throw cause
    if (isErrno(cause, 'ENOENT') || isErrno(cause, 'ENOTDIR')) return undefined
    throw new LicdError('LICD_BAD_KEY', `${path}: it cannot be read.`, { cause })
  }
}
