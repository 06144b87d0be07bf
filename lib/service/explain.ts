/**
 * Where a seat was looked for and why there was none: for people who were denied one.
 *
 * It reads what the other parts know at that moment and decides nothing. The sources stand in the order in which a
 * request is served from them (claim 5), after the server's own share; what is said of other servers is as of their
 * last keepalive.
 */
import type { SeatBook } from '../book/book.ts'
import type { Stock } from '../book/seat.ts'
import type { Feature } from '../ledger/state.ts'
import type { DarkCount, Denial, Standing, Tried, TurnedAway } from '../protocol/why.ts'
import { seconds } from '../seconds.ts'
import type { SeatReport, SeatServiceCounts } from '../server/parts.ts'
import type { Balance, Lines } from './balance.ts'
import { darkSeats } from './dark.ts'
import type { Asked } from './denials.ts'
import type { Desk } from './desk.ts'
import { dateOf } from './ended.ts'
import { whyNotServing } from './lease-reason.ts'

/** Servers named in one line; of the others only how many. */
const namedMax = 3
/** Dark seats are counted anew after so long: a bound on what many denials cost. */
const countedMs = 100

export class Explain implements SeatReport {
  readonly counts: SeatServiceCounts
  readonly #desk: Desk
  readonly #balance: Balance
  readonly #lines: Lines
  #dark = new Map<string, DarkCount[]>()
  #darkAt = -Infinity

  constructor(desk: Desk, balance: Balance, lines: Lines, counts: SeatServiceCounts) {
    this.counts = counts
    this.#desk = desk
    this.#balance = balance
    this.#lines = lines
  }

  get tallies(): SeatReport['tallies'] {
    return this.#desk.usage.tallies
  }

  tried(asked: Asked): Tried[] {
    const { code, detail } = asked
    const feature = this.#desk.feature(asked.feature)
    if (feature === undefined) return [this.#unknown(asked.feature)]
    switch (code) {
      case 'LICD_NOT_SERVING':
      case 'LICD_NO_LEASE': {
        const reason = whyNotServing(this.#desk, this.#desk.now)?.detail ?? detail
        return [{ source: 'lease', found: 0, why: reason }]
      }
      case 'LICD_BAD_COUNT':
      case 'LICD_TOO_MANY_SEATS':
      case 'LICD_TOO_MANY_WAITING':
        return [{ source: 'feature', found: feature.allocations, why: detail }]
      case 'LICD_NO_SEAT':
      case 'LICD_TIMEOUT':
      case 'LICD_ABORTED':
        return feature.allocations === 0 ? [this.#none(feature)] : this.#sources(feature, asked)
      case 'LICD_OVER_LIMIT':
        return this.#sources(feature, asked)
      case 'LICD_CODE_EXPIRED':
        return [ofCode(detail)]
      default:
        return [{ source: 'seat', found: 0, why: detail }]
    }
  }

  #unknown(feature: string): Tried {
    const why = this.#desk.ended.why(feature, this.#desk.host.ledger.state)
    if (why !== undefined) return ofCode(why)
    const spelling = 'the pool has none of this name: is it spelled right?'
    return { source: 'feature', found: 0, why: spelling }
  }

  /** The pool owns none: it never did, or what it had has ended. */
  #none({ name }: Feature): Tried {
    const { state: ledger } = this.#desk.host.ledger
    let starts = Infinity
    for (const { content, state } of ledger.codes.values()) {
      if (content.feature === name && state === 'pending') {
        starts = Math.min(starts, content.startsAt)
      }
    }
    if (starts < Infinity) return ofCode(`the license code starts on ${dateOf(starts)}`)
    return ofCode(this.#desk.ended.why(name, ledger) ?? 'the pool owns no allocation of it')
  }

  #sources(feature: Feature, asked: Asked): Tried[] {
    const stock = this.#desk.book.stock(feature.name)
    const own = this.#own(feature, stock, asked.count)
    // R4: over its limit it grants and renews nothing whatever the sources hold, until it is not.
    const free = {
      source: 'free pool',
      found: feature.free,
      why: freeText(feature, asked.count),
    } as const
    const queue = { source: 'queue', found: 0, why: this.#queueText(feature, asked) } as const
    return [own, free, this.#down(feature), this.#leader(feature), this.#others(feature), queue]
  }

  #own({ owed, name }: Feature, stock: Stock, count: number): Tried {
    const desk = this.#desk
    const { share, promised, spare } = stock
    const found = Math.max(0, spare)
    const row = (why: string): Tried => ({ source: 'own share', found, why })
    if (share === 0 && stock.inUse === 0) return row('this server owns none')
    if (desk.isServing(desk.now) && desk.term(name, desk.now) === undefined) {
      return row(`${this.#ending(name)} within moments; new seats come after it`)
    }
    const { expired, moved } = this.#darkOf(name)
    const { unknown } = stock
    const parts = [
      `${stock.inUse - expired - moved - unknown} in use`,
      ...(expired > 0 ? [`${expired} expired, not grantable yet`] : []),
      ...(moved > 0 ? [`${moved} moved here, not renewed yet`] : []),
      ...(unknown > 0 ? [`${unknown} may be held since before its crash`] : []),
      ...(promised > 0 ? [`${promised} on their way to others`] : []),
    ]
    const owned = `owns ${share}: ${parts.join(', ')}`
    if (stock.isOverLimit)
      return row(`${owned}: over its limit of ${stock.limit}, so it grants and renews none`)
    if (found > 0 && owed > 0) return row(`${owned}; spare pays the ${owed} owed first`)
    if (found > 0 && found < count) return row(`${owned}; ${count} were asked for`)
    if (found > 0) return row(`${owned}; those who came first are served first`)
    return row(owned)
  }

  #darkOf(feature: string): { readonly expired: number; readonly moved: number } {
    const { book, now } = this.#desk
    if (now - this.#darkAt >= countedMs) {
      this.#dark = darkSeats(book)
      this.#darkAt = now
    }
    const counts = this.#dark.get(feature) ?? []
    const of = (kind: DarkCount['kind']) => counts.find(count => count.kind === kind)?.count ?? 0
    return { expired: of('expired'), moved: of('moved') }
  }

  #down({ shares }: Feature): Tried {
    const { ledger, server } = this.#desk.host
    const { tick, settings, servers } = ledger.state
    let found = 0
    const silent: string[] = []
    for (const [name, share] of sorted(shares)) {
      if (name === server) continue
      const state = ledger.serverState(name)
      if (state === 'down') found += share
      if (state !== 'silent') continue
      const left = Math.max(0, (servers.get(name)?.downAt ?? tick) - tick) * settings.tickMs
      silent.push(`the ${share} of ${name}, which is silent, in ${seconds(left)} at most`)
    }
    if (silent.length > 0) return { source: 'down servers', found, why: named(silent) }
    return { source: 'down servers', found, why: found > 0 ? 'not enough' : 'none owns any' }
  }

