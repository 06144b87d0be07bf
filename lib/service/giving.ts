/**
 * When this server gives: as the leader into borrows, to servers in need, and back to the free pool.
 *
 * By rule R1 alone: the limit is lowered by a promise before anything is proposed, and stays so until it is known
 * here that the entry was applied, refused, or can no longer be. Bounds: per feature one return at a time, and one
 * lend per server in need.
 */
import type { Stock } from '../book/seat.ts'
import type { CommandBody, Offer } from '../ledger/command.ts'
import type { Demand, Feature } from '../ledger/state.ts'
import { deadlineFor, windowTicks, type Balance, type Lines } from './balance.ts'
import type { Desk } from './desk.ts'

type Borrow = Extract<CommandBody, { type: 'borrow' }>

/** How long a stop waits for its returns, and how often it gives back what became spare meanwhile. */
const stopMs = 2_000
const stopRounds = 3

/** What is under way for one feature. */
interface Plan {
  returning: boolean
  readonly lendingTo: Set<string>
  /** The most in use in the window before this one. */
  peakBefore: number
}

export class Giving {
  readonly #desk: Desk
  readonly #lines: Lines
  readonly #balance: Balance
  #plans = new Map<string, Plan>()

  constructor(desk: Desk, lines: Lines, balance: Balance) {
    this.#desk = desk
    this.#lines = lines
    this.#balance = balance
  }

  /**
   * R1, as the leader: part of the spare for another server's borrow. What is needed is given while there is any;
   * beyond that at most half of what is left, for this server has clients too.
   */
  offer(
    offerId: string,
    borrow: Pick<Borrow, 'feature' | 'needed' | 'wanted' | 'cause' | 'to'>,
  ): Offer | undefined {
    const desk = this.#desk
    const { server, incarnation } = desk.host
    const feature = desk.feature(borrow.feature)
    if (desk.state !== 'open' || borrow.to === server || feature === undefined) return undefined
    // A request takes from the free pool first (claim 5): nothing need be held back for it.
    if (borrow.cause === 'request' && feature.free >= borrow.wanted) return undefined
    const stock = desk.refresh(borrow.feature)
    desk.advance(desk.now)
    const spare = stock.spare - this.#lines.asked(borrow.feature).all
    const half = Math.min(borrow.wanted, Math.floor(spare / 2))
    const count = Math.min(spare, Math.max(borrow.needed, half))
    if (count <= 0) return undefined
    desk.book.promise(offerId, stock, count)
    return { server, incarnation, count }
  }

  /** A promise was kept or is void. */
  settle(id: string): void {
    const desk = this.#desk
    const stock = desk.book.settle(id)
    if (stock === undefined) return
    // The share as applied now: what the promise gave away is no part of it any more.
    desk.refresh(stock.feature)
    desk.touch(stock.feature)
  }

