/**
 * When this server borrows, and when it gives: its share follows its demand, and what lies idle flows back.
 *
 * It borrows when requests cannot be met (claim 3) and, ahead of need, when in use / share passes the threshold
 * (claims 2, 17), in growing amounts, so that the hot path seldom waits for the leader. It gives by rule R1 alone:
 * the limit is lowered by a promise before anything is proposed, and stays so until the outcome is known here.
 * Bounds: per feature one borrow, one statement of demand, one return, and one lend per server in need.
 */
import type { Stock } from '../book/seat.ts'
import type { CommandBody, Offer } from '../ledger/command.ts'
import type { Feature } from '../ledger/state.ts'
import type { Outcome } from '../server/parts.ts'
import type { Desk } from './desk.ts'

type Borrow = Extract<CommandBody, { type: 'borrow' }>

/** Borrows that follow one another within so many ticks double, and idleness is judged over as many. */
const windowTicks = 5
/** How long a stop waits for its returns. */
const stopMs = 2_000
/** Ticks that a server's own commands have to be applied in; fewer under a short lease (R8). */
const deadlineTicks = 10

/** Who waits at this server, as the other parts know it. */
export interface Lines {
  /** Seats asked for and not granted, fail-over renewals included; `lasting`: by those that will wait. */
  asked(feature: string): { readonly all: number; readonly lasting: number }
  /** Seats that the first in line needs; 0 when none waits. */
  first(feature: string): number
  features(): readonly string[]
  /** Nothing was found in any source. */
  nothingFound(feature: string): void
}

/** What is under way for one feature. */
interface Plan {
  borrowing: boolean
  /** Monotonic times before which no borrow is tried: after none had a source, and after one failed. */
  noSourceUntil: number
  failedUntil: number
  growth: number
  borrowedTick: number
  stating: boolean
  returning: boolean
  readonly lendingTo: Set<string>
  peakBefore: number
}

export class Balance {
  readonly #desk: Desk
  readonly #lines: Lines
  #plans = new Map<string, Plan>()

  constructor(desk: Desk, lines: Lines) {
    this.#desk = desk
    this.#lines = lines
  }

  /** Claim 2: in use / share above the threshold. A server that owns none is short when somebody asks. */
  isShort(stock: Stock): boolean {
    const { ledger, server } = this.#desk.host
    const feature = this.#desk.feature(stock.feature)
    if (feature === undefined || stock.share === 0) return false
    return stock.inUse > stock.share * ledger.threshold(feature, server)
  }

  /** How many to ask for: 1, then twice as many while borrows follow one another, up to a fair part of the pool. */
  wanted(name: string): number {
    const { servers } = this.#desk.host.ledger.state
    const allocations = this.#desk.feature(name)?.allocations ?? 0
    const most = Math.max(1, Math.floor(allocations / (2 * Math.max(1, servers.size))))
    const plan = this.#plan(name)
    return this.#isRecent(plan) ? Math.min(plan.growth, most) : 1
  }

  /** Seats that those who will wait ask for, beyond what there is. */
  unmet(name: string): number {
    const stock = this.#desk.book.stock(name)
    const { all, lasting } = this.#lines.asked(name)
    // Who does not wish to wait is worth a place in the queue only if somebody has spare to send.
    const asked = this.#othersHaveSpare(name) ? all : lasting
    return Math.max(0, asked - stock.spare)
  }

