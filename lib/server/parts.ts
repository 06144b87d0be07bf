/**
 * How the parts of a license server meet.
 *
 * The *host* (LicenseServer) owns the Raft node, the ledger, the incarnation and the lease, and talks to the
 * other servers. The *seat service* owns the seat book and the clients, and decides when to borrow, return and
 * lend. Each sees of the other what stands here.
 */
import type { Bus, Clock, Logger, Random } from '../../raft/ports.ts'
import type { SigningKey } from '../code/jws.ts'
import type { PoolEvent } from '../ctl/pool-events.ts'
import type { Code } from '../error.ts'
import type { CommandBody, Offer, Result, Usage } from '../ledger/command.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { SeatStatus } from '../protocol/ctl.ts'
import type { SeatOperation, Subjects } from '../protocol/subject.ts'
import type { TokenKeys } from '../token-keys.ts'
import type { DarkCount, Denial, Standing, TurnedAway } from '../protocol/why.ts'

/** Told of what happens in a server, for figures and for people who look on. Must not throw, nor wait. */
export interface Observer {
  /** A batch of the log became durable: how long the disk took, in ms. */
  synced(ms: number): void
  /** A command proposed here was committed and applied here: how long that took, in ms. */
  committed(ms: number): void
  /** What this server tells the pool of its own accord. */
  told(event: PoolEvent): void
}

/** How a submitted command ended at this server: applied here (or refused when applied), or not. */
export type Outcome =
  | { readonly type: 'applied'; readonly result: Result; readonly duplicate: boolean }
  /** Its deadline passed here without it: no server will ever apply this copy of it (R8). */
  | { readonly type: 'expired' }
  /** Not proposed: too many commands of this server are under way (bounded), or it is stopping. */
  | { readonly type: 'rejected' }
  /** The server stops, and a leader was given it: it may yet be applied. */
  | { readonly type: 'unknown' }

export interface Host {
  readonly server: string
  readonly pool: string
  readonly subjects: Subjects
  /** Servers among themselves, events, operators. */
  readonly bus: Bus
  /** Clients: what they send waits for nobody's consensus, and no consensus waits for it. */
  readonly clientBus: Bus
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** The pool's MAC keys for tokens. */
  readonly keys: TokenKeys
  /** The pool's key pair, which certifies this server's own; absent where seats are not to be proven. */
  readonly poolKey?: SigningKey | undefined
  /** The ledger as applied here. Read only. */
  readonly ledger: Ledger
  /** This run's incarnation; 0 until its `hello` was applied. */
  readonly incarnation: number
  /** Monotonic time (`clock.now()`) until which this server may grant and renew (R3), margin taken off; 0 for never. */
  readonly leaseUntil: number
  /** When a tick was last applied here (`clock.now()`), 0 for never. */
  readonly tickAppliedAt: number
  readonly isLeader: boolean
  readonly leader: string | undefined
  /** True from the moment `stop` was called. */
  readonly stopping: boolean
  /**
   * Commits a command: proposes it here or sends it to the leader, again when the leader changes, until it is
   * applied here or its deadline has passed. `id` defaults to a fresh one; `deadlineTicks` to 10.
   * `done` is called exactly once, from within the application of the entry or of a tick.
   */
  submit(
    body: CommandBody,
    options: { readonly id?: string; readonly deadlineTicks?: number; readonly deadline?: number },
    done: (outcome: Outcome) => void,
  ): void
}

/** What was applied: the command of one entry and what came of it. */
export interface AppliedCommand {
  readonly index: number
  readonly id: string
  readonly body: CommandBody
  readonly result: Result
  readonly duplicate: boolean
  /** Features whose distribution changed. */
  readonly changed: readonly string[]
}

/** What became of a feature's requests here, since the process started. */
export interface Tally {
  /** Seats granted. */
  granted: number
  /** Requests and renewals denied, by code. */
  readonly denied: Map<Code, number>
}

/** What was asked of a seat service, and what led to nothing, since the process started. */
export interface SeatServiceCounts {
  /** Could not be read. */
  malformed: number
  /** Asked for an answer that could go nowhere. */
  replyless: number
  /** Dropped unread, or refused: as many of their sender waited as may. */
  crowdedOut: number
  /** Messages by operation that were taken, whatever came of them. */
  readonly messages: Record<SeatOperation, number>
}

/** What a seat service says of itself to people. */
export interface SeatReport {
  readonly counts: SeatServiceCounts
  /** Feature -> its tally; denials of features that the pool does not have stand under the empty name. */
  readonly tallies: ReadonlyMap<string, Tally>
  /** Dark seats of this server's own, by feature. */
  dark(): ReadonlyMap<string, readonly DarkCount[]>
  /** What it may grant of a feature at this moment; `user`: whose seats are counted too. */
  standing(feature: string, user?: string): Standing
  /** What it denied lately, of all or of one user, the latest first. */
  denials(feature: string, user?: string): readonly Denial[]
  /** Clients that were told to look elsewhere before they could ask; `undefined` without any. */
  turnedAway(): TurnedAway | undefined
  /** Of a feature that the pool has no more: what became of it, a sentence. */
  ended(feature: string): string | undefined
}

/** `after` is a seat's id; `search` is looked for in user, host, feature and seat id, whatever the case. */
export interface SeatQuery {
  readonly feature?: string
  readonly search?: string
  readonly after?: string
  readonly limit: number
}

/** In the order of ids. `total`: how many there are, this page or not. */
export interface SeatPage {
  readonly seats: SeatStatus[]
  readonly next?: string
  readonly total: number
}

export interface SeatService {
  /** Reads a book that may be handed to `start` later, while nobody waits for it: the larger part of what it takes. */
  readAhead(book: Uint8Array): void
  /** After this server's `hello` was applied. `book`: handed over by the incarnation just before (R7), already checked to be for this one. */
  start(options: { readonly relearn: boolean; readonly book?: Uint8Array }): void
  /** After every applied entry, in order. Must adopt share changes before anything else is granted. */
  applied(command: AppliedCommand): void
  /** The ledger was replaced by a snapshot (R11): shares, moves, results must be taken anew from it. */
  installed(): void
  /** This server went down in the ledger (its incarnation is over): drop every seat, wait for `start`. */
  ended(): void
  /**
   * As the leader: lower the own limit of `feature` and say by how many (0 for none) for a borrow about to be
   * proposed (R1). The limit stays lowered until `settleOffer` is called for the same `offerId`.
   */
  offer(
    offerId: string,
    borrow: {
      feature: string
      needed: number
      wanted: number
      cause: 'request' | 'update'
      to: string
    },
  ): Offer | undefined
  /** The borrow of that offer was applied here (either way) or can no longer be. */
  settleOffer(offerId: string): void
  /** Usage since the last call, for a keepalive; at most `max` features, the most used first, the rest next time. */
  usage(max: number): Usage[]
  /** Live figures for `status`. */
  inUse(feature: string): number
  seats(options: SeatQuery): SeatPage
  /** For those who ask why. */
  readonly report: SeatReport
  /** Clean stop (R7): give unused allocations back, stop granting, then `done` with the book to be written, or undefined when there is none. */
  stop(done: (book: Uint8Array | undefined) => void): void
}