  /** Once per turn and feature, after those who wait here were served. */
  look(name: string): void {
    const feature = this.#desk.feature(name)
    if (this.#desk.state !== 'open' || feature === undefined || feature.demand.length === 0) return
    const stock = this.#desk.book.stock(name)
    const spare = stock.spare - this.#lines.asked(name).all
    if (spare > 0) this.#lend(stock, spare, feature.demand)
    else if (stock.spare > 0 && this.#lines.first(name) > stock.spare) {
      // Too little for who is first here, it would lie idle: it goes to those who came before, so that no two servers
      // wait for what the other one keeps.
      const { server } = this.#desk.host
      const place = feature.demand.findIndex(entry => entry.server === server)
      if (place > 0) this.#lend(stock, stock.spare, feature.demand.slice(0, place))
    }
  }

  /** After every tick: what lies idle is judged by time. */
  ticked(): void {
    const desk = this.#desk
    if (desk.state !== 'open') return
    const { tick } = desk.host.ledger.state
    for (const stock of desk.book.stocks()) {
      const feature = desk.feature(stock.feature)
      if (feature === undefined) continue
      const plan = this.#plan(stock.feature)
      if (feature.demand.length > 0) desk.touch(stock.feature)
      this.#return(plan, feature, stock)
      if (tick % windowTicks !== 0) continue
      plan.peakBefore = stock.peak
      stock.peak = stock.inUse
    }
  }

  /**
   * R7, a clean stop: first the ledger is told, so that nothing comes here any more, then all that is unused goes
   * back; `done` when that is settled, or after `stopMs`.
   */
  returnAll(done: () => void): void {
    const { host } = this.#desk
    const { server, incarnation } = host
    let isOver = false
    const finish = (): void => {
      if (isOver) return
      isOver = true
      timer.cancel()
      done()
    }
    const timer = host.clock.after(stopMs, finish)
    const body = { type: 'leave', server, incarnation } as const
    host.submit(body, { deadlineTicks: deadlineFor(host) }, () => {
      this.#returnSpare(stopRounds, finish)
    })
  }

  /** What clients release and what promises set free meanwhile goes back in the next round. */
  #returnSpare(rounds: number, done: () => void): void {
    const desk = this.#desk
    const spare = desk.book.stocks().filter(stock => stock.spare > 0)
    if (rounds === 0 || spare.length === 0 || desk.state !== 'stopping' || !this.#isListed()) {
      done()
      return
    }
    let open = spare.length
    for (const stock of spare) {
      this.#give('return', stock, { count: stock.spare }, () => {
        if (--open === 0) this.#returnSpare(rounds - 1, done)
      })
    }
  }

  /** The run of the book is over, and with it all that was under way (R7). */
  end(): void {
    this.#plans = new Map()
  }

  #plan(name: string): Plan {
    let plan = this.#plans.get(name)
    if (plan === undefined) {
      plan = { returning: false, lendingTo: new Set(), peakBefore: 0 }
      this.#plans.set(name, plan)
    }
    return plan
  }

  /** Claims 15, 29: spare goes where requests wait, first come, first served. */
  #lend(stock: Stock, spare: number, demand: readonly Demand[]): void {
    const { server, ledger } = this.#desk.host
    if (!this.#isListed()) return
    const plan = this.#plan(stock.feature)
    let left = spare
    for (const { server: to, incarnation, count: asked } of demand) {
      if (left <= 0) return
      if (to === server || plan.lendingTo.has(to) || ledger.serverState(to) !== 'up') continue
      const count = Math.min(left, asked)
      left -= count
      plan.lendingTo.add(to)
      this.#give('lend', stock, { count, to, toIncarnation: incarnation }, () => {
        plan.lendingTo.delete(to)
      })
    }
  }

  /**
   * R12: what lies idle above the target flows back, half of it at a time, and never so much that the threshold
   * would ask for it again. While something is owed, all spare pays it at once (R9).
   */
  #return(plan: Plan, feature: Feature, stock: Stock): void {
    const { ledger, server } = this.#desk.host
    if (plan.returning || stock.spare <= 0 || !this.#isListed()) return
    let count = Math.min(feature.owed, stock.spare)
    if (count === 0) {
      if (this.#lines.first(feature.name) > 0) return
      if (stock.share <= ledger.target(feature, server)) return
      if (this.#balance.isBorrowing(feature.name)) return
      const busy = Math.max(stock.peak, plan.peakBefore)
      const keep = Math.max(
        ledger.target(feature, server),
        Math.ceil(busy / ledger.threshold(feature, server)),
      )
      count = Math.min(stock.spare, Math.ceil((stock.share - keep) / 2))
    }
    if (count <= 0) return
    plan.returning = true
    this.#give('return', stock, { count }, () => (plan.returning = false))
  }

  /** R1: the giver goes first. */
  #give(
    type: 'return' | 'lend',
    stock: Stock,
    gift: { readonly count: number; readonly to?: string; readonly toIncarnation?: number },
    done: () => void,
  ): void {
    const { host, book, run } = this.#desk
    const { server, incarnation } = host
    const id = `${server}.${host.random.id()}`
    const { feature } = stock
    const { count, to, toIncarnation } = gift
    book.promise(id, stock, count)
    const body: CommandBody =
      type === 'lend' && to !== undefined && toIncarnation !== undefined
        ? { type: 'lend', feature, server, incarnation, count, to, toIncarnation }
        : { type: 'return', feature, server, incarnation, count }
    host.submit(body, { id, deadlineTicks: deadlineFor(host) }, () => {
      if (run === this.#desk.run) this.settle(id)
      done()
    })
  }

  /** R12: a server that ticks stopped listing gives nothing. */
  #isListed(): boolean {
    const { host } = this.#desk
    const { tick, servers } = host.ledger.state
    const record = servers.get(host.server)
    if (record === undefined || record.helloPending || record.listedTick === 0) return false
    return tick - record.listedTick < 2
  }
}
