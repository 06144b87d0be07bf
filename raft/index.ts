/**
 * The public surface of raft/, kept by hand: what is not named here may change without notice.
 */
export { bootstrap, type Genesis } from './bootstrap.ts'
export type { ChangeOutcome, ProposeOutcome, ReadOutcome, TransferOutcome } from './calls.ts'
export {
  configurationOf,
  isMember,
  isVoter,
  membersOf,
  type Configuration,
  type ConfigurationChange,
} from './core/configuration.ts'
export { defaultSettings, type RaftSettings } from './core/settings.ts'
export { settingBounds, settingsProblem } from './settings.ts'
export type { Peer } from './core/raft.ts'
export { startNode } from './driver.ts'
export { RaftError, raftCodes, type RaftCode } from './error.ts'
export type { LatenessFigures } from './lateness.ts'
export { ownerOf } from './folder-lock.ts'
export { condemn, inspectLevelStorage, openLevelStorage } from './level-storage.ts'
export { memoryDisk, memoryStorage, type MemoryDisk } from './memory-storage.ts'
export { connectNats, type NatsBus, type NatsOptions } from './nats-bus.ts'
export { tryNats, type Attempts, type Trial } from './nats-trial.ts'
export type { NodeOptions, NodeStatus, ProposeOptions, RaftNode } from './node.ts'
export {
  silentLogger,
  type Bus,
  type BusMessage,
  type Clock,
  type Logger,
  type PublishOptions,
  type Random,
  type Subscription,
  type Timer,
} from './ports.ts'
export { recover, remainsOf, seed, type Remains, type Seed } from './recover.ts'
export type { Command, Restoration, StateMachine } from './state-machine.ts'
export type { Batch, Chunk, Storage } from './storage.ts'
export { systemClock, systemRandom } from './system.ts'
