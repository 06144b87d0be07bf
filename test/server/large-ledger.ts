/** Ledgers as large as they may be, made by commands. */
import { bounds, levelMax, type CommandBody } from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import type { Viewer } from '../../lib/server/status.ts'

export interface LargeOptions {
  readonly servers?: readonly string[]
  /** Features, each with a code of its own. */
  readonly features: number
  /** The name of the n-th. */
  readonly nameOf?: (n: number) => string
  /** A text of the vendor's in each code. */
  readonly customer?: string
}

export const vendorKey = { kid: 'v'.repeat(43), name: 'Acme', publicKey: 'A'.repeat(43) }

export function largeLedger({
  servers = ['alpha', 'beta', 'gamma'],
  features,
  nameOf = n => `feature-${n}`,
  customer = 'us',
}: LargeOptions): Ledger {
  const ledger = new Ledger()
  let index = 0
  const apply = (body: CommandBody): void => {
    const id = body.type === 'genesis' || body.type === 'tick' ? '' : `c${index}`
    const deadline = ledger.state.tick + bounds.deadlineTicks
    const { result } = ledger.apply({ id, deadline, by: 'test', body }, ++index)
    if (!result.ok) throw new Error(`${body.type}: ${result.code}`)
  }
  apply({
    type: 'genesis',
    ...{ pool: 'large', fingerprint: 'print', level: levelMax, servers, vendors: [vendorKey] },
    settings: { tickMs: 1_000, leaseTicks: 60, seatTicks: 30 },
    wallMs: 1_750_000_000_000,
  })
  for (const server of servers) apply({ type: 'hello', server, bootId: `boot-${server}` })
  for (let n = 0; n < features; n++) {
    const feature = nameOf(n)
    const content = {
      ...{ codeId: `code-${feature}`, kid: vendorKey.kid, vendor: 'Acme', customer, feature },
      ...{ allocations: 90, startsAt: 0, issuedAt: 0 },
      kind: 'feature' as const,
    }
    apply({ type: 'add-code', text: `text of ${feature}`, content })
  }
  return ledger
}

/** Server `server` as its own viewer; `inUse` of each feature there. */
export function viewerOf(
  ledger: Ledger,
  server: string,
  inUse: (feature: string) => number = () => 0,
): Viewer {
  return {
    ...{ server, ledger, leader: 'alpha', term: 1, commitIndex: 1, lastApplied: 1 },
    ...{ tickAgeMs: 0, leaseLeftMs: 1_000, hash: 'h', health: undefined, inUse },
    ...{ dark: new Map(), wall: 0, http: undefined, version: undefined, clientLink: undefined },
  }
}
