/** `licd join`: makes the data folder of a server that is to join a pool. */
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { defineCommand } from './command.ts'
import { parseServer } from './servers.ts'

export const joinCommand = defineCommand({
  command: 'join <name>',
  describe: 'Make the data folder of a server that is to join a pool',
  positionals: {
    name: {
      type: 'string',
      demandOption: true,
      describe: 'Name of the new server; name=HOST where the pool has TLS',
    },
  },
  options: {
    key: {
      type: 'string',
      demandOption: true,
      describe:
        'pool.join of a pool with TLS, pool.key of any server of another: secret, readable by its owner alone',
    },
    authority: {
      type: 'string',
      describe: 'pool.join, where --key is another file: a pool that was recovered',
    },
    out: { type: 'string', demandOption: true, describe: 'The folder to make' },
    json: { type: 'boolean', describe: 'Print JSON for programs', default: false },
  },
  examples: [
    ['join delta=host4 --key pool.join --out /var/lib/licd', 'then: licd serve, there'],
    ['join delta --key pool.key --out /var/lib/licd', 'of a pool without TLS'],
  ],
  epilogue:
    'Make the folder where pool.join is kept and bring it to the new host, or bring the key file there, by a ' +
    'way that nobody else can read (scp), and delete the copy afterwards. No file of the other servers ' +
    'changes: the new one makes itself known. It waits until an operator adds it: licd ctl servers add NAME.',
  run: async (args, program) => {
    const { name, address } = parseServer(args.name)
    const { joinPool } = await import('../lib/pool-files.ts')
    const folder = resolve(args.out)
    const made = await joinPool({
      folder,
      server: name,
      keyFile: args.key,
      ...(args.authority === undefined ? {} : { authorityFile: args.authority }),
      ...(address === undefined ? {} : { address }),
      now: Date.now(),
      randomBytes,
    })
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
