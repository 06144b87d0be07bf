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
 * Everything acknowledged before the call is in the file. It is read back and checked before this returns. `onStep` is told
 * what is being done.
 *
 * @throws LicdError as `CtlClient.ask`; LICD_SNAPSHOT_GONE, LICD_STORAGE, LICD_BAD_SNAPSHOT
 */
export async function saveSnapshot(
  client: CtlClient,
  path: string,
  onStep: (what: string) => void = () => undefined,
): Promise<Saved> {
  const { session, header, server } = await client.ask('snapshot-open', { by: client.by })
  let read = 0
  const told = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of readChunks(client, server, session)) {
      read += chunk.byteLength
      onStep(`reading the ledger of ${server}: ${(read / 1e6).toFixed(1)} MB`)
      yield chunk
    }
  }
  const bytes = await writeSnapshotFile(path, header, told())
  onStep(`checking ${path}`)
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
