/** What servers publish of their own accord, on `event.<kind>.<server>`: for whoever looks on. */
import type { FeatureStatus } from './ctl.ts'

/** Published by each server as it applies changes; those of one turn in one event. */
export interface SyncEvent {
  readonly server: string
  readonly leader: boolean
  readonly revision: number
  readonly tick: number
  readonly index: number
  /** The features that changed, as they stand at `revision`; at most 50, then `more` is true. */
  readonly features: readonly FeatureStatus[]
  readonly more: boolean
  /** What happened, in order; at most 50. */
  readonly changes: readonly SyncChange[]
}

export interface SyncChange {
  readonly type: string
  readonly feature?: string
  readonly by: string
  /** Borrow, lend, return, move: from which source to whom and how many. */
  readonly taken?: readonly {
    readonly source: string
    readonly server?: string
    readonly count: number
  }[]
  readonly to?: string
}

/** What became of a license code; the leader publishes it. `days`: it ends in so many, or less. */
export interface CodeEvent {
  readonly server: string
  readonly event: 'code-ends' | 'code-started' | 'code-ended'
  readonly codeId: string
  readonly feature: string
  readonly days?: number
  /** Milliseconds since 1970. */
  readonly endsAt?: number
  readonly renewedBy?: string
}

export interface ServerEvent {
  readonly server: string
  readonly incarnation: number
  readonly event: 'started' | 'leader' | 'follower' | 'lease-lost' | 'lease' | 'stopping'
}
