/**
 * What the rules R2 to R12 say of one command, checked from outside: what may be refused, taken, listed, remembered.
 *
 * It keeps a memory of its own (moves, ids, who leaves) and works out standings anew, so that a ledger that forgets or
 * misjudges is not asked for its own opinion.
 */
import { strict as assert } from 'node:assert'
import type { Command, CommandBody, Result, SeatProof } from '../../lib/ledger/command.ts'
import type { Applied } from '../../lib/ledger/ledger.ts'
import type { Demand, LedgerState, ServerRecord } from '../../lib/ledger/state.ts'

type Body<Type extends CommandBody['type']> = Extract<CommandBody, { type: Type }>

interface FeatureNow {
  readonly free: number
  readonly owed: number
  readonly shares: ReadonlyMap<string, number>
  readonly demand: readonly Readonly<Demand>[]
}

/** The state as it stood before a command. */
export interface Before {
  readonly tick: number
  readonly calendar: number
  readonly leaseTicks: number
  readonly servers: ReadonlyMap<string, Readonly<ServerRecord>>
  readonly features: ReadonlyMap<string, FeatureNow>
}

export function pictureOf(state: LedgerState): Before {
  return {
    tick: state.tick,
    calendar: state.calendar,
    leaseTicks: state.settings.leaseTicks,
    servers: new Map([...state.servers].map(([name, record]) => [name, { ...record }])),
    features: new Map(
      [...state.features].map(([name, { free, owed, shares, demand }]) => [
        name,
        { free, owed, shares: new Map(shares), demand: demand.map(entry => ({ ...entry })) },
      ]),
    ),
  }
}

const orders = {
  request: ['free', 'down', 'offer'],
  update: ['offer', 'free', 'move', 'down'],
} as const

function isDown({ downAt }: ServerRecord, tick: number): boolean {
  return downAt <= tick
}

function isListed(record: ServerRecord, tick: number, ticks: number): boolean {
  return !record.helloPending && record.listedTick > 0 && tick - record.listedTick < ticks
}

export class Rules {
  /** Seat -> where it was moved, and the tick until which that must be known (R6). */
  readonly #moves = new Map<string, { readonly to: string; readonly until: number }>()
  readonly #results = new Map<string, { readonly result: Result; readonly until: number }>()
  /** Server -> its run that stops. */
  readonly #leaving = new Map<string, number>()

  /** R8: what an id that was applied before must answer, while it has to be remembered. */
  remembered(id: string, tick: number): Result | undefined {
    const known = this.#results.get(id)
    return known !== undefined && tick < known.until ? known.result : undefined
  }

  /** Whether it was ever applied, and not only turned away for the moment. */
  wasKept(id: string): boolean {
    return this.#results.has(id)
  }

  check(before: Before, state: LedgerState, command: Command, applied: Applied): void {
    const { body } = command
    const { result, duplicate } = applied
    if (!duplicate) {
      if (body.type !== 'tick' && body.type !== 'genesis') this.#command(before, command, result)
      if (result.ok) this.#did(before, state, body, result)
    }
    this.#servers(before, state)
    this.#calendar(before, state, body)
    for (const name of state.features.keys()) this.#feature(before, state, name, command, applied)
    for (const { state: stands, content } of state.codes.values()) {
      if (stands === 'active') assert(content.startsAt <= state.calendar, 'R10: started early')
      if (body.type !== 'tick' || stands !== 'active') continue
      assert((content.expiresAt ?? Infinity) > state.calendar, 'R9: a code outlives its end')
    }
    for (const [seatId, { to, until }] of this.#moves) {
      if (until <= state.tick) this.#moves.delete(seatId)
      else assert.equal(state.moves.get(seatId)?.to, to, 'R6: a move is remembered')
    }
  }

