/**
 * Faults that are aimed: the rules' states are watched, and what hurts just then is thrown.
 *
 * Random faults do not find the schedules that broke earlier forms of the rules (design, after R12): somebody has to
 * strike while a move is open, an offer in flight, a server relearning, a lease near its end.
 */
import type { Stock } from '../../lib/book/seat.ts'
import type { Command, Result } from '../../lib/ledger/command.ts'
import type { Ledger } from '../../lib/ledger/ledger.ts'
import { isAim, type PoolAim } from './pool-options.ts'
import type { PoolWorld } from './pool-world.ts'
import { SeededRandom } from './seeded-random.ts'

/** What a strike may do to a server. */
type Blow = (server: string, random: SeededRandom) => void

export class PoolAims {
  readonly #world: PoolWorld
  readonly #streams = new Map<PoolAim, { random: SeededRandom; n: number; readyAt: number }>()
  /** Promises that may be under way, by server. */
  readonly #promises = new Map<string, number[]>()
  readonly #blows: readonly Blow[]
  /** Servers whose last words come late. */
  readonly #late = new Set<string>()

  constructor(world: PoolWorld) {
    this.#world = world
    for (const kind of world.options.kinds.keys()) {
      if (!isAim(kind)) continue
      const random = new SeededRandom(`${kind} ${world.options.seed}`)
      this.#streams.set(kind, { random, n: 0, readyAt: 0 })
    }
    const { faults } = world
    const long = (random: SeededRandom): number => this.#leaseMs * (0.9 + random.next() * 0.6)
    this.#blows = [
      (server, random) => faults.crash(server, long(random)),
      (server, random) => faults.crash(server, random.next() * 300),
      (server, random) => faults.crash(server, faults.lastingMs(random)),
      (server, random) => faults.pause(server, false, long(random)),
      (server, random) => faults.pause(server, random.chance(0.3), faults.lastingMs(random)),
      (server, random) => this.#cutOff(server, long(random)),
      (server, random) => this.#cutOff(server, faults.lastingMs(random)),
      (server, random) => faults.stop(server, faults.lastingMs(random)),
      (server, random) => this.#lateWords(server, random),
      (server, random) => this.#lonely(server, random),
    ]
    if (this.#streams.has('aim-lease')) this.#watchLeases()
  }

