/**
 * What may befall a simulated pool and its clients: each kind at its own times, from a stream of its own, so that taking
 * one kind or one fault away leaves all others where they are.
 *
 * Everything that begins ends by itself after a while; `calm` ends it all at once.
 */
import { clientBefalls } from './pool-client-faults.ts'
import { denseBefalls } from './pool-dense-faults.ts'
import { both, type Pair } from './pool-network.ts'
import type { PoolFault } from './pool-options.ts'
import { sceneBefalls } from './pool-scene-faults.ts'
import type { SimulatedClient } from './pool-client.ts'
import type { PoolWorld } from './pool-world.ts'
import { SeededRandom } from './seeded-random.ts'

export type Befall = (faults: PoolFaults, random: SeededRandom) => void

export class PoolFaults {
  readonly world: PoolWorld
  readonly counts = new Map<PoolFault, number>()
  /** All that happened, as `kind#n`. */
  readonly happened: string[] = []
  readonly #ends = new Set<() => void>()
  /** Servers that lost their disk and are not trusted again yet. */
  readonly #wiped = new Set<string>()
  /** Servers that an end will start again. */
  readonly #down = new Set<string>()
  /** Until then (true time) a server is left alone: another one would take the others their majority. */
  aloneUntil = 0
  #isOver = false

  constructor(world: PoolWorld) {
    this.world = world
  }

  get isOver(): boolean {
    return this.#isOver
  }

  start(): void {
    const { kinds, seed } = this.world.options
    for (const [kind, meanMs] of kinds) {
      const befall = befalls[kind]
      if (befall === undefined) continue
      const random = new SeededRandom(`${kind} ${seed}`)
      this.#next({ kind, meanMs, random, befall }, 1)
    }
  }

