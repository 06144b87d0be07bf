/** What operators are told of the pool's MAC keys: their ids, never the keys. */
export interface KeyList {
  /** Held by the answering server, newest first. */
  readonly held: readonly string[]
  /** What it makes tokens with; absent when it does not hold that. */
  readonly making?: string
  /** What the ledger says to use; absent in a pool that never changed its key. */
  readonly current?: string
  /** Keys of before that are still heard, and for how many ticks. */
  readonly before: readonly { readonly kid: string; readonly leftTicks: number }[]
  /** Every server of the pool, and what it said it holds: nothing where nobody had to ask. */
  readonly holders: readonly { readonly server: string; readonly kids: readonly string[] }[]
  readonly tickMs: number
}