  /** False when it is plain that no borrow finds `count` now: who does not wish to wait hears so at once. */
  mayCome(stock: Stock, count: number, now: number): boolean {
    const feature = this.#desk.feature(stock.feature)
    if (feature === undefined) return false
    if (this.#recorded(feature) > 0 && this.#lines.asked(stock.feature).lasting > 0) return false
    const plan = this.#plan(stock.feature)
    if (plan.borrowing || now >= Math.max(plan.noSourceUntil, plan.failedUntil)) return true
    return feature.free >= count - Math.max(0, stock.spare) || this.#othersHaveSpare(stock.feature)
  }

  /** A borrow of this server's was applied. */
  borrowed(name: string): void {
    const plan = this.#plan(name)
    plan.growth = this.#isRecent(plan) ? Math.min(plan.growth * 2, 1 << 29) : 2
    plan.borrowedTick = this.#desk.host.ledger.state.tick
    plan.noSourceUntil = 0
  }

  /** Once per turn and feature, after those who wait were served. */
  look(name: string): void {
    if (this.#desk.state !== 'open') return
    const feature = this.#desk.feature(name)
    if (feature === undefined) return
    const stock = this.#desk.book.stock(name)
    const plan = this.#plan(name)
    const lacking = this.#lines.asked(name).all - stock.spare
    if (lacking > 0 && (stock.isOverLimit || this.#lines.first(name) > 0)) {
      this.#borrow(plan, feature, stock, lacking)
    } else if (this.isShort(stock) && !this.#desk.book.isRelearning) {
      this.#borrowAhead(plan, feature)
    }
    this.#state(plan, feature)
    if (lacking < 0) this.#lend(plan, feature, stock, -lacking)
  }

  /** After every tick: what changes with time alone. */
  ticked(): void {
    const desk = this.#desk
    if (desk.state !== 'open') return
    const { tick } = desk.host.ledger.state
    for (const name of this.#lines.features()) desk.touch(name)
    for (const stock of desk.book.stocks()) {
      const feature = desk.feature(stock.feature)
      if (feature === undefined) continue
      const plan = this.#plan(stock.feature)
      if (feature.demand.length > 0 || stock.isOverLimit || this.isShort(stock)) {
        desk.touch(stock.feature)
      }
      this.#return(plan, feature, stock)
      if (tick % windowTicks !== 0) continue
      plan.peakBefore = stock.peak
      stock.peak = stock.inUse
    }
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

  /** R7, a clean stop: gives back all that is unused; `done` when that is settled, or after a while. */
  returnAll(done: () => void): void {
    const desk = this.#desk
    let open = 1
    const one = (): void => {
      if (--open > 0) return
      timer.cancel()
      done()
    }
    const timer = desk.host.clock.after(stopMs, () => {
      if (open <= 0) return
      open = 0
      done()
    })
    if (this.#isListed()) {
      for (const stock of desk.book.stocks()) {
        if (stock.spare <= 0 || this.#plan(stock.feature).returning) continue
        open++
        this.#give('return', stock, { count: stock.spare }, one)
      }
    }
    one()
  }

  /** The run of the book is over, and with it all that was under way (R7). */
  end(): void {
    this.#plans = new Map()
  }

  #plan(name: string): Plan {
    let plan = this.#plans.get(name)
    if (plan === undefined) {
      plan = {
        borrowing: false,
        noSourceUntil: 0,
        failedUntil: 0,
        growth: 1,
        borrowedTick: -windowTicks - 1,
        stating: false,
        returning: false,
        lendingTo: new Set(),
        peakBefore: 0,
      }
      this.#plans.set(name, plan)
    }
    return plan
  }

  #isRecent(plan: Plan): boolean {
    return this.#desk.host.ledger.state.tick - plan.borrowedTick <= windowTicks
  }

  /** This server's demand as it stands in the ledger. */
  #recorded(feature: Feature): number {
    const { server, incarnation } = this.#desk.host
    const entry = feature.demand.find(demand => demand.server === server)
    return entry?.incarnation === incarnation ? entry.count : 0
  }

  /** By what the last listing of each said: a hint, good enough to decide whether asking is worth while. */
  #othersHaveSpare(name: string): boolean {
    const { host } = this.#desk
    const feature = this.#desk.feature(name)
    if (feature === undefined) return false
    for (const [server, share] of feature.shares) {
      if (server === host.server || host.ledger.serverState(server) !== 'up') continue
      if (share > (feature.usage.get(server)?.inUse ?? 0)) return true
    }
    return false
  }

  /** Whether any source of a borrow may hold something: the free pool, a server that is down, the leader. */
  #maySourcesHold(feature: Feature): boolean {
    if (feature.free > 0) return true
    const { host } = this.#desk
    for (const [server, share] of feature.shares) {
      if (server === host.server || share === 0) continue
      if (host.ledger.serverState(server) === 'down') return true
      if (server === host.leader && share > (feature.usage.get(server)?.inUse ?? 0)) return true
    }
    return false
  }

  #borrow(plan: Plan, feature: Feature, stock: Stock, lacking: number): void {
    const { name, free } = feature
    const now = this.#desk.now
    const needed = Math.max(1, this.#lines.first(name) - stock.spare)
    if (plan.borrowing || now < plan.failedUntil) return
    // What stands in the ledger as demand is served from there, in its place.
    if (this.#recorded(feature) > 0) return
    if (now < plan.noSourceUntil && free < needed) return
    const wanted = Math.max(needed, Math.min(lacking, feature.allocations), this.wanted(name))
    this.#submitBorrow(plan, name, { needed, wanted, queue: this.unmet(name) })
  }

  #borrowAhead(plan: Plan, feature: Feature): void {
    const now = this.#desk.now
    if (plan.borrowing || now < plan.failedUntil || now < plan.noSourceUntil) return
    if (!this.#maySourcesHold(feature)) return
    const { name } = feature
    this.#submitBorrow(plan, name, { needed: 1, wanted: this.wanted(name), queue: 0 })
  }

  #submitBorrow(
    plan: Plan,
    feature: string,
    counts: Pick<Borrow, 'needed' | 'wanted' | 'queue'>,
  ): void {
    const { server, incarnation } = this.#desk.host
    plan.borrowing = true
    this.#submit(
      { type: 'borrow', feature, to: server, incarnation, cause: 'request', ...counts },
      outcome => {
        plan.borrowing = false
        this.#desk.refresh(feature)
        this.#judge(plan, feature, outcome)
        this.#desk.touch(feature)
      },
    )
  }

