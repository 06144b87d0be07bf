import type { Command, Result } from './command.ts'
import type { LedgerSnapshot, Row } from './snapshot.ts'
import { emptyState } from './snapshot.ts'
import type { Feature, LedgerState, ServerState } from './state.ts'

/** What applying one command did. */
export interface Applied {
  readonly result: Result
  /** True when the id was known: the remembered result, and nothing changed (I4). */
  readonly duplicate: boolean
  /** Features whose distribution, criteria or codes changed, sorted. */
  readonly changed: readonly string[]
  readonly revisionBefore: number
  readonly revision: number
}

export class Ledger {
  readonly state: LedgerState

  constructor() {
    this.state = emptyState()
  }

  apply(_command: Command, _index: number): Applied {
    throw new Error('being written')
  }

  serverState(_name: string): ServerState {
    throw new Error('being written')
  }

  target(_feature: Feature, _server: string): number {
    throw new Error('being written')
  }

  threshold(_feature: Feature, _server: string): number {
    throw new Error('being written')
  }

  hash(): string {
    throw new Error('being written')
  }

  snapshot(): LedgerSnapshot {
    throw new Error('being written')
  }

  snapshotRows(): Iterator<Row> {
    throw new Error('being written')
  }

  static restore(snapshot: LedgerSnapshot): Ledger {
    return Ledger.restoreRows(snapshot.rows)
  }

  static restoreRows(_rows: Iterable<Row>): Ledger {
    throw new Error('being written')
  }
}
