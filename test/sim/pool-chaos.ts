/**
 * What may befall a simulated pool and its clients: every few seconds one of these, by the seed.
 *
 * Each seed draws its own mix, so that some runs are all crashes and others all bad links. Everything that begins
 * ends by itself; `calm` ends it all at once.
 */
import type { LinkFault } from './memory-bus.ts'
import type { SimulatedClient } from './pool-client.ts'
import type { SimulatedPool } from './pool.ts'
import { SeededRandom } from './seeded-random.ts'

const kinds = [
  'crash',
  'crash-all',
  'stop',
  'pause',
  'suspend',
  'part',
  'cut',
  'cut-client',
  'noise',
  'client-crash',
  'client-pause',
  'client-suspend',
  'client-link',
] as const
type Kind = (typeof kinds)[number]

interface Noise {
  readonly drop: number
  readonly repeat: number
  readonly delayMs: number
}

export class Chaos {
  /** What happened, with its time: printed with a failing seed. */
  readonly story: string[] = []
  readonly #pool: SimulatedPool
  readonly #clients: readonly SimulatedClient[]
  readonly #random: SeededRandom
  readonly #mix: readonly Kind[]
  readonly #ends = new Set<() => void>()
  #noise: Noise | undefined

  constructor(pool: SimulatedPool, clients: readonly SimulatedClient[], seed: number) {
    this.#pool = pool
    this.#clients = clients
    this.#random = new SeededRandom(`chaos ${seed}`)
    this.#mix = kinds.filter(() => this.#random.chance(0.6))
    pool.broker.fault = () => this.#faultOf()
  }

  /** Lets `ms` pass, with something bad every few seconds. */
  run(ms: number): void {
    const end = this.#pool.time.now + ms
    while (this.#pool.time.now < end) {
      if (this.#mix.length > 0) this.#befall(this.#random.pick(this.#mix))
      this.#pool.run(Math.min(this.#random.between(500, 8_000), end - this.#pool.time.now))
    }
  }

  /** Everything that was broken is whole again, and every server runs. */
  calm(): void {
    for (const end of [...this.#ends]) end()
    this.#noise = undefined
    this.#pool.broker.healAll()
  }

  #faultOf(): LinkFault | undefined {
    const noise = this.#noise
    if (noise === undefined) return undefined
    if (this.#random.chance(noise.drop)) return { drop: true }
    const copies = this.#random.chance(noise.repeat) ? 2 : 1
    const delayMs = this.#random.chance(0.3) ? this.#random.next() * noise.delayMs : 0
    return { copies, delayMs, reorder: copies > 1 }
  }

  /** `end` is called once: after a while, or by `calm`. */
  #until(what: string, ms: readonly [number, number], end: () => void): void {
    this.#tell(what)
    const once = (): void => {
      if (!this.#ends.delete(once)) return
      this.#tell(`end of: ${what}`)
      end()
    }
    this.#ends.add(once)
    this.#pool.time.after(this.#random.between(...ms), once)
  }

  #tell(what: string): void {
    this.story.push(`${(this.#pool.time.now / 1000).toFixed(3)} ${what}`)
  }

  #befall(kind: Kind): void {
    if (kind.startsWith('client-')) this.#befallClient(kind)
    else if (kind === 'cut' || kind === 'part' || kind === 'cut-client') this.#cut(kind)
    else if (kind === 'noise') this.#makeNoise()
    else if (kind === 'crash-all') {
      for (const { server } of this.#pool.running) this.#crash(server, [1_000, 8_000])
    } else this.#befallServer(kind)
  }

  #befallServer(kind: Kind): void {
    const server = this.#anyServer()
    if (server === undefined) return
    if (kind === 'crash') {
      this.#crash(server, [200, 25_000])
    } else if (kind === 'stop') {
      this.#tell(`stop ${server}`)
      this.#pool.stop(server)
      this.#until(`${server} is stopped`, [200, 25_000], () => this.#pool.start(server))
    } else {
      const clock = this.#pool.process(server)?.clock
      clock?.pause(kind === 'suspend')
      this.#until(`${kind} ${server}`, [200, 15_000], () => clock?.resume())
    }
  }

  #crash(server: string, ms: readonly [number, number]): void {
    this.#pool.crash(server)
    this.#until(`crash ${server}`, ms, () => {
      if (this.#pool.process(server) === undefined) this.#pool.start(server)
    })
  }

  #makeNoise(): void {
    const random = this.#random
    this.#noise = {
      drop: random.next() * 0.2,
      repeat: random.next() * 0.1,
      delayMs: random.pick([5, 50, 500]),
    }
    this.#until(`noise ${JSON.stringify(this.#noise)}`, [1_000, 10_000], () => {
      this.#noise = undefined
    })
  }

  /** One direction between two processes, or one server from all other servers, or from a client. */
  #cut(kind: Kind): void {
    const { broker, options } = this.#pool
    const one = this.#random.pick(options.servers)
    const others = options.servers.filter(name => name !== one)
    const pairs: [string, string][] = []
    if (kind === 'part') for (const other of others) pairs.push([one, other], [other, one])
    else if (kind === 'cut') pairs.push([one, this.#random.pick(others)])
    else {
      const client = this.#random.pick(this.#clients).name
      pairs.push([client, one], [one, client])
    }
    for (const pair of pairs) broker.cut(...pair)
    this.#until(`${kind} ${pairs.map(pair => pair.join('>')).join(' ')}`, [500, 20_000], () => {
      for (const pair of pairs) broker.heal(...pair)
    })
  }

  #befallClient(kind: Kind): void {
    const client = this.#random.pick(this.#clients)
    if (client.core === undefined) return
    if (kind === 'client-crash') {
      client.crash()
      this.#until(`crash ${client.name}`, [100, 5_000], () => client.start())
    } else if (kind === 'client-link') {
      client.setLink(false)
      this.#until(`${client.name} without NATS`, [100, 15_000], () => client.setLink(true))
    } else {
      client.pause(kind === 'client-suspend')
      this.#until(`${kind} ${client.name}`, [100, 15_000], () => client.resume())
    }
  }

  #anyServer(): string | undefined {
    const { running } = this.#pool
    return running.length === 0 ? undefined : this.#random.pick(running).server
  }
}
