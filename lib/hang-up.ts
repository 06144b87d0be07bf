/** Has a license server that runs on this host read its configuration again, as `systemctl reload` does. */
import { join } from 'node:path'
import { ownerOf } from '../raft/index.ts'

/** The id of the process that has the data folder open and was told (SIGHUP); undefined when none is known, or may be told. */
export async function hangUp(dataFolder: string): Promise<number | undefined> {
  const pid = await ownerOf(join(dataFolder, 'raft'))
  if (pid === undefined) return undefined
  try {
    process.kill(pid, 'SIGHUP')
    return pid
  } catch {
    // It has ended meanwhile, or is another user's.
    return undefined
  }
}
