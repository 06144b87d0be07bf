/**
 * Throws faults by a seed, in two lanes at once: heavy ones, which take a server or a host away, and light ones beside
 * them. Each round has every kind once, in an order of its own; no two faults meet at one host.
 *
 * The seed settles order, targets and lengths as far as it can: where a lane waits for the other, real time has a say.
 */
import type { SeededRandom } from '../sim/seeded-random.ts'
import type { Fault, Target, World } from './faults.ts'
import { type HistoryWriter, now } from './history.ts'

export interface Plan {
  readonly faults: readonly Fault[]
  /** Rounds at least, and on until this much time has passed. */
  readonly rounds: number
  readonly minMs: number
}

export class Nemesis {
  readonly #world: World
  readonly #history: HistoryWriter
  readonly #random: SeededRandom
  readonly #busy = new Set<string>()
  readonly #waiting = new Set<() => void>()
  /** A fault that needs all hosts waits: no other begins. */
  #isReserved = false
  readonly counts = new Map<string, number>()

  constructor(world: World, history: HistoryWriter) {
    this.#world = world
    this.#history = history
    this.#random = world.random.split('nemesis')
  }

  /** Resolves when all was thrown and undone. */
  async run({ faults, rounds, minMs }: Plan): Promise<void> {
    const end = now() + minMs
    const lanes = (['heavy', 'light'] as const).map(lane => {
      const own = faults.filter(fault => fault.lane === lane)
      return this.#runLane(own, this.#random.split(lane), { rounds, end })
    })
    await Promise.all(lanes)
  }

  async #runLane(
    faults: readonly Fault[],
    random: SeededRandom,
    { rounds, end }: { readonly rounds: number; readonly end: number },
  ): Promise<void> {
    if (faults.length === 0) return
    for (let round = 1; round <= rounds || now() < end; round++) {
      for (const fault of shuffled(faults, random)) {
        if (round > rounds && now() >= end) return
        await this.#throw(fault, random)
        await this.#world.sleep(200 + 900 * random.next())
      }
    }
  }

  async #throw(fault: Fault, random: SeededRandom): Promise<void> {
    const { kind } = fault
    const isAll = fault.need === 'all'
    const names = isAll ? await this.#claimAll() : undefined
    const chosen = isAll ? undefined : await this.#claim(fault, random)
    const name = chosen?.name ?? 'all'
    const [first] = this.#world.hosts
    const target = chosen?.target ?? (first && { host: first })
    if (target === undefined) return
    const from = now()
    try {
      await fault.run(this.#world, target)
    } finally {
      for (const busy of names ?? [name]) this.#busy.delete(busy)
      for (const look of [...this.#waiting]) look()
      this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
      this.#history.write({ k: 'fault', kind, target: name, from, to: now() })
    }
  }

  async #claimAll(): Promise<string[]> {
    const names = this.#world.hosts.map(({ name }) => name)
    this.#isReserved = true
    await this.#until(() => names.every(name => !this.#busy.has(name)))
    this.#isReserved = false
    for (const name of names) this.#busy.add(name)
    return names
  }

  /** A target that no other fault has; half the time it is the leader where that is one. */
  async #claim(
    fault: Fault,
    random: SeededRandom,
  ): Promise<{ readonly name: string; readonly target: Target }> {
    const isFree = ({ name }: { name: string }): boolean => !this.#busy.has(name)
    const candidates = (): { name: string; target: Target }[] => this.#targets(fault).filter(isFree)
    const isClients = fault.need === 'clients'
    await this.#until(() => candidates().length > 0 && (isClients || !this.#isReserved))
    const free = candidates()
    const leader = free.find(({ name }) => name === this.#world.leader())
    const picked = leader !== undefined && random.chance(0.4) ? leader : random.pick(free)
    this.#busy.add(picked.name)
    return picked
  }

  #targets(fault: Fault): { name: string; target: Target }[] {
    const { hosts, clients } = this.#world
    if (fault.need === 'clients') {
      return clients.map(process => ({ name: process.name, target: { clients: process } }))
    }
    return hosts
      .filter(host => fault.need !== 'broker' || host.broker !== undefined)
      .map(host => ({ name: host.name, target: { host } }))
  }

  /** Looked at whenever a fault ends. */
  #until(holds: () => boolean): Promise<void> {
    return new Promise(resolve => {
      const look = (): void => {
        if (!holds()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      look()
    })
  }
}

function shuffled<T>(list: readonly T[], random: SeededRandom): T[] {
  const from = [...list]
  const to: T[] = []
  while (from.length > 0) to.push(...from.splice(random.between(0, from.length - 1), 1))
  return to
}
