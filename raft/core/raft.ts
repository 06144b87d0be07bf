/**
 * The Raft core: one server's half of the protocol as a function from inputs to effects.
 */
import type { Configuration } from './configuration.ts'
import { emptyConfiguration } from './configuration.ts'
import type { Effects, Role } from './effect.ts'
import type { Input, PersistedState } from './input.ts'
import type { RaftSettings } from './settings.ts'

export interface RaftOptions {
  readonly id: string
  readonly settings: RaftSettings
  /** As read from the own disk; the state machine must already be restored from `persisted.snapshot`. */
  readonly persisted: PersistedState
  /** 32 bits of chance, different at every start. */
  readonly seed: number
}

export class Raft {
  readonly id: string

  constructor(options: RaftOptions) {
    this.id = options.id
  }

  /** Takes one input and says what is to be done. Never throws but on a failed assertion; not re-entrant. */
  step(_input: Input): Effects {
    throw new Error('not built yet')
  }

  get role(): Role {
    return 'follower'
  }
  get currentTerm(): number {
    return 0
  }
  get votedFor(): string | undefined {
    return undefined
  }
  get leader(): string | undefined {
    return undefined
  }
  get commitIndex(): number {
    return 0
  }
  get lastApplied(): number {
    return 0
  }
  get lastIndex(): number {
    return 0
  }
  get snapshotIndex(): number {
    return 0
  }
  /** In force here, committed or not. */
  get configuration(): Configuration {
    return emptyConfiguration
  }
  /** The configuration in force at an applied index: what a snapshot taken there must carry. */
  configurationAt(_index: number): Configuration {
    return emptyConfiguration
  }
  /** `undefined` outside of what the log holds. */
  termAt(_index: number): number | undefined {
    return undefined
  }
  /** Bytes of log above the snapshot, and entries: what decides when to take the next one. */
  get logBytes(): number {
    return 0
  }
  /** Leader: an entry of its own term is committed. Then, once applied, it leads towards clients. */
  get ready(): boolean {
    return false
  }
  /** Leader: a quorum answered within T. Follower: the leader was heard within T. */
  get quorate(): boolean {
    return false
  }
  /** Ids of snapshots that are being sent, sorted: they must not be deleted. The newest one never may. */
  get snapshotsInUse(): readonly string[] {
    return []
  }
  /** Messages dropped because they made no sense. */
  get ignored(): number {
    return 0
  }
}
