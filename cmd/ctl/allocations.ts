/** `licd ctl allocations`: more of a feature of the pool's own. */
import { bounds } from '../../lib/ledger/command.ts'
import { defineCommand, defineGroup, readWhole } from '../command.ts'
import { changeOptions, withSession } from '../session.ts'
import { printChanged } from './change.ts'
import { checkFeature } from './feature.ts'

const addCommand = defineCommand({
  command: 'add <feature> <count>',
  describe: 'Add allocations to a feature of the pool\u2019s own',
  positionals: {
    feature: { type: 'string', demandOption: true, describe: 'The feature' },
    count: { type: 'string', demandOption: true, describe: 'How many more' },
  },
  options: changeOptions,
  examples: [['ctl allocations add cad 5', 'five more of cad']],
  epilogue: 'Allocations of a vendor\u2019s feature are added by a signed code: licd ctl code add.',
  run: async (args, program) => {
    const { feature } = args
    const count = readWhole('<count>', args.count, 1, bounds.allocationsMax)
    checkFeature(feature)
    return await withSession(args, program.environment, async ({ client }) => {
      const changed = await client.change('allocations-add', { feature, count }, args.id)
      printChanged(program, { json: args.json, what: `${feature} has ${count} more` }, changed)
      return 0
    })
  },
})

export const allocationsCommand = defineGroup(
  'allocations',
  'Allocations of the pool\u2019s own features',
  [addCommand],
  [['ctl allocations add cad 5', 'five more of cad']],
)
