/** `licd vendor certify`: a vendor's key vouches for its next one. */
import { systemClock } from '../../raft/system.ts'
import { defineCommand } from '../command.ts'

export const certifyCommand = defineCommand({
  command: 'certify <file>',
  describe: 'Vouch, with a key that pools trust, for a new key of yours',
  positionals: {
    file: { type: 'string', demandOption: true, describe: 'The new public key file' },
  },
  options: {
    key: { type: 'string', demandOption: true, describe: 'The private key file that pools trust' },
  },
  examples: [
    [
      'vendor certify acme-2027.pub.json --key acme.key.json > acme-2027.cert',
      'for pools: licd ctl vendor add acme-2027.pub.json --certificate acme-2027.cert',
    ],
  ],
  epilogue:
    'The new key then signs for the features of the old one, whose codes stay good. Programs that verify ' +
    'seats (verifySeatProof) and know the old key alone believe the new one too.',
  run: async ({ file, key }, program) => {
    const { readVendorKey, readVendorSigner } = await import('../../lib/code/vendor-key.ts')
    const { certifyVendorKey } = await import('../../lib/code/vendor-certificate.ts')
    const [fresh, signer] = await Promise.all([readVendorKey(file), readVendorSigner(key)])
    program.print(certifyVendorKey(fresh, signer, systemClock.wall()))
    return 0
  },
})
