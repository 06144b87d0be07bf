/** `licd ctl account`: whom the pool's nats-servers shut out, brought to all of them at once, and seen at each. */
import { inForceMs, type AccountAt } from '../../lib/protocol/account.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { exitCodes } from '../exit-code.ts'
import type { Program } from '../program.ts'
import { sessionOptions, withSession } from '../session.ts'
import { formatDuration, formatTable } from '../table.ts'

const pushCommand = defineCommand({
  command: 'push <file>',
  describe: 'Bring a newer account to every server: its nats-server shuts out whom it revokes',
  positionals: {
    file: { type: 'string', demandOption: true, describe: 'What licd account revoke made' },
  },
  options: sessionOptions,
  examples: [['ctl account push pool.account', 'after licd account revoke']],
  epilogue:
    'Each server checks the signature, takes it into nats/nats.conf, and has its nats-server read it; clients are let go ' +
    'for a moment, no seat is lost. A server that is down takes it from the others when it is back. Pushed again it does ' +
    'no harm. Exit code 1: somewhere it was refused, or has to be taken by hand.',
  run: async (args, program) => {
    const { readAccountFile } = await import('../../lib/account-file.ts')
    const { jwt: account } = await readAccountFile(args.file)
    return await withSession(args, program.environment, async ({ client }) => {
      const pushed = await client.ask('account-push', { account, by: client.by })
      const { issuedAt, revoked, servers } = pushed
      const isDone = servers.every(({ state, loads }) => {
        return state === 'silent' || ((state === 'taken' || state === 'held') && loads === true)
      })
      const code = isDone ? exitCodes.ok : exitCodes.refused
      if (args.json) {
        program.printJson({ issuedAt, revoked, servers })
        return code
      }
      program.print(`it shuts out ${revoked}`)
      const width = Math.max(...servers.map(({ server }) => server.length))
      for (const at of servers) program.print(`${at.server.padEnd(width)}  ${tell(at)}`)
      const taken = servers.filter(({ state, loads }) => state === 'taken' && loads === true)
      if (taken.length > 0) {
        const within = formatDuration(inForceMs(servers.length))
        program.print(`in force in ${within} at most: one nats-server reads it after the other`)
      }
      return code
    })
  },
})

function tell({ state, loads, detail = '' }: AccountAt): string {
  switch (state) {
    case 'taken':
      return loads === true
        ? 'took it'
        : 'took it; licd does not run its nats-server: nats-server --signal reload, there'
    case 'held':
      return 'had it'
    case 'silent':
      return 'does not answer: it takes it from the others when it is back'
    case 'elsewhere':
      return 'its nats-server is configured elsewhere: put the account into resolver_preload there'
    case 'refused':
      return `refused: ${detail}`
  }
}

const listCommand = defineCommand({
  command: 'list',
  describe: 'Show which account every server has, and how many it shuts out',
  positionals: {},
  options: sessionOptions,
  examples: [['ctl account list', 'whether all have the newest']],
  epilogue:
    'One that is behind takes the newer one from the others by itself, within a minute. In the seconds after a push ' +
    'connections are let go for a moment: where nobody answers then, ask again.',
  run: (args, program) =>
    withSession(args, program.environment, async ({ client }) => {
      const { scatter } = await import('../../lib/ctl/pool-view.ts')
      const { servers } = await client.ask('servers', {})
      const found = new Map<string, Row>()
      const members = servers.filter(({ role }) => role !== 'removed')
      await scatter(client, 'account', {}, members, ({ server, state, issuedAt, revoked }) =>
        found.set(server, { server, state, issuedAt, revoked }),
      )
      const rows = members
        .map(({ name }) => found.get(name) ?? { server: name, state: 'silent' })
        .sort((a, b) => (a.server < b.server ? -1 : 1))
      if (args.json) {
        for (const row of rows) program.printJson(row)
        return exitCodes.ok
      }
      printRows(program, rows)
      return exitCodes.ok
    }),
})

interface Row {
  readonly server: string
  readonly state: string
  readonly issuedAt?: number | undefined
  readonly revoked?: number | undefined
}

function printRows(program: Program, rows: readonly Row[]): void {
  const newest = Math.max(0, ...rows.map(({ issuedAt = 0 }) => issuedAt))
  const remarkOn = ({ state, issuedAt }: Row): string => {
    if (state === 'silent') return 'does not answer, or is of an earlier version'
    if (state === 'elsewhere' || issuedAt === undefined) return 'configured elsewhere'
    return issuedAt < newest ? 'behind' : ''
  }
  program.print(
    formatTable(
      program,
      [{ title: 'SERVER' }, { title: 'SIGNED' }, { title: 'SHUTS OUT' }, { title: 'REMARK' }],
      rows.map(row => [
        row.server,
        row.issuedAt === undefined ? '' : new Date(row.issuedAt * 1000).toISOString(),
        row.revoked === undefined ? '' : String(row.revoked),
        remarkOn(row),
      ]),
    ),
  )
}

export const ctlAccountCommand = defineGroup(
  'account',
  'Credentials that are shut out of the pool\u2019s NATS: bring the list to every server, see who has it',
  [pushCommand, listCommand],
  [
    ['ctl account push pool.account', 'after licd account revoke'],
    ['ctl account list', 'whether all have it'],
  ],
)
