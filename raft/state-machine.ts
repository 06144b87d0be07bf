/**
 * What a Raft node drives: the caller's own replicated state.
 *
 * Every server applies the same commands in the same order and must reach the same state, so an implementation
 * reads no clock, draws no random number and performs no I/O. One that throws stops its node (and, being
 * deterministic, every other one at the same command): what may be wrong with a command is an outcome, not an
 * exception.
 */

export interface Command {
  /** Grows from call to call, with gaps where Raft has entries of its own. */
  readonly index: number
  readonly term: number
  /** As proposed. Must not be changed, and stays valid for good. */
  readonly data: Uint8Array
}

export interface StateMachine {
  /** One committed command, in order, each once per start (from the last snapshot). */
  apply(command: Command): void
  /**
   * The state as of this call, in slices: at most 5 ms of work and `snapshotChunkBytes` each. Commands are applied
   * before the first slice is asked for, and between them, and must not show in any. One at a time; `return` ends one early.
   */
  snapshot(): Iterator<Uint8Array>
  /**
   * Begins to replace all state by a snapshot; `at` is the last command it includes. One at a time; one that is
   * not ended is forgotten when the next begins. No command is applied meanwhile.
   */
  restore(at: { readonly index: number; readonly term: number }): Restoration
  /**
   * A hash of the state as it is, at most 256 characters: equal for equal states, and different for different ones but
   * for chance. What stands before its first `:` names the way of hashing; only hashes made alike are compared.
   * At most 5 ms of work. Without it, servers are not compared.
   */
  digest?(): string
  /**
   * Whether servers compare their states at the command applied last, beyond every `compareEveryEntries`: a
   * function of the state, for a log that grows slowly.
   */
  isCheckpoint?(): boolean
}

/**
 * A snapshot on its way into a machine, slice by slice with other work between, so that it is held in memory once:
 * the old state, the new one as far as it came, and one slice.
 */
export interface Restoration {
  /** The next slice, as it was cut: at most 5 ms of work. `data` stays valid for good. */
  slice(data: Uint8Array): void
  /** That was all: the new state takes the old one's place, which was in force until now. At most 5 ms of work. */
  end(): void
}