  #judge(plan: Plan, feature: string, outcome: Outcome): void {
    const { tickMs } = this.#desk.host.ledger.state.settings
    const now = this.#desk.now
    const result = outcome.type === 'applied' ? outcome.result : undefined
    if (result?.ok === true) this.borrowed(feature)
    else if (result?.code === 'LICD_NO_SOURCE') {
      plan.growth = 1
      plan.noSourceUntil = now + Math.min(1_000, 2 * tickMs)
      if (!this.#othersHaveSpare(feature)) this.#lines.nothingFound(feature)
    } else plan.failedUntil = now + Math.min(1_000, Math.max(100, tickMs))
  }

  /** R12: what the ledger holds as this server's demand follows what waits here. */
  #state(plan: Plan, feature: Feature): void {
    const { server, incarnation } = this.#desk.host
    const { name } = feature
    const recorded = this.#recorded(feature)
    const count = this.unmet(name)
    if (recorded === 0 || recorded === count || plan.stating || plan.borrowing) return
    if (this.#desk.now < plan.failedUntil) return
    plan.stating = true
    this.#submit({ type: 'demand', feature: name, server, incarnation, count }, outcome => {
      plan.stating = false
      if (outcome.type !== 'applied' || !outcome.result.ok) {
        plan.failedUntil = this.#desk.now + 100
      }
      this.#desk.touch(name)
    })
  }

  /** Claims 15, 29: spare goes where requests wait, first come, first served. */
  #lend(plan: Plan, feature: Feature, stock: Stock, spare: number): void {
    const { server, ledger } = this.#desk.host
    if (feature.demand.length === 0 || !this.#isListed()) return
    let left = spare
    for (const { server: to, incarnation, count: asked } of feature.demand) {
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
    if (plan.returning || plan.borrowing || stock.spare <= 0 || !this.#isListed()) return
    if (this.#lines.first(feature.name) > 0) return
    let count = Math.min(feature.owed, stock.spare)
    if (count === 0) {
      if (stock.share <= ledger.target(feature, server) || this.#isRecent(plan)) return
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
    this.#submit(
      body,
      () => {
        if (run === this.#desk.run) this.settle(id)
        done()
      },
      id,
    )
  }

  #submit(body: CommandBody, done: (outcome: Outcome) => void, id?: string): void {
    const { host } = this.#desk
    const most = Math.max(1, host.ledger.state.settings.leaseTicks - 1)
    const options = { deadlineTicks: Math.min(deadlineTicks, most) }
    host.submit(body, id === undefined ? options : { ...options, id }, done)
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
