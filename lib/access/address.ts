/** Where a nats-server of the pool is reached: `host`, `host:4222`, `[::1]:4222`. */
import { isIP, isIPv6 } from 'node:net'
import { LicdError } from '../error.ts'

export interface Address {
  /** A name, or an IP address without brackets. */
  readonly host: string
  /** Of clients. Other nats-servers come in at {@link routePort}. */
  readonly port: number
}

export const defaultPort = 4222
/** As nats-server has it: 4222, 6222 and 8222. */
const routePortAbove = 2_000
const monitorPortAbove = 4_000

/** RFC 1123: labels of letters, digits and hyphens. */
const hostPattern =
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i

/** @throws LicdError LICD_BAD_CONFIG */
export function parseAddress(text: string): Address {
  const wrong = (why: string): LicdError =>
    new LicdError('LICD_BAD_CONFIG', `Host ${JSON.stringify(text.slice(0, 80))}: ${why}.`)
  const [, bracketed, plain, digits] =
    /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(text) ?? []
  const host = isIPv6(text) ? text : (bracketed ?? plain ?? '')
  // A name that ends in a number is an address to some and a name to others.
  const isName = hostPattern.test(host) && !/(^|\.)\d+$/.test(host)
  if (isIP(host) === 0 && !isName) throw wrong('it is no host name and no IP address')
  // Others are told it: where to listen is not asked here.
  if (/^(0\.[\d.]+|[0:]+)$/.test(host))
    throw wrong('it says where others reach it, and is no place')
  const port = digits === undefined ? defaultPort : Number(digits)
  if (port < 1 || port > 65_535 - routePortAbove) {
    throw wrong(`the port must be 1 to ${65_535 - routePortAbove}`)
  }
  return { host, port }
}

export function routePort({ port }: Address): number {
  return port + routePortAbove
}

/**
 * Where a nats-server tells who is connected and sends how much: without credentials, so on its host alone. `undefined` where
 * the port above is none.
 */
export function monitorAddress(address: Address): string | undefined {
  const port = address.port + monitorPortAbove
  if (port > 65_535) return undefined
  return formatAddress(isLoopback(address.host) ? listenHost(address) : '127.0.0.1', port)
}

export function formatAddress(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

/** What nats-server listens on to be reached there: an address may be another network's (NAT), so it is all of them. */
export function listenHost({ host }: Address): string {
  if (!isLoopback(host)) return '0.0.0.0'
  return host === 'localhost' ? '127.0.0.1' : host
}
