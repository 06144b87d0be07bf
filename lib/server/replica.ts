/**
 * This server's part in the replicated ledger: the Raft node with its state machine, the commands on their way
 * into the log, and the pool clock while it leads.
 *
 * Order when an entry is applied, on which the rules rest: the ledger; `adopt` (the lease, R3, whether this
 * incarnation is over, R7, and the seat service, which adopts shares before it grants again); then whoever
 * waited for the entry; then offers (R1); then the next tick; then `tell` (events).
 */
import type { Bus, Clock, Logger, Random, Subscription } from '../../raft/ports.ts'
import {
  startNode,
  type ChangeOutcome,
  type ConfigurationChange,
  type NodeStatus,
  type Peer,
  type ProposeOptions,
  type ProposeOutcome,
  type RaftError,
  type RaftNode,
  type RaftSettings,
  type Storage,
} from '../../raft/index.ts'
import { commandCodec } from '../command-codec.ts'
import type { Command, Listing } from '../ledger/command.ts'
import type { Applied, Ledger } from '../ledger/ledger.ts'
import type { Judge, Notice } from '../ledger/outcome.ts'
import type { Health } from '../protocol/ctl.ts'
import type { Subjects } from '../protocol/subject.ts'
import { Intake, type IntakeOptions } from './intake.ts'
import { LedgerMachine } from './ledger-machine.ts'
import type { AppliedCommand, Observer } from './parts.ts'
import { decodeKeepalive, encodeKeepalive } from './peer-codec.ts'
import { Submitter } from './submitter.ts'
import { Ticker } from './ticker.ts'

/** How long a look at how far the log goes may take. */
const barrierMs = 2_000

export interface ReplicaHooks {
  adopt(applied: AppliedCommand): void
  tell(applied: AppliedCommand, by: string, notices: readonly Notice[]): void
  /** R11. Before and after those who wait were told what the snapshot says of their commands. */
  adoptSnapshot(): void
  tellSnapshot(index: number): void
  /** The office was taken or left. */
  officeChanged(isLeader: boolean): void
  /** Something of the node's status changed. */
  statusChanged(status: NodeStatus): void
  /** There is a leader: another, or the same in another term. */
  leaderFound(): void
  unreachable(peer: string): void
  failed(error: RaftError): void
  readonly offer: IntakeOptions['offer']
  readonly settleOffer: IntakeOptions['settleOffer']
}

export interface ReplicaOptions {
  readonly server: string
  readonly subjects: Subjects
  /** Tells this pool's log from any other (see `licd init`). */
  readonly clusterId: string
  readonly bus: Bus
  readonly clock: Clock
  readonly random: Random
  readonly storage: Storage
  readonly raft: RaftSettings
  readonly snapshotEveryEntries?: number
  readonly log: Logger
  readonly judge: Judge
  readonly observer?: Observer | undefined
  readonly hooks: ReplicaHooks
}

export class Replica {
  readonly #options: ReplicaOptions
  readonly #machine: LedgerMachine
  readonly #intake: Intake
  readonly #ticker: Ticker
  readonly #submitter: Submitter
  #node: RaftNode | undefined
  #subscriptions: Subscription[] = []
  #term = 0
  #leader: string | undefined
  #isLeader = false
  #closed = false

