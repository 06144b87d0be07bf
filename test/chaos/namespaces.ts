/**
 * A network of Linux namespaces: one per place, each with a cable to a switch in a namespace of its own.
 *
 * A namespace lives as long as a process in it: each has one that sleeps, so that all of it, cables and addresses
 * included, is gone with these. Nothing of the machine's own network is touched or reached.
 *
 * A host that is isolated has its cable pulled at the switch: nobody is told. A cut between two hosts is a route into a black
 * hole, at one end or at both.
 */
import { spawnSync } from 'node:child_process'
import type { Janitor } from './janitor.ts'
import { clientPort, routePort, withFirst, type Layout, type Network } from './network.ts'
import { Process, startOf } from './process.ts'

/** Of the range that is kept for tests of networks (RFC 2544). */
const subnet = '198.18.0'

/** Why this machine has none, or undefined. Tried, not guessed. */
export function problemOfNamespaces(): string | undefined {
  if (process.platform !== 'linux') return 'not Linux'
  const made = spawnSync(
    'unshare',
    [
      '--net',
      'sh',
      '-c',
      'ip link add name one type bridge && ip link add name two type veth peer name three',
    ],
    { encoding: 'utf8' },
  )
  if (made.error !== undefined) return made.error.message
  if (made.status !== 0) return made.stderr.trim()
  const entered = spawnSync('nsenter', ['--version'])
  return entered.error?.message
}

export class Namespaces implements Network {
  readonly kind = 'namespaces'
  readonly oneWay = true
  readonly #layout: Layout
  readonly #holders = new Map<string, Process>()
  readonly #addresses = new Map<string, string>()

  private constructor(layout: Layout) {
    this.#layout = layout
  }

  static make(layout: Layout, janitor: Janitor): Namespaces {
    const network = new Namespaces(layout)
    const { hosts, sites } = layout
    network.#hold('switch', janitor)
    network.#ip('switch', 'link', 'add', 'name', 'switch', 'type', 'bridge')
    network.#ip('switch', 'link', 'set', 'switch', 'up')
    for (const [n, place] of [...hosts, ...sites].entries()) {
      const holder = network.#hold(place, janitor)
      const address = `${subnet}.${n + 1}`
      network.#addresses.set(place, address)
      const cable = ['type', 'veth', 'peer', 'name', 'cable', 'netns', String(holder.pid)]
      network.#ip('switch', 'link', 'add', 'name', portOf(place), ...cable)
      network.#ip('switch', 'link', 'set', portOf(place), 'master', 'switch', 'up')
      network.#ip(place, 'link', 'set', 'lo', 'up')
      network.#ip(place, 'address', 'add', `${address}/24`, 'dev', 'cable')
      network.#ip(place, 'link', 'set', 'cable', 'up')
    }
    return network
  }

  #hold(place: string, janitor: Janitor): Process {
    const prefix = ['/usr/bin/unshare', '--net']
    const holder = new Process({ janitor, prefix, command: ['/bin/sleep', 'infinity'] })
    this.#holders.set(place, holder)
    // Its namespace is there as soon as it sleeps.
    const own = `/proc/${process.pid}/ns/net`
    const isThere = `until [ "$(readlink /proc/${holder.pid}/ns/net)" != "$(readlink ${own})" ]; do sleep 0.01; done`
    spawnSync('/bin/sh', ['-c', isThere], { timeout: 10_000 })
    if (startOf(holder.pid) === undefined) throw new Error(`no namespace: ${holder.output()}`)
    return holder
  }

  #ip(place: string, ...args: readonly string[]): void {
    const [program = '', ...rest] = [...this.prefix(place), 'ip', ...args]
    const { status, stderr, error } = spawnSync(program, rest, { encoding: 'utf8' })
    if (status !== 0 || error !== undefined) {
      throw new Error(`${place}: ip ${args.join(' ')}: ${error?.message ?? stderr.trim()}`)
    }
  }

  #address(place: string): string {
    const address = this.#addresses.get(place)
    if (address === undefined) throw new Error(`no place ${place}`)
    return address
  }

  prefix(place: string): readonly string[] {
    const holder = this.#holders.get(place)
    if (holder === undefined) throw new Error(`no place ${place}`)
    return ['/usr/bin/nsenter', `--net=/proc/${holder.pid}/ns/net`, '--']
  }

  brokerArgs(host: string): readonly string[] {
    const routes = this.#layout.brokers.map(name => `nats://${this.#address(name)}:${routePort}`)
    const address = this.#address(host)
    return [
      ...['-a', address, '-p', String(clientPort), '--cluster_name', 'chaos'],
      ...['--cluster', `nats://${address}:${routePort}`, '--routes', routes.join(',')],
    ]
  }

  urls(_place: string, first: string): readonly string[] {
    const brokers = withFirst(first, this.#layout.brokers)
    return brokers.map(broker => `nats://${this.#address(broker)}:${clientPort}`)
  }

  cut(from: string, to: string): void {
    this.#ip(from, 'route', 'add', 'blackhole', `${this.#address(to)}/32`)
  }

  mend(from: string, to: string): void {
    this.#ip(from, 'route', 'del', 'blackhole', `${this.#address(to)}/32`)
  }

  isolate(host: string): void {
    this.#ip('switch', 'link', 'set', portOf(host), 'down')
  }

  rejoin(host: string): void {
    this.#ip('switch', 'link', 'set', portOf(host), 'up')
  }

  async close(): Promise<void> {
    for (const holder of this.#holders.values()) holder.signal('SIGKILL')
    await Promise.all([...this.#holders.values()].map(({ ended }) => ended))
  }
}

/** The name of a place's port at the switch: at most 15 characters. */
function portOf(place: string): string {
  return `to-${place}`.slice(0, 15)
}
