/** `licd ctl servers`: the servers of the pool, and who belongs to it. */
import { viewMembers, type MembersView } from '../../lib/ctl/members.ts'
import { shownState, viewPool, type PoolView } from '../../lib/ctl/pool-view.ts'
import type { Member } from '../../lib/protocol/ctl.ts'
import { defineCommand } from '../command.ts'
import type { Program } from '../program.ts'
import { sessionOptions, withSession } from '../session.ts'
import { formatTable } from '../table.ts'
import { addCommand, demoteCommand, promoteCommand, removeCommand } from './servers-change.ts'
import { heardAgo, heldText, mayGrant } from './status.ts'

export const serversCommand = defineCommand({
  command: 'servers',
  describe: 'Show the servers, or add, promote, demote and remove them',
  positionals: {},
  options: sessionOptions,
  commands: [addCommand, promoteCommand, demoteCommand, removeCommand],
  examples: [
    ['ctl servers', 'one line a server'],
    ['ctl servers --json', 'for programs'],
    ['ctl servers add delta', 'takes a new server in'],
    ['ctl servers remove alpha', 'takes one out; its seats move to others'],
  ],
  epilogue:
    'up: heard in the last 3 ticks. starting: not yet, by its first tick it is. silent: not, but its lease may still run and it may serve. ' +
    'down: its lease is over, its allocations may be used by others. LAG: log entries it is not ' +
    'known to have. relearning: its disk was damaged; it does not count until it has learned its ' +
    'log anew. wiped: nobody knows how it voted; it counts again once it was demoted and promoted.',
  run: (args, program) =>
    withSession(args, program.environment, async ({ client }) => {
      const [view, members] = await Promise.all([
        viewPool(client, { of: { limit: 0 } }),
        viewMembers(client),
      ])
      if (args.json) printServersJson(program, view, members)
      else printMembers(program, view, members)
      return 0
    }),
})

function printServersJson(program: Program, view: PoolView, members: MembersView): void {
  const { status, lease } = view
  const { leader, settled, heldTicks, servers } = members.answer
  program.printJson({
    pool: status.pool,
    leader,
    answeredBy: members.answeredBy,
    settled,
    heldTicks,
    servers: servers.map(server => ({ ...server, ...lease[server.name] })),
  })
}

function printMembers(
  program: Program,
  { lease, status }: PoolView,
  { answer }: MembersView,
): void {
  const { tickMs, heldTicks, settled, servers, leader } = answer
  const columns = [
    { title: 'SERVER' },
    { title: 'STATE' },
    { title: 'ROLE' },
    { title: 'RUN', right: true },
    { title: 'SHARE', right: true },
    { title: 'LAG', right: true },
    { title: 'MAY GRANT FOR' },
    { title: 'LAST HEARD' },
    { title: 'REMARK' },
  ]
  // Its ticks are counted by another answer.
  const starting = new Set(
    status.servers
      .filter(one => shownState(one, status.tick) === 'starting')
      .map(({ name }) => name),
  )
  const rows = servers.map(server => [
    server.name,
    starting.has(server.name) ? 'starting' : server.state,
    roleText(server),
    server.incarnation === 0 ? '-' : server.incarnation,
    server.share,
    server.lag ?? '?',
    mayGrant(server, lease[server.name]?.leaseLeftMs, tickMs),
    server.incarnation === 0 || starting.has(server.name)
      ? 'never'
      : heardAgo(server.listedTicksAgo, tickMs),
    remark(server),
  ])
  const [head = '', ...lines] = formatTable(program, columns, rows).split('\n')
  program.print(head)
  for (const [index, line] of lines.entries()) {
    const state = servers[index]?.state
    program.print(
      state === 'up' ? line : program.paint(state === 'silent' ? 'yellow' : 'red', line),
    )
  }
  if (leader === undefined) {
    program.print('no leader is in office: nothing can be changed, and LAG is not known')
  } else if (!settled) program.print('a change is being carried out')
  if (heldTicks > 0) program.print(heldText(heldTicks, tickMs))
}

/** What it is, and what it is on the way to be. */
function roleText({ role, member, leader }: Member): string {
  const is = leader ? 'leader' : member === 'leaving' ? 'voter' : member
  const settled = member === role || (role === 'removed' && member === 'none')
  if (settled) return role === 'removed' ? 'removed' : is
  return is === 'none' ? `-> ${role}` : `${is} -> ${role}`
}

function remark({ trust, reachable, member, role }: Member): string {
  if (trust === 'relearning') return 'relearning'
  if (trust === 'unknown' && member === 'voter') return 'wiped'
  if (reachable === false && role !== 'removed') return 'does not answer'
  return ''
}
