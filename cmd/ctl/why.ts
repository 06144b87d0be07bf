/** `licd ctl why`: who may grant what until when, and why somebody was denied a seat. */
import { hasLeader, verdictOf } from '../../lib/ctl/verdict.ts'
import { viewWhy, type ServerDenial, type WhyServer, type WhyView } from '../../lib/ctl/why.ts'
import { isFeatureName } from '../../lib/protocol/subject.ts'
import { seconds } from '../../lib/seconds.ts'
import { defineCommand, readWhole, usage } from '../command.ts'
import { harmless, type Program } from '../program.ts'
import { sessionOptions, withSession } from '../session.ts'
import { formatDate, formatDuration, formatTable, type Cell } from '../table.ts'

/** Text is wrapped to this where the output is no terminal. */
const columnsDefault = 80

export const whyCommand = defineCommand({
  command: 'why <feature>',
  describe: 'Explain who may grant a feature until when, and why seats were denied',
  positionals: {
    feature: { type: 'string', describe: 'The feature', demandOption: true },
  },
  options: {
    ...sessionOptions,
    user: { type: 'string', describe: 'Denials of this user only, and what the user holds' },
    limit: { type: 'number', describe: 'Show at most so many denials', default: 5 },
  },
  examples: [
    ['ctl why cad', 'who may grant cad, and the last denials'],
    ['ctl why cad --user mary', 'why mary got no seat'],
    ['ctl why cad --server beta', 'with the pool as server beta knows it'],
  ],
  epilogue:
    'LIMIT: share less what is on its way to others. DARK: in use by nobody, or not surely, and not ' +
    'grantable yet; licd ctl status says why. Each server remembers its last denials, 32 a feature, ' +
    'until it stops. ~ marks what a server that did not answer last said.',
  run: async (args, program) => {
    const { feature, user } = args
    const limit = readWhole('--limit', args.limit, 0, 10_000)
    if (!isFeatureName(feature)) throw usage('That is no feature name.')
    return await withSession(args, program.environment, async ({ client }) => {
      const view = await viewWhy(client, { feature, ...(user === undefined ? {} : { user }) })
      const verdict = verdictOf(view)
      if (args.json) program.printJson({ ...view, ...verdict })
      else printWhy(program, view, limit)
      return 0
    })
  },
})

function printWhy(program: Program, view: WhyView, limit: number): void {
  const { status, answeredBy, leader, tickAgeMs, tickMs } = view
  const { says, toDo } = verdictOf(view)
  const age = tickAgeMs > 3 * tickMs ? `, ${seconds(tickAgeMs)} old` : ''
  program.print(`pool ${view.pool}, leader ${leader ?? 'none'}, says ${answeredBy}${age}`)
  if (status !== undefined) {
    const { allocations, free, owed, endsAt } = status
    const end = endsAt === undefined ? '' : `, a code ends on ${formatDate(endsAt)}`
    program.print(
      `${view.feature}: ${allocations} allocations, ${free} in the free pool, ${owed} owed${end}`,
    )
  }
  for (const line of says) printWrapped(program, line)
  for (const line of toDo) printWrapped(program, line, 'To do: ')
  if (status !== undefined) printServers(program, view)
  printDenials(program, view, limit)
}

function printServers(program: Program, view: WhyView): void {
  program.print('')
  program.print(
    formatTable(
      program,
      [
        { title: 'SERVER' },
        { title: 'ROLE' },
        { title: 'MAY GRANT FOR' },
        { title: 'SHARE', right: true },
        { title: 'LIMIT', right: true },
        { title: 'IN USE', right: true },
        { title: 'DARK', right: true },
        { title: 'SPARE', right: true },
        { title: 'WAITING', right: true },
      ],
      view.servers.map(server => serverRow(server, hasLeader(view))),
    ),
  )
  for (const remark of remarksOn(view)) printWrapped(program, remark, '', 2)
  if (view.user === undefined) return
  const held = view.servers.filter(({ standing }) => (standing?.heldByUser ?? 0) > 0)
  const where = held.map(({ name, standing }) => `${standing?.heldByUser ?? 0} at ${name}`)
  printWrapped(program, `${view.user} holds ${where.length === 0 ? 'none' : where.join(', ')}.`)
}

