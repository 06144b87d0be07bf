/** `licd ctl servers`: the servers of the pool. */
import { viewPool } from '../../lib/ctl/pool-view.ts'
import { defineCommand } from '../command.ts'
import { sessionOptions, withSession } from '../session.ts'
import { printServers } from './status.ts'

export const serversCommand = defineCommand({
  command: 'servers',
  describe: 'Show the servers: state, role, and how long each may still grant',
  positionals: {},
  options: sessionOptions,
  examples: [
    ['ctl servers', 'one line a server'],
    ['ctl servers --json', 'for programs'],
  ],
  epilogue:
    'up: heard in the last 3 ticks. silent: not, but its lease may still run and it may serve. ' +
    'down: its lease is over, its allocations may be used by others.',
  run: (args, program) =>
    withSession(args, program.environment, async ({ client }) => {
      const view = await viewPool(client)
      const { status, answeredBy, lease } = view
      if (args.json) {
        const servers = status.servers.map(server => ({ ...server, ...lease[server.name] }))
        program.printJson({ pool: status.pool, leader: status.leader, answeredBy, servers })
      } else {
        printServers(program, view)
      }
      return 0
    }),
})