  #command({ tick, leaseTicks }: Before, { id, deadline }: Command, result: Result): void {
    const ahead = Math.min(30, leaseTicks - 1)
    if (result.ok) assert(tick <= deadline && deadline - tick <= ahead, 'R8: within its deadline')
    const isUnkept =
      !result.ok && (result.code === 'LICD_UNKNOWN_OUTCOME' || result.code === 'LICD_TOO_BUSY')
    if (isUnkept || deadline < 0) return
    this.#results.set(id, { result, until: Math.min(deadline, tick + 30) + 601 })
  }

  #did(before: Before, state: LedgerState, body: CommandBody, result: Result): void {
    if (body.type === 'tick') this.#ticked(before, state, body)
    if (body.type === 'hello') this.#hello(before, state, body, result)
    if (body.type === 'leave' || body.type === 'demand') {
      this.#isRunning(before, body.server, body.incarnation)
    }
    if (body.type === 'leave') this.#leaving.set(body.server, body.incarnation)
    if (body.type === 'return' || body.type === 'lend') this.#gives(before, body)
    if (body.type === 'lend') this.#lends(before, body, result)
    if (body.type === 'borrow') {
      this.#isRunning(before, body.to, body.incarnation)
      this.#borrowed(before, state, body, result)
    }
  }

  /** R7: only the present run of a server that is not down is heard. */
  #isRunning({ servers, tick }: Before, server: string, incarnation: number): void {
    const record = servers.get(server)
    assert(record && record.incarnation === incarnation, 'R7: of the present run')
    assert(!isDown(record, tick), 'R3: not of one that is down')
  }

  #isUp({ servers, tick }: Pick<Before, 'servers' | 'tick'>, server: string): boolean {
    const record = servers.get(server)
    if (record === undefined || record.role === 'removed' || isDown(record, tick)) return false
    return this.#leaving.get(server) !== record.incarnation && isListed(record, tick, 3)
  }

  /** R2, R3: who is listed was heard of, in this run, by a keepalive that was not listed before. */
  #ticked(before: Before, state: LedgerState, { listings }: Body<'tick'>): void {
    for (const [name, record] of state.servers) {
      if (isDown(record, state.tick) && record.incarnation > 0) {
        assert.equal(record.endedIncarnation, record.incarnation, 'R3: what is down is over')
      }
      const was = before.servers.get(name)
      if (was === undefined || record.listedTick !== state.tick) continue
      const heard = listings.some(
        ({ server, incarnation, number }) =>
          server === name &&
          incarnation === was.incarnation &&
          incarnation > was.endedIncarnation &&
          number > was.listedNumber,
      )
      assert(heard || was.helloPending, `R3: ${name} was listed by nothing`)
      const { leaseTicks } = state.settings
      assert(record.downAt >= state.tick + leaseTicks + 1, 'R3: down after its lease')
    }
  }

  #hello(before: Before, state: LedgerState, body: Body<'hello'>, result: Result): void {
    if (!result.ok || !('incarnation' in result)) return
    const was = before.servers.get(body.server)
    const record = state.servers.get(body.server)
    assert(was && record)
    assert.equal(record.incarnation, result.incarnation)
    if (was.bootId === body.bootId && was.incarnation > 0) {
      assert.equal(result.incarnation, was.incarnation, 'R7: a repeated hello')
      return
    }
    assert.equal(result.incarnation, was.incarnation + 1, 'R7: each boot is a run of its own')
    assert.equal(result.relearn, was.incarnation > 0 && !isDown(was, before.tick), 'R7')
    const until = state.tick + state.settings.seatTicks + 1
    if (result.relearn) assert(record.relearnUntil >= until, 'R7: relearns long enough')
  }

  #gives(before: Before, { server, incarnation }: Body<'return'> | Body<'lend'>): void {
    this.#isRunning(before, server, incarnation)
    const record = before.servers.get(server)
    assert(record && isListed(record, before.tick, 2), 'R12: an unlisted server gives nothing')
  }

  #lends(before: Before, body: Body<'lend'>, result: Result): void {
    const { to, toIncarnation, feature } = body
    assert(this.#isUp(before, to), 'R12: lent to a server that is up')
    assert.equal(before.servers.get(to)?.incarnation, toIncarnation)
    const entry = before.features.get(feature)?.demand.find(({ server }) => server === to)
    const lent = result.ok && 'taken' in result ? (result.taken[0]?.count ?? 0) : 0
    assert(entry && lent <= entry.count, 'R12: no more than waits there')
  }

  /** Section 5: the sources in their order, each used up before the next, no more than was wanted. */
  #borrowed(before: Before, state: LedgerState, body: Body<'borrow'>, result: Result): void {
    if (!result.ok || !('taken' in result)) return
    const feature = before.features.get(body.feature)
    assert(feature)
    const order: readonly string[] = orders[body.cause]
    let total = 0
    let last = 0
    for (const { source, server, count } of result.taken) {
      const place = order.indexOf(source)
      assert(place >= last, `section 5: ${source} before its turn`)
      last = place
      total += count
      if (source === 'down' && server !== undefined) {
        const record = before.servers.get(server)
        assert(record === undefined || isDown(record, before.tick), 'R1: taken from the living')
      }
      if (source === 'offer') this.#offered(before, body, count)
      if (source === 'move') this.#moved(before, state, body, server ?? '', count)
    }
    assert(total <= body.wanted, 'no more than was wanted')
    const free = result.taken.find(({ source }) => source === 'free')?.count ?? 0
    if (last > order.indexOf('free')) assert.equal(free, feature.free, 'the free pool first')
  }

  #offered(before: Before, { offer, to, feature }: Body<'borrow'>, count: number): void {
    assert(offer && offer.server !== to && count <= offer.count)
    this.#isRunning(before, offer.server, offer.incarnation)
    assert((before.features.get(feature)?.shares.get(offer.server) ?? 0) >= offer.count, 'R8')
  }

  /** R6: the token proves the seat at this tick, and it is taken from where it stands. */
  #moved(
    before: Before,
    { settings, tokensUntil }: LedgerState,
    { move, to, feature }: Body<'borrow'>,
    from: string,
    count: number,
  ): void {
    assert(move?.feature === feature)
    const { tick } = before
    assert(move.lastTick > 0 && tick <= move.lastTick, 'R5: the token proves nothing by now')
    assert(move.seatTick <= tick, 'R11: a token from ahead')
    const known = this.#moves.get(move.seatId)
    if (known === undefined) this.#neverMoved(before, move, from)
    else assert.equal(from, known.to, 'R6: a seat is moved from where it stands')
    assert.equal(count, from === to ? 0 : 1)
    const until = Math.max(tick + settings.seatTicks, tokensUntil) + 1
    if (count > 0) this.#moves.set(move.seatId, { to, until })
  }

  #neverMoved({ servers }: Before, { server, incarnation }: SeatProof, from: string): void {
    const record = servers.get(server)
    // A move is forgotten no sooner than it has to be: one that is known for longer says where the seat stands.
    if (from !== server) return
    assert(record && incarnation <= record.incarnation, 'R6: of a run that there was')
    assert(incarnation > record.endedIncarnation, 'R3: of a run that is not over')
  }

  #servers(before: Before, state: LedgerState): void {
    for (const [name, record] of state.servers) {
      const was = before.servers.get(name)
      if (was !== undefined) assert(record.downAt >= was.downAt, 'R3: `downAt` only rises')
    }
  }

  /** R10: never backwards, never further than a minute in a tick, and by more than half of the servers. */
  #calendar(before: Before, { calendar, servers }: LedgerState, body: CommandBody): void {
    if (body.type === 'genesis') return
    const moved = calendar - before.calendar
    assert(moved >= 0 && moved <= 60_000, 'R10: the calendar')
    if (moved === 0) return
    assert(body.type === 'tick', 'R10: only ticks move the calendar')
    const walls = body.listings
      .filter(({ server, incarnation, number }) => {
        const was = before.servers.get(server)
        return was?.incarnation === incarnation && number > was.listedNumber
      })
      .map(({ wallMs }) => wallMs)
      .sort((a, b) => a - b)
    const members = [...servers.values()].filter(({ role }) => role !== 'removed').length
    assert(2 * walls.length > members, 'R10: more than half say what time it is')
    const ahead = walls.filter(wall => wall >= calendar).length
    assert(2 * ahead >= walls.length, 'R10: half of the clocks are that far')
  }

  #feature(
    before: Before,
    state: LedgerState,
    name: string,
    command: Command,
    { result, duplicate }: Applied,
  ): void {
    const feature = state.features.get(name)
    const was = before.features.get(name)
    if (feature === undefined || was === undefined) return
    const { body } = command
    this.#queue(state, was.demand, feature.demand)
    const waiting = feature.demand.some(({ server }) => this.#isUp(state, server))
    for (const [server, share] of feature.shares) {
      const gained = share - (was.shares.get(server) ?? 0)
      if (gained <= 0) continue
      assert(!duplicate, 'I4')
      const borrows = body.type === 'borrow' && body.to === server && body.feature === name
      assert(borrows || this.#isUp(state, server), `R12: ${server} is given and is not up`)
      assert.notEqual(this.#leaving.get(server), state.servers.get(server)?.incarnation, 'R7')
      if (body.type === 'tick' && waiting && !was.demand.some(one => one.server === server)) {
        assert.fail('R12: topped up while others wait')
      }
      if (feature.owed === 0) continue
      const given = borrows && result.ok && 'taken' in result ? result.taken : []
      const living = given.filter(({ source }) => source === 'offer' || source === 'move')
      const from = living.reduce((sum, { count }) => sum + count, 0)
      assert(gained <= from, 'R9: what is owed is paid before anything is given')
    }
  }

  /** R12: who waits keeps the place; a run that is over waits for nothing. */
  #queue({ servers }: LedgerState, was: readonly Demand[], now: readonly Demand[]): void {
    for (const { server, incarnation } of now) {
      assert.equal(servers.get(server)?.incarnation, incarnation, 'R12: of the present run')
    }
    const stayed = was.filter(old => now.some(one => isSame(one, old)))
    const places = stayed.map(old => now.findIndex(one => isSame(one, old)))
    for (const [at, place] of places.entries()) assert.equal(place, at, 'R12: keeps its place')
  }
}

function isSame(one: Demand, other: Demand): boolean {
  return one.server === other.server && one.since === other.since
}
