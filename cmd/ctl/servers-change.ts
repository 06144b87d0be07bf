/** `licd ctl servers add|promote|demote|remove`: who belongs to the pool. */
import { systemClock } from '../../raft/system.ts'
import type { CtlClient } from '../../lib/ctl/ctl-client.ts'
import { awaitMember, type Settled, type Wanted } from '../../lib/ctl/members.ts'
import { LicdError } from '../../lib/error.ts'
import type { MemberRole } from '../../lib/protocol/ctl.ts'
import { isServerName } from '../../lib/protocol/subject.ts'
import { defineCommand, readSeconds, usage } from '../command.ts'
import type { Program } from '../program.ts'
import { changeOptions, withSession, type SessionArgs } from '../session.ts'
import { formatDuration } from '../table.ts'

const options = {
  ...changeOptions,
  within: {
    type: 'number',
    describe: 'Seconds to wait until it is carried out; 0 does not wait',
    default: 60,
  },
} as const

const name = { type: 'string', demandOption: true, describe: 'Name of the server' } as const

const goesOn =
  'The decision is an entry in the log and is carried out by whoever leads: stop waiting, or lose ' +
  'the leader, and it goes on. Repeating it does no harm.'

export const addCommand = defineCommand({
  command: 'add <name>',
  describe: 'Take a server into the pool, to vote once it has caught up',
  positionals: { name },
  options: {
    ...options,
    learner: {
      type: 'boolean',
      describe: 'Give it no vote: it owns a share and follows',
      default: false,
    },
  },
  examples: [
    ['ctl servers add delta', 'delta, whose folder licd join made'],
    ['ctl servers add edge --learner', 'serves clients far away, decides nothing'],
  ],
  epilogue: goesOn,
  run: (args, program) => {
    const wanted: MemberRole = args.learner ? 'learner' : 'voter'
    return decide(args, program, {
      wanted,
      send: (client, server) => client.change('servers-add', { server, role: wanted }, args.id),
    })
  },
})

export const promoteCommand = defineCommand({
  command: 'promote <name>',
  describe: 'Make a learner that has caught up a voter',
  positionals: { name },
  options,
  examples: [['ctl servers promote delta', 'delta votes from now on']],
  epilogue: goesOn,
  run: (args, program) =>
    decide(args, program, {
      wanted: 'voter',
      send: (client, server) => client.change('servers-promote', { server }, args.id),
    }),
})

export const demoteCommand = defineCommand({
  command: 'demote <name>',
  describe: 'Make a voter a learner: it keeps its share and serves',
  positionals: { name },
  options,
  examples: [['ctl servers demote alpha', 'a leader hands its office over first']],
  epilogue: goesOn,
  run: (args, program) =>
    decide(args, program, {
      wanted: 'learner',
      send: (client, server) => client.change('servers-demote', { server }, args.id),
    }),
})

export const removeCommand = defineCommand({
  command: 'remove <name>',
  describe: 'Take a server out of the pool, running or dead',
  positionals: { name },
  options,
  examples: [['ctl servers remove alpha', 'its clients move on with their seats']],
  epilogue:
    'One that runs gives back what it does not use, and ends. What its clients may still use goes to ' +
    'the free pool when its lease is over. ' +
    goesOn,
  run: (args, program) =>
    decide(args, program, {
      wanted: 'removed',
      send: (client, server) => client.change('servers-remove', { server }, args.id),
    }),
})

interface Args extends SessionArgs {
  readonly name: string
  readonly json: boolean
  readonly within: number
}

interface Decision {
  readonly wanted: Wanted
  readonly send: (
    client: CtlClient,
    server: string,
  ) => Promise<{ revision: number; duplicate: boolean; unchanged?: boolean; server: string }>
}

async function decide(args: Args, program: Program, { wanted, send }: Decision): Promise<number> {
  const { name: server } = args
  if (!isServerName(server)) throw usage('<name> is no server name.')
  const waitMs = readSeconds('--within', args.within, 86_400)
  return await withSession(args, program.environment, async ({ client }) => {
    const changed = await send(client, server)
    const { revision, duplicate, unchanged } = changed
    const settled = await awaitMember(client, systemClock, {
      server,
      // One that is there already stays what it is.
      wanted,
      waitMs,
      onWait: text => {
        const waits = `${server} is decided on; waiting for ${text}`
        if (program.progress.isShown) program.progress.say(waits)
        else program.note(`waiting for ${text}`)
      },
    })
    if (settled.outcome === 'waiting' && waitMs > 0) {
      throw new LicdError(
        'LICD_TIMEOUT',
        `It is decided, and goes on without you; not carried out within ${formatDuration(waitMs)}: it waits for ${settled.for}.`,
      )
    }
    if (args.json) {
      const { outcome, member } = settled
      program.printJson({ revision, duplicate, unchanged, outcome, member })
    } else program.print(textOf(server, settled, unchanged === true))
    return 0
  })
}

function textOf(server: string, settled: Settled, unchanged: boolean): string {
  if (settled.outcome === 'superseded') {
    if (unchanged) return `${server} is in the pool already, as a ${settled.member.role}`
    return `${server}: it is to be ${settled.member.role}, as decided before or since`
  }
  if (settled.outcome === 'waiting') return `${server}: decided; waits for ${settled.for}`
  const { member, tickMs } = settled
  const already = unchanged ? ' already' : ''
  if (member !== undefined && member.role !== 'removed') {
    const wiped = member.trust === 'unknown' && member.member === 'voter'
    const but = wiped ? '; it was wiped and does not count: demote it, then promote it' : ''
    return `${server} is a ${member.role}${already}${but}`
  }
  const gone = `${server} is not in the pool any more`
  if (member === undefined || member.share === 0) return gone
  const left = formatDuration(member.downInTicks * tickMs)
  return `${gone}; the ${member.share} it still owns go to the free pool in at most ${left}`
}
