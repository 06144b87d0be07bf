/**
 * Where NATS is and how to get in: options given, else the environment, else the context file that `LICD_CONTEXT`
 * names, else the context that the `nats` program has selected (ADR-21), else `nats://127.0.0.1:4222`. Used by the SDK
 * and by the `licd` program alike.
 *
 * Secrets are read here and handed on; they stand in no message and no error.
 */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { RaftError, raftCodes } from '../raft/error.ts'
import { connectNats, type NatsBus, type NatsOptions } from '../raft/nats-bus.ts'
import type { Logger } from '../raft/ports.ts'
import { readContextFile, type Context } from './access/context-file.ts'
import type { Role } from './access/roles.ts'
import { LicdError } from './error.ts'
import { readSecret, secretBytesMax } from './secret-file.ts'
import { withoutSecrets } from './without-secrets.ts'

/** What a caller may say about NATS; everything may be left out. */
export interface NatsSource {
  /** Addresses, `nats://host:port`, one or several. Given, no environment and no context is looked at. */
  readonly nats?: string | readonly string[]
  /**
   * Path of a context file that `licd init` or `licd credentials` made (it has a `/` in it, or ends in `.context`), or
   * the name of a context of the `nats` program. Default: `LICD_CONTEXT`, `NATS_CONTEXT`, the one that is selected there.
   */
  readonly context?: string
  readonly user?: string
  readonly password?: string
  readonly token?: string
  /** Path of a `.creds` file. */
  readonly credentials?: string
  /** Path of an nkey seed file. */
  readonly nkey?: string
  readonly tls?: { readonly caFile?: string; readonly certFile?: string; readonly keyFile?: string }
  /** Prefix of this connection's inbox, where its permissions name one. Default `_INBOX`. */
  readonly inboxPrefix?: string
}

/** What was found, with secrets that stood in one file with everything else. */
interface Found extends NatsSource {
  readonly credentialsText?: string
  readonly ca?: string
}

export type Environment = Readonly<Record<string, string | undefined>>

export const defaultNats = 'nats://127.0.0.1:4222'

/**
 * The options to connect with.
 *
 * @throws LicdError LICD_BAD_CONFIG: a context or a file that is named cannot be read, or is not as documented.
 */
export async function natsOptions(
  source: NatsSource = {},
  environment: Environment = process.env,
): Promise<NatsOptions> {
  const { nats } = source
  if (nats !== undefined) return optionsOf({ ...source, nats })
  const file = contextFileOf(source, environment)
  const context: Found | undefined =
    file === undefined
      ? await readContext(source.context, environment)
      : sourceOf(await readContextFile(file))
  // As with the `nats` program: the environment says where, and the context may still say how to get in.
  const address = setting(environment, 'LICD_NATS') ?? setting(environment, 'NATS_URL')
  const merged: Found = { ...context, ...definedOf(source) }
  return optionsOf({
    ...merged,
    nats: (source.context === undefined ? address : undefined) ?? merged.nats ?? defaultNats,
  })
}

/**
 * The pool that the context file is of, where one is used; `needed` is the role that it must be for.
 *
 * @throws LicdError LICD_BAD_KEY, LICD_BAD_CONFIG (no context, or another role's)
 */
export async function poolOfContext(
  source: NatsSource,
  needed: Role,
  environment: Environment = process.env,
): Promise<string | undefined> {
  if (source.nats !== undefined) return undefined
  const file = contextFileOf(source, environment)
  if (file === undefined) return undefined
  const { pool, role } = await readContextFile(file)
  if (role === needed) return pool
  // NATS would drop what is sent, and say so to nobody but its log.
  const what = `${file} is for the role ${role}; this needs one for the role ${needed}.`
  throw new LicdError('LICD_BAD_CONFIG', `${what} To make one: licd credentials.`)
}

