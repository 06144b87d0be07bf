/** `licd ctl vendor`: the vendors whose codes the pool trusts. */
import { defineCommand, defineGroup } from '../command.ts'
import { changeOptions, sessionOptions, withSession } from '../session.ts'
import { formatTable } from '../table.ts'
import { printChanged } from './change.ts'

const addCommand = defineCommand({
  command: 'add <file>',
  describe: 'Trust a vendor: license codes signed by its key are taken from now on',
  positionals: {
    file: { type: 'string', demandOption: true, describe: 'The vendor\u2019s public key file' },
  },
  options: changeOptions,
  examples: [['ctl vendor add acme.pub.json', 'trust Acme']],
  run: async (args, program) => {
    const { readVendorKey } = await import('../../lib/code/vendor-key.ts')
    const vendor = await readVendorKey(args.file)
    return await withSession(args, program.environment, async ({ client }) => {
      const changed = await client.change('vendor-add', { vendor }, args.id)
      const what = `${vendor.name} is trusted, key ${vendor.kid}`
      printChanged(program, { json: args.json, what }, changed)
      return 0
    })
  },
})

const listCommand = defineCommand({
  command: 'list',
  describe: 'Show the vendors that the pool trusts',
  positionals: {},
  options: sessionOptions,
  examples: [['ctl vendor list', 'names and keys']],
  run: (args, program) =>
    withSession(args, program.environment, async ({ client }) => {
      const { vendors, server } = await client.ask('vendor-list', {})
      if (args.json) program.printJson({ answeredBy: server, vendors })
      else {
        const rows = vendors.map(({ name, kid }) => [name, kid])
        program.print(formatTable(program, [{ title: 'VENDOR' }, { title: 'KEY' }], rows))
      }
      return 0
    }),
})

export const ctlVendorCommand = defineGroup(
  'vendor',
  'Vendors whose license codes the pool trusts',
  [addCommand, listCommand],
  [['ctl vendor add acme.pub.json', 'trust a vendor']],
)
