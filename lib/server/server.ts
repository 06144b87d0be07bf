/**
 * A license server: its part in the ledger, its incarnation and lease, and the seat service, put together.
 *
 * It runs on ports alone (bus, clock, chance, disk), in callbacks, so that a whole pool of real servers runs in
 * the simulator.
 *
 * Life of a server: asks whether its name is taken, takes the book that was handed over, joins the pool, says
 * `hello`, serves; when its incarnation ends without it (it was cut off too long) it says `hello` again. It stops
 * cleanly on `stop`, at once on a fatal error, and never starts twice.
 */
import type { Bus, Clock, Logger, Random } from '../../raft/ports.ts'
import type { NodeStatus, Peer } from '../../raft/index.ts'
import type { SigningKey } from '../code/jws.ts'
import { LicdError } from '../error.ts'
import type { CommandBody } from '../ledger/command.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { PoolStatus } from '../protocol/ctl.ts'
import { subjects, type Subjects } from '../protocol/subject.ts'
import { TokenKeys } from '../token-keys.ts'
import type { HandedOver } from './book-file.ts'
import { ClientLink } from './client-link.ts'
import { deadlineOf } from './deadline.ts'
import { DuplicateWatch } from './duplicate.ts'
import { EpochWatch } from './epoch-watch.ts'
import { Events } from './events.ts'
import { asLicdError } from './fatal.ts'
import type { Incarnation } from './hello.ts'
import { KeyHolder } from './key-holder.ts'
import { Operators } from './operators.ts'
import type { LicenseServerOptions } from './options.ts'
import type { Host, Outcome, SeatService } from './parts.ts'
import { Replica } from './replica.ts'
import { poolStatus, viewerOf, type Viewer } from './status.ts'
import { Tenure } from './tenure.ts'

/** Giving back may take a commit or two; a pool without a leader must not keep a server from stopping. */
const stopMs = 5_000

export class LicenseServer implements Host {
  readonly server: string
  readonly pool: string
  readonly subjects: Subjects
  readonly bus: Bus
  readonly clientBus: Bus
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly keys: TokenKeys
  readonly poolKey: SigningKey | undefined
  readonly service: SeatService

  readonly #options: LicenseServerOptions
  readonly #replica: Replica
  readonly #tenure: Tenure
  readonly #events: Events
  readonly #operators: Operators
  readonly #keyHolder: KeyHolder
  readonly #clientLink: ClientLink | undefined
  readonly #watch: DuplicateWatch
  readonly #epochs: EpochWatch
  #book: HandedOver | undefined
  #startedAt = 0
  #state: 'new' | 'running' | 'stopping' | 'leaving' | 'stopped' = 'new'
  #stopped: (() => void)[] = []

