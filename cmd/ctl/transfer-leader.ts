/** `licd ctl transfer-leader`: hands the leader's office over, before a host is taken out of service. */
import { isServerName } from '../../lib/protocol/subject.ts'
import { defineCommand, usage } from '../command.ts'
import { sessionOptions, withSession } from '../session.ts'

export const transferLeaderCommand = defineCommand({
  command: 'transfer-leader [to]',
  describe: 'Make another server the leader',
  positionals: { to: { type: 'string', describe: 'Which; the fittest when absent' } },
  options: sessionOptions,
  examples: [['ctl transfer-leader beta', 'beta leads from now on']],
  run: async (args, program) => {
    const { to } = args
    if (to !== undefined && !isServerName(to)) throw usage('[to] is no server name.')
    return await withSession(args, program.environment, async ({ client }) => {
      const { leader, server } = await client.transferLeader(to)
      if (args.json) program.printJson({ leader, server })
      else program.print(leader === undefined ? 'no leader is known yet' : `${leader} leads`)
      return 0
    })
  },
})
