/** `licd join`: makes the data folder of a server that is to join a pool. */
import { resolve } from 'node:path'
import { isServerName } from '../lib/protocol/subject.ts'
import { defineCommand, usage } from './command.ts'

export const joinCommand = defineCommand({
  command: 'join <name>',
  describe: 'Make the data folder of a server that is to join a pool',
  positionals: {
    name: { type: 'string', demandOption: true, describe: 'Name of the new server' },
  },
  options: {
    key: {
      type: 'string',
      demandOption: true,
      describe: 'pool.key of any server of the pool: secret, readable by its owner alone',
    },
    out: { type: 'string', demandOption: true, describe: 'The folder to make' },
    json: { type: 'boolean', describe: 'Print JSON for programs', default: false },
  },
  examples: [['join delta --key pool.key --out /var/lib/licd', 'then: licd serve, there']],
  epilogue:
    'Bring pool.key to the new host by a way that nobody else can read (scp), and delete the copy ' +
    'afterwards. The new server waits until an operator adds it: licd ctl servers add NAME.',
  run: async (args, program) => {
    if (!isServerName(args.name)) {
      throw usage('<name> must be 1 to 32 characters of A-Z a-z 0-9 _ -, and not "any".')
    }
    const { joinPool } = await import('../lib/pool-files.ts')
    const folder = resolve(args.out)
    const made = await joinPool({ folder, server: args.name, keyFile: args.key })
    if (args.json) {
      const { pool, server, fingerprint } = made
      program.printJson({ pool, server, fingerprint, folder })
      return 0
    }
    program.print(`${made.server} of pool ${made.pool} is ready to join`)
    program.print(`here             licd serve --data ${folder}`)
    program.print(`at an operator's licd ctl servers add ${made.server}`)
    return 0
  },
})