function serverRow(server: WhyServer, isFresh: boolean): Cell[] {
  const { name, role, answered, mayGrantMs, standing, share, inUse, dark } = server
  const darkCount = dark.reduce((sum, { count }) => sum + count, 0)
  const mayGrant = mayGrantMs > 0 ? formatDuration(mayGrantMs) : 'not now'
  return [
    name,
    role === 'unknown' ? '?' : role,
    // Who hears no leader cannot say for how long the others were listed since.
    answered
      ? mayGrant
      : !isFresh
        ? 'not known'
        : mayGrantMs > 0
          ? `at most ${mayGrant}`
          : mayGrant,
    standing?.share ?? share,
    standing?.limit ?? '',
    answered ? inUse : `~${inUse}`,
    darkCount === 0 ? '' : darkCount,
    standing?.spare ?? '',
    standing?.waiting || '',
  ]
}

function remarksOn({ servers }: WhyView): string[] {
  const names = (rows: readonly WhyServer[]) => rows.map(({ name }) => name).join(', ')
  const down = servers.filter(({ answered, state }) => !answered && state === 'down')
  const silent = servers.filter(({ answered, state }) => !answered && state !== 'down')
  const ageMs = Math.max(...silent.map(server => server.ageMs))
  return [
    ...servers.flatMap(({ name, standing }) =>
      standing?.reason === undefined ? [] : [`${name}: ${standing.reason}`],
    ),
    ...(down.length === 0 ? [] : [`Down: ${names(down)}. What they owned may be borrowed.`]),
    ...(silent.length === 0
      ? []
      : [`No answer from ${names(silent)}: last heard ${seconds(ageMs)} ago.`]),
  ]
}

function printDenials(program: Program, view: WhyView, limit: number): void {
  const { denials, user, turnedAway } = view
  program.print('')
  for (const { server, code, times, agoMs, firstAgoMs } of turnedAway) {
    const often = times === 1 ? '' : ` (${times} times in ${seconds(firstAgoMs)})`
    const whom = 'clients that looked for a server, for whatever feature'
    const line = `${seconds(agoMs)} ago, ${server} turned away ${whom}: ${code}${often}`
    printWrapped(program, line, '', 2)
  }
  const whose = user === undefined ? '' : ` of ${user}`
  if (denials.length === 0) {
    program.print(`no denials${whose} are remembered`)
    return
  }
  program.print(program.paint('bold', `DENIALS${whose}, the latest first`))
  for (const denial of denials.slice(0, limit)) printDenial(program, denial)
  const more = denials.length - Math.min(limit, denials.length)
  if (more > 0) program.note(`${more} more are remembered; --limit shows them`)
}

const sourceWidth = 'other servers'.length

function printDenial(program: Program, denial: ServerDenial): void {
  const { user, host, count, server, code, what, agoMs, firstAgoMs, times, tried } = denial
  const who = `${user}@${host}`
  const asked = what === 'renew' ? 'renewing a seat' : `asking for ${count}`
  const often = times === 1 ? '' : ` (${times} times in ${seconds(firstAgoMs)})`
  const line = `${seconds(agoMs)} ago, ${who} ${asked} at ${server}: ${code}${often}`
  printWrapped(program, line, '', 2)
  for (const { source, why } of tried) {
    printWrapped(program, why, `    ${source.padEnd(sourceWidth)}  `)
  }
}

/** One paragraph after `head`, wrapped to the terminal; from its second line on indented by `indent`. */
function printWrapped(program: Program, text: string, head = '', indent = head.length): void {
  const width = program.columns ?? columnsDefault
  let line = head
  let words = 0
  for (const word of harmless(text).split(' ')) {
    if (words > 0 && line.length + 1 + word.length > width) {
      program.print(line)
      line = ' '.repeat(indent)
      words = 0
    }
    line += words === 0 ? word : ` ${word}`
    words++
  }
  program.print(line)
}
