/**
 * What may befall simulated nodes: each kind at its own times, from a stream of its own, so that taking one kind or one
 * fault away leaves all others where they are.
 *
 * Everything that begins ends by itself after a while; the end of the faults ends it all at once.
 */
import type { Effects } from '../../raft/core/effect.ts'
import type { Input } from '../../raft/core/input.ts'
import { damages, type Damage } from './faulty-medium.ts'
import { quiet } from './node-network.ts'
import type { NodeServer } from './node-server.ts'
import type { FaultKind } from './node-options.ts'
import type { NodeWorld } from './node-world.ts'
import { SeededRandom } from './seeded-random.ts'

/** What is half done then, on the disk or between servers. */
const moments = {
  truncation: (_input, { persist }) => persist?.truncateFrom !== undefined,
  install: (_input, { persist }) => persist?.snapshot !== undefined,
  compaction: (_input, { persist }) => persist?.compactTo !== undefined,
  chunk: (_input, { storeChunks }) => storeChunks.length > 0,
  sending: (_input, { sendChunks }) => sendChunks.length > 0,
  trust: (_input, { trust }) => trust !== undefined,
  configuration: (_input, { configuration }) => configuration !== undefined,
  vote: ({ type }, { persist }) => type === 'message' && persist?.votedFor !== undefined,
  election: (_input, { persist }, { leads }) => leads && persist?.entries[0]?.kind === 'noop',
  apply: (_input, { apply }) => apply.length > 0,
  /** What it proposes has left for its own disk alone, or for a minority. */
  append: (_input, { persist }, { leads }) => leads && persist?.entries[0]?.kind === 'command',
} satisfies Record<string, (input: Input, effects: Effects, server: NodeServer) => boolean>

type Moment = keyof typeof moments
/** More are not waited for. */
const maxArmed = 5
const momentNames = Object.keys(moments) as Moment[]

type Befall = (faults: NodeFaults, random: SeededRandom) => void

export class NodeFaults {
  readonly world: NodeWorld
  readonly counts = new Map<FaultKind, number>()
  /** All that happened, as `kind#n`. */
  readonly happened: string[] = []
  #ended = false
  #armed: { readonly moment: Moment; readonly random: SeededRandom }[] = []

  constructor(world: NodeWorld) {
    this.world = world
  }

  start(): void {
    const { kinds, seed } = this.world.options
    for (const [kind, meanMs] of kinds) {
      const random = new SeededRandom(`${kind} ${seed}`)
      this.#next(kind, meanMs, random, 1)
    }
  }

  end(): void {
    this.#ended = true
  }

  #next(kind: FaultKind, meanMs: number, random: SeededRandom, n: number): void {
    const ms = -Math.log(1 - random.next()) * meanMs
    this.world.time.after(ms, () => {
      if (this.#ended) return
      const name = `${kind}#${n}`
      // Its own stream, so that skipping it moves nothing.
      const own = random.split(name)
      if (this.world.options.happens(name)) {
        this.world.count('fault')
        this.happened.push(name)
        this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
        this.world.tell(name)
        befall[kind](this, own)
      }
      this.#next(kind, meanMs, random, n + 1)
    })
  }

