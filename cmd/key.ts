/** `licd key`: the next key of tokens, from where it is made to every server. Its use begins with `licd ctl key use`. */
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { defineCommand, defineGroup } from './command.ts'
import type { Program } from './program.ts'

const jsonOption = { type: 'boolean', describe: 'Print JSON for programs', default: false } as const
const ofOption = {
  type: 'string',
  demandOption: true,
  describe: 'A server\u2019s data folder, or a pool.key or pool.join',
} as const

const makeKeyCommand = defineCommand({
  command: 'make',
  describe: 'Make a new key for tokens: a secret file, to be brought to every server',
  positionals: {},
  options: {
    of: ofOption,
    out: { type: 'string', demandOption: true, describe: 'The file to make' },
    json: jsonOption,
  },
  examples: [['key make --of pool.join --out next.key', 'then licd key add, on each host']],
  epilogue:
    'Bring the file to each host by a way that nobody else can read (scp), licd key add it there, and to pool.join ' +
    'too, and delete the copies. Whoever has it can forge tokens once it is in use.',
  run: async (args, program) => {
    const { makeKeyFile } = await import('../lib/key-file.ts')
    const file = resolve(args.out)
    const { pool, kid } = await makeKeyFile({ keyFile: args.of, out: file, randomBytes })
    if (args.json) program.printJson({ pool, kid, file })
    else program.print(`key ${kid} of pool ${pool}: ${file}`)
    return 0
  },
})

const addKeyCommand = defineCommand({
  command: 'add <file>',
  describe: 'Take a key into a server\u2019s folder, or into pool.join',
  positionals: {
    file: { type: 'string', demandOption: true, describe: 'What licd key make made' },
  },
  options: { to: ofOption, json: jsonOption },
  examples: [['key add next.key --to /var/lib/licd', 'the server may run meanwhile']],
  epilogue:
    'Nothing is made with it yet. A running server finds it when it is asked: licd ctl key list.',
  run: async (args, program) => {
    const { addKey } = await import('../lib/key-file.ts')
    return tell(await addKey(args.file, args.to), args.json, program)
  },
})

const dropKeyCommand = defineCommand({
  command: 'drop <kid>',
  describe: 'Take a key out that is heard no more',
  positionals: { kid: { type: 'string', demandOption: true, describe: 'Id of the key' } },
  options: { from: ofOption, json: jsonOption },
  examples: [['key drop 3q2-7wQvLk1xYz0a --from /var/lib/licd', 'after licd ctl key list']],
  run: async (args, program) => {
    const { dropKey } = await import('../lib/key-file.ts')
    return tell(await dropKey(args.kid, args.from), args.json, program)
  },
})

const listKeyCommand = defineCommand({
  command: 'list',
  describe: 'Show the ids of the keys in a file, newest first',
  positionals: {},
  options: {
    of: { ...ofOption, describe: `${ofOption.describe}, or what licd key make made` },
    json: jsonOption,
  },
  examples: [
    ['key list --of /var/lib/licd', 'ids tell nothing of the keys'],
    ['key list --of next.key', 'the id for licd ctl key use'],
  ],
  run: async (args, program) => {
    const { listKeys } = await import('../lib/key-file.ts')
    return tell(await listKeys(args.of), args.json, program)
  },
})

function tell(
  held: { readonly file: string; readonly kids: readonly string[]; readonly unchanged: boolean },
  json: boolean,
  program: Program,
): number {
  if (json) program.printJson(held)
  else program.print(`${held.file} holds ${held.kids.join(' ')}`)
  return 0
}

export const keyCommand = defineGroup(
  'key',
  'Change the key of tokens: make the next one and bring it to the servers',
  [makeKeyCommand, addKeyCommand, listKeyCommand, dropKeyCommand],
  [
    ['key make --of pool.join --out next.key', 'a new key'],
    ['key add next.key --to /var/lib/licd', 'on each host'],
    ['ctl key use KID', 'once every server holds it'],
  ],
)
