/** What simulated pools believe of license codes: they are their content, for signatures are tested elsewhere. */
import type { CodeContent, VendorKey } from '../../lib/ledger/command.ts'
import type { Judge } from '../../lib/ledger/outcome.ts'

export const vendor: VendorKey = { kid: 'vendor-key', name: 'Vendor', publicKey: 'x' }

export const readCodes: Judge = {
  code: text => ({ ok: true, content: JSON.parse(text) as CodeContent }),
  certificate: () => ({ ok: false, code: 'LICD_BAD_KEY' }),
}
