/** `licd vendor`: the vendor's side of license codes. Needs no pool and no network. */
import { defineGroup } from './command.ts'
import { certifyCommand } from './vendor/certify.ts'
import { inspectCommand } from './vendor/inspect.ts'
import { keygenCommand } from './vendor/keygen.ts'
import { signCommand } from './vendor/sign.ts'
import { verifyCommand } from './vendor/verify.ts'

export const vendorCommand = defineGroup(
  'vendor',
  'Make and check license codes (for vendors of features)',
  [keygenCommand, certifyCommand, signCommand, inspectCommand, verifyCommand],
  [
    ['vendor keygen "Acme Ltd"', 'make a key pair, once'],
    ['vendor sign --help', 'how a code is made'],
  ],
)
