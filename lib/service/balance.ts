/**
 * When this server borrows: its share follows its demand.
 *
 * It borrows when requests cannot be met (claim 3) and, ahead of need, when in use / share passes the threshold
 * (claims 2, 17), in growing amounts, so that the hot path seldom waits for the leader. What waits here stands in
 * the ledger as this server's demand (R12). Bounds: per feature one borrow and one statement of demand at a time.
 */
import type { Stock } from '../book/seat.ts'
import type { CommandBody } from '../ledger/command.ts'
import type { Feature } from '../ledger/state.ts'
import type { Host, Outcome } from '../server/parts.ts'
import type { Desk } from './desk.ts'

type Borrow = Extract<CommandBody, { type: 'borrow' }>

/** Borrows that follow one another within so many ticks double, and idleness is judged over as many. */
export const windowTicks = 5
/** Ticks that a server's own commands have to be applied in; fewer under a short lease (R8). */
const deadlineTicks = 10

export function deadlineFor({ ledger }: Host): number {
  return Math.min(deadlineTicks, Math.max(1, ledger.state.settings.leaseTicks - 1))
}

/** Who waits at this server, as the other parts know it. */
export interface Lines {
  /** Seats asked for and not granted, fail-over renewals included; `lasting`: by those that will wait. */
  asked(feature: string): { readonly all: number; readonly lasting: number }
  /** Seats that the first in line needs; 0 when none waits. */
  first(feature: string): number
  /** Id of that request, for the log. */
  firstId(feature: string): string | undefined
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
  /** The last borrow came to nothing before its deadline: no leader took it on. */
  unanswered: boolean
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

  /** True when somebody, here or at another server, waits for what comes free of the feature. */
  isAwaited(name: string): boolean {
    if (this.#lines.first(name) > 0) return true
    return (this.#desk.feature(name)?.demand.length ?? 0) > 0
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

  /** True when nothing was heard of the feature's last borrow before its deadline. */
  wasUnanswered(name: string): boolean {
    return this.#plan(name).unanswered
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
  }

  /** After every tick: what changes with time alone. */
  ticked(): void {
    const desk = this.#desk
    if (desk.state !== 'open') return
    for (const name of this.#lines.features()) desk.touch(name)
    for (const stock of desk.book.stocks()) {
      if (stock.isOverLimit || this.isShort(stock)) desk.touch(stock.feature)
    }
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
        unanswered: false,
      }
      this.#plans.set(name, plan)
    }
    return plan
  }

  /** True while a borrow is under way, or was applied a few ticks ago: then nothing counts as idle. */
  isBorrowing(name: string): boolean {
    const plan = this.#plan(name)
    return plan.borrowing || this.#isRecent(plan)
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
    const { server, incarnation, random, log } = this.#desk.host
    const id = random.id()
    log.debug('borrow', { id, feature, ...counts, for: this.#lines.firstId(feature) })
    plan.borrowing = true
    this.#submit(
      { type: 'borrow', feature, to: server, incarnation, cause: 'request', ...counts },
      outcome => {
        plan.borrowing = false
        this.#desk.refresh(feature)
        this.#judge(plan, feature, outcome)
        this.#desk.touch(feature)
      },
      id,
    )
  }

  #judge(plan: Plan, feature: string, outcome: Outcome): void {
    const { tickMs } = this.#desk.host.ledger.state.settings
    const now = this.#desk.now
    const result = outcome.type === 'applied' ? outcome.result : undefined
    plan.unanswered = result === undefined
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

  #submit(body: CommandBody, done: (outcome: Outcome) => void, id?: string): void {
    const { host } = this.#desk
    const options = { deadlineTicks: deadlineFor(host), ...(id === undefined ? {} : { id }) }
    host.submit(body, options, done)
  }
}
