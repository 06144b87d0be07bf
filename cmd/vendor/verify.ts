/** `licd vendor verify`: whether a pool would take a license code. */
import { LicdError } from '../../lib/error.ts'
import { systemClock } from '../../raft/system.ts'
import { defineCommand } from '../command.ts'
import { harmless } from '../program.ts'
import { formatDate } from '../table.ts'
import { codeFilePositional, readCodeText } from './code-text.ts'
import { readDate } from './sign.ts'

export const verifyCommand = defineCommand({
  command: 'verify <file>',
  describe: 'Check a license code as a pool would: signature, pool, expiry',
  positionals: { file: codeFilePositional },
  options: {
    vendor: {
      type: 'array',
      string: true,
      demandOption: true,
      describe: 'Public key file of a vendor to trust; may be repeated',
    },
    fingerprint: { type: 'string', demandOption: true, describe: 'Fingerprint of the pool' },
    at: { type: 'string', default: 'now', describe: 'The date to check its end against' },
    json: { type: 'boolean', describe: 'Print JSON for programs', default: false },
  },
  examples: [
    [
      'vendor verify code.txt --vendor acme.pub.json --fingerprint oPw5...',
      'exit code 0 when good',
    ],
  ],
  epilogue:
    'Refusals: LICD_CODE_MALFORMED, LICD_CODE_UNTRUSTED, LICD_CODE_FORGED, LICD_CODE_FOREIGN, LICD_CODE_EXPIRED.',
  run: async ({ file, vendor, fingerprint, at, json }, program) => {
    const now = at === 'now' ? systemClock.wall() : readDate('--at', at)
    const { readVendorKey } = await import('../../lib/code/vendor-key.ts')
    const { verifyCode } = await import('../../lib/code/verify.ts')
    const vendors = await Promise.all(vendor.map(path => readVendorKey(path)))
    const verified = verifyCode(await readCodeText(file), { vendors, fingerprint, now })
    if (!verified.ok) throw new LicdError(verified.code, verified.detail)
    const { content } = verified
    if (json) program.printJson({ verified: true, fingerprint, ...content })
    else {
      program.print(
        harmless(
          `good: ${content.allocations} of ${content.feature} for ${content.customer}, ` +
            `by ${content.vendor}, from ${formatDate(content.startsAt)}, ends ${formatDate(content.expiresAt)}`,
        ),
      )
    }
    return 0
  },
})
