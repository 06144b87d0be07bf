/** `licd ctl outcome`: what became of a change whose answer did not come. */
import { defineCommand } from '../command.ts'
import { exitCodes } from '../exit-code.ts'
import { sessionOptions, withSession } from '../session.ts'

export const outcomeCommand = defineCommand({
  command: 'outcome <id>',
  describe: 'Ask what became of a change, by its command id',
  positionals: { id: { type: 'string', demandOption: true, describe: 'The command id' } },
  options: sessionOptions,
  examples: [['ctl outcome fT3kQ...', 'applied, refused, or unknown']],
  epilogue: 'Exit code 0 when it is known, 4 when it is not: never seen, not yet, or forgotten.',
  run: (args, program) =>
    withSession(args, program.environment, async ({ client }) => {
      const answer = await client.ask('outcome', { id: args.id })
      const { outcome, result, server } = answer
      if (args.json) program.printJson({ server, outcome, result })
      else if (result === undefined) program.print(outcome)
      else if (result.ok) program.print(`${outcome} (revision ${result.revision})`)
      else program.print(`${outcome}: ${result.code} ${result.detail ?? ''}`.trimEnd())
      return outcome === 'unknown' ? exitCodes.unknown : exitCodes.ok
    }),
})
