/** Servers on the command line: `alpha,beta,gamma`, or with where each is reached, `alpha=host1,beta=host2:4223`. */
import { parseAddress, type Address } from '../lib/access/address.ts'
import { LicdError } from '../lib/error.ts'
import { isServerName } from '../lib/protocol/subject.ts'
import { usage } from './command.ts'

export interface NamedServer {
  readonly name: string
  readonly address?: Address
}

/** Throws LICD_USAGE. */
export function parseServer(text: string): NamedServer {
  const [name = '', ...rest] = text.trim().split('=')
  if (!isServerName(name)) {
    throw usage(
      `Server ${JSON.stringify(name)} must be 1 to 32 characters of A-Z a-z 0-9 _ -, and not "any".`,
    )
  }
  if (rest.length === 0) return { name }
  try {
    return { name, address: parseAddress(rest.join('=')) }
  } catch (error) {
    if (!(error instanceof LicdError)) throw error
    throw usage(error.message)
  }
}

/** Either all have a host or none has. Throws LICD_USAGE. */
export function parseServers(
  option: string,
  text: string,
): { readonly names: string[]; readonly addresses: ReadonlyMap<string, Address> | undefined } {
  const servers = text.split(',').map(part => parseServer(part))
  const names = servers.map(({ name }) => name)
  if (new Set(names).size !== names.length) throw usage(`${option} names one twice.`)
  const addresses = new Map<string, Address>()
  for (const { name, address } of servers) {
    if (address !== undefined) addresses.set(name, address)
  }
  if (addresses.size === 0) return { names, addresses: undefined }
  const missing = names.find(name => !addresses.has(name))
  if (missing !== undefined) throw usage(`${option} says no host for ${missing}: ${missing}=HOST.`)
  const places = new Set([...addresses.values()].map(({ host, port }) => `${host} ${port}`))
  if (places.size < names.length) {
    throw usage(`${option}: two servers of one host need two ports (one=HOST,two=HOST:4223).`)
  }
  return { names, addresses }
}
