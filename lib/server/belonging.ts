/**
 * This server's own belonging to the pool: waiting to be added, serving, and leaving when it was removed (R3).
 *
 * One that is removed gives back what it does not use and grants nothing more; its clients go elsewhere, with their
 * seats. Once Raft's configuration is without it, it stops for good. Should it be taken back before that, it
 * begins a new run.
 */
import type { NodeStatus } from '../../raft/index.ts'
import type { Bus, Clock, Logger } from '../../raft/ports.ts'
import type { LedgerState } from '../ledger/state.ts'
import { Admission, type Standing } from './admission.ts'

export interface BelongingOptions {
  readonly server: string
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  /** Where any server says who belongs to the pool. */
  readonly subject: string
  readonly state: () => LedgerState
  readonly status: () => NodeStatus | undefined
  readonly probe: (done: (isLoaded: boolean) => void) => void
  readonly incarnation: () => number
  /** Gives back what is unused and grants nothing more. Calls back in bounded time. */
  readonly drain: (done: () => void) => void
  /** Begins a new run. */
  readonly beginAnew: () => void
  readonly changed: (standing: Standing) => void
  /** Removed for good: the process may end. */
  readonly removed: () => void
}

export class Belonging {
  readonly #options: BelongingOptions
  readonly #admission: Admission
  #drain: 'none' | 'under-way' | 'done' = 'none'
  #isRemoved = false
  #closed = false

  constructor(options: BelongingOptions) {
    this.#options = options
    this.#admission = new Admission(options)
  }

  start(): void {
    this.#admission.start()
  }

  close(): void {
    this.#closed = true
    this.#admission.close()
  }

  /** An entry was applied, or a snapshot installed. */
  look(): void {
    const { server, state, incarnation, log, beginAnew } = this.#options
    const role = state().servers.get(server)?.role
    if (role === 'removed' && this.#drain === 'none' && incarnation() > 0) {
      log.warn('removed-from-pool', { giving: true })
      this.#give()
    } else if (role !== undefined && role !== 'removed' && this.#drain === 'done') {
      log.info('taken-back', {})
      this.#drain = 'none'
      beginAnew()
    }
  }

  statusChanged({ removed }: NodeStatus): void {
    this.#admission.look()
    const isNews = removed && !this.#isRemoved
    this.#isRemoved = removed
    if (!isNews) return
    // One that does not serve yet may hear of its own past, and of its being taken back a moment later: a name used again.
    // Should nobody speak to it any more, `Admission` finds out.
    if (this.#drain === 'none' && this.#options.incarnation() > 0) this.#give()
    else if (this.#drain === 'done') this.#options.removed()
  }

  #give(): void {
    this.#drain = 'under-way'
    this.#options.drain(() => {
      if (this.#closed) return
      this.#drain = 'done'
      if (this.#isRemoved) this.#options.removed()
      else this.look()
    })
  }
}
