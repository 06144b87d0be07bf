/**
 * Saves a snapshot of a running pool: one server's ledger of one moment, chunk by chunk, into a file.
 */
import type { SnapshotHeader } from '../protocol/ctl.ts'
import { readSnapshotFile, writeSnapshotFile } from '../snapshot-file.ts'
import type { CtlClient } from './ctl-client.ts'

export interface Saved {
  readonly header: SnapshotHeader
  readonly server: string
  readonly bytes: number
}

/**
 * Everything acknowledged before the call is in the file. It is read back and checked before this returns.
 *
 * @throws LicdError as `CtlClient.ask`; LICD_SNAPSHOT_GONE, LICD_STORAGE, LICD_BAD_SNAPSHOT
 */
export async function saveSnapshot(client: CtlClient, path: string): Promise<Saved> {
  const { session, header, server } = await client.ask('snapshot-open', { by: client.by })
  const bytes = await writeSnapshotFile(path, header, readChunks(client, server, session))
  await readSnapshotFile(path)
  return { header, server, bytes }
}

async function* readChunks(
  client: CtlClient,
  server: string,
  session: string,
): AsyncGenerator<Uint8Array> {
  for (let chunk = 0; ; chunk++) {
    const { data } = await client.ask('snapshot-read', { session, chunk }, { server })
    if (data === undefined) return
    yield Buffer.from(data, 'base64')
  }
}
