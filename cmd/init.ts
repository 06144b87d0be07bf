/** `licd init`: makes a new pool: one data folder per server. */
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { isName } from '../lib/protocol/subject.ts'
import { defineCommand, readWhole, usage } from './command.ts'
import type { Program } from './program.ts'
import type { InitialisedPool } from '../lib/pool-files.ts'
import { parseServers } from './servers.ts'

export const initCommand = defineCommand({
  command: 'init [pool]',
  describe: 'Make a new pool: a data folder for each of its servers',
  positionals: {
    pool: { type: 'string', describe: 'Name of the pool', default: 'default' },
  },
  options: {
    servers: {
      type: 'string',
      demandOption: true,
      describe:
        'Names of the servers, with commas: 1, 3 or 5 of them; with their hosts (alpha=host1) for TLS and roles',
    },
    out: { type: 'string', demandOption: true, describe: 'Folder that gets OUT/<server> for each' },
    vendor: {
      type: 'array',
      string: true,
      describe: 'Public key file of a vendor whose codes the pool trusts; may be repeated',
    },
    'tick-ms': { type: 'number', describe: 'Milliseconds between ticks', default: 1000 },
    'lease-ticks': {
      type: 'number',
      describe: 'Ticks that an isolated server may go on serving',
      default: 30,
    },
    'seat-ticks': {
      type: 'number',
      describe: 'Ticks that a seat lives without renewal',
      defaultDescription: 'as --lease-ticks',
    },
    json: { type: 'boolean', describe: 'Print JSON for programs', default: false },
  },
  examples: [
    [
      'init --servers alpha=host1,beta=host2,gamma=host3 --out pool',
      'makes pool/alpha, pool/beta, pool/gamma, with TLS and roles',
    ],
    ['init cad-pool --servers one --out data --vendor acme.pub.json', 'no TLS: for a lab'],
  ],
  epilogue:
    'Bring each folder to its host, keep its files private, and run licd serve --data FOLDER there. ' +
    'The folders are all the pool there is: making them again makes another pool. With hosts (a name or an ' +
    'address, and a port where it is not 4222), each server runs a nats-server of its own there, they know each ' +
    'other by certificates, and nobody gets in without a context file: operator.context and client.context are ' +
    'for those, licd credentials makes more of them. pool.join makes servers and credentials: keep it off the servers.',
  run: async (args, program) => {
    if (!isName(args.pool)) throw usage('[pool] must be 1 to 32 characters of A-Z a-z 0-9 _ -.')
    const { names, addresses } = parseServers('--servers', args.servers)
    const tickMs = readWhole('--tick-ms', args.tickMs, 20, 60_000)
    const leaseTicks = readWhole('--lease-ticks', args.leaseTicks, 3, 1_000_000)
    const seatTicks = readWhole('--seat-ticks', args.seatTicks ?? leaseTicks, 2, leaseTicks)
    const { readVendorKey } = await import('../lib/code/vendor-key.ts')
    const vendors = await Promise.all((args.vendor ?? []).map(path => readVendorKey(path)))
    const { initPool } = await import('../lib/pool-files.ts')
    const made = await initPool({
      folder: resolve(args.out),
      pool: args.pool,
      servers: names,
      vendors,
      settings: { tickMs, leaseTicks, seatTicks },
      ...(addresses === undefined ? {} : { addresses }),
      onStep: what => program.progress.say(what),
      wall: Date.now,
      randomBytes,
    })
    if (args.json) program.printJson(made)
    else tell(made, program)
    return 0
  },
})

function tell({ pool, fingerprint, folders, handed }: InitialisedPool, program: Program): void {
  program.print(`pool         ${pool}`)
  program.print(`fingerprint  ${fingerprint}  (vendors make codes for it)`)
  for (const [server, folder] of Object.entries(folders)) {
    program.print(`${server.padEnd(13)}licd serve --data ${folder}`)
  }
  if (handed === undefined) {
    program.note('no hosts given: no TLS and no roles, whoever reaches NATS may do anything')
    return
  }
  program.print(`operators    LICD_CONTEXT=${handed.operator} licd ctl status`)
  program.print(`clients      LICD_CONTEXT=${handed.client} licd run --feature NAME -- COMMAND`)
  program.print(`keep safe    ${handed.join}  (makes servers and credentials; off the servers)`)
}