  /** `end` is called after a while, unless all faults have ended before. */
  later(ms: number, end: () => void): void {
    this.world.time.after(ms, () => {
      if (!this.#ended) end()
    })
  }

  /** The next server to which this happens is gone in the midst of it. */
  arm(moment: Moment, random: SeededRandom): void {
    if (this.#armed.length < maxArmed) this.#armed.push({ moment, random })
  }

  noteStep(server: NodeServer, input: Input, effects: Effects): void {
    if (this.#armed.length === 0 || this.#ended) return
    const at = this.#armed.findIndex(({ moment }) => moments[moment](input, effects, server))
    const [armed] = at < 0 ? [] : this.#armed.splice(at, 1)
    if (armed === undefined) return
    const { random, moment } = armed
    // Within what a write takes, or a message.
    this.world.time.after(random.next() * random.pick([1, 5, 20]), () => {
      if (this.#ended || server.running === undefined) return
      this.world.tell(`${server.id} is struck at a moment of ${moment}`)
      if (moment === 'append') this.#isolate(server.id, random)
      else this.crash(server, random)
      if (moment !== 'append' && random.chance(0.4)) server.losePower(random.chance(0.5))
    })
  }

  /** For as long as the others need to go on without it. */
  #isolate(id: string, random: SeededRandom): void {
    const { electionTimeoutMs } = this.world.options.settings
    const others = this.ids.filter(other => other !== id)
    const pairs = others.flatMap(other => [[id, other] as const, [other, id] as const])
    this.cut(pairs, electionTimeoutMs * (1.5 + 2 * random.next()))
    if (random.chance(0.6)) this.world.network.accuse([id])
  }

  /** A server that runs, often the leader. */
  victim(random: SeededRandom): NodeServer | undefined {
    const running = this.world.servers.filter(server => server.running !== undefined)
    if (running.length === 0) return undefined
    const leader = running.find(({ leads }) => leads)
    return leader !== undefined && random.chance(0.45) ? leader : random.pick(running)
  }

  crash(server: NodeServer, random: SeededRandom): void {
    server.crash()
    this.world.bootLater(server, downMs(this.world, random))
  }

  cut(pairs: readonly (readonly [string, string])[], ms: number): void {
    const { network } = this.world
    for (const [from, to] of pairs) network.cut(from, to)
    this.later(ms, () => {
      for (const [from, to] of pairs) network.heal(from, to)
    })
  }

  get ids(): string[] {
    return this.world.servers.map(({ id }) => id)
  }
}

/** Mostly a few election timeouts, now and then nearly nothing or long. */
function lastingMs({ options }: NodeWorld, random: SeededRandom): number {
  const { electionTimeoutMs } = options.settings
  return electionTimeoutMs * random.pick([0.3, 1, 2, 3, 5, 10]) * (0.5 + random.next())
}

function downMs(world: NodeWorld, random: SeededRandom): number {
  return random.chance(0.3) ? random.next() * 5 : lastingMs(world, random)
}

/** The files of a server that is down are harmed, as far as a minority may be at a time. */
function harm(faults: NodeFaults, random: SeededRandom, kind: Damage | 'wipe'): void {
  const { world } = faults
  const victim = faults.victim(random)
  if (victim === undefined || !world.mayDamage(victim)) return
  const isRunning = kind === 'flip-table' && random.chance(0.5)
  if (!isRunning) faults.crash(victim, random)
  if (victim.damage(kind)) world.tell(`${kind} at ${victim.id}`)
}

const harms = Object.fromEntries(
  [...damages, 'wipe' as const].map(kind => {
    const befall: Befall = (faults, random) => harm(faults, random, kind)
    return [kind, befall]
  }),
) as Record<Damage | 'wipe', Befall>

const befall: Readonly<Record<FaultKind, Befall>> = {
  ...harms,
  noise(faults, random) {
    const { network } = faults.world
    const rate = (most: number): number => (random.chance(0.5) ? 0 : random.next() * most)
    const noise = {
      loss: rate(0.3),
      repeat: rate(0.3),
      reorder: rate(0.5),
      late: rate(0.15),
      lateMs: lastingMs(faults.world, random),
      garble: rate(0.02),
      spurious: rate(0.05),
    }
    network.noise = noise
    faults.later(lastingMs(faults.world, random) * 2, () => {
      if (network.noise === noise) network.noise = quiet
    })
  },
  cut(faults, random) {
    const victim = faults.victim(random)?.id ?? 'a'
    const other = random.pick(faults.ids)
    const pair = random.chance(0.5) ? ([victim, other] as const) : ([other, victim] as const)
    faults.cut([pair], lastingMs(faults.world, random))
  },
  part(faults, random) {
    const victim = faults.victim(random)?.id
    const inside = faults.ids.filter(id => id === victim || random.chance(0.35))
    const pairs = inside.flatMap(from =>
      faults.ids
        .filter(to => !inside.includes(to))
        .flatMap(to => [[from, to] as const, [to, from] as const]),
    )
    faults.cut(pairs, lastingMs(faults.world, random))
    if (random.chance(0.3)) faults.world.network.accuse(inside)
  },
  strike(faults, random) {
    // The leader, perhaps with a companion that has what it appends, for as long as it takes to elect another.
    const { world } = faults
    const leader = world.servers.find(({ leads }) => leads)
    if (leader === undefined) return
    const inside = faults.ids.filter(id => id === leader.id || random.chance(0.25))
    const pairs = inside.flatMap(from =>
      faults.ids
        .filter(to => !inside.includes(to))
        .flatMap(to => [[from, to] as const, [to, from] as const]),
    )
    faults.cut(pairs, world.options.settings.electionTimeoutMs * (1.5 + 2 * random.next()))
    if (random.chance(0.6)) world.network.accuse(inside)
  },
  deaf(faults, random) {
    const victim = faults.victim(random)?.id ?? 'a'
    const pairs = faults.ids.map(id => [id, victim] as const)
    faults.cut(pairs, lastingMs(faults.world, random))
  },
  bridge(faults, random) {
    // All talk to one, and not to one another.
    const middle = faults.victim(random)?.id ?? 'a'
    const others = faults.ids.filter(id => id !== middle)
    const pairs = others.flatMap(from =>
      others.filter(to => to !== from).map(to => [from, to] as const),
    )
    faults.cut(pairs, lastingMs(faults.world, random))
  },
  swizzle(faults, random) {
    // Links of some are stopped one by one, and released in another order.
    const { network } = faults.world
    const some = faults.ids.filter(() => random.chance(0.6))
    const pairs = some.flatMap(from => faults.ids.map(to => [from, to] as const))
    const ms = lastingMs(faults.world, random)
    for (const [from, to] of pairs) {
      faults.later(random.next() * ms, () => {
        network.clog(from, to)
        faults.later(random.next() * ms, () => network.unclog(from, to))
      })
    }
  },
  freeze(faults, random) {
    const { network } = faults.world
    network.freeze()
    faults.later(lastingMs(faults.world, random), () => network.thaw())
  },
  reconnect(faults, random) {
    const bus = faults.victim(random)?.running?.bus
    if (bus === undefined) return
    const half = random.next() * lastingMs(faults.world, random)
    const down = lastingMs(faults.world, random)
    bus.setLink('half')
    faults.later(half, () => bus.setLink('down'))
    faults.later(half + down, () => bus.setLink('up'))
  },
  replay(faults, random) {
    faults.world.network.replay(random.between(1, 60))
  },
  accuse(faults, random) {
    const victim = faults.victim(random)?.id
    if (victim !== undefined) faults.world.network.accuse([victim])
  },
  small(faults, random) {
    const { network } = faults.world
    network.maxPayload = random.pick([90, 200, 1000])
    faults.later(lastingMs(faults.world, random), () => {
      network.maxPayload = Infinity
    })
  },
  strangers(faults, random) {
    const { strangers } = faults.world
    strangers.come(random)
    faults.later(lastingMs(faults.world, random) * 2, () => strangers.go())
  },
  crash(faults, random) {
    const victim = faults.victim(random)
    if (victim !== undefined) faults.crash(victim, random)
  },
  fuse(faults, random) {
    const victim = faults.victim(random)
    victim?.process?.light(random.between(1, 25))
    if (victim !== undefined) faults.world.bootLater(victim, downMs(faults.world, random))
  },
  bounce(faults, random) {
    const victim = faults.victim(random)
    victim?.crash()
    victim?.boot()
    if (victim !== undefined && random.chance(0.5)) faults.world.network.accuse([victim.id])
  },
  power(faults, random) {
    for (const server of faults.world.servers) {
      faults.crash(server, random)
      server.losePower(random.chance(0.5))
    }
  },
  outage(faults, random) {
    const victim = faults.victim(random)
    if (victim === undefined) return
    faults.crash(victim, random)
    victim.losePower(random.chance(0.5))
  },
  moment(faults, random) {
    // What takes two of them to go wrong: entries that only a deposed leader has, and then their end.
    faults.arm(random.pick([...momentNames, 'append', 'append', 'truncation'] as const), random)
  },
  pause(faults, random) {
    const process = faults.victim(random)?.process
    process?.pause(false)
    faults.later(lastingMs(faults.world, random), () => process?.resume())
  },
  suspend(faults, random) {
    const process = faults.victim(random)?.process
    process?.pause(true)
    faults.later(lastingMs(faults.world, random), () => process?.resume())
  },
  slow(faults, random) {
    const process = faults.victim(random)?.process
    if (process === undefined) return
    process.slowMs = random.pick([0.5, 2, 10])
    faults.later(lastingMs(faults.world, random), () => {
      process.slowMs = 0
    })
  },
  jump(faults, random) {
    const ms = random.pick([10, 300, 3_000, 60_000])
    const wallMs = random.pick([-86_400_000, -1_000, 1_000, 86_400_000])
    faults.victim(random)?.process?.jump(random.chance(0.7) ? ms : 0, wallMs)
  },
  stop(faults, random) {
    const victim = faults.victim(random)
    victim?.stop()
    if (victim !== undefined) {
      faults.later(lastingMs(faults.world, random), () => {
        // A clean stop may hang on a disk that does; whoever waits for it loses patience.
        victim.crash()
        victim.boot()
      })
    }
  },
  lag(faults, random) {
    const disk = faults.victim(random)?.disk
    if (disk === undefined) return
    disk.slowness = random.pick([5, 20, 100])
    faults.later(lastingMs(faults.world, random), () => {
      disk.slowness = 1
    })
  },
  stall(faults, random) {
    const victim = faults.victim(random)
    if (victim === undefined) return
    victim.disk.stalled = true
    faults.later(lastingMs(faults.world, random) * 2, () => victim.unstall())
  },
  low(faults, random) {
    const disk = faults.victim(random)?.disk
    if (disk === undefined) return
    disk.low = true
    faults.later(lastingMs(faults.world, random), () => {
      disk.low = false
    })
  },
  full(faults, random) {
    failDisk(faults, random, 'full')
  },
  error(faults, random) {
    failDisk(faults, random, 'failing')
  },
  transfer(faults, random) {
    faults.world.operators.transfer(random)
  },
  members(faults, random) {
    faults.world.operators.change(random)
  },
}

function failDisk(faults: NodeFaults, random: SeededRandom, error: 'full' | 'failing'): void {
  const disk = faults.victim(random)?.disk
  if (disk === undefined) return
  disk.error = error
  faults.later(lastingMs(faults.world, random), () => {
    disk.error = undefined
  })
}
