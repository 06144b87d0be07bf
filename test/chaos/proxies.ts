/**
 * A network where there are no namespaces: everything is on loopback, and what goes from one place to another goes through a
 * proxy of ours, which stalls it while they are cut.
 *
 * A cut stalls what is open and what is dialled, as a network does that drops packets: nobody is told. It cannot
 * cut one direction alone.
 *
 * Brokers tell each other of one more by the address that it advertises: a proxy as well, which is of no use
 * while the host is cut from any other, for the routes that are configured are there for all pairs.
 */
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { withFirst, type Layout, type Network } from './network.ts'

/** Who dials whom: a broker's clients or its routes. */
type Port = 'client' | 'route'

class Proxy {
  readonly port: number
  readonly #server: Server
  readonly #pairs = new Set<readonly [Socket, Socket]>()
  #isStalled = false

  private constructor(server: Server) {
    this.#server = server
    const address = server.address()
    this.port = typeof address === 'object' && address !== null ? address.port : 0
  }

  /** Without a target it is a port that is taken, and no more. */
  static open(target?: number): Promise<Proxy> {
    return new Promise((resolve, reject) => {
      const server = createServer({ pauseOnConnect: true }).once('error', reject)
      server.listen(0, '127.0.0.1', () => {
        const proxy = new Proxy(server)
        if (target !== undefined) server.on('connection', near => proxy.#join(near, target))
        resolve(proxy)
      })
    })
  }

  #join(near: Socket, target: number): void {
    const far = createConnection({ host: '127.0.0.1', port: target })
    const pair = [near, far] as const
    this.#pairs.add(pair)
    this.#pass(pair, near, far)
    this.#pass(pair, far, near)
    this.#settle(pair)
  }

  #pass(pair: readonly [Socket, Socket], from: Socket, to: Socket): void {
    from.setNoDelay(true)
    from.on('data', data => to.write(data))
    from.on('error', () => undefined)
    // What ends behind a cut is not heard of before it is mended.
    from.on('close', () => this.#settle(pair))
  }

  #settle(pair: readonly [Socket, Socket]): void {
    if (this.#isStalled) for (const socket of pair) socket.pause()
    else if (pair.some(({ destroyed }) => destroyed)) {
      for (const socket of pair) socket.destroy()
      this.#pairs.delete(pair)
    } else for (const socket of pair) socket.resume()
  }

  set stalled(isStalled: boolean) {
    if (this.#isStalled === isStalled) return
    this.#isStalled = isStalled
    for (const pair of [...this.#pairs]) this.#settle(pair)
  }

  close(): void {
    this.#server.close()
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy()
  }
}

export class Proxies implements Network {
  readonly kind = 'proxies'
  readonly oneWay = false
  readonly #layout: Layout
  readonly #ports: ReadonlyMap<string, number>
  readonly #proxies = new Map<string, Proxy>()
  /** Host -> hosts it is cut from. */
  readonly #cuts = new Map<string, Set<string>>()
  readonly #isolated = new Set<string>()

  private constructor(layout: Layout, ports: ReadonlyMap<string, number>) {
    this.#layout = layout
    this.#ports = ports
  }

  static async make(layout: Layout): Promise<Proxies> {
    const { brokers, hosts, sites } = layout
    const free = await freePorts(2 * brokers.length)
    const ports = new Map<string, number>()
    for (const broker of brokers) {
      for (const port of ['client', 'route'] as const)
        ports.set(`${broker} ${port}`, free.pop() ?? 0)
    }
    const network = new Proxies(layout, ports)
    for (const to of brokers) {
      for (const from of [...hosts, ...sites]) {
        if (from === to) continue
        await network.#open(from, to, 'client')
        if (brokers.includes(from)) await network.#open(from, to, 'route')
      }
      await network.#open('any', to, 'route')
    }
    return network
  }

  async #open(from: string, to: string, port: Port): Promise<void> {
    this.#proxies.set(`${from} ${to} ${port}`, await Proxy.open(this.#port(to, port)))
  }

  #port(broker: string, port: Port): number {
    return this.#ports.get(`${broker} ${port}`) ?? 0
  }

  #through(from: string, to: string, port: Port): string {
    const number = this.#proxies.get(`${from} ${to} ${port}`)?.port ?? this.#port(to, port)
    return `nats://127.0.0.1:${number}`
  }

  prefix(): readonly string[] {
    return []
  }

  brokerArgs(host: string): readonly string[] {
    const others = this.#layout.brokers.filter(broker => broker !== host)
    const routes = others.map(other => this.#through(host, other, 'route'))
    const advertised = this.#through('any', host, 'route').replace('nats://', '')
    return [
      ...['-a', '127.0.0.1', '-p', String(this.#port(host, 'client')), '--cluster_name', 'chaos'],
      ...['--cluster', `nats://127.0.0.1:${this.#port(host, 'route')}`],
      ...['--routes', routes.join(','), '--no_advertise', '--cluster_advertise', advertised],
    ]
  }

  urls(place: string, first: string): readonly string[] {
    const brokers = withFirst(first, this.#layout.brokers)
    return brokers.map(broker => this.#through(place, broker, 'client'))
  }

  cut(from: string, to: string): void {
    this.#change(from, to, true)
  }

  mend(from: string, to: string): void {
    this.#change(from, to, false)
  }

  /** Cut when it is in either direction: a stream whose acknowledgements are lost stands still as well. */
  #change(from: string, to: string, isCut: boolean): void {
    const cuts = this.#cuts.get(from) ?? new Set()
    this.#cuts.set(from, cuts)
    if (isCut) cuts.add(to)
    else cuts.delete(to)
    this.#settle()
  }

  isolate(host: string): void {
    this.#isolated.add(host)
    this.#settle()
  }

  rejoin(host: string): void {
    this.#isolated.delete(host)
    this.#settle()
  }

  #settle(): void {
    const areCut = (a: string, b: string): boolean =>
      this.#cuts.get(a)?.has(b) === true ||
      this.#cuts.get(b)?.has(a) === true ||
      this.#isolated.has(a) ||
      this.#isolated.has(b)
    for (const [name, proxy] of this.#proxies) {
      const [from = '', to = ''] = name.split(' ')
      const isCut =
        from === 'any' ? this.#layout.hosts.some(host => areCut(host, to)) : areCut(from, to)
      proxy.stalled = isCut
    }
  }

  async close(): Promise<void> {
    for (const proxy of this.#proxies.values()) proxy.close()
  }
}

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const proxies = await Promise.all(Array.from({ length: count }, () => Proxy.open()))
  return proxies.map(proxy => {
    proxy.close()
    return proxy.port
  })
}
