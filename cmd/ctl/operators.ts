/** `licd ctl operators`: whose word the pool takes no more. */
import { defineCommand, defineGroup } from '../command.ts'
import { confirm } from '../confirm.ts'
import { changeOptions, withSession } from '../session.ts'
import { printChanged } from './change.ts'

const revokeCommand = defineCommand({
  command: 'revoke <key>',
  describe: 'Take no more changes from an operator whose context file is lost, or who left',
  positionals: {
    key: { type: 'string', demandOption: true, describe: 'Key of the operator, U...' },
  },
  options: {
    ...changeOptions,
    yes: { type: 'boolean', describe: 'Do not ask', default: false },
  },
  examples: [
    ['ctl operators revoke UA3K...', 'the key is in licd ctl audit, and licd credentials tells it'],
  ],
  epilogue:
    'There is no way back: the same person gets new credentials (licd credentials). NATS goes on letting the old ones ' +
    'in until they end, to look, not to change.',
  run: async (args, program) => {
    const { key } = args
    const what = `operator ${key} may change nothing in this pool any more`
    await confirm(program, { given: args.yes, what, answer: key.slice(0, 6), flag: '--yes' })
    return await withSession(args, program.environment, async ({ client }) => {
      const changed = await client.change('operators-revoke', { operator: key }, args.id)
      printChanged(program, { json: args.json, what: `key ${key} is revoked` }, changed)
      return 0
    })
  },
})

export const operatorsCommand = defineGroup(
  'operators',
  'Operators whose word the pool takes',
  [revokeCommand],
  [['ctl operators revoke KEY', 'for good']],
)
