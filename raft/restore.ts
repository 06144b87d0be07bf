/**
 * A snapshot from the disk into the state machine, one chunk after the other with the loop in between; and what a long
 * log is made into at a start, in the same way.
 *
 * No more than one chunk is in memory at a time, however large the snapshot is, and no heartbeat waits for
 * more than one. Until all of them are in, the machine's old state is in force.
 */
import type { PersistedState } from './core/input.ts'
import { type Log, restoredLog } from './core/log.ts'
import type { SnapshotMeta } from './core/message.ts'
import { internal, RaftError } from './error.ts'
import type { Clock } from './ports.ts'
import type { Restoration, StateMachine } from './state-machine.ts'
import type { Storage } from './storage.ts'

export interface RestoreOptions {
  readonly machine: StateMachine
  readonly storage: Storage
  readonly clock: Clock
  readonly snapshot: SnapshotMeta
  /** Asked before each step: true ends it, and `done` is never called. */
  readonly isStopped: () => boolean
}

export function restoreSnapshot(
  options: RestoreOptions,
  done: (error: RaftError | undefined) => void,
): void {
  const { machine, storage, clock, snapshot, isStopped } = options
  const { lastIncludedIndex: index, lastIncludedTerm: term } = snapshot
  let restoration: Restoration | undefined
  let chunks = 0
  let bytes = 0
  const next = (): void => {
    if (isStopped()) return
    if (chunks < snapshot.chunks) {
      storage.readChunk(snapshot.id, chunks, take)
      return
    }
    if (bytes === snapshot.bytes) done(attempt(index, () => restoration?.end()))
    else done(new RaftError('RAFT_DAMAGED', `Snapshot ${snapshot.id} has ${bytes} bytes.`))
  }
  const take = (error: RaftError | undefined, data?: Uint8Array): void => {
    if (isStopped()) return
    if (data === undefined) {
      done(error ?? new RaftError('RAFT_DAMAGED'))
      return
    }
    chunks++
    bytes += data.length
    const failed = attempt(index, () => {
      restoration ??= machine.restore({ index, term })
      restoration.slice(data)
    })
    if (failed === undefined) clock.defer(next)
    else done(failed)
  }
  next()
}

/** So many entries at a stretch, in code that has not run before: a ms of work. */
const maxEntries = 512

/** The log that the disk holds, as the core wants it. A short one comes within the call. */
export function restoreLog(
  {
    state,
    clock,
    isStopped,
  }: Pick<RestoreOptions, 'clock' | 'isStopped'> & {
    readonly state: PersistedState
  },
  done: (error: RaftError | undefined, log?: Log) => void,
): void {
  const { entries } = state
  let log: Log | undefined
  let taken = 0
  const next = (): void => {
    if (isStopped()) return
    if (log !== undefined && taken >= entries.length) {
      done(undefined, log)
      return
    }
    const part = entries.slice(taken, taken + maxEntries)
    taken += maxEntries
    try {
      if (log === undefined) log = restoredLog({ ...state, entries: part })
      else log.append(part)
    } catch (cause) {
      done(internal(cause))
      return
    }
    if (entries.length <= maxEntries) next()
    else clock.defer(next)
  }
  next()
}

function attempt(index: number, run: () => void): RaftError | undefined {
  try {
    run()
    return undefined
  } catch (cause) {
    return new RaftError('RAFT_STATE_MACHINE', `At the snapshot of entry ${index}.`, { cause })
  }
}