/** `LICD_CONTEXT` names a file, or, like the option, a context of the `nats` program. */
function contextFileOf({ context }: NatsSource, environment: Environment): string | undefined {
  const named = context ?? setting(environment, 'LICD_CONTEXT')
  if (named === undefined || !(named.includes('/') || named.endsWith('.context'))) return undefined
  return expand(named, environment)
}

/** What a context that licd made says, as options. */
function sourceOf({ url, inboxPrefix, ca, credentials }: Context): Found {
  return { nats: url, inboxPrefix, ca, credentialsText: credentials }
}

/**
 * Connects to NATS with what {@link natsOptions} finds.
 *
 * @throws LicdError LICD_NATS_UNREACHABLE, LICD_NATS_REFUSED, LICD_BAD_CONFIG, LICD_ABORTED (`signal`)
 */
export async function openNats(
  source: NatsSource,
  options: {
    readonly name?: string
    /** How long to go on trying while no NATS server answers, milliseconds; 0 tries once. */
    readonly waitMs?: number
    readonly signal?: AbortSignal
    readonly log?: Logger
    readonly environment?: Environment
  } = {},
): Promise<NatsBus> {
  const { environment, ...rest } = options
  const found = await natsOptions(source, environment)
  try {
    return await connectNats({ ...found, ...rest })
  } catch (cause) {
    throw natsError(cause)
  }
}

/** A connection's error as one of licd's; anything else as it is. */
export function natsError(cause: unknown): unknown {
  if (!(cause instanceof RaftError)) return cause
  const detail = withoutSecrets(cause.message.replace(raftCodes[cause.code], '').trim())
  switch (cause.code) {
    case 'RAFT_BUS_UNREACHABLE':
      return new LicdError('LICD_NATS_UNREACHABLE', detail, { cause })
    case 'RAFT_BUS_REFUSED':
      return new LicdError('LICD_NATS_REFUSED', detail, { cause })
    case 'RAFT_CLOSED':
      return new LicdError('LICD_ABORTED', detail, { cause })
    default:
      return new LicdError('LICD_BAD_CONFIG', detail, { cause })
  }
}

/** The selected context, or the named one; undefined where none is selected or its file is not there. */
async function readContext(
  named: string | undefined,
  environment: Environment,
): Promise<NatsSource | undefined> {
  const config = setting(environment, 'XDG_CONFIG_HOME') ?? join(homeOf(environment), '.config')
  const folder = join(config, 'nats')
  const wanted =
    named ?? setting(environment, 'LICD_CONTEXT') ?? setting(environment, 'NATS_CONTEXT')
  const name = wanted ?? (await readText(join(folder, 'context.txt')))?.trim()
  if (name === undefined || name === '') return undefined
  // The name comes from a file or a variable and becomes part of a path.
  if (!/^[\w.-]+$/.test(name) || name.startsWith('.')) {
    throw new LicdError('LICD_BAD_CONFIG', `The NATS context name ${JSON.stringify(name)} is none.`)
  }
  const file = join(folder, 'context', `${name}.json`)
  const text = await readText(file)
  if (text === undefined) {
    if (wanted === undefined) return undefined
    throw new LicdError('LICD_BAD_CONFIG', `There is no NATS context ${name} (${file}).`)
  }
  return contextOf(text, file, environment)
}

function contextOf(text: string, file: string, environment: Environment): NatsSource {
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch {
    // The parser's own words quote the text.
    throw new LicdError('LICD_BAD_CONFIG', `${file} is no JSON.`)
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw new LicdError('LICD_BAD_CONFIG', `${file} holds no JSON object.`)
  }
  const field = (name: string): string | undefined => {
    const value: unknown = Object.hasOwn(fields, name) ? Reflect.get(fields, name) : undefined
    if (value === undefined || value === null || value === '') return undefined
    if (typeof value === 'string') return value
    throw new LicdError('LICD_BAD_CONFIG', `${file}: \`${name}\` is no text.`)
  }
  const path = (name: string) => expand(field(name), environment)
  const tls = definedOf({ caFile: path('ca'), certFile: path('cert'), keyFile: path('key') })
  return definedOf({
    nats: field('url'),
    user: field('user'),
    password: field('password'),
    token: field('token'),
    credentials: path('creds'),
    nkey: path('nkey'),
    inboxPrefix: field('inbox_prefix'),
    tls: Object.keys(tls).length === 0 ? undefined : tls,
  })
}

