/**
 * What must hold of a pool at every moment, checked after every event (design, section 3).
 *
 * I3 is counted from the clients' own view: each program believes what its handles say at this true time. Only who
 * heard something can believe in more than before, so sums are kept, and taken anew when one seems too large.
 */
import assert from 'node:assert/strict'
import type { Stock } from '../../lib/book/seat.ts'
import type { AppliedCommand } from '../../lib/server/parts.ts'
import type { Ledger } from '../../lib/ledger/ledger.ts'
import type { SimulatedClient } from './pool-client.ts'

export class PoolChecks {
  /** The ledger that has applied more than any other. */
  newest: Ledger | undefined
  index = 0
  /** Most that was believed at a time, of allocations and what was owed. */
  fullest = 0
  /** Seats believed, times the true hours. */
  seatHours = 0
  readonly clients: SimulatedClient[] = []
  readonly #hashes = new Map<number, string>()
  readonly #sums = new Map<string, number>()
  readonly #parts = new Map<SimulatedClient, Map<string, number>>()
  readonly #heard = new Set<SimulatedClient>()
  /** Allocations and owed, as of the newest entry that anybody applied. */
  readonly #allowed = new Map<string, number>()
  /** Stocks that may be over their limit: a seat moved away that they did not know (R6). */
  readonly #excused = new WeakSet<Stock>()
  #stocks = new Map<string, Stock>()
  #sampledAt = 0
  #tick = 0
  /** `tickMs` at the last few ticks. */
  readonly #paces: number[] = []
  /** The least time that all ticks took, and by how much true time must be ahead of it. */
  #ticksMs = 0
  #leastAhead = -Infinity

  heard(client: SimulatedClient): void {
    this.#heard.add(client)
  }

  /** Before an entry is applied by anybody. True when nobody has applied it before. */
  isNew(index: number): boolean {
    return index > this.index
  }

  /** An entry was applied (I1, I5). */
  applied(ledger: Ledger, index: number, now: number): void {
    const hash = ledger.hash()
    const known = this.#hashes.get(index)
    if (known === undefined) this.#hashes.set(index, hash)
    else assert.equal(hash, known, `I5: ledgers differ at index ${index}`)
    if (index <= this.index) return
    this.index = index
    this.newest = ledger
    this.#clock(ledger.state, now)
    for (const [name, { allocations, owed, free, shares }] of ledger.state.features) {
      let owned = free
      assert(free >= 0 && allocations >= 0 && owed >= 0, `I1: ${name} is below zero`)
      for (const [server, share] of shares) {
        assert(share >= 0, `I1: the share of ${server} in ${name} is below zero`)
        owned += share
      }
      assert.equal(owned, allocations + owed, `I1: ${name} is not conserved`)
      const was = this.#allowed.get(name)
      if (was === allocations + owed) continue
      this.#allowed.set(name, allocations + owed)
      if (was !== undefined && was > allocations + owed) this.#judge(name)
    }
    for (const name of this.#allowed.keys()) {
      if (ledger.state.features.has(name)) continue
      this.#allowed.delete(name)
      this.#judge(name)
    }
  }

  /**
   * R2: no tick comes too early. Two may be under way, so of any n ticks that were applied all but two took a tick's
   * time each, by a clock that is at most 1 % fast.
   */
  #clock({ tick, settings }: Ledger['state'], now: number): void {
    if (tick === this.#tick) return
    this.#tick = tick
    this.#paces.push(settings.tickMs)
    if (this.#paces.length > 4) this.#paces.shift()
    const shortestMs = Math.min(...this.#paces) * 0.99
    this.#ticksMs += shortestMs
    const ahead = now - this.#ticksMs
    const slackMs = 2 * Math.max(...this.#paces) + 1
    assert(ahead >= this.#leastAhead, `R2: tick ${tick} came too early`)
    // Two ticks of now may follow at once; faster ones later do not make that too early.
    this.#leastAhead = Math.max(this.#leastAhead, ahead - slackMs)
  }

  /** I2. */
  booked(stock: Stock, how: string): void {
    const { inUse, limit, share, promised, feature } = stock
    const text = `${how} of ${feature}: ${inUse} in use, limit ${limit}, share ${share}`
    assert(inUse <= limit && promised >= 0, `I2: ${text}`)
    this.#excused.delete(stock)
  }

  movedAway(stock: Stock, found: 'seat' | 'unknown' | 'none'): void {
    if (found === 'none') this.#excused.add(stock)
  }

  /** The stock that a server's book keeps of a feature now. */
  know(server: string, stock: Stock): void {
    this.#stocks.set(`${server} ${stock.feature}`, stock)
  }

  /** R1: what the giver gave was free there before it said so. */
  gave(server: string, incarnation: number, { body, result, duplicate }: AppliedCommand): void {
    if (!result.ok || duplicate) return
    const isOffer =
      body.type === 'borrow' &&
      body.offer?.server === server &&
      body.offer.incarnation === incarnation &&
      'taken' in result &&
      result.taken.some(({ source }) => source === 'offer')
    const isGift =
      (body.type === 'return' || body.type === 'lend') &&
      body.server === server &&
      body.incarnation === incarnation
    if (!isOffer && !isGift) return
    const stock = this.#stocks.get(`${server} ${body.feature}`)
    if (stock === undefined || this.#excused.has(stock)) return
    const { inUse, share } = stock
    assert(inUse <= share, `R1: ${server} gave of ${body.feature}: ${inUse} in use of ${share}`)
  }

  /** I3, after every event. */
  check(now: number): void {
    if (this.#heard.size > 0) {
      for (const client of this.#heard) this.#count(client)
      this.#heard.clear()
      for (const [feature, sum] of this.#sums) {
        if (sum > (this.#allowed.get(feature) ?? 0)) this.#judge(feature)
      }
    }
    if (now - this.#sampledAt >= 100) this.#sample(now)
  }

  #sample(now: number): void {
    let seats = 0
    for (const client of this.clients) for (const [, count] of client.believed()) seats += count
    this.seatHours += (seats * (now - this.#sampledAt)) / 3_600_000
    this.#sampledAt = now
  }

  #count(client: SimulatedClient): void {
    const before = this.#parts.get(client)
    const after = new Map<string, number>()
    for (const [feature, count] of client.believed()) {
      after.set(feature, (after.get(feature) ?? 0) + count)
    }
    for (const [feature, count] of before ?? []) {
      this.#sums.set(feature, (this.#sums.get(feature) ?? 0) - count)
    }
    for (const [feature, count] of after) {
      this.#sums.set(feature, (this.#sums.get(feature) ?? 0) + count)
    }
    this.#parts.set(client, after)
  }

  /** Counts everybody anew. */
  #judge(feature: string): void {
    for (const client of this.clients) this.#count(client)
    const believed = this.#sums.get(feature) ?? 0
    const allowed = this.#allowed.get(feature) ?? 0
    this.fullest = Math.max(this.fullest, allowed === 0 ? 0 : believed / allowed)
    assert(believed <= allowed, `I3: ${believed} of ${allowed} ${feature} are in use`)
  }

  /** The largest part of a feature that is believed to be in use now. */
  fullness(): number {
    let fullest = 0
    for (const [feature, sum] of this.#sums) {
      const allowed = this.#allowed.get(feature) ?? 0
      if (allowed > 0) fullest = Math.max(fullest, sum / allowed)
    }
    return fullest
  }
}
