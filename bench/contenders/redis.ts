/** Redis, one node, no persistence: nothing is replicated, nothing survives it. */
import { connect } from 'node:net'
import { once } from 'node:events'
import { findProgram, freePorts, startChild, untilWorks, versionOf } from '../child.ts'
import type { Contender, Row } from '../contender.ts'

const row = (operation: string, title: string): Row => ({
  id: `redis.${operation}`,
  title,
  contender: 'redis',
  driver: 'redis',
  operation,
})

export const redis: Contender = {
  name: 'redis',
  title: 'Redis, one node, no persistence',
  rows: [
    row('client', 'Redis: checkout, script, 1 node'),
    row('bare', 'Redis: the same without a client'),
  ],
  look() {
    const program = findProgram('redis-server')
    if (program === undefined) return { here: false, why: 'apt-get install redis-server' }
    return { here: true, version: versionOf(program, ['--version'], /v=(\S+)/) }
  },
  async start(folder) {
    const [port = 0] = await freePorts(1)
    const settings = ['--save', '', '--appendonly', 'no', '--dir', folder, '--bind', '127.0.0.1']
    const program = findProgram('redis-server') ?? 'redis-server'
    const server = startChild(program, ['--port', String(port), ...settings])
    await untilWorks('redis', async () => {
      const socket = connect({ host: '127.0.0.1', port })
      await once(socket, 'connect')
      socket.destroy()
    })
    return {
      address: { urls: [`redis://127.0.0.1:${port}`] },
      processes: () => [{ name: 'redis-server', pid: server.pid }],
      stop: () => server.stop(),
    }
  },
}
