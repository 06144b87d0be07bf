/**
 * The pool clock's hand: the leader proposes a tick every `tickMs` of its own monotonic clock (R2).
 *
 * Never sooner, never while two are not applied here, and not before it was in office for one full `tickMs`: leases
 * of other servers are measured in ticks, so a tick too early would take a server for down that is not. Committed is
 * not enough: a leader that commits and does not apply knows nothing of a longer `tickMs` that stands in its log.
 *
 * It keeps nothing beyond the tick: per server the newest keepalive that came since the last proposal. A
 * deposed leader's ticks do not commit, so it extends nothing.
 */
import type { Clock, Timer } from '../../raft/ports.ts'
import type { Listing } from '../ledger/command.ts'
import { withoutReasons } from '../ledger/history.ts'
import type { LedgerState } from '../ledger/state.ts'

/**
 * Rows of usage in one tick, so that with the longest names it stays below what Raft takes in one entry. Beyond
 * it listings go without, and what they told is lost: a lease matters more than a statistic.
 */
const usageRowsMax = 1_500
const unappliedMax = 2

export interface TickerOptions {
  readonly clock: Clock
  readonly state: () => LedgerState
  /** Proposes the tick here; `done(false)` when it did not enter the log, or is certainly not committed as it stands. */
  readonly propose: (
    tick: number,
    listings: readonly Listing[],
    done: (entered: boolean) => void,
  ) => void
}

export class Ticker {
  readonly #options: TickerOptions
  readonly #heard = new Map<string, Listing>()
  #inOffice = false
  #office = 0
  #timer: Timer | undefined
  /** When the last tick was proposed, or the office taken. */
  #lastAt = 0
  #lastProposed = 0
  /** Proposed in this office, neither applied here nor come to nothing. */
  readonly #underWay = new Set<number>()

  constructor(options: TickerOptions) {
    this.#options = options
  }

  /** This server leads from now on: all entries of earlier terms are applied here. */
  takeOffice(): void {
    if (this.#inOffice) return
    this.#inOffice = true
    this.#office++
    this.#underWay.clear()
    this.#heard.clear()
    this.#wait()
  }

  leaveOffice(): void {
    this.#inOffice = false
    this.#timer?.cancel()
    this.#timer = undefined
    this.#heard.clear()
  }

  /** A keepalive came; the newest of each server of the pool is kept. */
  heard(listing: Listing): void {
    if (!this.#inOffice) return
    const record = this.#options.state().servers.get(listing.server)
    if (record === undefined || record.incarnation !== listing.incarnation) return
    const known = this.#heard.get(listing.server)
    if (known?.incarnation === listing.incarnation && known.number >= listing.number) return
    this.#heard.set(listing.server, listing)
  }

  /** A tick was applied here, or refused when it should have been: one that waited for it may go. */
  applied(tick = this.#options.state().tick): void {
    this.#underWay.delete(tick)
    if (this.#inOffice && this.#timer === undefined) this.#tick()
  }

  #wait(): void {
    const { clock, state } = this.#options
    const { tickMs } = state().settings
    this.#lastAt = clock.now()
    this.#timer = clock.after(tickMs, () => {
      this.#timer = undefined
      this.#tick()
    })
  }

  #tick(): void {
    const { clock, state, propose } = this.#options
    if (this.#underWay.size >= unappliedMax) return // `applied` comes back here
    // Read anew: `tickMs` may have grown since the timer was set.
    const leftMs = this.#lastAt + state().settings.tickMs - clock.now()
    if (leftMs > 0) {
      this.#timer = clock.after(leftMs, () => {
        this.#timer = undefined
        this.#tick()
      })
      return
    }
    const tick = (this.#underWay.size === 0 ? state().tick : this.#lastProposed) + 1
    const listings = this.#listings()
    const office = this.#office
    this.#lastProposed = tick
    this.#underWay.add(tick)
    this.#heard.clear()
    this.#wait()
    propose(tick, listings, entered => {
      // A refused tick goes with its listings: the next keepalives are half a tick away.
      if (!entered && office === this.#office) this.applied(tick)
    })
  }

  /** In the order of names, without usage beyond the bound. */
  #listings(): Listing[] {
    let rows = 0
    const { level } = this.#options.state()
    return [...this.#heard.values()]
      .sort((a, b) => (a.server < b.server ? -1 : 1))
      .map(listing => {
        rows += listing.usage.length
        const usage = rows <= usageRowsMax ? listing.usage : []
        return { ...listing, usage: level < 2 ? usage.map(withoutReasons) : usage }
      })
  }
}
