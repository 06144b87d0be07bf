/** Bare request and reply: one nats-server, one responder process. */
import { fileURLToPath } from 'node:url'
import { findNatsServer } from '../../lib/nats-server.ts'
import { startNatsServer } from '../../test/nats-server.ts'
import { startChild, versionOf } from '../child.ts'
import type { Contender } from '../contender.ts'

const responder = fileURLToPath(new URL('../echo-server.js', import.meta.url))

export const echo: Contender = {
  name: 'echo',
  title: 'NATS request and reply',
  rows: [
    {
      id: 'echo.request',
      title: 'echo: nc.request()',
      contender: 'echo',
      driver: 'echo',
      operation: 'request',
    },
    {
      id: 'echo.mux',
      title: 'ceiling: echo, own reply mux',
      contender: 'echo',
      driver: 'echo',
      operation: 'mux',
    },
  ],
  look() {
    const program = findNatsServer()
    if (program === undefined) return { here: false, why: 'apt-get install nats-server' }
    return { here: true, version: versionOf(program, ['--version'], /v(\d\S*)/) }
  },
  async start() {
    const nats = await startNatsServer()
    const server = startChild(process.execPath, [responder, nats.url])
    await server.until(/ready/)
    return {
      address: { urls: [nats.url] },
      processes: () => [
        { name: 'responder', pid: server.pid },
        { name: 'nats-server', pid: nats.pid },
      ],
      async stop() {
        await server.stop()
        await nats.stop()
      },
    }
  },
}
