/**
 * The network between the processes of a simulated pool: cut in any direction, clogged so that everything comes at once
 * later, frozen with its broker, noisy; and a memory of what was said, to repeat it long after.
 *
 * Cuts that overlap are counted: each heals its own.
 */
import type { BusMessage } from '../../raft/ports.ts'
import type { LinkFault } from './memory-bus.ts'
import type { PoolWorld } from './pool-world.ts'
import type { SeededRandom } from './seeded-random.ts'

export interface PoolNoise {
  readonly drop: number
  readonly repeat: number
  readonly delayMs: number
}

export type Pair = readonly [from: string, to: string]

interface Said {
  readonly from: string
  readonly message: BusMessage
}

const rememberedMax = 400

export class PoolNetwork {
  noise: PoolNoise | undefined
  readonly #world: PoolWorld
  readonly #random: SeededRandom
  readonly #cuts = new Map<string, number>()
  /** Pair -> true time until which nothing arrives, and then everything. */
  readonly #clogs = new Map<string, number>()
  /** Server -> ms that what it tells leaders to do takes at most. */
  readonly #late = new Map<string, number>()
  #frozenUntil = 0
  /** Old messages, the oldest replaced first. */
  readonly #said: Said[] = []
  readonly #commands = new Map<string, Said[]>()
  #heardCount = 0
  /** Servers asked by others whether they hold a seat (R6). */
  questions = 0

  constructor(world: PoolWorld, random: SeededRandom) {
    this.#world = world
    this.#random = random
    const { broker } = world.pool
    broker.fault = (from, to, message) => this.#lateness(from, message) ?? this.#faultOf(from, to)
    broker.tap = (from, message) => this.#remember(from, message)
  }

  /** Nothing gets through until the returned function is called. */
  cut(pairs: readonly Pair[]): () => void {
    for (const pair of pairs) {
      const key = pair.join('>')
      this.#cuts.set(key, (this.#cuts.get(key) ?? 0) + 1)
    }
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      for (const pair of pairs) {
        const key = pair.join('>')
        const left = (this.#cuts.get(key) ?? 1) - 1
        if (left <= 0) this.#cuts.delete(key)
        else this.#cuts.set(key, left)
      }
    }
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from}>${to}`)
  }

  clog(pairs: readonly Pair[], ms: number): void {
    for (const pair of pairs) this.#clogs.set(pair.join('>'), this.#until(ms))
  }

  /** What is held up comes when the faults end at the latest: later messages would wait behind it. */
  #until(ms: number): number {
    const { now, calmAt } = this.#world
    return Math.min(now + ms, calmAt)
  }

  /**
   * Until the returned function is called, commands of `server` reach the leader after `ms` times some factor
   * from `least` to `most`.
   * All copies of one take the same time, or one that is sent again would be as good as a quick one.
   */
  late(
    server: string,
    ms: number,
    [least, most]: readonly [number, number] = [0.5, 1.3],
  ): () => void {
    this.#late.set(server, ms * (least + (most - least) * this.#random.next()))
    return () => this.#late.delete(server)
  }

  /** The broker hangs: nothing arrives for so long. */
  freeze(ms: number): void {
    this.#frozenUntil = Math.max(this.#frozenUntil, this.#until(ms))
  }

  /** Says again what was said by or to these, or by anybody. */
  replay(count: number, random: SeededRandom, about?: string): void {
    const { broker } = this.#world.pool
    const fit = this.#said.filter(
      ({ from, message }) =>
        about === undefined || from === about || message.subject.includes(about),
    )
    for (let n = 0; n < Math.min(count, fit.length); n++) {
      const { from, message } = random.pick(fit)
      broker.inject(from, message)
    }
  }

  /** What a server told leaders to do lately is told again: it may be of a run that is over. */
  repeatCommands(server: string): void {
    const { broker } = this.#world.pool
    for (const { from, message } of this.#commands.get(server) ?? []) broker.inject(from, message)
  }

  heal(): void {
    this.noise = undefined
    this.#cuts.clear()
    this.#clogs.clear()
    this.#late.clear()
    this.#frozenUntil = 0
  }

  #remember(from: string, message: BusMessage): void {
    const { subject } = message
    // Elections and heartbeats are the business of Raft's own simulators.
    if (subject.startsWith('licd.v1.simulated.event')) return
    if (subject.endsWith('.ask')) this.questions++
    else if (subject.endsWith('.propose')) {
      const commands = this.#commands.get(from) ?? []
      this.#commands.set(from, [...commands.slice(-19), { from, message }])
      this.#world.aims.proposed()
    }
    this.#heardCount++
    if (this.#said.length < rememberedMax) this.#said.push({ from, message })
    else if (this.#heardCount % 3 === 0) {
      this.#said[Math.floor(this.#heardCount / 3) % rememberedMax] = { from, message }
    }
  }

  #lateness(from: string, { subject }: BusMessage): LinkFault | undefined {
    if (this.#late.size === 0 || !subject.endsWith('.propose')) return undefined
    const ms = this.#late.get(from)
    return ms === undefined ? undefined : { delayMs: ms, reorder: true }
  }

  #faultOf(from: string, to: string): LinkFault | undefined {
    const { now } = this.#world
    let delayMs = Math.max(0, this.#frozenUntil - now)
    if (this.#cuts.size + this.#clogs.size > 0) {
      const pair = `${from}>${to}`
      if (this.#cuts.has(pair)) return { drop: true }
      const until = this.#clogs.get(pair)
      if (until !== undefined && until <= now) this.#clogs.delete(pair)
      else if (until !== undefined) delayMs = Math.max(delayMs, until - now)
    }
    const { noise } = this
    if (noise === undefined) return delayMs > 0 ? { delayMs } : undefined
    const random = this.#random
    if (random.chance(noise.drop)) return { drop: true }
    const copies = random.chance(noise.repeat) ? 2 : 1
    if (random.chance(0.3)) delayMs += random.next() * noise.delayMs
    return { copies, delayMs, reorder: copies > 1 }
  }
}

/** Both ways between any of these and any of those. */
export function both(some: readonly string[], others: readonly string[]): Pair[] {
  return some.flatMap(from =>
    others.flatMap((to): Pair[] => [
      [from, to],
      [to, from],
    ]),
  )
}