  #leader(feature: Feature): Tried {
    const { leader, server, ledger, tickAppliedAt } = this.#desk.host
    const row = (why: string, found = 0): Tried => ({ source: 'leader', found, why })
    const now = this.#desk.now
    const silentMs = now - tickAppliedAt
    if (leader === undefined || silentMs > 3 * ledger.state.settings.tickMs) {
      const since = tickAppliedAt > 0 ? `for ${seconds(silentMs)}` : 'since this server started'
      return row(`no leader was heard ${since}: nothing can be borrowed`)
    }
    if (leader === server) return row('this server is the leader')
    if (this.#balance.wasUnanswered(feature.name)) return row(`${leader} did not answer in time`)
    return row(`${leader} had none to offer${useText(feature, leader)}`)
  }

  #others(feature: Feature): Tried {
    const { leader, server, ledger } = this.#desk.host
    const spare: string[] = []
    const used: string[] = []
    let found = 0
    for (const [name, share] of sorted(feature.shares)) {
      if (name === server || name === leader || ledger.serverState(name) !== 'up') continue
      const left = share - (feature.usage.get(name)?.inUse ?? 0)
      if (left > 0) spare.push(`${name} had ${left} spare and sent none yet`)
      else used.push(`${name} uses ${share} of ${share}`)
      found += Math.max(0, left)
    }
    if (spare.length + used.length > 0) {
      return { source: 'other servers', found, why: named([...spare, ...used]) }
    }
    return { source: 'other servers', found, why: 'no other server owns any' }
  }

  #queueText(feature: Feature, { code: refused, position, what }: Asked): string {
    if (what === 'renew') return 'asked again by the client itself'
    const place = this.placeOf(feature)
    const inPool =
      place > 0
        ? `; this server stands at place ${place} of ${feature.demand.length} in the pool`
        : ''
    if (position === 0) {
      const { all } = this.#lines.asked(feature.name)
      const before =
        all > 0 ? `; ${all === 1 ? 'one seat is' : `${all} seats are`} waited for here` : ''
      return `did not ask to wait (licd run --wait, or a timeout)${before}`
    }
    const ended = refused === 'LICD_ABORTED' ? 'gave up' : 'its time was over'
    return `${ended} at place ${position} at this server${inPool}`
  }

  dark(): ReadonlyMap<string, readonly DarkCount[]> {
    this.#desk.advance(this.#desk.now)
    return darkSeats(this.#desk.book)
  }

  denials(feature: string, user?: string): Denial[] {
    return this.#desk.denials.list(feature, user, this.#desk.now)
  }

  turnedAway(): TurnedAway | undefined {
    return this.#desk.turnedAway.report(this.#desk.now)
  }

  ended(feature: string): string | undefined {
    return this.#desk.ended.sentence(feature, this.#desk.host.ledger.state)
  }

  /** What may be granted here now. `user`: whose seats are counted too, by a walk over all. */
  standing(name: string, user?: string): Standing {
    const desk = this.#desk
    const { now } = desk
    desk.advance(now)
    const { book } = desk
    const feature = desk.feature(name)
    const { share, promised, limit, inUse, spare } = book.stock(name)
    const notServing = whyNotServing(desk, now)
    const grant = notServing === undefined ? desk.term(name, now) : undefined
    const reason = notServing?.detail ?? this.#whyNone(feature, grant === undefined)
    return {
      ...{ share, promised, limit, inUse, spare: Math.max(0, spare) },
      grantsForMs: reason === undefined ? (grant?.ms ?? 0) : 0,
      ...(reason === undefined ? {} : { reason }),
      waiting: this.#lines.asked(name).all,
      queuePlace: feature === undefined ? 0 : this.placeOf(feature),
      ...(user === undefined ? {} : { heldByUser: heldBy(book, name, user) }),
    }
  }

  /** Why a server that serves grants none of the feature, whatever its spare. */
  #whyNone(feature: Feature | undefined, isEnding: boolean): string | undefined {
    if (feature === undefined) return 'The pool has no such feature.'
    if (isEnding) {
      return `A${this.#ending(feature.name).slice(1)} within moments; new seats come after it.`
    }
    const stock = this.#desk.book.stock(feature.name)
    if (stock.isOverLimit)
      return 'More is in use than its limit: it grants and renews nothing until it has borrowed.'
    if (feature.owed > 0 && stock.spare <= feature.owed)
      return 'What comes free pays what is owed first.'
    return undefined
  }

  #ending(feature: string): string {
    const end = this.#desk.endNow(feature, this.#desk.now)
    return end === undefined ? 'a license code ends' : `a license code, ${end.code}, ends`
  }

  /** This server's place in the pool's queue; 0 when it does not stand there. */
  placeOf({ demand }: Feature): number {
    return demand.findIndex(entry => entry.server === this.#desk.host.server) + 1
  }
}

function heldBy(book: SeatBook, feature: string, user: string): number {
  let seats = 0
  for (const { stock, holder, state } of book.seats()) {
    if (state === 'held' && stock.feature === feature && holder?.user === user) seats++
  }
  return seats
}

function ofCode(why: string): Tried {
  return { source: 'code', found: 0, why }
}

function freeText({ free, owed }: Feature, count: number): string {
  if (owed > 0) return `empty; what comes free pays the ${owed} owed first`
  return free === 0 ? 'empty' : free < count ? `${count} were asked for` : 'on its way here'
}

function useText(feature: Feature, server: string): string {
  const share = feature.shares.get(server) ?? 0
  const inUse = Math.min(share, feature.usage.get(server)?.inUse ?? 0)
  return share === 0 ? ': it owns none' : `: it uses ${inUse} of ${share}`
}

function named(texts: readonly string[]): string {
  const more = texts.length - namedMax
  const shown = texts.slice(0, namedMax).join(', ')
  return more > 0 ? `${shown}, and ${more} more` : shown
}

function sorted(shares: ReadonlyMap<string, number>): [string, number][] {
  return [...shares].sort(([a], [b]) => (a < b ? -1 : 1))
}
