/**
 * Who belongs to the cluster, and how that changes: by joint consensus alone (paper, 6).
 *
 * A configuration is in force on a server as soon as it is in that server's log. While `outgoing` is not empty it
 * is joint: every decision takes a majority of `voters` and a majority of `outgoing`.
 *
 * Invariant (held against what comes from the wire or the disk by `raft/record.ts`): all lists sorted, no repeats; no server is both in `voters` and in `learners`. One that is demoted
 * is in `outgoing` and in `learners` while the configuration is joint.
 */
import assert from 'node:assert/strict'

export interface Configuration {
  readonly voters: readonly string[]
  /** The voters before the change while joint, else empty. */
  readonly outgoing: readonly string[]
  /** Receive everything, decide nothing. */
  readonly learners: readonly string[]
}

/**
 * A change relative to the configuration in force, so that two operators cannot undo each other unawares.
 * No server may be named twice. A server in `voters` must be a learner that has caught up (thesis 4.2.1).
 */
export interface ConfigurationChange {
  /** To be voters from now on. */
  readonly voters?: readonly string[]
  /** To be learners from now on: newcomers, or voters demoted. */
  readonly learners?: readonly string[]
  readonly remove?: readonly string[]
}

/** At most so many servers of a kind, so that quorum arithmetic and messages are bounded. */
export const maxMembers = 31

export const emptyConfiguration: Configuration = { voters: [], outgoing: [], learners: [] }

/** Sorted as the invariant wants it. */
export function configurationOf(
  voters: readonly string[],
  learners: readonly string[] = [],
): Configuration {
  return { voters: sortedIds(voters), outgoing: [], learners: sortedIds(learners) }
}

export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0
}

/** Whether `id` has a say in elections and commitment, in the old or in the new half. */
export function isVoter({ voters, outgoing }: Configuration, id: string): boolean {
  return voters.includes(id) || outgoing.includes(id)
}

export function isMember(configuration: Configuration, id: string): boolean {
  return isVoter(configuration, id) || configuration.learners.includes(id)
}

/** All servers of a configuration, sorted. */
export function membersOf({ voters, outgoing, learners }: Configuration): string[] {
  return sortedIds([...voters, ...outgoing, ...learners])
}

/** Everyone who votes, sorted. */
export function votersOf({ voters, outgoing }: Configuration): string[] {
  return sortedIds([...voters, ...outgoing])
}

/**
 * The configuration that `change` makes of `from`: joint where voters change, else final at once.
 * `undefined` when the change changes nothing, contradicts itself, or would leave no voter or too many servers.
 */
export function changed(
  from: Configuration,
  change: ConfigurationChange,
): Configuration | undefined {
  assert(!isJoint(from), 'one change at a time')
  const { voters = [], learners = [], remove = [] } = change
  const named = [...voters, ...learners, ...remove]
  if (new Set(named).size !== named.length || named.includes('')) return undefined
  const others = (ids: readonly string[]) => ids.filter(id => !named.includes(id))
  const next = configurationOf(
    [...others(from.voters), ...voters],
    [...others(from.learners), ...learners],
  )
  if (next.voters.length === 0) return undefined
  if (next.voters.length > maxMembers || next.learners.length > maxMembers) return undefined
  if (sameIds(next.voters, from.voters)) {
    return sameIds(next.learners, from.learners) ? undefined : next
  }
  return { ...next, outgoing: from.voters }
}

/** The configuration that follows a joint one (C_new of C_old,new). */
export function leftJoint({ voters, outgoing, learners }: Configuration): Configuration {
  assert(outgoing.length > 0)
  return { voters, outgoing: [], learners }
}

function sortedIds(ids: readonly string[]): string[] {
  return [...new Set(ids)].sort()
}

function sameIds(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i])
}
