/**
 * Which NATS a server uses, and whether it runs one beside it: what the command line says, then the environment, then
 * what `licd init` put into the data folder, then this host's.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { NatsOptions } from '../raft/nats-bus.ts'
import type { Logger } from '../raft/ports.ts'
import { isLoopback } from '../lib/access/address.ts'
import { natsOptions, poolOfContext, type NatsSource } from '../lib/nats-context.ts'
import { LicdError } from '../lib/error.ts'
import { onLoopback, ownConfig, ownNatsError, startOwnNats } from '../lib/own-nats.ts'
import type { Program } from './program.ts'
import { natsSource } from './session.ts'
import { usage } from './command.ts'

export interface FoundNats {
  readonly options: NatsOptions
  /** What an operator should know of it. */
  readonly remark: string | undefined
  /** Whether this process runs it. */
  readonly runs: boolean
  /** Reads and checks anew what can change (see reload.ts); `apply` then takes it, and cannot fail. */
  prepare(): Promise<{ readonly needsRestart: boolean; readonly apply: () => void }>
  /** Ends the nats-server that was started, if one was. */
  stop(): Promise<void>
}

export interface NatsArgs {
  readonly data: string
  readonly nats: string | undefined
  readonly context: string | undefined
  /** Undefined: where the folder has a configuration for one and nothing else says where NATS is. */
  readonly runNats: boolean | undefined
}

/**
 * @throws LicdError LICD_USAGE, LICD_BAD_CONFIG, LICD_BAD_KEY, LICD_NATS_MISSING and LICD_NATS_UNREACHABLE (of the one that
 *   it was to start)
 */
export async function findNats(
  args: NatsArgs,
  { program, log }: { readonly program: Program; readonly log: Logger },
): Promise<FoundNats> {
  const { environment } = program
  const { runs, own, source } = chooseNats(args, environment)
  const read = async () => {
    // Another role's would be let in, and then refused every subject, for as long as it runs.
    await poolOfContext(source, 'server', environment)
    return await natsOptions(source, environment)
  }
  const found = await read()
  let { credentials } = found
  const options =
    credentials === undefined ? found : { ...found, credentials: () => textOf(credentials) }
  const remark = remarkOn(options)
  const prepare = (check: () => Promise<void>, reload: () => void) => async () => {
    const anew = await read()
    await check()
    const apply = (): void => {
      credentials = anew.credentials
      reload()
    }
    return { needsRestart: shapeOf(anew) !== shapeOf(found), apply }
  }
  if (!runs) {
    const nothing = prepare(
      () => Promise.resolve(),
      () => {},
    )
    return { options, remark, runs, prepare: nothing, stop: () => Promise.resolve() }
  }
  try {
    const server = own?.server ?? onLoopback
    const folder = own?.server.config?.folder
    let loaded = digestOf(folder)
    let next = loaded
    const nats = await startOwnNats({ server: { ...server, environment }, log })
    const check = async (): Promise<void> => {
      await checkConfig(folder, environment)
      next = digestOf(folder)
    }
    // It lets go of its clients for a moment when it reads all anew: not where nothing is new.
    const reload = (): void => {
      if (next === loaded) return
      loaded = next
      nats.reload()
    }
    return { options, remark, runs, stop: () => nats.stop(), prepare: prepare(check, reload) }
  } catch (cause) {
    throw ownNatsError(cause)
  }
}

function textOf(credentials: NatsOptions['credentials']): string {
  return typeof credentials === 'function' ? credentials() : (credentials ?? '')
}

/** All of the way in that holds for as long as the process. */
function shapeOf({ credentials, ...rest }: NatsOptions): string {
  return JSON.stringify([rest, credentials === undefined])
}

/** Of all files in the nats-server's folder; those that come and go meanwhile count as a change. */
function digestOf(folder: string | undefined): string {
  if (folder === undefined) return ''
  const hash = createHash('sha256')
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name)
    if (statSync(path).isFile()) hash.update(`${name}\0`).update(readFileSync(path))
  }
  return hash.digest('hex')
}

/** Throws LICD_BAD_CONFIG: the nats-server would refuse it. */
async function checkConfig(
  folder: string | undefined,
  environment: Program['environment'],
): Promise<void> {
  const { lookAtNatsServer } = await import('../lib/doctor/doors.ts')
  const { state, says } = await lookAtNatsServer(folder, environment)
  if (state === 'failure') throw new LicdError('LICD_BAD_CONFIG', `${says}.`)
}

/**
 * Which NATS it is, and whether it is run here.
 *
 * @throws LicdError LICD_USAGE: the command line contradicts itself
 */
export function chooseNats(
  args: NatsArgs,
  environment: Program['environment'],
): {
  readonly runs: boolean
  /** What `licd init` put into the data folder. */
  readonly own: ReturnType<typeof ownConfig>
  readonly source: NatsSource
} {
  const own = ownConfig(args.data)
  const told = isTold(args, { environment, hasOwn: own !== undefined })
  const runs = args.runNats ?? (own !== undefined && !told)
  if (runs && told) throw usage('--run-nats and another NATS contradict each other: give one.')
  const plain: NatsSource = runs
    ? { nats: `nats://127.0.0.1:${onLoopback.port}` }
    : natsSource(args)
  return { runs, own, source: own === undefined || told ? plain : { context: own.context } }
}

/** A context in the environment is its user's way in, and not this server's, which has one of its own. */
function isTold(
  { nats, context }: NatsArgs,
  { environment, hasOwn }: { environment: Program['environment']; hasOwn: boolean },
): boolean {
  const { LICD_NATS, NATS_URL, LICD_CONTEXT } = environment
  const told = [nats, context, LICD_NATS, NATS_URL, ...(hasOwn ? [] : [LICD_CONTEXT])]
  return told.some(text => text !== undefined && text !== '')
}

/** What an operator should know of a connection without credentials: who else may do all that a server may. */
function remarkOn(options: NatsOptions): string | undefined {
  const { servers, user, token, credentials, nkey, tls } = options
  const list = typeof servers === 'string' ? [servers] : servers
  const hosts = list.map(server => server.replace(/^[a-z]+:\/\//i, '').replace(/:\d+$/, ''))
  const isHere = hosts.every(host => isLoopback(host.replaceAll(/[[\]]/g, '')))
  const isKnown = [user, token, credentials, nkey, tls?.certFile].some(
    secret => secret !== undefined,
  )
  if (isHere && !isKnown) {
    return 'no credentials: for this host alone (licd init with hosts makes a pool with TLS and roles)'
  }
  if (isKnown && (tls !== undefined || isHere)) return undefined
  const lacks = isKnown
    ? 'no TLS'
    : tls === undefined
      ? 'no TLS and no credentials'
      : 'no credentials'
  return `${lacks} at ${hosts.join(', ')}: whoever reaches that NATS may listen and take seats (licd init with hosts makes TLS and roles)`
}
