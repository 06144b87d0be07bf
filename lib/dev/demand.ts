/**
 * The demo clients of `licd dev`: one group a server, and a demand that wanders from group to group.
 *
 * Each group is one client of the SDK that prefers its server. The busy group wants most of the seats, more than
 * its server's share, so that the server must borrow; then the next one is busy, and the share flows after it.
 */
import { connect, type Client, type Seat } from '../index.ts'

export interface DemandOptions {
  readonly nats: string
  readonly pool: string
  readonly feature: string
  readonly servers: readonly string[]
  /** Seats that the busy group wants, and each other one. */
  readonly busySeats: number
  readonly idleSeats: number
  /** How long a group is busy, and how often each takes a step of one seat. */
  readonly phaseMs: number
  readonly stepMs: number
  readonly say: (text: string) => void
}

interface Group {
  readonly home: string
  readonly client: Client
  readonly seats: Seat[]
  /** An acquire is under way: the next step waits for it. */
  asking: boolean
}

export class Demand {
  readonly #options: DemandOptions
  readonly #groups: Group[] = []
  readonly #timers: NodeJS.Timeout[] = []
  #busy = 0
  #lost = 0

  private constructor(options: DemandOptions) {
    this.#options = options
  }

  static async start(options: DemandOptions): Promise<Demand> {
    const demand = new Demand(options)
    for (const server of options.servers) await demand.#join(server)
    demand.#timers.push(
      setInterval(() => demand.#step(), options.stepMs),
      setInterval(() => demand.#turn(), options.phaseMs),
    )
    options.say(`clients of ${demand.#busyHome()} now want ${options.busySeats} seats`)
    return demand
  }

  /** One line: how many seats each group holds of how many it wants, and where. */
  describe(): string {
    const groups = this.#groups.map(
      ({ client, seats }, n) => `${seats.length}/${this.#wanted(n)} at ${client.server ?? '?'}`,
    )
    return `clients hold ${groups.join(', ')}; seats lost: ${this.#lost}`
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await Promise.all(this.#groups.map(({ client }) => client.close()))
  }

  async #join(home: string): Promise<void> {
    const { nats, pool, say } = this.#options
    const client = await connect({ nats, pool, prefer: home, name: `licd dev, ${home}` })
    const group: Group = { home, client, seats: [], asking: false }
    this.#groups.push(group)
    client.on('server', server => {
      if (server !== undefined && group.seats.length > 0) {
        say(`clients of ${home} are at ${server} now, with their ${group.seats.length} seats`)
      }
    })
  }

  #busyHome(): string {
    return this.#options.servers[this.#busy] ?? ''
  }

  #wanted(group: number): number {
    return group === this.#busy ? this.#options.busySeats : this.#options.idleSeats
  }

  #turn(): void {
    this.#busy = (this.#busy + 1) % this.#groups.length
    this.#options.say(`clients of ${this.#busyHome()} now want ${this.#options.busySeats} seats`)
  }

  #step(): void {
    for (const [n, group] of this.#groups.entries()) {
      const surplus = group.seats.length - this.#wanted(n)
      if (surplus > 0) void group.seats.pop()?.release()
      else if (surplus < 0 && !group.asking) void this.#acquire(group)
    }
  }

  async #acquire(group: Group): Promise<void> {
    const { feature, stepMs } = this.#options
    group.asking = true
    try {
      const user = `user-of-${group.home}`
      const seat = await group.client.acquire(feature, { user, timeout: 4 * stepMs })
      group.seats.push(seat)
      seat.signal.addEventListener('abort', () => {
        const at = group.seats.indexOf(seat)
        if (at === -1) return
        group.seats.splice(at, 1)
        this.#lost++
        this.#options.say(`a client of ${group.home} lost its seat`)
      })
    } catch {
      // None came free in that time, or no server answers: the next step asks again, and the view shows who waits.
    } finally {
      group.asking = false
    }
  }
}
