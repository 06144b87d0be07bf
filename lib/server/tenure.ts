/**
 * This process's standing in the ledger as its server: incarnation, lease, keepalives (R2, R3, R7).
 *
 * It says `hello` until it has an incarnation, keeps it listed, extends the lease by the ticks that list it, and
 * notices when the incarnation is over: then it says `hello` anew.
 *
 * Invariant: `leaseUntil` is 0 unless the ledger as applied here knows this very incarnation and has not ended it.
 */
import type { Clock, Logger, Random } from '../../raft/ports.ts'
import type { CommandBody, Listing, Result, Usage } from '../ledger/command.ts'
import type { LedgerState } from '../ledger/state.ts'
import { Hello, type Incarnation } from './hello.ts'
import { Keepalives } from './keepalive.ts'
import { Lease } from './lease.ts'
import type { AppliedCommand, Outcome } from './parts.ts'

/** Ticks after a change of settings (or a snapshot that may hide one) that were possibly spaced by the old ones. */
const unsureTicks = 3

export interface TenureOptions {
  readonly server: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** See `Lease`. */
  readonly clockLookMs: number
  readonly state: () => LedgerState
  readonly barrier: (done: (caughtUp: boolean) => void) => void
  readonly submit: (body: CommandBody, done: (outcome: Outcome) => void) => void
  /** See `HelloOptions`. */
  readonly isReady: () => boolean
  readonly usage: (max: number) => readonly Usage[]
  readonly keepalive: (listing: Listing) => void
  readonly hooks: TenureHooks
}

export interface TenureHooks {
  /** From within the application of `hello`: serve. */
  begun(incarnation: Incarnation): void
  /** The incarnation is over without us: all it granted has ended. */
  over(): void
  leaseChanged(holds: boolean): void
  /** Another process said `hello` under this name. */
  usurped(): void
  /** The pool does not know this server. */
  refused(result: Extract<Result, { ok: false }>): void
}

export class Tenure {
  readonly #options: TenureOptions
  readonly #lease: Lease
  readonly #keepalives: Keepalives
  readonly #hello: Hello
  #incarnation = 0
  #tickAppliedAt = 0
  /** What the lease had skipped then. */
  #skippedMs = 0
  #holdsLease = false
  /** As of the tick applied last. */
  #tickMs = 0
  /** Up to this tick the ticks that follow may come sooner than the settings say, but not sooner than the floor. */
  #unsureUntil = -1
  #tickMsFloor = 0
  #closed = false

