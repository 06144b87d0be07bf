/** `licd vendor keygen`: makes a vendor's key pair. */
import { mkdir } from 'node:fs/promises'
import { LicdError } from '../../lib/error.ts'
import { defineCommand, usage } from '../command.ts'

export const keygenCommand = defineCommand({
  command: 'keygen <name>',
  describe: 'Make a vendor\u2019s key pair: a private file to keep, a public one for pools',
  positionals: {
    name: {
      type: 'string',
      demandOption: true,
      describe: 'The vendor\u2019s name, as pools show it',
    },
  },
  options: {
    out: { type: 'string', describe: 'Folder for the two files', default: '.' },
    stem: { type: 'string', describe: 'How the files are called; made from the name when absent' },
    json: { type: 'boolean', describe: 'Print JSON for programs', default: false },
  },
  examples: [
    ['vendor keygen "Acme Ltd"', 'writes acme-ltd.key.json and acme-ltd.pub.json'],
    [
      'vendor keygen Acme --out keys --stem 2026',
      'writes keys/2026.key.json and keys/2026.pub.json',
    ],
  ],
  epilogue:
    'An existing file is never overwritten. Keep the private file: codes cannot be made without it.',
  run: async ({ name, out, stem, json }, program) => {
    const { isLabel } = await import('../../lib/code/claims.ts')
    const { writeVendorKey } = await import('../../lib/code/vendor-key.ts')
    if (!isLabel(name, 64)) throw usage('<name> must have 1 to 64 characters that can be shown.')
    const called = stem ?? stemOf(name)
    if (!/^[A-Za-z0-9._-]{1,64}$/.test(called)) {
      throw usage('--stem must be 1 to 64 characters of A-Z a-z 0-9 . _ -.')
    }
    try {
      await mkdir(out, { recursive: true })
    } catch (cause) {
      throw new LicdError('LICD_BAD_KEY', `The folder ${out} cannot be made.`, { cause })
    }
    const { key, privateFile, publicFile } = await writeVendorKey(name, {
      folder: out,
      stem: called,
    })
    if (json) {
      program.printJson({ ...key, privateFile, publicFile })
    } else {
      program.print(`private key  ${privateFile}  (keep it; whoever has it can make codes)`)
      program.print(`public key   ${publicFile}  (for pools: licd ctl vendor add ${publicFile})`)
      program.print(`key id       ${key.kid}`)
    }
    return 0
  },
})

function stemOf(name: string): string {
  const stem = name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
  const trimmed = stem.replace(/^-/, '').replace(/-$/, '').slice(0, 64)
  return trimmed === '' ? 'vendor' : trimmed
}
