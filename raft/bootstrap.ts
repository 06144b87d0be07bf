/**
 * The first state of a cluster, written into an empty store before any node runs on it.
 *
 * Every founding server writes the same entries, so they need no vote: whichever of them leads first finds them
 * in every log, and commits them with its own first entry. A store that nobody bootstrapped never founds
 * anything; its node waits until a leader adds it (paper, 6).
 */
import type { Configuration } from './core/configuration.ts'
import type { Entry } from './core/entry.ts'
import { RaftError } from './error.ts'
import { isConfiguration } from './record.ts'
import type { Storage } from './storage.ts'

export interface Genesis {
  /** Its voters are the founding servers. */
  readonly configuration: Configuration
  /** The state machine's first commands. */
  readonly commands: readonly Uint8Array[]
}

/** The term of what is written first; elections begin above it. */
const firstTerm = 1

/** Ends in RAFT_NOT_EMPTY when the store holds a server already; then nothing was written. */
export function bootstrap(
  storage: Storage,
  { configuration, commands }: Genesis,
  done: (error: RaftError | undefined) => void,
): void {
  if (!isConfiguration(configuration) || configuration.voters.length === 0) {
    throw new RaftError('RAFT_BAD_SETTING', 'The first configuration needs voters.')
  }
  storage.read((error, state) => {
    if (error !== undefined) {
      done(error)
      return
    }
    const { entries = [], snapshot, votedFor, currentTerm = 0 } = state ?? {}
    // An attempt that was cut short may have left the term, and nothing else. A store that was damaged is no empty one.
    const holds = entries.length > 0 || snapshot !== undefined || votedFor !== undefined
    if (holds || currentTerm > firstTerm || storage.damage !== undefined) {
      done(new RaftError('RAFT_NOT_EMPTY'))
      return
    }
    const term = firstTerm
    const first: Entry[] = [
      { kind: 'configuration', index: 1, term, configuration },
      ...commands.map((data, i) => ({ kind: 'command', index: i + 2, term, data }) as const),
    ]
    // A founder has promised nothing to anybody: it is trusted from the start.
    const trust = { kind: 'full' } as const
    const persist = { seq: 1, currentTerm: term, votedFor: undefined, trust, entries: first }
    storage.write({ persists: [persist] }, done)
  })
}
