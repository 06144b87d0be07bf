/** The floor of a replicated write: see `floor-server.ts`. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findNatsServer } from '../../lib/nats-server.ts'
import { startNatsServer } from '../../test/nats-server.ts'
import { startChild } from '../child.ts'
import type { Contender } from '../contender.ts'

const program = fileURLToPath(new URL('../floor-server.js', import.meta.url))

export const floor: Contender = {
  name: 'floor',
  title: 'NATS and synced LevelDB batches on three processes',
  rows: [
    {
      id: 'floor.put',
      title: 'floor: NATS + LevelDB, no Raft',
      contender: 'floor',
      driver: 'floor',
      operation: 'put',
    },
  ],
  look() {
    if (findNatsServer() === undefined) return { here: false, why: 'apt-get install nats-server' }
    return { here: true, version: 'as licd has it' }
  },
  async start(folder) {
    const nats = await startNatsServer()
    const servers = [0, 1, 2].map(number =>
      startChild(process.execPath, [
        program,
        nats.url,
        join(folder, String(number)),
        String(number),
      ]),
    )
    await Promise.all(servers.map(server => server.until(/ready/)))
    return {
      address: { urls: [nats.url] },
      processes: () => [
        ...servers.map(({ pid }, number) => ({ name: `server ${number}`, pid })),
        { name: 'nats-server', pid: nats.pid },
      ],
      async stop() {
        await Promise.all(servers.map(server => server.stop()))
        await nats.stop()
      },
    }
  },
}
