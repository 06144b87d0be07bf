/** `licd init`: makes a new pool: one data folder per server. */
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { isName, isServerName } from '../lib/protocol/subject.ts'
import { defineCommand, readWhole, usage } from './command.ts'

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
      describe: 'Names of the servers, with commas: 1, 3 or 5 of them',
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
    ['init --servers alpha,beta,gamma --out pool', 'makes pool/alpha, pool/beta, pool/gamma'],
    ['init cad-pool --servers one --out data --vendor acme.pub.json', 'one server, one vendor'],
  ],
  epilogue:
    'Bring each folder to its host, keep its files private, and run licd serve --data FOLDER there. ' +
    'The folders are all the pool there is: making them again makes another pool.',
  run: async (args, program) => {
    const names = checkNames(args.pool, args.servers)
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
      wall: Date.now,
      randomBytes,
    })
    if (args.json) {
      program.printJson({ pool: made.pool, fingerprint: made.fingerprint, folders: made.folders })
      return 0
    }
    program.print(`pool         ${made.pool}`)
    program.print(`fingerprint  ${made.fingerprint}  (vendors make codes for it)`)
    for (const [server, folder] of Object.entries(made.folders)) {
      program.print(`${server.padEnd(13)}licd serve --data ${folder}`)
    }
    return 0
  },
})

function checkNames(pool: string, servers: string): string[] {
  if (!isName(pool)) throw usage('[pool] must be 1 to 32 characters of A-Z a-z 0-9 _ -.')
  const names = servers.split(',').map(name => name.trim())
  for (const name of names) {
    if (!isServerName(name)) {
      throw usage(
        `Server ${JSON.stringify(name)} must be 1 to 32 characters of A-Z a-z 0-9 _ -, and not "any".`,
      )
    }
  }
  if (new Set(names).size !== names.length) throw usage('--servers names one twice.')
  return names
}
