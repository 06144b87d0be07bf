/** What a license server is made of: who it is, and what it runs on. */
import type { Bus, Clock, Logger, Random } from '../../raft/ports.ts'
import type { RaftSettings, Storage } from '../../raft/index.ts'
import type { SigningKey } from '../code/jws.ts'
import type { LicdError } from '../error.ts'
import type { Judge } from '../ledger/outcome.ts'
import type { Standing } from './admission.ts'
import type { AccountStore } from './account-holder.ts'
import type { BookStore } from './book-file.ts'
import type { KeyStore } from './key-holder.ts'
import type { Host, Observer, SeatService } from './parts.ts'

/** Who this server is, as its data folder says. */
export interface ServerIdentity {
  readonly pool: string
  readonly server: string
  /** Of the pool's key; the ledger must hold the same. */
  readonly fingerprint: string
  readonly clusterId: string
  /** Grows when the pool is restored or recovered: servers of an earlier one must not serve beside it. */
  readonly epoch?: number
  /** The pool's MAC keys for tokens, 32 bytes each, newest first. */
  readonly macKeys: readonly Uint8Array[]
  /** The account that signs credentials (`A...`), of a pool with roles: changes must be signed by an operator. */
  readonly issuer?: string
  /** The pool's key pair; absent where seats are not to be proven. */
  readonly poolKey?: SigningKey
}

export interface LicenseServerOptions {
  readonly identity: ServerIdentity
  readonly bus: Bus
  /** A connection of its own for what clients send; absent: they share `bus`. */
  readonly clientBus?: Bus
  readonly clock: Clock
  readonly random: Random
  /** Opened. The server closes it. */
  readonly storage: Storage
  readonly raft: RaftSettings
  readonly snapshotEveryEntries?: number
  /** How long a look at the clocks for a suspension of the host counts. Default 0: looks at each question. */
  readonly clockLookMs?: number
  readonly books: BookStore
  /** Where MAC keys are looked for again while it runs; absent: there are no others. */
  readonly keyStore?: KeyStore
  /** The configuration of the nats-server beside it; absent: NATS is configured elsewhere. */
  readonly accountStore?: AccountStore | undefined
  /** Of signatures: before a code is proposed, and as it is applied. */
  readonly judge: Judge
  readonly createService: (host: Host) => SeatService
  readonly log: Logger
  /** The server stops by itself, for good. Called at most once, before it has stopped. */
  readonly onFatal: (error: LicdError) => void
  /** It may grant: it has a lease, the first one or one after a time without. */
  readonly onServing?: (incarnation: number) => void
  /** A new server waits until an operator adds it. */
  readonly onStanding?: (standing: Standing) => void
  readonly observer?: Observer
  /** Where its page and figures are, for the other servers to tell of: `http://host:port`. */
  readonly http?: string
  /** Of the program, for operators to see which servers were upgraded. */
  readonly version?: string
}
