/** `licd account`: credentials that must not come in any more, from where `pool.join` is kept to a host (or `licd ctl account push`). */
import { resolve } from 'node:path'
import { defineCommand, defineGroup } from './command.ts'

const jsonOption = { type: 'boolean', describe: 'Print JSON for programs', default: false } as const
const ofOption = { type: 'string', demandOption: true, describe: 'pool.join of the pool' } as const

const revokeCommand = defineCommand({
  command: 'revoke <who>',
  describe: 'Shut credentials out of the pool\u2019s NATS, for good',
  positionals: {
    who: {
      type: 'string',
      demandOption: true,
      describe: 'Their name, role.name, key (U...), or context file',
    },
  },
  options: {
    of: ofOption,
    out: { type: 'string', demandOption: true, describe: 'The file to bring to the servers' },
    json: jsonOption,
  },
  examples: [
    [
      'account revoke ws7 --of pool.join --out pool.account',
      'then licd ctl account push pool.account',
    ],
  ],
  epilogue:
    'Nothing happens before a server takes the file: there its nats-server ends their connections and lets them ' +
    'in no more. The file is no secret. An operator\u2019s key is ended in the pool too: licd ctl operators revoke KEY.',
  run: async (args, program) => {
    const { revokeCredentials } = await import('../lib/account-file.ts')
    const file = resolve(args.out)
    const made = await revokeCredentials({
      ...{ file: args.of, who: args.who, out: file, now: Date.now() },
    })
    if (args.json) {
      program.printJson({ ...made, file })
      return 0
    }
    for (const { role, name, key } of made.revoked) {
      const whose = role === undefined ? '' : `${role} ${name ?? ''} `
      program.print(`revoked ${whose}key ${key}`)
    }
    program.print(`at an operator's licd ctl account push ${args.out}`)
    program.print(`or on a host     licd account take ${args.out} --to DATA`)
    const operators = made.revoked.filter(({ role }) => role !== 'client' && role !== 'server')
    for (const { key } of operators) {
      program.print(`at an operator's licd ctl operators revoke ${key}`)
    }
    return 0
  },
})

const takeCommand = defineCommand({
  command: 'take <file>',
  describe: 'Take the account into the nats-server of a server: whom it revokes is out',
  positionals: {
    file: { type: 'string', demandOption: true, describe: 'What licd account revoke made' },
  },
  options: {
    to: { type: 'string', demandOption: true, describe: 'Data folder of the server' },
    json: jsonOption,
  },
  examples: [['account take pool.account --to /var/lib/licd', 'the server may run meanwhile']],
  epilogue:
    'nats/nats.conf changes by that alone, and a server that runs here reads it again. No seat is lost: its clients are ' +
    'let go for a moment. The other servers take it from this one within a minute.',
  run: async (args, program) => {
    const { takeAccount } = await import('../lib/account-file.ts')
    const { hangUp } = await import('../lib/hang-up.ts')
    const taken = await takeAccount(args.file, args.to)
    const told = taken.unchanged ? undefined : await hangUp(args.to)
    if (args.json) {
      program.printJson({ ...taken, told: told !== undefined })
      return 0
    }
    program.print(`${taken.file} shuts out ${taken.revoked}${taken.unchanged ? ' already' : ''}`)
    if (told !== undefined) program.print(`process ${told} reads it again`)
    else if (!taken.unchanged) {
      program.print('if the server runs, have it read again: systemctl reload licd')
      program.print('if licd does not run the nats-server: nats-server --signal reload')
    }
    return 0
  },
})

const listCommand = defineCommand({
  command: 'list',
  describe: 'Show the credentials that were made with a pool.join, and which are revoked',
  positionals: {},
  options: { of: ofOption, json: jsonOption },
  examples: [['account list --of pool.join', 'names, keys, until when']],
  epilogue:
    'Those made by an earlier version, or while the file could not be written, are not in it.',
  run: async (args, program) => {
    const { listCredentials } = await import('../lib/account-file.ts')
    const { credentials, others } = await listCredentials(args.of, Date.now())
    if (args.json) {
      program.printJson({ credentials, others })
      return 0
    }
    for (const { role, name, key, at, expiresAt, state } of credentials) {
      const until = expiresAt === undefined ? '' : ` to ${new Date(expiresAt).toISOString()}`
      const since = new Date(at).toISOString()
      program.print(`${state.padEnd(7)} ${role} ${name} ${key} ${since}${until}`)
    }
    for (const key of others) program.print(`revoked ${key}`)
    return 0
  },
})

export const accountCommand = defineGroup(
  'account',
  'Shut credentials out: revoke them, and bring that to the nats-servers',
  [revokeCommand, takeCommand, listCommand],
  [
    ['account revoke ws7 --of pool.join --out pool.account', 'where pool.join is kept'],
    ['account take pool.account --to /var/lib/licd', 'on a host; or licd ctl account push'],
  ],
)
