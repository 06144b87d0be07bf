/** Clients of a pool that is upgraded: some hold seats all the time, some take and give back. All that they believe is looked at. */
import { connect, type Client, type Seat } from '../../lib/index.ts'
import { LicdError } from '../../lib/error.ts'

const lookMs = 20

export interface LoadOptions {
  readonly nats: string
  readonly feature: string
  /** All there are of the feature. */
  readonly allocations: number
  readonly holders: number
  readonly takers: number
}

export class Load {
  readonly #options: LoadOptions
  readonly #clients: Client[] = []
  readonly #held: Seat[] = []
  readonly #taken = new Set<Seat>()
  readonly #ends = new AbortController()
  #takers: Promise<void>[] = []
  #timer: NodeJS.Timeout | undefined
  lost = 0
  moved = 0
  grants = 0
  refusals = 0
  /** Looks at which more seats were believed valid than there are. */
  violations = 0
  /** Looks at which a held seat was not valid. */
  invalid = 0
  looks = 0
  mostValid = 0

  private constructor(options: LoadOptions) {
    this.#options = options
  }

  /** Resolves when every holder has its seat. */
  static async start(options: LoadOptions): Promise<Load> {
    const load = new Load(options)
    await load.#hold()
    load.#timer = setInterval(() => load.#look(), lookMs)
    load.#takers = Array.from({ length: options.takers }, () => load.#take())
    return load
  }

  /** Gives everything back. */
  async end(): Promise<void> {
    this.#ends.abort()
    await Promise.all(this.#takers)
    clearInterval(this.#timer)
    await Promise.all(this.#clients.map(client => client[Symbol.asyncDispose]()))
  }

  async #hold(): Promise<void> {
    const { nats, feature, holders } = this.#options
    for (let n = 0; n < holders; n++) {
      const client = await connect({ nats, name: `holder ${n}` })
      this.#clients.push(client)
      const seat = await client.acquire(feature, { timeout: 60_000 })
      seat.on('lost', () => void this.lost++)
      seat.on('moved', () => void this.moved++)
      this.#held.push(seat)
    }
  }

  async #take(): Promise<void> {
    const { nats, feature } = this.#options
    const client = await connect({ nats, name: 'taker' })
    this.#clients.push(client)
    const { signal } = this.#ends
    while (!signal.aborted) {
      try {
        const seat = await client.acquire(feature, { timeout: 10_000, signal })
        this.grants++
        this.#taken.add(seat)
        await new Promise(resolve => setTimeout(resolve, 50 + Math.random() * 200))
        this.#taken.delete(seat)
        await seat.release()
      } catch (error) {
        if (!(error instanceof LicdError)) throw error
        if (!signal.aborted) this.refusals++
      }
    }
  }

  #look(): void {
    const held = this.#held.filter(({ valid }) => valid).length
    const valid = held + [...this.#taken].filter(seat => seat.valid).length
    this.looks++
    this.mostValid = Math.max(this.mostValid, valid)
    if (held < this.#held.length) this.invalid++
    if (valid > this.#options.allocations) this.violations++
  }
}
