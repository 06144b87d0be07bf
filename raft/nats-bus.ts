/**
 * The message bus over a real NATS server: with `nats-inside.ts` the only file of raft/ that knows the NATS client.
 *
 * It mends what the client leaves open: a callback that throws would end its reader for good, what is published
 * while disconnected is lost or sent seconds late, and payloads are views into the reader's buffer. Hence every
 * handler is guarded, `publish` is gated on our own flag of the link, and payloads are copied.
 *
 * Invariant: nothing is handed to the client while the link is believed down.
 */
import {
  connect,
  credsAuthenticator,
  headers as natsHeaders,
  nkeyAuthenticator,
  type Authenticator,
  type ConnectionOptions,
  type Msg,
  type NatsConnection,
  type PublishOptions as NatsPublishOptions,
  type TlsOptions,
} from 'nats'
import { complaints } from './complaints.ts'
import { RaftError } from './error.ts'
import {
  carriedBytes,
  hearOfOthers,
  replyBytes,
  shorten,
  socketOf,
  turnToNext,
} from './nats-inside.ts'
import {
  silentLogger,
  type Bus,
  type BusMessage,
  type Logger,
  type PublishOptions,
  type SubscribeOptions,
  type Subscription,
} from './ports.ts'
import { systemRandom } from './system.ts'
import { takeTurns } from './turns.ts'

export interface NatsOptions {
  /** Addresses (`nats://host:port`), the one to prefer first. */
  readonly servers: string | readonly string[]
  /** Shown in the server's list of connections. */
  readonly name?: string
  /** Subject prefix of this connection's inbox: what its permissions allow. Default `_INBOX`. */
  readonly inboxPrefix?: string
  /** How long to go on trying when no server answers at start, in ms; 0 tries once, Infinity for ever. */
  readonly waitMs?: number
  /** Gives up waiting at start. */
  readonly signal?: AbortSignal
  readonly user?: string
  readonly password?: string
  readonly token?: string
  /** The text of a `.creds` file, or what gives it, asked at each connection. */
  readonly credentials?: string | (() => string)
  /** An nkey seed (`SU...`). */
  readonly nkey?: string
  readonly tls?: TlsOptions
  /** Read at a time before other sockets and timers have their turn (see turns.ts); absent: all there is. */
  readonly bytesPerTurn?: number
  readonly log?: Logger
  /** Anything else the NATS client takes; overrides all of the above. */
  readonly nats?: Partial<ConnectionOptions>
}

export interface NatsBus extends Bus {
  /** Sends what is queued (for at most half a second), then ends the connection. Twice does no harm. */
  close(): Promise<void>
}

const retryMs = 250
/** Bounds the window in which a dialling client holds messages back, and sends them late. */
const dialMs = 2_000
/**
 * What waits for the end of the turn to be written, in bytes: beyond it there is enough for the other side to begin with.
 * The client knows the option, its types do not.
 */
