/**
 * Where a server listens for HTTP, and what it calls that place to others.
 *
 * Loopback unless told otherwise: there is no sign-in, and user and host names are shown.
 */
import { hostname } from 'node:os'
import { LicdError } from '../error.ts'

/** Used when nothing is said; another free port where it is taken (several servers on one host). */
export const defaultHttp = '127.0.0.1:4290'

export interface HttpAddress {
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
}

/**
 * `HOST:PORT`, `[IPv6]:PORT`, `:PORT` for all interfaces, or `off`: then `undefined`.
 *
 * @throws LicdError LICD_BAD_CONFIG
 */
export function parseHttpAddress(text: string): HttpAddress | undefined {
  if (text === 'off') return undefined
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]*)):(\d{1,5})$/.exec(text)
  const port = Number(found?.[3])
  if (found === null || port > 65_535) {
    const given = JSON.stringify(text.slice(0, 80))
    throw new LicdError('LICD_BAD_CONFIG', `${given} is no HTTP address: HOST:PORT, or off.`)
  }
  const [, ipv6, name] = found
  return { host: ipv6 ?? (name === '' || name === undefined ? '0.0.0.0' : name), port }
}

/**
 * An address that others are told of.
 *
 * @throws LicdError LICD_BAD_CONFIG unless it is `http://host[:port]` or `https://host[:port]`
 */
export function parseHttpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain = url !== undefined && /^https?:$/.test(url.protocol) && url.pathname === '/'
  if (isPlain && url.username === '' && url.search === '' && url.hash === '') return url.origin
  const given = JSON.stringify(text.slice(0, 80))
  throw new LicdError('LICD_BAD_CONFIG', `${given} is no address such as https://licd.example.com.`)
}

/** All interfaces have no name of their own: then it is the host's. */
export function urlOf({ host, port }: HttpAddress): string {
  const isEverywhere = host === '0.0.0.0' || host === '::'
  const name = isEverywhere ? hostname() : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

/**
 * Whether a request's `Host` is one that a server on loopback is called by. A page of another site whose name was
 * made to point to this host (DNS rebinding) is not: it must not read the pool in an operator's browser.
 */
export function isOwnHost(header: string | undefined, url: string): boolean {
  if (header === undefined || !URL.canParse(`http://${header}`)) return false
  const { hostname: name, host } = new URL(`http://${header}`)
  return isLoopback(name.replace(/^\[|\]$/g, '')) || host === new URL(url).host
}
