/**
 * A snapshot from the disk into the state machine, one chunk after the other with the loop in between.
 *
 * No more than one chunk is in memory at a time, however large the snapshot is, and no heartbeat waits for
 * more than one. Until all of them are in, the machine's old state is in force.
 */
import type { SnapshotMeta } from './core/message.ts'
import { RaftError } from './error.ts'
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

function attempt(index: number, run: () => void): RaftError | undefined {
  try {
    run()
    return undefined
  } catch (cause) {
    return new RaftError('RAFT_STATE_MACHINE', `At the snapshot of entry ${index}.`, { cause })
  }
}