const written = { pendingLimit: 4_096 }
const flushOnCloseMs = 500
const defaultMaxPayload = 1024 * 1024
const statusNoResponders = 503
const codesOfRefusal = new Set([
  'AUTHORIZATION_VIOLATION',
  'AUTHENTICATION_EXPIRED',
  'AUTHENTICATION_TIMEOUT',
  'ACCOUNT_EXPIRED',
  'BAD_AUTHENTICATION',
  'BAD_CREDS',
  'TLS',
  // Somebody answers, whose certificate is not what was asked for: Node.js's words.
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/**
 * Connects. Afterwards the link may come and go as it likes (see `onStatus`): it is mended without end, until
 * `close`.
 *
 * @throws RaftError RAFT_BUS_UNREACHABLE, RAFT_BUS_REFUSED (credentials, TLS), RAFT_CLOSED (signal),
 *   RAFT_BAD_SETTING (an option the client refuses)
 */
export async function connectNats(options: NatsOptions): Promise<NatsBus> {
  const log = options.log ?? silentLogger
  const settings = connectionOptions(options)
  const deadline = performance.now() + (options.waitMs ?? 0)
  for (let waiting = false; ;) {
    if (isAborted(options.signal)) throw new RaftError('RAFT_CLOSED', 'Gave up on NATS.')
    try {
      const connection = await connect({ ...settings, ignoreClusterUpdates: true })
      if (isAborted(options.signal)) {
        await connection.close()
        continue
      }
      turnToNext(connection)
      hearOfOthers(connection, settings.ignoreClusterUpdates === true)
      return wrap(connection, settings.inboxPrefix ?? '_INBOX', log, options.bytesPerTurn)
    } catch (cause) {
      const error = connectError(cause, namesOf(settings))
      if (error.code !== 'RAFT_BUS_UNREACHABLE' || performance.now() >= deadline) throw error
      if (!waiting) log.warn('nats-wait', { servers: namesOf(settings), cause: String(cause) })
      waiting = true
    }
    await pause(retryMs, options.signal)
  }
}

export function connectionOptions(options: NatsOptions): ConnectionOptions {
  const { user, password, token, credentials, nkey, tls } = options
  const servers = typeof options.servers === 'string' ? [options.servers] : [...options.servers]
  return {
    servers,
    ...(options.name === undefined ? {} : { name: options.name }),
    inboxPrefix: options.inboxPrefix ?? '_INBOX',
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { pass: password }),
    ...(token === undefined ? {} : { token }),
    ...(credentials === undefined
      ? {}
      : { authenticator: careful(credsAuthenticator(bytesOf(credentials))) }),
    ...(nkey === undefined
      ? {}
      : { authenticator: careful(nkeyAuthenticator(new TextEncoder().encode(nkey))) }),
    ...(tls === undefined ? {} : { tls }),
    maxReconnectAttempts: -1,
    reconnectTimeWait: retryMs,
    reconnectJitter: 100,
    timeout: dialMs,
    // A broker that is silent, with its link up, is noticed within 3 s; within 1.5 s where there is another to go to.
    pingInterval: servers.length > 1 ? 500 : 1_000,
    maxPingOut: 2,
    noRandomize: true,
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true,
    ...written,
    ...options.nats,
  }
}

/** A server's nonce is signed blindly, by a key that signs other things too: nothing but a nonce is. */
function careful(authenticate: Authenticator): Authenticator {
  return nonce => {
    if (nonce === undefined || /^[A-Za-z0-9_-]{0,64}$/.test(nonce)) return authenticate(nonce)
    throw new RaftError('RAFT_BUS_REFUSED', 'The NATS server asks to sign what is no nonce.')
  }
}

function bytesOf(text: string | (() => string)): Uint8Array | (() => Uint8Array) {
  const encoder = new TextEncoder()
  return typeof text === 'string' ? encoder.encode(text) : () => encoder.encode(text())
}

/** The addresses without what some write before the `@`. */
export function namesOf({ servers }: ConnectionOptions): string {
  return String(servers).replaceAll(/\/\/[^\s/@]*@/g, '//')
}

export function connectError(cause: unknown, servers: string): RaftError {
  const code = codeOf(cause)
  const at = `NATS at ${servers}: ${cause instanceof Error ? cause.message : String(cause)}.`
  if (code !== undefined && codesOfRefusal.has(code)) {
    return new RaftError('RAFT_BUS_REFUSED', at, { cause })
  }
  const wrong = code === 'INVALID_OPTION' || cause instanceof TypeError
  return new RaftError(wrong ? 'RAFT_BAD_SETTING' : 'RAFT_BUS_UNREACHABLE', at, { cause })
}

function codeOf(cause: unknown): string | undefined {
  if (!(cause instanceof Error) || !('code' in cause)) return undefined
  return typeof cause.code === 'string' ? cause.code : undefined
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise(resolve => {
    const finish = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, ms)
    signal?.addEventListener('abort', finish)
  })
}

function wrap(
  connection: NatsConnection,
  inboxPrefix: string,
  log: Logger,
  bytesPerTurn: number | undefined,
): NatsBus {
  // Each link has a socket of its own.
  const bound = (): void => {
    shorten(connection)
    const socket = bytesPerTurn === undefined ? undefined : socketOf(connection)
    if (socket !== undefined && bytesPerTurn !== undefined) takeTurns(socket, bytesPerTurn)
  }
  bound()
  const handlers = new Set<(status: 'up' | 'down' | 'closed') => void>()
  let link: 'up' | 'down' | 'closed' = 'up'
  const setLink = (status: 'up' | 'down' | 'closed', why?: string): void => {
    if (link === status || link === 'closed') return
    link = status
    if (status === 'up') bound()
    if (status === 'up') log.info('nats-link', { link })
    else if (status === 'down') log.warn('nats-link', { link, why })
    for (const handle of [...handlers]) guard(() => handle(status), log)
  }
  void follow(connection, setLink, log)

  let closing: Promise<void> | undefined
  return {
    inbox: `${inboxPrefix}.${systemRandom.id()}`,
    get connected() {
      return link === 'up'
    },
    get maxPayload() {
      return connection.info?.max_payload ?? defaultMaxPayload
    },
    publish(subject, data, options) {
      return link === 'up' && publish(connection, { subject, data, options })
    },
    subscribe(subject, handle, options) {
      return subscribe(connection, { subject, handle, options, log })
    },
    onStatus(handle) {
      handlers.add(handle)
      return { unsubscribe: () => void handlers.delete(handle) }
    },
    close() {
      closing ??= close(connection, link === 'up').finally(() => setLink('closed'))
      return closing
    },
  }
}

