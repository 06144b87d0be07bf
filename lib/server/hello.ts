/**
 * How a run of this server gets its incarnation (R7): it catches up with the log, then commits `hello` with a
 * random boot id, and only then does it serve.
 *
 * When the ledger says that the incarnation is over (the server was cut off for longer than its lease), the same
 * process begins again: a new boot id, an empty book, and whatever it had in flight is refused.
 */
import type { Clock, Random, Timer } from '../../raft/ports.ts'
import type { CommandBody, Result } from '../ledger/command.ts'
import type { LedgerState } from '../ledger/state.ts'
import type { Lease } from './lease.ts'
import type { Outcome } from './parts.ts'

const retryMs = 250

export interface Incarnation {
  readonly incarnation: number
  /** The server may hold seats of the incarnation before, which it does not know (R7). */
  readonly relearn: boolean
}

export interface HelloOptions {
  readonly server: string
  readonly clock: Clock
  readonly random: Random
  readonly lease: Lease
  readonly state: () => LedgerState
  /** Calls back when everything committed before the call is applied here; false when that cannot be told now. */
  readonly barrier: (done: (caughtUp: boolean) => void) => void
  readonly submit: (body: CommandBody, done: (outcome: Outcome) => void) => void
  /** Whether it could make tokens. A server without the pool's present key waits for it, and its share is others'. */
  readonly isReady: () => boolean
  /** Called from within the application of the `hello`. */
  readonly begin: (incarnation: Incarnation) => void
  readonly refused: (result: Extract<Result, { ok: false }>) => void
}

export class Hello {
  readonly #options: HelloOptions
  /** Of every boot of this process; a `hello` with another one is somebody else's. */
  readonly #bootIds = new Set<string>()
  #bootId: string | undefined
  #timer: Timer | undefined
  /** What the timer waits for. */
  #next: (() => void) | undefined
  #bootedAt = -Infinity
  #closed = false

  constructor(options: HelloOptions) {
    this.#options = options
  }

  /** The boot under way or serving. */
  get bootId(): string {
    return this.#bootId ?? ''
  }

  isOwn(bootId: string): boolean {
    return this.#bootIds.has(bootId)
  }

  /**
   * Begins a new boot. A process needs few, for each costs a whole lease; but two processes of one name end each
   * other's runs until one of them gives way, and must not fill the log meanwhile.
   */
  boot(): void {
    const { clock, lease } = this.#options
    lease.end()
    if (clock.now() - this.#bootedAt < retryMs) {
      this.#bootId = undefined
      this.#later(() => this.boot())
      return
    }
    this.#bootedAt = clock.now()
    const bootId = this.#options.random.id()
    this.#bootId = bootId
    this.#bootIds.add(bootId)
    this.#catchUp(bootId)
  }

  /** There is a leader again: what failed without one is tried at once. */
  leaderFound(): void {
    const next = this.#next
    if (next === undefined || this.#closed) return
    this.#next = undefined
    this.#timer?.cancel()
    next()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  /** A deadline counted from a tick long past would be no deadline: first the log, then `hello`. */
  #catchUp(bootId: string): void {
    if (!this.#isCurrent(bootId)) return
    this.#options.barrier(caughtUp => {
      if (!this.#isCurrent(bootId)) return
      if (caughtUp && this.#isAwaited()) this.#sayHello(bootId)
      else this.#later(() => this.#catchUp(bootId))
    })
  }

  /** A pool that is held serves nobody yet (R11); a server that was removed, or is not added yet, waits. */
  #isAwaited(): boolean {
    const { isReady, server, state } = this.#options
    const { servers, tick, heldUntil } = state()
    const role = servers.get(server)?.role
    return tick >= heldUntil && role !== undefined && role !== 'removed' && isReady()
  }

  #sayHello(bootId: string): void {
    const { server, clock, lease, submit } = this.#options
    // `hello` counts as keepalive 0. Said again it keeps the first time: it may be the first that is applied.
    lease.sent(0, clock.now())
    submit({ type: 'hello', server, bootId }, outcome => {
      if (this.#isCurrent(bootId)) this.#answered(bootId, outcome)
    })
  }

  #answered(bootId: string, outcome: Outcome): void {
    if (outcome.type === 'applied') {
      const { result } = outcome
      if (!result.ok) {
        if (result.code === 'LICD_UNKNOWN_SERVER') this.#options.refused(result)
        // It took effect unheard, and that run has gone down since: its boot id is used up.
        else if (result.code === 'LICD_PAST_INCARNATION') this.#later(() => this.boot())
        else this.#later(() => this.#catchUp(bootId))
        return
      }
      if ('incarnation' in result) {
        this.#options.begin({ incarnation: result.incarnation, relearn: result.relearn })
        return
      }
    }
    this.#later(() => this.#catchUp(bootId))
  }

  #isCurrent(bootId: string): boolean {
    return !this.#closed && bootId === this.#bootId
  }

  #later(run: () => void): void {
    this.#timer?.cancel()
    this.#next = run
    this.#timer = this.#options.clock.after(retryMs, () => {
      this.#next = undefined
      run()
    })
  }
}
