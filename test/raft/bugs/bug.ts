/** A bug that some Raft really had, and what became of it here. */
export interface Bug {
  /** As in the list that the tests are held to: V votes, R replication, D disk, M membership, C clients. */
  readonly id: string
  /** Where it was found: issue, commit, or report. */
  readonly source: string
  /** In one line. */
  readonly was: string
  /** Regressions of it (see regressions.ts): each bug that can exist here has one at least. */
  readonly tests?: readonly string[]
  /** Mutants that put it back: each fails one of `tests` at least. */
  readonly mutants?: readonly string[]
  /** Why it cannot exist here: the mechanism that is absent. */
  readonly absent?: string
  /** Other tests, by path, that look at it from elsewhere. */
  readonly also?: readonly string[]
}