/** Keeps our own flag of the link, from the client's events. */
async function follow(
  connection: NatsConnection,
  setLink: (status: 'up' | 'down' | 'closed', why?: string) => void,
  log: Logger,
): Promise<void> {
  void connection.closed().then(error => {
    if (error !== undefined) log.error('nats-closed', { cause: String(error) })
    setLink('closed')
  })
  const tell = complaints(log)
  try {
    for await (const status of connection.status()) {
      const type: string = status.type
      // No answer to its pings: NATS stands still, or has more for this process than it takes, and the answer is behind that.
      if (type === 'staleConnection') setLink('down', 'unanswered')
      else if (type === 'disconnect') setLink('down', 'lost')
      else if (type === 'reconnect') setLink('up')
      else if (type === 'error') tell(JSON.stringify(status.data))
    }
  } catch (cause) {
    log.error('nats-status', { cause: String(cause) })
  }
}

function publish(
  connection: NatsConnection,
  message: { subject: string; data: Uint8Array; options: PublishOptions | undefined },
): boolean {
  const { subject, data, options } = message
  // The client checks nothing here, and a line break in a subject would be a command of its own.
  if (!isSubject(subject) || (options?.reply !== undefined && !isSubject(options.reply))) {
    return false
  }
  try {
    connection.publish(subject, data, options && publishOptionsOf(options))
    return true
  } catch {
    // Too large, closing, or a header that cannot be written: dropped, as the port says.
    return false
  }
}

function publishOptionsOf({ reply, headers: named }: PublishOptions): NatsPublishOptions {
  const options: NatsPublishOptions = reply === undefined ? {} : { reply }
  if (named === undefined) return options
  const headers = natsHeaders()
  for (const [name, value] of Object.entries(named)) headers.set(name, value)
  return { headers, ...options }
}

function isSubject(text: string): boolean {
  return text.length > 0 && !/[\s\0]/.test(text)
}

function subscribe(
  connection: NatsConnection,
  {
    subject,
    handle,
    options: { queue, admit } = {},
    log,
  }: {
    subject: string
    handle: (message: BusMessage) => void
    options: SubscribeOptions | undefined
    log: Logger
  },
): Subscription {
  if (connection.isClosed()) return { unsubscribe() {} }
  const takeOne = (message: Msg): void => {
    // Before anything of it is text: of a flood this is all there is.
    if (admit?.(replyBytes(message), carriedBytes(message)) === false) return
    handle(busMessage(message))
  }
  const subscription = connection.subscribe(subject, {
    ...(queue === undefined ? {} : { queue }),
    callback(error, message) {
      if (error !== null) log.error('nats-subscription', { subject, cause: error.message })
      else guard(() => takeOne(message), log)
    },
  })
  return {
    unsubscribe() {
      if (!connection.isClosed()) subscription.unsubscribe()
    },
  }
}

/** Nothing may be thrown into the client's reader: it would end it, with the connection still "open". */
function guard(run: () => void, log: Logger): void {
  try {
    run()
  } catch (error) {
    log.error('bus-handler-threw', { error: error instanceof Error ? error.stack : String(error) })
  }
}

function busMessage(message: Msg): BusMessage {
  const { reply } = message
  return {
    subject: message.subject,
    data: new Uint8Array(message.data),
    ...(reply === undefined || reply === '' ? {} : { reply }),
    noResponders: message.headers?.code === statusNoResponders && message.data.length === 0,
    header(name) {
      const value = message.headers?.get(name)
      return value === '' ? undefined : value
    },
  }
}

async function close(connection: NatsConnection, up: boolean): Promise<void> {
  if (connection.isClosed()) return
  if (up) await Promise.race([connection.flush().catch(() => {}), pause(flushOnCloseMs, undefined)])
  await connection.close().catch(() => {})
}