async function optionsOf(
  source: Found & { readonly nats: string | readonly string[] },
): Promise<NatsOptions> {
  const { nats, user, password, token, credentials, nkey, ca, inboxPrefix } = source
  const list = (typeof nats === 'string' ? nats.split(',') : nats).map(text => text.trim())
  const addresses = list.filter(text => text !== '').map(parseAddress)
  if (addresses.length === 0) throw new LicdError('LICD_BAD_CONFIG', 'The NATS address is empty.')
  const within = addresses.find(address => address.user !== undefined)
  // The NATS client goes on in the clear, whatever the scheme, where the other side offers no TLS and none is asked for.
  const isTls = addresses.some(({ server }) => /^(tls|wss):/i.test(server)) || ca !== undefined
  const tls = source.tls ?? (isTls ? {} : undefined)
  return definedOf({
    servers: addresses.map(address => address.server),
    user: user ?? (within?.password === undefined ? undefined : within.user),
    password: password ?? within?.password,
    // One word before the `@` is a token, as with the `nats` program.
    token: token ?? (within?.password === undefined ? within?.user : undefined),
    credentials:
      credentials === undefined ? source.credentialsText : await readNamedSecret(credentials),
    nkey: nkey === undefined ? undefined : (await readNamedSecret(nkey)).trim(),
    tls: tls === undefined ? undefined : definedOf({ ...tls, ca }),
    inboxPrefix,
  })
}

interface Address {
  readonly server: string
  readonly user?: string
  readonly password?: string
}

/** The NATS client wants what stands before the `@` as options of its own. */
function parseAddress(text: string): Address {
  const found = /^([a-z]+:\/\/)?(?:([^\s/@:]*)(?::([^\s/@]*))?@)?([^\s/@]+)\/?$/i.exec(text)
  const [, scheme = '', user, password, host] = found ?? []
  if (host === undefined) {
    throw new LicdError('LICD_BAD_CONFIG', `${withoutSecrets(text)} is no NATS address.`)
  }
  const server = scheme + host
  return { ...definedOf({ user: decode(user), password: decode(password) }), server }
}

function decode(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

async function readNamedSecret(file: string): Promise<string> {
  const text = await readSecret(file)
  if (text === undefined) throw new LicdError('LICD_BAD_CONFIG', `There is no file ${file}.`)
  return text
}

/** The file's text, undefined when there is no such file. */
async function readText(file: string): Promise<string | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw new LicdError('LICD_BAD_CONFIG', `${file} cannot be read.`, { cause })
  }
  if (text.length <= secretBytesMax) return text
  throw new LicdError('LICD_BAD_CONFIG', `${file} is larger than ${secretBytesMax} bytes.`)
}

/** As everywhere: a variable that is set but empty is not set. */
function setting(environment: Environment, name: string): string | undefined {
  const value = environment[name]
  return value === '' ? undefined : value
}

function homeOf(environment: Environment): string {
  return setting(environment, 'HOME') ?? homedir()
}

function expand(path: string | undefined, environment: Environment): string | undefined {
  return path?.startsWith('~/') === true ? join(homeOf(environment), path.slice(2)) : path
}

/** Fields that may be undefined become fields that may be left out. */
type Defined<Fields> = {
  [Key in keyof Fields as undefined extends Fields[Key] ? never : Key]: Fields[Key]
} & {
  [Key in keyof Fields as undefined extends Fields[Key] ? Key : never]?: Exclude<
    Fields[Key],
    undefined
  >
}

/** Without the fields that are undefined. */
function definedOf<Fields extends object>(fields: Fields): Defined<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Defined<Fields>
}
