/** `licd ctl seats`: who holds what. */
import { listSeats } from '../../lib/ctl/pool-view.ts'
import { isFeatureName } from '../../lib/protocol/subject.ts'
import { defineCommand, readWhole, usage } from '../command.ts'
import { sessionOptions, withSession } from '../session.ts'
import { formatDuration, formatTable } from '../table.ts'

export const seatsCommand = defineCommand({
  command: 'seats',
  describe: 'Show the seats held at all servers, or at one',
  positionals: {},
  options: {
    ...sessionOptions,
    feature: { type: 'string', describe: 'Of this feature only' },
    limit: { type: 'number', describe: 'Show at most so many', default: 1_000 },
  },
  examples: [
    ['ctl seats', 'who holds what, at all servers'],
    ['ctl seats --feature cad --server beta', 'of one feature, at one server'],
    ['ctl seats --limit 100000 --json', 'all of them, for programs'],
  ],
  epilogue:
    'held: in use. expired: its client fell silent and it may not be granted again yet. ' +
    'moved: it came from another server and its client has not renewed it here yet.',
  run: async (args, program) => {
    const max = readWhole('--limit', args.limit, 1, 10_000_000)
    const { feature, server } = args
    if (feature !== undefined && !isFeatureName(feature))
      throw usage('--feature is no feature name.')
    return await withSession(args, program.environment, async ({ client }) => {
      const list = await listSeats(client, {
        ...(server === undefined ? {} : { server }),
        ...(feature === undefined ? {} : { feature }),
        max,
      })
      if (args.json) {
        program.printJson(list)
        return 0
      }
      program.print(
        formatTable(
          program,
          [
            { title: 'FEATURE' },
            { title: 'USER' },
            { title: 'HOST' },
            { title: 'SERVER' },
            { title: 'STATE' },
            { title: 'HELD', right: true },
            { title: 'EXPIRES IN', right: true },
            { title: 'SEAT' },
          ],
          list.seats.map(seat => [
            seat.feature,
            seat.user,
            seat.host,
            seat.server,
            seat.state,
            formatDuration(seat.heldMs),
            formatDuration(seat.expiresInMs),
            seat.seatId,
          ]),
        ),
      )
      if (list.more) program.note(`more seats are held; --limit ${max} cut the list`)
      for (const name of list.unanswered) {
        program.note(`${name} did not answer: its seats are not shown`)
      }
      return 0
    })
  },
})