  constructor(options: ReplicaOptions) {
    const { clock, hooks, log, judge } = options
    this.#options = options
    this.#machine = new LedgerMachine(
      {
        applied: (index, command, applied) => this.#applied(index, command, applied),
        installed: index => this.#installed(index),
      },
      log,
      judge,
    )
    const state = () => this.ledger.state
    this.#submitter = new Submitter({ clock, state, send: command => this.#send(command) })
    this.#ticker = new Ticker({
      clock,
      state,
      propose: (tick, listings, done) => this.#proposeTick(tick, listings, done),
    })
    this.#intake = new Intake({
      state,
      isLeader: () => this.#isLeader,
      offer: hooks.offer,
      settleOffer: hooks.settleOffer,
      propose: (data, done, options) => {
        this.#propose(data, outcome => done(outcome === 'refused' ? 'refused' : 'other'), options)
      },
    })
  }

  get ledger(): Ledger {
    return this.#machine.ledger
  }

  /** Index of the last entry applied. */
  get index(): number {
    return this.#machine.index
  }

  get isLeader(): boolean {
    return this.#isLeader
  }

  get leader(): string | undefined {
    return this.#leader
  }

  /** The node's own view; `undefined` before it runs. */
  get status(): NodeStatus | undefined {
    return this.#node?.status
  }

  /** How this server itself is; `undefined` before it runs. */
  get health(): Health | undefined {
    if (this.#node === undefined) return undefined
    const { trust, damage, differing } = this.#node.status
    const { p50Ms, p99Ms, maxMs, longestMs } = this.#node.lateness
    return {
      trust,
      ...(damage === undefined ? {} : { damage }),
      differing,
      lateP50Ms: rounded(p50Ms),
      lateP99Ms: rounded(p99Ms),
      lateMaxMs: rounded(maxMs),
      longestStallMs: rounded(longestMs),
    }
  }

  get submitter(): Submitter {
    return this.#submitter
  }

  hash(): string {
    return this.#machine.hash()
  }

  /** Joins the pool. Throws RaftError RAFT_BAD_SETTING. */
  start(): void {
    const { server, subjects, bus, clock, random, storage, raft, log, hooks } = this.#options
    const { observer } = this.#options
    const every = this.#options.snapshotEveryEntries
    const node = startNode({
      id: server,
      cluster: subjects.raft,
      genesis: this.#options.clusterId,
      settings: raft,
      storage,
      bus,
      clock,
      random,
      machine: this.#machine,
      log,
      ...(every === undefined ? {} : { snapshotEveryEntries: every }),
      ...(observer === undefined ? {} : { onSynced: ms => observer.synced(ms) }),
    })
    this.#node = node
    this.#subscriptions = [
      node.onStatus(status => this.#statusChanged(status)),
      node.onUnreachable(peer => hooks.unreachable(peer)),
      node.onFatal(error => hooks.failed(error)),
      bus.subscribe(subjects.peer(server, 'propose'), ({ data }) => {
        this.#intake.receive(data)
      }),
      bus.subscribe(subjects.peer(server, 'keepalive'), ({ data }) => {
        const listing = decodeKeepalive(data)
        if (listing !== undefined && listing.server !== server) this.#ticker.heard(listing)
      }),
    ]
    this.#statusChanged(node.status)
  }

  /** A leader hands over first, if it can. Commands under way end as `unknown` or `rejected`. */
  stop(done: () => void): void {
    this.#closed = true
    this.#ticker.leaveOffice()
    this.#submitter.close()
    for (const subscription of this.#subscriptions.splice(0)) subscription.unsubscribe()
    if (this.#node === undefined) this.#options.clock.defer(done)
    else this.#node.stop(done)
  }

  /** Calls back once all that is committed now is applied here; false when that cannot be told in time. */
  barrier(done: (caughtUp: boolean) => void): void {
    let isDone = false
    const finish = (caughtUp: boolean): void => {
      if (isDone) return
      isDone = true
      timer.cancel()
      done(caughtUp)
    }
    const timer = this.#options.clock.after(barrierMs, () => finish(false))
    this.#node?.readIndex(({ ok }) => finish(ok))
  }

  /** Whether the node has read its disk: before that its status tells nothing. */
  probe(done: (isLoaded: boolean) => void): void {
    this.#node?.readIndex(outcome => done(outcome.ok || outcome.reason !== 'stopped'))
  }

  get peers(): readonly Peer[] {
    return this.#node?.peers ?? []
  }

  /** The ledger of this moment as slices of a snapshot, while changes go on. */
  backup(): Iterator<Uint8Array> {
    return this.#machine.backup()
  }

  changeConfiguration(change: ConfigurationChange, done: (outcome: ChangeOutcome) => void): void {
    this.#node?.changeConfiguration(change, done)
  }

  transferLeadership(to: string | undefined, done: (problem: string | undefined) => void): void {
    this.#node?.transferLeadership(to, outcome => done(outcome.ok ? undefined : outcome.reason))
  }

  /** Whoever leads hears that this server lives. Lost ones are not repeated. */
  keepalive(listing: Listing): void {
    const { bus, subjects } = this.#options
    if (this.#isLeader) this.#ticker.heard(listing)
    else if (this.#leader !== undefined) {
      bus.publish(subjects.peer(this.#leader, 'keepalive'), encodeKeepalive(listing))
    }
  }

  /** This incarnation is over, and what it promised with it. */
  ended(): void {
    this.#intake.ended()
  }

  #send(command: Command): boolean {
    const { bus, subjects, log } = this.#options
    const { id, body } = command
    if (this.#leader !== undefined) log.debug('command', { id, type: body.type, to: this.#leader })
    if (this.#isLeader) return this.#intake.take(command)
    if (this.#leader === undefined) return false
    return bus.publish(subjects.peer(this.#leader, 'propose'), commandCodec.encode(command))
  }

  #proposeTick(tick: number, listings: readonly Listing[], done: (entered: boolean) => void): void {
    const body = { type: 'tick' as const, tick, listings }
    const by = `server:${this.#options.server}`
    const data = commandCodec.encode({ id: '', deadline: 0, by, body })
    // Where the outcome is unknown it stands in the log, and may yet be committed.
    this.#propose(data, outcome => done(outcome !== 'refused'))
  }

  #propose(
    data: Uint8Array,
    done: (outcome: ProposeOutcome['outcome']) => void,
    options?: ProposeOptions,
  ): void {
    const { clock, observer } = this.#options
    const since = clock.now()
    const told = ({ outcome }: ProposeOutcome): void => {
      if (outcome === 'committed') observer?.committed(clock.now() - since)
      done(outcome)
    }
    this.#node?.propose(data, told, options)
  }

  #statusChanged(status: NodeStatus): void {
    if (this.#closed) return
    const { server, hooks } = this.#options
    const { role, term, leader } = status
    const leads = role === 'leader'
    // One that was elected and has not yet applied all of the log cannot take anything on.
    // A learner never campaigns: it would believe in a dead leader for ever.
    const isLost = role === 'learner' && !status.quorate
    const known = leads ? server : leader === server || isLost ? undefined : leader
    const isNews = known !== this.#leader || term !== this.#term
    if (this.#isLeader && (!leads || term !== this.#term)) {
      this.#isLeader = false
      this.#ticker.leaveOffice()
      this.#intake.leaveOffice()
      hooks.officeChanged(false)
    }
    this.#term = term
    this.#leader = known
    if (leads && !this.#isLeader) {
      this.#isLeader = true
      this.#ticker.takeOffice()
      hooks.officeChanged(true)
    }
    if (isNews && known !== undefined) {
      this.#submitter.leaderChanged()
      hooks.leaderFound()
    }
    hooks.statusChanged(status)
  }

  #applied(index: number, { id, body, by }: Command, applied: Applied): void {
    const { result, duplicate, changed } = applied
    const told: AppliedCommand = { index, id, body, result, duplicate, changed }
    const { hooks, log } = this.#options
    if (body.type !== 'tick') {
      const outcome = result.ok ? (duplicate ? 'again' : 'ok') : result.code
      log.debug('applied', { id, type: body.type, index, by, outcome })
    }
    hooks.adopt(told)
    if (this.ledger.state.results.has(id)) {
      this.#submitter.applied(id, result, duplicate)
      this.#intake.applied(id)
    } else this.#submitter.refusedForNow(id, result)
    if (body.type === 'tick' && result.ok) {
      this.#submitter.ticked()
      this.#intake.ticked()
    }
    if (body.type === 'tick') this.#ticker.applied(body.tick)
    hooks.tell(told, by, applied.notices)
  }

  #installed(index: number): void {
    const { hooks } = this.#options
    hooks.adoptSnapshot()
    this.#submitter.installed()
    this.#intake.installed()
    hooks.tellSnapshot(index)
  }
}

/** To tenths. */
function rounded(ms: number): number {
  return Math.round(ms * 10) / 10
}
