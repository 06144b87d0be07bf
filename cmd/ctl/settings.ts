/** `licd ctl settings`: the pool clock, the lease, and how long a seat lives. */
import { defineCommand, readWhole } from '../command.ts'
import { changeOptions, withSession } from '../session.ts'
import { formatDuration } from '../table.ts'
import { printChanged } from './change.ts'

export const settingsCommand = defineCommand({
  command: 'settings',
  describe: 'Show the pool\u2019s settings, or change those that are given',
  positionals: {},
  options: {
    ...changeOptions,
    'tick-ms': { type: 'number', describe: 'Milliseconds between ticks' },
    'lease-ticks': { type: 'number', describe: 'Ticks that an isolated server may go on serving' },
    'seat-ticks': { type: 'number', describe: 'Ticks that a seat lives without renewal' },
  },
  examples: [
    ['ctl settings', 'as they are'],
    ['ctl settings --lease-ticks 3600', 'servers cut off may serve for an hour'],
  ],
  epilogue:
    'A change rules for leases and seats from now on; those given before end as they were given. A lease lasts ' +
    'half a second at least, a seat 300 ms.',
  run: async (args, program) => {
    const { tickMs, leaseTicks, seatTicks } = args
    const given = {
      ...(tickMs === undefined ? {} : { tickMs: readWhole('--tick-ms', tickMs, 20, 60_000) }),
      ...(leaseTicks === undefined
        ? {}
        : { leaseTicks: readWhole('--lease-ticks', leaseTicks, 3, 1_000_000) }),
      ...(seatTicks === undefined
        ? {}
        : { seatTicks: readWhole('--seat-ticks', seatTicks, 2, 1_000_000) }),
    }
    return await withSession(args, program.environment, async ({ client }) => {
      const current = (await client.ask('status', { limit: 0 })).status.settings
      if (Object.keys(given).length > 0) {
        const settings = { ...current, ...given }
        const changed = await client.change('settings-set', { settings }, args.id)
        printChanged(program, { json: args.json, what: 'settings changed' }, changed)
      } else if (args.json) program.printJson(current)
      else {
        const { tickMs: tick, leaseTicks: lease, seatTicks: seat } = current
        program.print(`tick   ${tick} ms`)
        program.print(`lease  ${lease} ticks, ${formatDuration(lease * tick)}`)
        program.print(`seat   ${seat} ticks, ${formatDuration(seat * tick)}`)
      }
      return 0
    })
  },
})
