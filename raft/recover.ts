/**
 * What is done to a store while no node runs on it: founding one from a snapshot, and going on from what one
 * survivor of a lost majority has.
 *
 * Both break what the paper promises, and are for operators alone. A recovered log may lack entries that were
 * committed; it must never meet a server of the cluster that it was part of, which goes on to believe in those.
 * So the caller gives the cluster another `genesis` before.
 */
import { configurationOf } from './core/configuration.ts'
import type { Entry } from './core/entry.ts'
import type { PersistedState, Trust } from './core/input.ts'
import type { SnapshotMeta } from './core/message.ts'
import { RaftError } from './error.ts'
import type { Storage } from './storage.ts'

type Done = (error: RaftError | undefined) => void

/** Bytes of chunks in one write. */
const batchBytes = 1024 * 1024

export interface Seed {
  /** The state machine's state, in slices as it would cut them. */
  readonly chunks: readonly Uint8Array[]
  /** Of the last command in it; both at least 1. */
  readonly index: number
  readonly term: number
  readonly voters: readonly string[]
  /** Commands to follow, as if committed. */
  readonly commands: readonly Uint8Array[]
}

/** Founds a server on a snapshot. Ends in RAFT_NOT_EMPTY when the store holds a server already. */
export function seed(storage: Storage, from: Seed, done: Done): void {
  const { chunks, index, term, voters, commands } = from
  storage.read((error, state) => {
    if (error !== undefined) return done(error)
    const { entries = [], snapshot, votedFor } = state ?? {}
    const holds = entries.length > 0 || snapshot !== undefined || votedFor !== undefined
    if (holds || storage.damage !== undefined) return done(new RaftError('RAFT_NOT_EMPTY'))
    const configuration = configurationOf(voters)
    const meta: SnapshotMeta = {
      id: `seed-${String(index)}`,
      lastIncludedIndex: index,
      lastIncludedTerm: term,
      configuration,
      bytes: chunks.reduce((sum, { length }) => sum + length, 0),
      chunks: chunks.length,
    }
    return writeChunks(storage, meta.id, chunks, 0, failed => {
      if (failed !== undefined) return done(failed)
      const persist = {
        seq: 1,
        currentTerm: term,
        votedFor: undefined,
        trust: { kind: 'full' } as const,
        snapshot: meta,
        compactTo: index,
        entries: commands.map((data, i) => command(index + 1 + i, term, data)),
      }
      return storage.write({ persists: [persist] }, done)
    })
  })
}

function writeChunks(
  storage: Storage,
  snapshotId: string,
  chunks: readonly Uint8Array[],
  from: number,
  done: Done,
): void {
  if (from >= chunks.length) return done(undefined)
  const batch: { snapshotId: string; chunk: number; data: Uint8Array }[] = []
  let bytes = 0
  let next = from
  for (; next < chunks.length && bytes < batchBytes; next++) {
    const data = chunks[next] ?? new Uint8Array()
    batch.push({ snapshotId, chunk: next, data })
    bytes += data.length
  }
  return storage.write({ chunks: batch }, error => {
    if (error !== undefined) return done(error)
    return writeChunks(storage, snapshotId, chunks, next, done)
  })
}

function command(index: number, term: number, data: Uint8Array): Entry {
  return { kind: 'command', index, term, data }
}

/** What a store has to offer to a recovery. */
export interface Remains {
  readonly lastIndex: number
  readonly lastTerm: number
  readonly currentTerm: number
  /** The last configuration in the log, committed or not. */
  readonly voters: readonly string[]
  readonly learners: readonly string[]
  /** Not `full`: it lost entries that it may have acknowledged. */
  readonly trust: Trust['kind']
}

/** `undefined` for a store without a log. */
export function remainsOf(state: PersistedState | undefined): Remains | undefined {
  const { entries = [], snapshot, currentTerm = 0, trust } = state ?? {}
  const last = entries.at(-1)
  const lastIndex = last?.index ?? snapshot?.lastIncludedIndex ?? 0
  if (lastIndex === 0) return undefined
  const newest = entries.findLast(entry => entry.kind === 'configuration')
  const configuration =
    newest?.kind === 'configuration' ? newest.configuration : snapshot?.configuration
  return {
    lastIndex,
    lastTerm: last?.term ?? snapshot?.lastIncludedTerm ?? 0,
    currentTerm,
    voters: configuration?.voters ?? [],
    learners: configuration?.learners ?? [],
    trust: trust?.kind ?? 'full',
  }
}

/**
 * Makes `voter` the only voter, by an entry of a later term, with `commands` behind it. All that its log holds counts
 * as committed from then on, what never was included.
 */
export function recover(
  storage: Storage,
  { voter, commands }: { readonly voter: string; readonly commands: readonly Uint8Array[] },
  done: Done,
): void {
  storage.read((error, state) => {
    if (error !== undefined) return done(error)
    const remains = remainsOf(state)
    if (remains === undefined) {
      return done(new RaftError('RAFT_BAD_SETTING', 'The store has no log to go on from.'))
    }
    const term = remains.currentTerm + 1
    const index = remains.lastIndex + 1
    const configuration = configurationOf([voter])
    const entries: Entry[] = [
      { kind: 'configuration', index, term, configuration },
      ...commands.map((data, i) => command(index + 1 + i, term, data)),
    ]
    const trust = { kind: 'full' } as const
    const persist = { seq: 1, currentTerm: term, votedFor: undefined, trust, entries }
    return storage.write({ persists: [persist] }, done)
  })
}
