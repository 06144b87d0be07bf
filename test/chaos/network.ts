/**
 * The network of a chaos run: hosts with servers, most with a broker, and sites where clients and operators sit.
 *
 * Namespaces where the machine allows them (root on Linux), proxies of our own elsewhere (`make-network.ts`). Nothing of it
 * reaches out: namespaces have no way to the world, proxies listen on loopback.
 */
export interface Layout {
  /** Each has a server. */
  readonly hosts: readonly string[]
  /** The hosts that have a broker too. */
  readonly brokers: readonly string[]
  readonly sites: readonly string[]
}

export interface Network {
  readonly kind: 'namespaces' | 'proxies'
  /** What stands before a command that is to run at a place. */
  prefix(place: string): readonly string[]
  /** Arguments of the broker of a host: where it listens, and the routes to the others. */
  brokerArgs(host: string): readonly string[]
  /** Addresses of all brokers as `place` reaches them; of a host with a broker its own comes first. */
  urls(place: string, first: string): readonly string[]
  /** From now on nothing goes from one host to another, until `mend`. */
  cut(from: string, to: string): void
  mend(from: string, to: string): void
  /** Whether it can cut one direction alone. */
  readonly oneWay: boolean
  /** From now on nothing goes to or from a host, until `rejoin`. */
  isolate(host: string): void
  rejoin(host: string): void
  close(): Promise<void>
}

export type NetworkKind = Network['kind']

export const clientPort = 4222
export const routePort = 6222

/** `first` and the others behind it. */
export function withFirst(first: string, all: readonly string[]): string[] {
  return all.includes(first) ? [first, ...all.filter(name => name !== first)] : [...all]
}
