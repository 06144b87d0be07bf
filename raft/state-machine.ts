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
   * The state at this moment, in slices: at most 5 ms of work and `snapshotChunkBytes` each. Commands are
   * applied between the slices, and must not show in them. One at a time; `return` ends one early.
   */
  snapshot(): Iterator<Uint8Array>
  /** Replaces all state by a snapshot, its slices as they were cut. `at` is the last command it includes. */
  restore(
    chunks: readonly Uint8Array[],
    at: { readonly index: number; readonly term: number },
  ): void
}
