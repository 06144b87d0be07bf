/** `licd credentials`: a way into a pool with TLS, for an operator or a client. */
import { resolve } from 'node:path'
import { isName } from '../lib/protocol/subject.ts'
import { defineCommand, readWhole, usage } from './command.ts'

const dayMs = 86_400_000
const daysMax = 36_500

export const credentialsCommand = defineCommand({
  command: 'credentials <name>',
  describe: 'Make a context file: the way into a pool with TLS for an operator or a client',
  positionals: {
    name: { type: 'string', demandOption: true, describe: 'Who gets it: a person, a host' },
  },
  options: {
    role: {
      choices: ['client', 'operator'],
      default: 'client',
      describe: 'What it allows: to hold seats, or to run the pool',
    },
    key: { type: 'string', demandOption: true, describe: 'pool.join of the pool' },
    out: { type: 'string', demandOption: true, describe: 'The file to make' },
    days: {
      type: 'number',
      describe: 'Days that it is good for',
      defaultDescription: 'for good',
    },
    json: { type: 'boolean', describe: 'Print JSON for programs', default: false },
  },
  examples: [
    ['credentials ws7 --key pool.join --out ws7.context', 'for the programs of one host'],
    ['credentials mary --role operator --key pool.join --out mary.context --days 365', 'a person'],
  ],
  epilogue:
    'Nothing is told to the pool: its nats-servers know the signature. Who shares a file can read the answers ' +
    'that others of the same file get, so give each host its own. Use it by LICD_CONTEXT=FILE or --context FILE; ' +
    'it is a secret, readable by its owner alone.',
  run: async (args, program) => {
    const { name, role } = args
    if (!isName(name)) throw usage('<name> must be 1 to 32 characters of A-Z a-z 0-9 _ -.')
    const days = args.days === undefined ? undefined : readWhole('--days', args.days, 1, daysMax)
    const { readPoolKey } = await import('../lib/pool-key.ts')
    const { issueContext, issuedOf, needAuthority, writeContext } =
      await import('../lib/access/authority.ts')
    const { rememberIn } = await import('../lib/account-file.ts')
    const { refusePresent } = await import('../lib/folder.ts')
    const { pool, authority } = await readPoolKey(args.key)
    const now = Date.now()
    const expires = days === undefined ? {} : { expiresAt: now + days * dayMs }
    const user = { pool, role, name, now, ...expires } as const
    const context = issueContext(needAuthority(authority, args.key), user)
    const file = resolve(args.out)
    await refusePresent(file)
    await writeContext(file, context)
    const issued = issuedOf(context, user)
    const { key } = issued
    if (!(await rememberIn(args.key, issued, now))) {
      program.note(`${args.key} cannot be written: to revoke it, keep its key, ${key}`)
    }
    if (args.json) program.printJson({ pool, role, name, key, file, ...expires })
    else program.print(`${role} ${name} of pool ${pool}, key ${key}: LICD_CONTEXT=${file}`)
    return 0
  },
})