  constructor(options: LicenseServerOptions) {
    const { identity, bus, clientBus = bus, clock, random, log } = options
    this.#options = options
    this.server = identity.server
    this.pool = identity.pool
    this.poolKey = identity.poolKey
    this.subjects = subjects(identity.pool)
    this.bus = bus
    this.clientBus = clientBus
    this.#clientLink = clientBus === bus ? undefined : new ClientLink(clientBus, clock)
    this.clock = clock
    this.random = random
    this.log = log
    this.#replica = this.#makeReplica()
    this.keys = new TokenKeys(this.pool, identity.macKeys, () => this.ledger.state.tokenKeys)
    this.#keyHolder = new KeyHolder({
      server: this.server,
      keys: this.keys,
      store: options.keyStore,
      log,
      state: () => this.ledger.state,
      incarnation: () => this.incarnation,
      submit: (body, done) => this.submit(body, {}, done),
    })
    this.#tenure = this.#makeTenure()
    this.#events = new Events({
      server: this.server,
      subjects: this.subjects,
      bus,
      clock,
      ledger: () => this.ledger,
      isLeader: () => this.isLeader,
      incarnation: () => this.incarnation,
      inUse: feature => this.service.inUse(feature),
      log,
      observer: options.observer,
    })
    this.#operators = this.#makeOperators()
    this.#watch = new DuplicateWatch({
      bus,
      clock,
      server: this.server,
      processId: random.id(),
      subject: this.subjects.peer(this.server, 'claim'),
      stop: () => this.#fail(new LicdError('LICD_DUPLICATE_SERVER', `Server ${this.server}.`)),
    })
    this.#epochs = new EpochWatch({
      bus,
      clock,
      subject: this.subjects.epoch,
      identity: { epoch: 0, ...identity },
      stop: () => this.#fail(new LicdError('LICD_OLD_EPOCH', `Server ${this.server}.`)),
    })
    this.service = options.createService(this)
  }

  get ledger(): Ledger {
    return this.#replica.ledger
  }

  get incarnation(): number {
    return this.#tenure.incarnation
  }

  get leaseUntil(): number {
    return this.#tenure.leaseUntil
  }

  get tickAppliedAt(): number {
    return this.#tenure.tickAppliedAt
  }

  get isLeader(): boolean {
    return this.#replica.isLeader
  }

  get leader(): string | undefined {
    return this.#replica.leader
  }

  get stopping(): boolean {
    return this.#state !== 'new' && this.#state !== 'running'
  }

  /** The Raft node's own view, for tests; `undefined` before it runs. */
  get raft(): NodeStatus | undefined {
    return this.#replica.status
  }

  /** Leader: what it knows of the others. */
  get peers(): readonly Peer[] {
    return this.#replica.peers
  }

  /** How far the ledger is applied here, and its hash: equal on all servers at equal index (I5). */
  get applied(): { readonly index: number; readonly hash: string } {
    return { index: this.#replica.index, hash: this.#replica.hash() }
  }

  status(): PoolStatus {
    return poolStatus(this.viewer())
  }

  /** Of the connection for clients, where it has one of its own. */
  get clientLink(): PoolStatus['clientLink'] {
    return this.#clientLink?.standing
  }

  /** This server as it sees the pool. */
  viewer(): Viewer {
    return viewerOf(this, this.#replica, this.#startedAt, this.#options)
  }

  start(): void {
    this.#state = 'running'
    this.#startedAt = this.clock.now()
    this.#epochs.start()
    this.#watch.start(taken => {
      if (this.#state !== 'running') return
      if (taken) return this.#fail(new LicdError('LICD_DUPLICATE_SERVER', `Server ${this.server}.`))
      this.#options.books.take((book, problem) => {
        if (this.#state !== 'running') return
        this.#book = book
        if (problem === undefined) this.#join()
        else this.#fail(asLicdError(problem))
      })
    })
  }

  /** Clean stop (R7): unused allocations go back, the book is written, the leader's office is handed over. */
  stop(done: () => void): void {
    if (this.#state === 'stopped') {
      this.clock.defer(done)
      return
    }
    this.#stopped.push(done)
    if (this.stopping) return
    const wasNew = this.#state === 'new'
    this.#state = 'stopping'
    if (!wasNew) this.#events.server('stopping')
    this.#operators.stop()
    this.#tenure.retire()
    if (this.incarnation === 0) {
      this.#leave()
      return
    }
    const { incarnation } = this
    this.clock.after(stopMs, () => this.#leave())
    this.service.stop(data => {
      if (this.#state !== 'stopping') return
      // Had it gone down meanwhile, its seats would be somebody else's by now.
      if (data === undefined || this.incarnation !== incarnation) {
        this.#leave()
        return
      }
      this.#options.books.write({ incarnation, data }, problem => {
        if (problem !== undefined) this.log.error('book-not-written', { error: problem })
        this.#leave()
      })
    })
  }

  submit(
    body: CommandBody,
    options: { readonly id?: string; readonly deadlineTicks?: number; readonly deadline?: number },
    done: (outcome: Outcome) => void,
  ): void {
    const deadline = options.deadline ?? deadlineOf(this.ledger.state, options.deadlineTicks)
    const id = options.id ?? this.random.id()
    this.#replica.submitter.submit({ id, deadline, by: `server:${this.server}`, body }, done)
  }

  #join(): void {
    try {
      this.#replica.start()
    } catch (cause) {
      this.#fail(asLicdError(cause))
      return
    }
    this.#operators.start()
    this.#tenure.start()
    // While the servers look for a leader.
    const data = this.#book?.data
    if (data !== undefined) this.clock.defer(() => this.service.readAhead(data))
  }

  #begin({ incarnation, relearn }: Incarnation): void {
    const { fingerprint } = this.ledger.state
    if (fingerprint !== this.#options.identity.fingerprint) {
      this.#fail(new LicdError('LICD_WRONG_POOL', `Its ledger is of pool ${fingerprint}.`))
      return
    }
    // Without relearning there is nothing it could know: it was down meanwhile, its seats are over.
    const isNext = relearn && this.#book?.incarnation === incarnation - 1
    const book = isNext ? this.#book?.data : undefined
    this.#book = undefined
    this.#watch.since(incarnation)
    this.log.info('serving', { incarnation, relearn, book: book !== undefined })
    this.service.start({ relearn, ...(book === undefined ? {} : { book }) })
    this.#events.server('started')
  }

  /** Stops without ceremony: what it granted ends with its lease, what it promised with its deadline. */
  #fail(error: LicdError): void {
    if (this.#state === 'leaving' || this.#state === 'stopped') return
    this.log[error.code === 'LICD_SERVER_REMOVED' ? 'info' : 'error']('fatal', { error })
    this.#leave()
    this.#options.onFatal(error)
  }

  #leave(): void {
    if (this.#state === 'leaving' || this.#state === 'stopped') return
    this.#state = 'leaving'
    this.#operators.close()
    this.#tenure.close()
    this.#watch.close()
    this.#epochs.close()
    this.#replica.stop(() =>
      this.#options.storage.close(() => {
        this.#state = 'stopped'
        for (const done of this.#stopped.splice(0)) done()
      }),
    )
  }

  #makeReplica(): Replica {
    const { identity, bus, clock, random, storage, raft, log, judge, observer } = this.#options
    const every = this.#options.snapshotEveryEntries
    return new Replica({
      server: this.server,
      subjects: this.subjects,
      clusterId: identity.clusterId,
      bus,
      clock,
      random,
      storage,
      raft,
      ...(every === undefined ? {} : { snapshotEveryEntries: every }),
      ...{ log, judge, observer },
      hooks: {
        adopt: applied => {
          this.#tenure.adopt(applied)
          if (this.incarnation > 0) this.service.applied(applied)
          if (applied.body.type === 'tick' && !this.stopping) this.#keyHolder.applied()
        },
        tell: (applied, by, notices) => {
          this.#operators.applied(applied, by)
          const { changed, duplicate } = applied
          // Before it serves it catches up: what it applies then is old news.
          const isNews = this.incarnation > 0 && !duplicate
          if (isNews && changed.length > 0) this.#events.changed(applied, by)
          if (isNews && notices.length > 0) this.#events.codes(notices)
        },
        adoptSnapshot: () => {
          this.#tenure.adoptSnapshot()
          if (this.incarnation > 0) this.service.installed()
          this.#operators.installed()
        },
        tellSnapshot: index => {
          if (this.incarnation > 0) this.#events.installed(index)
        },
        officeChanged: isLeader => this.#events.server(isLeader ? 'leader' : 'follower'),
        statusChanged: status => this.#operators.statusChanged(status),
        leaderFound: () => this.#tenure.leaderFound(),
        unreachable: peer => this.#events.gone(peer),
        failed: error => this.#fail(asLicdError(error)),
        offer: (id, borrow) =>
          this.incarnation === 0 || this.stopping ? undefined : this.service.offer(id, borrow),
        settleOffer: id => this.service.settleOffer(id),
      },
    })
  }

  #makeTenure(): Tenure {
    const { clock, random, log, server } = this
    return new Tenure({
      server,
      clock,
      random,
      log,
      clockLookMs: this.#options.clockLookMs ?? 0,
      state: () => this.ledger.state,
      barrier: done => this.#replica.barrier(done),
      submit: (body, done) => this.submit(body, {}, done),
      isReady: () => this.#keyHolder.isReady(),
      usage: max => this.service.usage(max),
      keepalive: listing => this.#replica.keepalive(listing),
      hooks: {
        begun: incarnation => this.#begin(incarnation),
        over: () => {
          this.#replica.ended()
          this.service.ended()
          if (this.#state === 'stopping') this.#leave() // there is nothing left to hand over
        },
        leaseChanged: holds => {
          this.#events.server(holds ? 'lease' : 'lease-lost')
          if (holds) this.#options.onServing?.(this.incarnation)
        },
        usurped: () => this.#watch.challenge(),
        refused: ({ code, detail }) => this.#fail(new LicdError(code, detail)),
      },
    })
  }

  /** It serves, and applied a tick within the last two ticks' time. */
  #isCurrent(): boolean {
    const { tickMs } = this.ledger.state.settings
    return this.incarnation > 0 && this.clock.now() - this.tickAppliedAt <= 2 * tickMs
  }

  #makeOperators(): Operators {
    const { identity, raft, judge, onStanding } = this.#options
    const { bus, clock, random, log, subjects } = this
    return new Operators({
      identity,
      heartbeatMs: raft.heartbeatMs,
      ...{ bus, clock, random, log, subjects },
      replica: this.#replica,
      service: () => this.service,
      incarnation: () => this.incarnation,
      isCurrent: () => this.#isCurrent(),
      viewer: () => this.viewer(),
      isRunning: () => this.#state === 'running',
      judge,
      keys: this.#keyHolder,
      accountStore: this.#options.accountStore,
      submit: (body, done) => this.submit(body, {}, done),
      beginAnew: () => this.#tenure.beginAnew(),
      ...(onStanding === undefined ? {} : { onStanding }),
      removed: () => this.#fail(new LicdError('LICD_SERVER_REMOVED', `Server ${this.server}.`)),
    })
  }
}