  #next(
    plan: { kind: PoolFault; meanMs: number; random: SeededRandom; befall: Befall },
    n: number,
  ): void {
    const { kind, meanMs, random, befall } = plan
    const ms = -Math.log(1 - random.next()) * meanMs
    this.world.pool.time.after(ms, () => {
      if (this.#isOver) return
      // Its own stream, so that skipping it moves nothing.
      const own = random.split(`${kind}#${n}`)
      this.happens(kind, n, () => befall(this, own))
      this.#next(plan, n + 1)
    })
  }

  /** Does it, unless the run is to go without this one. */
  happens(kind: PoolFault, n: number, befall: () => void): void {
    const name = `${kind}#${n}`
    if (this.#isOver || !this.world.options.happens(name)) return
    this.happened.push(name)
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
    this.world.tell(name)
    befall()
  }

  /** `end` is called once: after a while, or by `calm`. */
  until(ms: number, end: () => void): void {
    const once = (): void => {
      if (this.#ends.delete(once)) end()
    }
    this.#ends.add(once)
    this.world.pool.time.after(ms, once)
  }

  /** Everything that was broken is whole again, and every server runs. */
  calm(): void {
    this.#isOver = true
    for (const end of [...this.#ends]) end()
    this.world.network.heal()
    const { pool } = this.world
    for (const name of pool.names) {
      pool.slowDisk(name, 1)
      pool.process(name)?.clock.resume()
      this.startServer(name)
    }
  }

  /** Mostly less than a lease, now and then more. */
  lastingMs(random: SeededRandom): number {
    const { tickMs, leaseTicks } = this.world.options.settings
    return (
      tickMs * leaseTicks * random.pick([0.02, 0.1, 0.4, 0.8, 1.5, 1.5]) * (0.5 + random.next())
    )
  }

  /** A server that runs, often the leader. */
  victim(random: SeededRandom): string | undefined {
    const { pool } = this.world
    const { running, leader } = pool
    if (running.length === 0) return undefined
    return leader !== undefined && random.chance(0.4) ? leader.server : random.pick(running).server
  }

  client(random: SeededRandom): SimulatedClient {
    return random.pick(this.world.clients)
  }

  crash(server: string, ms: number): void {
    const { pool } = this.world
    if (pool.process(server) === undefined) return
    pool.crash(server)
    this.world.tell(`crash ${server}`)
    this.#down.add(server)
    this.until(ms, () => this.startServer(server))
  }

  startServer(server: string): void {
    const { pool } = this.world
    this.#down.delete(server)
    if (pool.process(server) === undefined && this.world.operators.isMember(server)) {
      this.world.tell(`start ${server}`)
      this.world.starting(server)
      pool.start(server)
    }
  }

  stop(server: string, ms: number): void {
    const { pool } = this.world
    if (pool.process(server) === undefined) return
    this.world.tell(`stop ${server}`)
    pool.retire(server, 6_000, () => {
      this.world.tell(`stopped ${server}`)
      this.world.aims.stopped(server)
      this.#down.add(server)
      this.until(ms, () => this.startServer(server))
    })
  }

  pause(server: string, standing: boolean, ms: number): void {
    const clock = this.world.pool.process(server)?.clock
    if (clock?.running !== true) return
    clock.pause(standing)
    this.world.tell(`${standing ? 'suspend' : 'pause'} ${server} for ${Math.round(ms)}`)
    this.until(ms, () => clock.resume())
  }

  cut(pairs: readonly Pair[], ms: number): void {
    this.world.tell(
      `cut ${pairs.length > 8 ? pairs.length : pairs.map(p => p.join('>')).join(' ')}`,
    )
    this.until(ms, this.world.network.cut(pairs))
  }

  /** Many clients reach that server alone, for about a lease. */
  isolateClients(server: string, random: SeededRandom): void {
    const { pool, clients, options } = this.world
    const others = pool.names.filter(name => name !== server)
    const some = clients.filter(() => random.chance(0.6)).map(({ name }) => name)
    this.cut(both(some, others), options.settings.tickMs * options.settings.leaseTicks)
  }

  /** At most one server at a time may be without its disk, and only where others are a majority. */
  mayWipe(server: string): boolean {
    const { pool, operators } = this.world
    // Who goes was judged while this one was counted on.
    if (operators.isChangingMembers) return false
    for (const name of this.#wiped) {
      const raft = pool.process(name)?.server.raft
      if (raft?.trust === 'full' && raft.lastApplied > 0) this.#wiped.delete(name)
    }
    if (this.#wiped.size > 0) return false
    return pool.running.every(({ raft }) => {
      if (raft === undefined) return true
      const { voters, outgoing } = raft.configuration
      if (raft.trust !== 'full' || outgoing.length > 0) return false
      return voters.length >= 3 || !voters.includes(server)
    })
  }

  wipe(server: string, ms: number): void {
    if (!this.mayWipe(server)) return
    this.crash(server, ms)
    if (this.world.pool.process(server) !== undefined) return
    this.world.pool.wipe(server)
    this.#wiped.add(server)
    this.world.tell(`wipe ${server}`)
  }
}

const befalls: Partial<Readonly<Record<PoolFault, Befall>>> = {
  crash(faults, random) {
    const victim = faults.victim(random)
    if (victim !== undefined) faults.crash(victim, faults.lastingMs(random))
  },
  outage(faults, random) {
    // Longer than its lease.
    const { tickMs, leaseTicks } = faults.world.options.settings
    const victim = faults.victim(random)
    const ms = tickMs * (leaseTicks + 2) * (1 + random.next())
    if (victim !== undefined) faults.crash(victim, ms)
  },
  bounce(faults, random) {
    const victim = faults.victim(random)
    if (victim === undefined) return
    if (random.chance(0.6)) faults.isolateClients(victim, random)
    faults.crash(victim, random.next() * 50)
  },
  power(faults, random) {
    for (const { server } of faults.world.pool.running) {
      faults.crash(server, random.chance(0.5) ? random.next() * 500 : faults.lastingMs(random))
    }
  },
  wipe(faults, random) {
    const victim = faults.victim(random)
    if (victim !== undefined) faults.wipe(victim, faults.lastingMs(random))
  },
  stop(faults, random) {
    const victim = faults.victim(random)
    if (victim !== undefined) faults.stop(victim, faults.lastingMs(random))
  },
  rolling(faults, random) {
    const eachMs = 500 + random.next() * 4_000
    for (const [at, { server }] of faults.world.pool.running.entries()) {
      faults.until(at * eachMs + 1, () => {
        if (!faults.isOver) faults.stop(server, random.next() * 1_000)
      })
    }
  },
  pause(faults, random) {
    const victim = faults.victim(random)
    if (victim !== undefined) faults.pause(victim, false, faults.lastingMs(random) / 2)
  },
  sleep(faults, random) {
    const { tickMs, leaseTicks } = faults.world.options.settings
    const victim = faults.victim(random)
    const ms = tickMs * leaseTicks * (0.9 + random.next() * 0.8)
    if (victim !== undefined) faults.pause(victim, false, ms)
  },
  suspend(faults, random) {
    const victim = faults.victim(random)
    if (victim !== undefined) faults.pause(victim, true, faults.lastingMs(random))
  },
  slow(faults, random) {
    const victim = faults.victim(random)
    const clock = victim === undefined ? undefined : faults.world.pool.process(victim)?.clock
    if (clock === undefined) return
    const stallMs = random.pick([20, 80, 300])
    let isSlow = true
    faults.until(faults.lastingMs(random), () => {
      isSlow = false
    })
    const stall = (): void => {
      if (!isSlow || !clock.running) return
      clock.pause()
      faults.until(stallMs, () => {
        clock.resume()
        faults.world.pool.time.after(stallMs * random.next(), stall)
      })
    }
    stall()
  },
  jump(faults, random) {
    const victim = faults.victim(random)
    const clock = victim === undefined ? undefined : faults.world.pool.process(victim)?.clock
    // To a system that cannot tell its uptime a jump is a suspension, or hides one.
    if (clock?.uptime() === undefined) return
    clock.jumpWall(random.pick([-86_400_000, -30_000, -2_000, 2_000, 30_000, 86_400_000]))
  },
  lag(faults, random) {
    const victim = faults.victim(random)
    if (victim === undefined) return
    faults.world.pool.slowDisk(victim, random.pick([10, 50, 300]))
    faults.until(faults.lastingMs(random), () => faults.world.pool.slowDisk(victim, 1))
  },
  stall(faults, random) {
    const victim = faults.victim(random)
    if (victim === undefined) return
    faults.world.pool.slowDisk(victim, Infinity)
    faults.until(faults.lastingMs(random), () => faults.world.pool.slowDisk(victim, 1))
  },
  part(faults, random) {
    // Servers from each other; their clients reach all of them.
    const { names } = faults.world.pool
    const inside = names.filter(() => random.chance(0.4))
    const victim = faults.victim(random)
    const group = inside.length === 0 && victim !== undefined ? [victim] : inside
    const others = names.filter(name => !group.includes(name))
    faults.cut(both(group, others), faults.lastingMs(random) * random.pick([1, 1, 2]))
  },
  island(faults, random) {
    // Some servers with some clients, from all the others.
    const { names } = faults.world.pool
    const victim = faults.victim(random)
    const inside = names.filter(name => name === victim || random.chance(0.25))
    const others = names.filter(name => !inside.includes(name))
    const all = faults.world.clients.map(({ name }) => name)
    const locals = all.filter(() => random.chance(inside.length / names.length))
    const rest = all.filter(name => !locals.includes(name))
    const pairs = [...both(inside, others), ...both(inside, rest), ...both(others, locals)]
    faults.cut(pairs, faults.lastingMs(random))
  },
  'one-way'(faults, random) {
    const { names } = faults.world.pool
    const victim = faults.victim(random)
    if (victim === undefined) return
    const deaf = random.chance(0.5)
    const pairs = names
      .filter(name => name !== victim && random.chance(0.7))
      .map((name): Pair => (deaf ? [name, victim] : [victim, name]))
    faults.cut(pairs, faults.lastingMs(random))
  },
  noise(faults, random) {
    const { network } = faults.world
    const noise = {
      drop: random.next() * 0.25,
      repeat: random.next() * 0.2,
      delayMs: random.pick([5, 50, 500, 2_000]),
    }
    network.noise = noise
    faults.until(faults.lastingMs(random), () => {
      if (network.noise === noise) network.noise = undefined
    })
  },
  clog(faults, random) {
    // All that one says to another, or hears from it, comes later and at once.
    const { network, clients, pool } = faults.world
    const victim = faults.victim(random)
    if (victim === undefined) return
    const peers = [...pool.names, ...clients.filter(() => random.chance(0.3)).map(c => c.name)]
    const pairs = peers
      .filter(name => name !== victim)
      .map((name): Pair => (random.chance(0.5) ? [name, victim] : [victim, name]))
    network.clog(pairs, faults.lastingMs(random))
  },
  freeze(faults, random) {
    faults.world.network.freeze(faults.lastingMs(random) / 2)
  },
  replay(faults, random) {
    faults.world.network.replay(random.between(1, 60), random)
  },
  reconnect(faults, random) {
    const victim = faults.victim(random)
    const bus = victim === undefined ? undefined : faults.world.pool.process(victim)?.bus
    if (bus === undefined) return
    bus.setLink(false)
    faults.until(faults.lastingMs(random) / 2, () => bus.setLink(true))
  },
  ...clientBefalls,
  ...sceneBefalls,
  ...denseBefalls,
  codes: faults => faults.world.operators.codes(),
  criteria: faults => faults.world.operators.criteria(),
  allocations: faults => faults.world.operators.allocations(),
  settings: faults => faults.world.operators.settings(),
  members: faults => faults.world.operators.members(),
  transfer: faults => faults.world.operators.transfer(),
}
