/** `licd ctl feature`: features of the pool's own, which need no vendor. */
import { bounds } from '../../lib/ledger/command.ts'
import { isFeatureName } from '../../lib/protocol/subject.ts'
import { defineCommand, defineGroup, readWhole, usage } from '../command.ts'
import { changeOptions, withSession } from '../session.ts'
import { printChanged } from './change.ts'

const addCommand = defineCommand({
  command: 'add <feature> <count>',
  describe: 'Add a feature of the pool\u2019s own with its allocations',
  positionals: {
    feature: {
      type: 'string',
      demandOption: true,
      describe: 'Its name, and @version if it has one',
    },
    count: { type: 'string', demandOption: true, describe: 'How many allocations' },
  },
  options: {
    ...changeOptions,
    local: {
      type: 'boolean',
      describe: 'Say that it is the pool\u2019s own: a vendor\u2019s feature comes by code add',
      default: false,
    },
  },
  examples: [['ctl feature add cad 30 --local', '30 allocations of cad']],
  run: async (args, program) => {
    const { feature } = args
    const allocations = readWhole('<count>', args.count, 1, bounds.allocationsMax)
    checkFeature(feature)
    if (!args.local) {
      throw usage(
        'Say --local for a feature of the pool\u2019s own; a vendor\u2019s comes by `licd ctl code add`.',
      )
    }
    return await withSession(args, program.environment, async ({ client }) => {
      const changed = await client.change('feature-add', { feature, allocations }, args.id)
      printChanged(program, { json: args.json, what: `${feature} has ${allocations}` }, changed)
      return 0
    })
  },
})

/** Throws LICD_USAGE for what is no feature name, before it goes anywhere. */
export function checkFeature(feature: string): void {
  if (isFeatureName(feature)) return
  throw usage(
    `${JSON.stringify(feature)} is no feature: A-Z a-z 0-9 _ -, then @ and a version if it has one.`,
  )
}

export const featureCommand = defineGroup(
  'feature',
  'Features of the pool\u2019s own',
  [addCommand],
  [['ctl feature add cad 30 --local', '30 allocations of cad']],
)
