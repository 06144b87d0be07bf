/**
 * A command's connection to a pool: options, NATS, and the operator's client on top.
 */
import { hostname, userInfo } from 'node:os'
import type { Options } from 'yargs'
import type { NatsBus } from '../raft/nats-bus.ts'
import { systemClock, systemRandom } from '../raft/system.ts'
import type { NatsSource } from '../lib/nats-context.ts'
import type { Signer } from '../lib/ctl/signing.ts'
import type { CtlClient } from '../lib/ctl/ctl-client.ts'
import { isName, isServerName } from '../lib/protocol/subject.ts'
import { readSeconds, usage } from './command.ts'
import type { Environment } from './settings.ts'

export const natsOption = {
  type: 'string',
  describe: 'NATS address; LICD_NATS, NATS_URL, then the nats CLI\u2019s context',
  defaultDescription: 'nats://127.0.0.1:4222',
} as const satisfies Options

export const contextOption = {
  type: 'string',
  describe: 'Context file: where the pool is, and the way in; LICD_CONTEXT',
} as const satisfies Options

export const poolOption = {
  type: 'string',
  describe: 'Name of the pool; LICD_POOL',
  defaultDescription: 'the context\u2019s, else default',
} as const satisfies Options

/** Options of every command that talks to a pool. */
export const sessionOptions = {
  nats: natsOption,
  context: contextOption,
  pool: poolOption,
  server: { type: 'string', describe: 'Ask this server instead of whichever answers' },
  timeout: { type: 'number', describe: 'Seconds that the command may take', default: 10 },
  json: { type: 'boolean', describe: 'Print JSON for programs', default: false },
} as const satisfies Record<string, Options>

/** Also for every change: a command id makes it happen once, however often it is sent. */
export const changeOptions = {
  ...sessionOptions,
  id: { type: 'string', describe: 'Command id, to repeat a change whose outcome is unknown' },
} as const satisfies Record<string, Options>

export interface SessionArgs {
  readonly nats: string | undefined
  readonly context: string | undefined
  readonly pool: string | undefined
  readonly server: string | undefined
  readonly timeout: number
}

/** Where NATS is and how to get in, as the command line says; what it leaves open is found in the environment. */
export function natsSource(args: Pick<SessionArgs, 'nats' | 'context'>): NatsSource {
  const { nats, context } = args
  if (nats !== undefined && context !== undefined) {
    throw usage('--nats and --context both say where NATS is: give one.')
  }
  return { ...(nats === undefined ? {} : { nats }), ...(context === undefined ? {} : { context }) }
}

export interface Session {
  readonly bus: NatsBus
  readonly client: CtlClient
}

/** Connects, runs, and closes again whatever happens. Throws what `run` throws, or why there is no connection. */
export async function withSession<T>(
  args: SessionArgs,
  environment: Environment,
  run: (session: Session) => Promise<T>,
): Promise<T> {
  const { natsOptions, openNats, poolOfContext } = await import('../lib/nats-context.ts')
  const source = natsSource(args)
  const ofContext = await poolOfContext(source, 'operator', environment)
  const pool = args.pool ?? ofContext ?? 'default'
  if (!isName(pool)) throw usage('--pool must be 1 to 32 characters of A-Z a-z 0-9 _ -.')
  if (args.server !== undefined && !isServerName(args.server)) {
    throw usage('--server must be 1 to 32 characters of A-Z a-z 0-9 _ -, and not "any".')
  }
  const timeoutMs = readSeconds('--timeout', args.timeout, 3_600)
  if (timeoutMs === 0) throw usage('--timeout must be above 0.')
  const { CtlClient } = await import('../lib/ctl/ctl-client.ts')
  const { credentials } = await natsOptions(source, environment)
  const signer =
    credentials === undefined
      ? undefined
      : await signerFor(typeof credentials === 'string' ? credentials : credentials())
  const bus = await openNats(source, { name: 'licd ctl', environment })
  const client = new CtlClient({
    bus,
    clock: systemClock,
    random: systemRandom,
    pool,
    ...(args.server === undefined ? {} : { server: args.server }),
    timeoutMs,
    by: operator(),
    ...(signer === undefined ? {} : { signer }),
  })
  try {
    return await run({ bus, client })
  } finally {
    client.close()
    await bus.close()
  }
}

/** Loaded where there is something to sign with. */
async function signerFor(credentials: string): Promise<Signer> {
  const { signerOf } = await import('../lib/access/operator.ts')
  return signerOf(credentials)
}

/** Who asks, for the audit log: `user@host`. */
function operator(): string {
  return `${userName()}@${hostname()}`.replaceAll(/[^\x21-\x7e]/g, '?').slice(0, 128)
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A process may run as a user that the system has no name for (containers).
    return `uid-${process.getuid?.() ?? 'unknown'}`
  }
}