  get #leaseMs(): number {
    const { tickMs, leaseTicks } = this.#world.options.settings
    return tickMs * leaseTicks
  }

  /** With the odds given, and not too often. After the present event, mostly at once. */
  #strike(kind: PoolAim, odds: number, blow: (random: SeededRandom) => void): void {
    const stream = this.#streams.get(kind)
    const { faults, pool, now } = this.#world
    if (stream === undefined || faults.isOver || now < stream.readyAt) return
    const { random } = stream
    if (!random.chance(odds)) return
    stream.readyAt = now + random.next() * (this.#world.options.kinds.get(kind) ?? 0)
    const own = random.split(`${kind}#${++stream.n}`)
    const { n } = stream
    pool.time.after(own.chance(0.6) ? 0 : own.next() * 10, () => {
      faults.happens(kind, n, () => blow(own))
    })
  }

  #hit(server: string, random: SeededRandom): void {
    if (this.#world.pool.process(server) !== undefined) random.pick(this.#blows)(server, random)
  }

  /** From the other servers; its clients reach it. */
  #cutOff(server: string, ms: number): void {
    const others = this.#world.pool.names.filter(name => name !== server)
    const pairs = others.flatMap(
      name =>
        [
          [name, server],
          [server, name],
        ] as const,
    )
    this.#world.faults.cut(pairs, ms)
  }

  /** It dies and is back at once; what it said last was on its way, and comes when the next run serves. */
  #lateWords(server: string, random: SeededRandom): void {
    const { pool, faults } = this.#world
    const others = pool.names.filter(name => name !== server)
    const ms = 200 + random.next() * 1_500
    faults.cut(
      others.map(name => [server, name] as const),
      ms,
    )
    this.#late.add(server)
    pool.time.after(ms - 1, () => {
      if (!faults.isOver) faults.crash(server, random.next() * 50)
    })
  }

  /** It dies and is back soon; many of its clients can reach no other. */
  #lonely(server: string, random: SeededRandom): void {
    this.#world.faults.isolateClients(server, random)
    this.#world.faults.crash(server, random.next() * 500)
  }

  /** A server gives the leader a command. */
  proposed(): void {
    this.#strike('aim-turn', 0.03, random => {
      const { leader } = this.#world.pool
      if (leader === undefined) return
      // It stands in its log and maybe in others', and is not committed.
      this.#world.pool.time.after(random.next() * 4, () => {
        if (!this.#world.faults.isOver) this.#hit(leader.server, random)
      })
    })
  }

  applied({ state }: Ledger, { body }: Command, result: Result, again: boolean): void {
    if (again || !result.ok) return
    if (body.type === 'borrow' && 'taken' in result) {
      for (const { source, server, count } of result.taken) {
        if (source === 'move' && count > 0 && server !== undefined) {
          const seat = body.move?.seatId ?? ''
          this.#strike('aim-move', 0.3, random => this.#moved(server, body.to, seat, random))
          this.#strike('aim-deaf', 0.5, random =>
            this.#deafen(random.pick([server, body.to]), random),
          )
        } else if (source === 'down' && server !== undefined) {
          this.#strike('aim-lent', 0.7, random => this.#lent(server, random))
        }
      }
    } else if (body.type === 'remove-code' || body.type === 'add-code') this.#owed(state)
    else if (body.type === 'change-settings') {
      this.#strike('aim-turn', 0.7, random => this.#hitLeader(random))
    } else if (body.type === 'tick') {
      this.#owed(state)
      const waits = [...state.features.values()].some(({ demand }) => demand.length > 0)
      if (waits) this.#strike('aim-turn', 0.03, random => this.#hitLeader(random))
      for (const [name] of state.servers) {
        const isDown = state.servers.get(name)?.downAt === state.tick
        if (isDown && this.#world.pool.process(name) !== undefined) {
          this.#strike('aim-lent', 0.8, random => this.#lent(name, random))
        }
      }
    }
  }

  #hitLeader(random: SeededRandom): void {
    const { leader } = this.#world.pool
    if (leader !== undefined) this.#hit(leader.server, random)
  }

  /** A move is open: its taker, its giver, or its client is struck; or what was said is said again. */
  #moved(from: string, to: string, seat: string, random: SeededRandom): void {
    const { faults, network, clients, pool } = this.#world
    const holder = clients.find(({ holds }) => [...holds].some(({ id }) => seat.startsWith(id)))
    switch (random.between(0, 6)) {
      case 0:
      case 1:
        return this.#hit(to, random)
      case 2:
        // Whoever was away comes back with what it knew.
        pool.process(from)?.clock.resume()
        return this.#hit(to, random)
      case 3:
        return this.#hit(from, random)
      case 4:
        if (holder?.pause(false) === true) {
          faults.until(this.#leaseMs * random.next(), () => holder.resume())
        }
        return this.#hit(random.pick([from, to]), random)
      case 5:
        network.replay(random.between(5, 40), random, holder?.name)
        return undefined
      default:
        if (holder === undefined) return undefined
        return faults.cut(
          [
            [to, holder.name],
            [holder.name, to],
          ],
          faults.lastingMs(random),
        )
    }
  }

  /** A server whose share was lent goes on as if nothing had been. */
  #lent(server: string, random: SeededRandom): void {
    const { pool, network } = this.#world
    const clock = pool.process(server)?.clock
    clock?.resume()
    if (random.chance(0.5)) network.replay(random.between(5, 40), random, server)
  }

  /** The leader has lowered its limit for another's borrow. */
  offered(leader: string): void {
    this.#strike('aim-offer', 0.25, random => this.#hit(leader, random))
    this.#strike('aim-office', 0.5, random => this.#deposed(leader, random))
  }

  /** Its entry reaches the others; it does not hear of them, nor of the leader after it, and its clients ask for more. */
  #deposed(leader: string, random: SeededRandom): void {
    const { faults, pool, clients, options } = this.#world
    const ms = (options.raft.electionTimeoutMs ?? 1_000) * (3 + 4 * random.next())
    pool.time.after(6 * random.next(), () => {
      const others = pool.names.filter(name => name !== leader)
      if (random.chance(0.3)) this.#cutOff(leader, ms)
      else if (!faults.isOver)
        faults.cut(
          others.map(name => [name, leader] as const),
          ms,
        )
    })
    for (let n = 1; n < 4; n++) {
      pool.time.after((n * ms) / 4, () => {
        if (faults.isOver) return
        for (const client of clients) if (random.chance(0.5)) client.wishNow()
      })
    }
  }

  promised(id: string, _stock: Stock, _count: number): void {
    const server = id.slice(0, id.indexOf('.'))
    if (!this.#world.pool.names.includes(server)) return
    const times = this.#promises.get(server) ?? []
    this.#promises.set(server, [...times.slice(-9), this.#world.now])
    if (server !== this.#world.pool.leader?.server) {
      this.#strike('aim-behind', 1, random => this.#deafen(server, random, [1.5, 3]))
    }
    if (this.#streams.get('aim-deaf')?.random.chance(0.3) === true) this.#hearLate(server)
    this.#strike('aim-give', 0.15, random => {
      if (random.chance(0.3)) this.#hitLeader(random)
      else this.#hit(server, random)
    })
  }

  /** What it is just about to say comes late; it is deaf by then, or another run. */
  #hearLate(server: string): void {
    const { network, faults, options, pool } = this.#world
    const { tickMs, leaseTicks } = options.settings
    const ms = tickMs * Math.min(10, leaseTicks - 1)
    if (faults.isOver) return
    faults.until(ms, network.late(server, ms))
    this.#strike('aim-deaf', 1, random => {
      if (random.chance(0.5)) this.#deafen(server, random)
      else {
        pool.time.after(0.4 * ms * random.next(), () => {
          if (!faults.isOver) faults.crash(server, 100 * random.next())
        })
      }
    })
  }

  /** It hears nothing from the others for some ticks. */
  #deafen(
    server: string,
    random: SeededRandom,
    [least, most]: readonly [number, number] = [3, 8],
  ): void {
    const { faults, pool, options } = this.#world
    const others = pool.names.filter(name => name !== server)
    faults.cut(
      others.map(name => [name, server] as const),
      options.settings.tickMs * (least + (most - least) * random.next()),
    )
  }

  /** Promises that the server made lately. */
  promisesOf(server: string): number {
    const since = this.#world.now - 10 * this.#world.options.settings.tickMs
    return (this.#promises.get(server) ?? []).filter(at => at > since).length
  }

  started(server: string, relearn: boolean, hasBook: boolean): void {
    if (this.#late.delete(server)) this.#world.network.repeatCommands(server)
    if (hasBook) {
      this.#strike('aim-book', 0.5, random => {
        if (random.chance(0.5)) this.#hit(server, random)
        else this.#world.network.replay(random.between(5, 40), random, server)
      })
      return
    }
    if (!relearn) return
    this.#strike('aim-relearn', 0.9, random => this.#relearning(server, random))
  }

  /** What was said to the run before is said again, over and over, while this one relearns. */
  #relearning(server: string, random: SeededRandom): void {
    const { network, pool, clients } = this.#world
    network.repeatCommands(server)
    const rounds = random.between(1, 6)
    for (let n = 0; n < rounds; n++) {
      pool.time.after(random.next() * this.#leaseMs * 0.5, () => {
        if (!this.#world.faults.isOver) network.replay(random.between(5, 40), random, server)
      })
    }
    if (random.chance(0.4)) {
      // Its clients give back what it has just learned again.
      for (const client of clients.filter(() => random.chance(0.4))) {
        pool.time.after(random.next() * this.#leaseMs * 0.5, () => {
          if (!this.#world.faults.isOver) client.dropOne()
        })
      }
    }
    if (random.chance(0.3)) {
      pool.time.after(random.next() * this.#leaseMs * 0.4, () => {
        if (!this.#world.faults.isOver) this.#hit(server, random)
      })
    }
  }

  /** A server was stopped cleanly; whoever starts it is `PoolFaults`. */
  stopped(server: string): void {
    this.#strike('aim-book', 0.4, random => {
      this.#world.network.replay(random.between(5, 40), random, server)
    })
  }

  /** A client is challenged: `aim-challenge`, or its answer is lost. */
  challenged(server: string, subject: string | undefined): void {
    const name = /^_INBOX\.([^.]+)-\d+\./.exec(subject ?? '')?.[1]
    const client = this.#world.clients.find(one => one.name === name)
    if (client === undefined) return
    this.#strike('aim-answer', 0.8, () => {
      this.#world.faults.cut([[client.name, server]], 500)
    })
    this.#strike('aim-challenge', 0.6, random => {
      const { faults, network } = this.#world
      const ms = faults.lastingMs(random)
      const pair = [client.name, server] as const
      switch (random.between(0, 4)) {
        case 0:
          return faults.cut([pair], ms)
        case 1:
          return network.clog([pair, [server, client.name]], ms)
        case 2:
          if (client.pause(random.chance(0.3))) faults.until(ms, () => client.resume())
          return undefined
        case 3:
          return this.#hit(server, random)
        default:
          return network.replay(random.between(5, 40), random, client.name)
      }
    })
  }

  #owed(state: Ledger['state']): void {
    const feature = [...state.features.values()].find(({ owed }) => owed > 0)
    if (feature === undefined) return
    this.#strike('aim-owed', 0.2, random => {
      const owners = [...feature.shares.keys()].sort()
      if (owners.length > 0) this.#hit(random.pick(owners), random)
    })
  }

  /** Looks a few times a second whether somebody's lease is about to end. */
  #watchLeases(): void {
    const { pool, faults, clients } = this.#world
    pool.time.after(200, () => {
      if (faults.isOver) return
      for (const { server, leaseUntil, clock } of pool.running) {
        const left = leaseUntil - clock.now()
        if (leaseUntil === 0 || left <= 0 || left > 1_200) continue
        this.#strike('aim-lease', 0.7, random => {
          // Over the end, so that it wakes with what it thinks it may do.
          if (random.chance(0.6)) faults.pause(server, false, left + random.next() * 3_000)
          else this.#hit(server, random)
          for (const client of clients) if (random.chance(0.5)) client.wishNow()
        })
      }
      this.#watchLeases()
    })
  }
}
