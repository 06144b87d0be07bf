/** What the ledger asks of signatures, answered (lib/ledger/outcome.ts). */
import type { Judge } from '../ledger/outcome.ts'
import { readVendorCertificate } from './vendor-certificate.ts'
import { verifyCode } from './verify.ts'

export const judge: Judge = {
  code: (text, { vendors, fingerprint, calendar }) =>
    verifyCode(text, { vendors: vendors.values(), fingerprint, now: calendar }),
  certificate: (text, vendors) => readVendorCertificate(text, vendors.values()),
}
