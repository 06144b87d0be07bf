/**
 * Collects the effects of one step, and what it changed of the persistent state.
 *
 * All writes have one total order. So "persisted up to seq" says all there is to say of durability: no pair of
 * index and term can be taken for another that was truncated meanwhile (etcd's ABA of async writes).
 */
import type { Effects, Persist } from './effect.ts'

/** What a step changed of the persistent state, before it has a number. */
export interface Dirt extends Mutable<Pick<Persist, 'snapshot' | 'truncateFrom' | 'compactTo'>> {
  /** Term, vote or trust. */
  hardState?: true
  /** The first entry appended in this step. */
  stagedFrom?: number
}

type Mutable<T> = {
  -readonly [K in keyof T]: T[K] extends readonly (infer Item)[] ? Item[] : T[K]
}

export interface Outbox extends Mutable<Omit<Effects, 'persist'>> {
  readonly dirt: Dirt
}

export function emptyOutbox(): Outbox {
  // One literal, not spread together of parts: it is made at every step.
  return {
    dirt: {},
    send: [],
    sendChunks: [],
    storeChunks: [],
    apply: [],
    regressed: [],
    proposals: [],
    reads: [],
    transfers: [],
    changes: [],
    removed: false,
    violations: [],
  }
}

export function isDirty({ dirt }: Outbox): boolean {
  return Object.keys(dirt).length > 0
}
