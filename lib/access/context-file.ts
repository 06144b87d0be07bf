/**
 * A context: one file that holds all it takes to get in. `licd init` makes them for servers, operators and clients.
 *
 * It is a secret: whoever has it is who it says.
 */
import { LicdError } from '../error.ts'
import { isName } from '../protocol/subject.ts'
import { readSecret } from '../secret-file.ts'
import { isFields } from '../server/ctl-request.ts'
import { roles, type Role } from './roles.ts'

const format = 1

export interface Context {
  readonly pool: string
  readonly role: Role
  readonly name: string
  /** Addresses, with commas, the one to prefer first. */
  readonly url: string
  readonly inboxPrefix: string
  /** The certificate of the pool's authority, PEM. */
  readonly ca: string
  /** The text of a `.creds` file. */
  readonly credentials: string
}

/** What the file holds. */
export function contextContent(context: Context): object {
  const { pool, role, name, url, inboxPrefix, ca, credentials } = context
  return { format, pool, role, name, url, inboxPrefix, ca, credentials }
}

/**
 * @throws LicdError LICD_BAD_KEY (others may read it), LICD_BAD_CONFIG (it is none)
 */
export async function readContextFile(path: string): Promise<Context> {
  const bad = (why: string): LicdError => new LicdError('LICD_BAD_CONFIG', `${path}: ${why}.`)
  const text = await readSecret(path)
  if (text === undefined) throw bad('there is no such file')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's own words quote the text.
    throw bad('it is no JSON')
  }
  if (!isFields(value)) throw bad('it is no context that licd made')
  if (value.format !== format) throw bad(`it is no context of format ${format}`)
  const field = (name: string): string => {
    const found = value[name]
    if (typeof found === 'string' && found !== '') return found
    throw bad(`\`${name}\` is missing`)
  }
  const [pool, name] = [field('pool'), field('name')]
  const role = roles.find(known => known === value.role)
  if (role === undefined || !isName(pool) || !isName(name)) throw bad('it does not say whose it is')
  return {
    pool,
    role,
    name,
    url: field('url'),
    inboxPrefix: field('inboxPrefix'),
    ca: field('ca'),
    credentials: field('credentials'),
  }
}
