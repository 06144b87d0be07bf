/**
 * Why the pool has a feature no more: its codes ended, were removed, or the key that signed them was revoked.
 *
 * The ledger forgets a vendor's feature with its last code, and who asks for it the day after must not be told to look
 * at the spelling. Made of the codes that the ledger remembers, for people; nothing is decided by it.
 */
import { endedEarly } from '../ledger/code-end.ts'
import type { CodeRecord, LedgerState } from '../ledger/state.ts'
import { momentOf } from '../protocol/seat-end.ts'

/** What follows "the license code ID". */
function endOf(record: CodeRecord, state: LedgerState): string {
  switch (endedEarly(record, state)) {
    case 'revoked':
      return 'was signed by a key that was revoked'
    case 'removed':
      return 'was removed'
    default:
      return `ended on ${momentOf(record.content.expiresAt ?? 0)}`
  }
}

export function dateOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}

export class EndedFeatures {
  /** Feature, or version that was served by one -> of its codes that ended, the one that was to last longest. */
  #last = new Map<string, CodeRecord>()
  #madeAt = -1

  /** As `why`, a sentence of its own. */
  sentence(feature: string, state: LedgerState): string | undefined {
    const why = this.why(feature, state)
    return why === undefined ? undefined : `T${why.slice(1)}.`
  }

  /** `undefined` of a feature that no code ever brought, or none that is remembered. */
  why(feature: string, state: LedgerState): string | undefined {
    // Read once a tick at most: who asks for what is not there cannot make it dear.
    if (this.#madeAt !== state.tick) this.#read(state)
    const record = this.#last.get(feature)
    return record === undefined
      ? undefined
      : `the license code ${record.content.codeId} ${endOf(record, state)}`
  }

  #read({ codes, tick }: LedgerState): void {
    this.#madeAt = tick
    this.#last = new Map()
    for (const record of codes.values()) {
      if (record.state !== 'ended') continue
      const { feature, serves = [] } = record.content
      for (const name of [feature, ...serves]) {
        const known = this.#last.get(name)
        if (known === undefined || endsAt(known) < endsAt(record)) this.#last.set(name, record)
      }
    }
  }
}

function endsAt({ content }: CodeRecord): number {
  return content.expiresAt ?? Infinity
}