  constructor(options: TenureOptions) {
    const { server, clock, random, log, state } = options
    this.#options = options
    const lease = new Lease(clock, log, options.clockLookMs)
    this.#lease = lease
    this.#keepalives = new Keepalives({
      server,
      clock,
      lease,
      tickMs: () => state().settings.tickMs,
      tellsReasons: () => state().level >= 2,
      usage: options.usage,
      send: listing => {
        this.#lookAtLease()
        options.keepalive(listing)
      },
    })
    this.#hello = new Hello({
      server,
      clock,
      random,
      lease,
      state,
      barrier: options.barrier,
      submit: options.submit,
      isReady: options.isReady,
      begin: incarnation => this.#begin(incarnation),
      refused: result => options.hooks.refused(result),
    })
  }

  /** 0 while there is none. */
  get incarnation(): number {
    return this.#incarnation
  }

  get leaseUntil(): number {
    return this.#incarnation === 0 ? 0 : this.#lease.until
  }

  /** By the monotonic clock, naps since then counted as if it had gone on (R4); 0 when no tick was applied. */
  get tickAppliedAt(): number {
    if (this.#tickAppliedAt === 0) return 0
    return this.#tickAppliedAt - (this.#lease.skippedMs - this.#skippedMs)
  }

  start(): void {
    this.#hello.boot()
  }

  /** No further `hello`. Keepalives go on: a server that is giving back must be listed (R12). */
  retire(): void {
    this.#closed = true
    this.#hello.close()
  }

  close(): void {
    this.retire()
    this.#keepalives.stop()
    this.#lease.end()
  }

  /** Gives the present run up for a new one, with an empty book. */
  beginAnew(): void {
    if (this.#incarnation > 0) this.#end()
  }

  /** A new leader cannot know this server yet. */
  leaderFound(): void {
    this.#hello.leaderFound()
    this.#keepalives.now()
  }

  /** An entry was applied; afterwards `incarnation` and `leaseUntil` say what it made of them. */
  adopt({ body, result, duplicate }: AppliedCommand): void {
    if (result.ok && body.type === 'tick') this.#ticked()
    if (result.ok && body.type === 'change-settings' && !duplicate) {
      this.#unsure(Math.min(this.#tickMs, body.settings.tickMs))
    }
    if (body.type === 'hello' && this.#isForeign(body)) this.#options.hooks.usurped()
    if (this.#isOver()) this.#end()
  }

  adoptSnapshot(): void {
    // What the settings were meanwhile is not known: listings extend nothing until it does not matter (R11).
    this.#unsure(0)
    if (this.#isOver()) this.#end()
  }

  #ticked(): void {
    this.#tickAppliedAt = this.#options.clock.now()
    this.#skippedMs = this.#lease.skippedMs
    const { tick, settings, servers } = this.#options.state()
    const record = servers.get(this.#options.server)
    this.#tickMs = settings.tickMs
    if (this.#incarnation === 0 || record?.incarnation !== this.#incarnation) return
    if (record.listedTick !== tick) return
    this.#extend(record.listedNumber)
    this.#keepalives.listed(record.listedNumber)
    this.#lookAtLease()
  }

  /**
   * The ledger takes this run for down no sooner than `leaseTicks` after the tick that follows `hello` in the log, and
   * so after `hello` was said: the lease need not wait for that tick (R7). One whose `hello` took effect unheard
   * waits for it, since the settings may have been others then.
   */
  #extendByHello(): void {
    const record = this.#options.state().servers.get(this.#options.server)
    if (record?.helloPending !== true) return
    this.#extend(0)
    this.#lookAtLease()
  }

  /** The lease, by a keepalive that counts as of the present tick. */
  #extend(number: number): void {
    const { tick, settings } = this.#options.state()
    const isSure = tick > this.#unsureUntil
    const tickMs = isSure ? settings.tickMs : Math.min(settings.tickMs, this.#tickMsFloor)
    this.#lease.listed(number, { ...settings, tickMs })
  }

  /**
   * Leases are counted in ticks, and the leader may have proposed a tick or two before it applied a change of
   * `tickMs`: those come as soon as the old settings said.
   */
  #unsure(tickMsFloor: number): void {
    const { tick } = this.#options.state()
    const isUnsure = tick <= this.#unsureUntil
    this.#tickMsFloor = isUnsure ? Math.min(this.#tickMsFloor, tickMsFloor) : tickMsFloor
    this.#unsureUntil = tick + unsureTicks
  }

  /** A `hello` for this name that no boot of this process said, while it serves. */
  #isForeign({ server, bootId }: { readonly server: string; readonly bootId: string }): boolean {
    if (server !== this.#options.server || this.#incarnation === 0) return false
    return !this.#hello.isOwn(bootId)
  }

  #isOver(): boolean {
    if (this.#incarnation === 0) return false
    const record = this.#options.state().servers.get(this.#options.server)
    if (record?.incarnation !== this.#incarnation) return true
    return record.endedIncarnation >= this.#incarnation
  }

  #begin(incarnation: Incarnation): void {
    if (this.#closed) return
    this.#incarnation = incarnation.incarnation
    this.#options.hooks.begun(incarnation)
    // Its hooks may have found that it must not run at all.
    if (this.#closed) return
    this.#keepalives.start(this.#incarnation)
    if (this.#isOver()) {
      this.#end()
      return
    }
    this.#extendByHello()
  }

  #end(): void {
    this.#options.log.warn('incarnation-over', { incarnation: this.#incarnation })
    this.#keepalives.stop()
    this.#lease.end()
    this.#lookAtLease()
    this.#incarnation = 0
    this.#options.hooks.over()
    if (!this.#closed) this.#hello.boot()
  }

  #lookAtLease(): void {
    const holds = this.#incarnation > 0 && this.#lease.until > this.#options.clock.now()
    if (holds === this.#holdsLease) return
    this.#holdsLease = holds
    if (!holds) this.#options.log.warn('lease-lost', { incarnation: this.#incarnation })
    this.#options.hooks.leaseChanged(holds)
  }
}
