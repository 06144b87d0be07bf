/** `licd ctl vendor`: the vendors whose codes the pool trusts. */
import { readJws } from '../../lib/code/jws.ts'
import { readCodes, readVendors } from '../../lib/ctl/pages.ts'
import { LicdError } from '../../lib/error.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { confirm } from '../confirm.ts'
import { changeOptions, sessionOptions, withSession } from '../session.ts'
import { formatTable } from '../table.ts'
import { readCodeText } from '../vendor/code-text.ts'
import { printChanged } from './change.ts'

const addCommand = defineCommand({
  command: 'add <file>',
  describe: 'Trust a vendor: license codes signed by its key are taken from now on',
  positionals: {
    file: { type: 'string', demandOption: true, describe: 'The vendor\u2019s public key file' },
  },
  options: {
    ...changeOptions,
    'same-as': {
      type: 'string',
      describe: 'Id of a trusted key of the same vendor: the new one signs for its features too',
    },
    certificate: { type: 'string', describe: 'File in which that key vouches for the new one' },
  },
  examples: [
    ['ctl vendor add acme.pub.json', 'trust Acme'],
    ['ctl vendor add acme-2027.pub.json --certificate acme-2027.cert', 'Acme\u2019s next key'],
  ],
  epilogue:
    'Codes signed by the older key stay good until that is revoked (licd ctl vendor revoke).',
  run: async (args, program) => {
    const { readVendorKey } = await import('../../lib/code/vendor-key.ts')
    const vendor = await readVendorKey(args.file)
    const certificate =
      args.certificate === undefined ? undefined : await readCodeText(args.certificate)
    const sameAs = args.sameAs ?? (certificate === undefined ? undefined : keyIdOf(certificate))
    const more = {
      ...(sameAs === undefined ? {} : { sameAs }),
      ...(certificate === undefined ? {} : { certificate }),
    }
    return await withSession(args, program.environment, async ({ client }) => {
      const changed = await client.change('vendor-add', { vendor, ...more }, args.id)
      const what = `${vendor.name} is trusted, key ${vendor.kid}`
      printChanged(program, { json: args.json, what }, changed)
      return 0
    })
  },
})

/** Whose word a certificate claims to be; the pool checks whether it is. Throws LICD_BAD_KEY. */
function keyIdOf(certificate: string): string {
  const header = readJws(certificate)?.header
  const kid = typeof header === 'object' && header !== null && 'kid' in header ? header.kid : ''
  if (typeof kid === 'string' && kid !== '') return kid
  throw new LicdError('LICD_BAD_KEY', 'The file is no certificate of a vendor key.')
}

const revokeCommand = defineCommand({
  command: 'revoke <kid>',
  describe: 'Trust a vendor\u2019s key no more: the codes it signed end',
  positionals: { kid: { type: 'string', demandOption: true, describe: 'Id of the key' } },
  options: {
    ...changeOptions,
    yes: { type: 'boolean', describe: 'Do not ask', default: false },
  },
  examples: [
    ['ctl vendor revoke Ud1p... --yes', 'the key was stolen; codes that renew its own take over'],
  ],
  epilogue:
    'For good: the key is never trusted again. Nothing is taken from users; what is in use is owed. Add ' +
    'codes signed by another key of the vendor that renew those of this one first, and nobody notices.',
  run: async (args, program) => {
    const { kid } = args
    return await withSession(args, program.environment, async ({ client }) => {
      const { codes } = await readCodes(client)
      const ending = codes.filter(code => code.kid === kid && code.state !== 'ended')
      const what = `${ending.length} codes by ${kid} end, and it is trusted never again`
      await confirm(program, { given: args.yes, what, answer: kid.slice(0, 6), flag: '--yes' })
      const changed = await client.change('vendor-revoke', { kid }, args.id)
      printChanged(program, { json: args.json, what: `key ${kid} is revoked` }, changed)
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
      const { vendors, server } = await readVendors(client)
      if (args.json) program.printJson({ answeredBy: server, vendors })
      else {
        const rows = vendors.map(({ name, kid, root, revoked }) => [
          name,
          kid,
          revoked ? 'revoked' : root === undefined ? '' : `same as ${root}`,
        ])
        const columns = [{ title: 'VENDOR' }, { title: 'KEY' }, { title: 'REMARK' }]
        program.print(formatTable(program, columns, rows))
      }
      return 0
    }),
})

export const ctlVendorCommand = defineGroup(
  'vendor',
  'Vendors whose license codes the pool trusts',
  [addCommand, listCommand, revokeCommand],
  [['ctl vendor add acme.pub.json', 'trust a vendor']],
)
