/**
 * Where an exploration starts, and how much may happen on one way through it.
 *
 * From an empty cluster alone, what is interesting lies deep. So some starts stand where a cluster can come to: logs
 * as in Figures 7 and 8 of the paper, with terms and votes that could have made them.
 */
import type { ConfigurationChange } from '../../raft/core/configuration.ts'
import { configurationOf } from '../../raft/core/configuration.ts'
import type { Entry } from '../../raft/core/entry.ts'

export interface Scope {
  readonly name: string
  readonly voters: readonly string[]
  readonly learners?: readonly string[]
  readonly servers: readonly Founder[]
  /** Leaders of earlier terms, by term. */
  readonly leaders: readonly string[]
  readonly budget: Budget
  /** One of these may be asked for, if the budget says so. */
  readonly changes?: readonly ConfigurationChange[]
  readonly limits?: Limits
}

/** What is left out, so that the search gets deeper with the same number of states. */
export interface Limits {
  /** Everything is on disk at once: of interest without crashes. */
  readonly quickDisks?: boolean
  /** Heartbeats that bring no commit index are lost. */
  readonly quiet?: boolean
}

export interface Founder {
  readonly id: string
  readonly term: number
  readonly votedFor?: string
  /** The terms of the entries after the first. */
  readonly log?: readonly number[]
}

/** How often each of these may happen on one way. */
export interface Budget {
  readonly elections: number
  readonly crashes: number
  readonly proposals: number
  readonly changes: number
  readonly heartbeats: number
  readonly snapshots: number
  /** A disk loses the end of the log, and knows it; or everything. */
  readonly damages: number
}

const nothing: Budget = {
  elections: 0,
  crashes: 0,
  proposals: 0,
  changes: 0,
  heartbeats: 0,
  snapshots: 0,
  damages: 0,
}

/** The log of a founder: a configuration, then entries that say no more than their terms. */
export function founded({ voters, learners = [] }: Scope, { log = [] }: Founder): Entry[] {
  const first: Entry = {
    kind: 'configuration',
    index: 1,
    term: 1,
    configuration: configurationOf(voters, learners),
  }
  return [
    first,
    ...log.map((term, n): Entry => ({
      kind: 'command',
      index: n + 2,
      term,
      data: new Uint8Array([term]),
    })),
  ]
}

const quick: Limits = { quickDisks: true, quiet: true }

const three = ['a', 'b', 'c'] as const
const fresh = {
  voters: three,
  servers: three.map(id => ({ id, term: 1 })),
  leaders: ['', 'a'],
} as const

/** Nothing has happened yet. Disks take their time, and one server crashes at any moment. */
const founding: Scope = {
  ...fresh,
  name: 'founding',
  budget: { ...nothing, elections: 2, crashes: 1, proposals: 1 },
}

/** One server crashes, if need be before a step is on disk. */
const crashing: Scope = {
  ...fresh,
  name: 'crashing',
  budget: { ...nothing, elections: 3, crashes: 1, proposals: 1 },
  limits: quick,
}

/** Figure 8 (b): a led term 2, c led term 3 by the vote of b, and neither got an entry across. */
const figure8: Scope = {
  ...fresh,
  name: 'figure 8',
  servers: [
    { id: 'a', term: 3, log: [2] },
    { id: 'b', term: 3, votedFor: 'c' },
    { id: 'c', term: 3, votedFor: 'c', log: [3] },
  ],
  leaders: ['', 'a', 'a', 'c'],
  budget: { ...nothing, elections: 2, proposals: 1 },
  limits: quick,
}

/** Figure 7: too much of an old term here, too little there. */
const figure7: Scope = {
  ...fresh,
  name: 'figure 7',
  servers: [
    { id: 'a', term: 4, votedFor: 'a', log: [2, 4] },
    { id: 'b', term: 4, votedFor: 'a', log: [2] },
    { id: 'c', term: 3, votedFor: 'c', log: [3, 3, 3] },
  ],
  leaders: ['', 'a', 'b', 'c', 'a'],
  budget: { ...nothing, elections: 2 },
  limits: quick,
}

/** A voter leaves, perhaps the leader. */
const leaving: Scope = {
  ...fresh,
  name: 'leaving',
  budget: { ...nothing, elections: 2, changes: 1 },
  limits: quick,
  changes: [{ remove: ['c'] }, { remove: ['a'] }],
}

/** A learner becomes a voter, perhaps in the place of another. */
const joining: Scope = {
  ...fresh,
  name: 'joining',
  voters: ['a', 'b'],
  learners: ['c'],
  budget: { ...nothing, elections: 2, changes: 1, crashes: 1 },
  limits: quick,
  changes: [{ voters: ['c'] }, { voters: ['c'], learners: ['a'] }],
}

/** One that missed everything meets one that compacts. */
const compacting: Scope = {
  ...fresh,
  name: 'compacting',
  servers: [
    { id: 'a', term: 2, votedFor: 'a', log: [2] },
    { id: 'b', term: 2, votedFor: 'a', log: [2] },
    { id: 'c', term: 2 },
  ],
  leaders: ['', 'a', 'a'],
  budget: { ...nothing, elections: 2, snapshots: 1 },
  limits: quick,
}

/** A bit of everything, from where an entry of an old term is on one disk alone. */
const turmoil: Scope = {
  ...fresh,
  name: 'turmoil',
  servers: [
    { id: 'a', term: 2, votedFor: 'a', log: [2] },
    { id: 'b', term: 2, votedFor: 'a' },
    { id: 'c', term: 1 },
  ],
  leaders: ['', 'a', 'a'],
  budget: { ...nothing, elections: 2, crashes: 1, changes: 1, heartbeats: 1, snapshots: 1 },
  limits: { quickDisks: true },
  changes: [{ remove: ['c'] }, { learners: ['b'] }],
}

/** A disk is damaged after an entry was acknowledged: it has to be taught again before its word counts. */
const damaged: Scope = {
  ...fresh,
  name: 'damaged',
  servers: [
    { id: 'a', term: 2, votedFor: 'a', log: [2] },
    { id: 'b', term: 2, votedFor: 'a', log: [2] },
    { id: 'c', term: 2 },
  ],
  leaders: ['', 'a', 'a'],
  budget: { ...nothing, elections: 2, damages: 1 },
  limits: quick,
}

/** Two elections, and no more. */
const elections: Scope = {
  ...fresh,
  name: 'two elections',
  budget: { ...nothing, elections: 2 },
  limits: quick,
}

export const scopes: readonly Scope[] = [
  founding,
  crashing,
  figure7,
  figure8,
  leaving,
  joining,
  compacting,
  turmoil,
  damaged,
]

/** Small enough to be looked at whole, with two leaders and truncations in each: some 100,000 and 470,000 states. */
export const wholes: readonly Scope[] = [
  elections,
  { ...figure8, name: 'figure 8, nothing proposed', budget: { ...nothing, elections: 2 } },
]

/** The smallest, for every run of the tests. */
export const tiny: Scope = {
  ...figure8,
  name: 'figure 8, one election',
  budget: { ...nothing, elections: 1 },
}
