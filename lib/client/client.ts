/**
 * The client of a pool: `connect`, then `acquire` as many seats as are wanted over the one connection.
 *
 * This is the thin outer side: promises, errors and events around `core.ts`, which does the work.
 */
import { EventEmitter } from 'node:events'
import { hostname, userInfo } from 'node:os'
import type { Bus, Clock, Random } from '../../raft/ports.ts'
import { systemClock, systemRandom } from '../../raft/system.ts'
import { LicdError } from '../error.ts'
import { openNats, poolOfContext, type NatsSource } from '../nats-context.ts'
import { isLabel } from '../protocol/seat-check.ts'
import { seatBounds } from '../protocol/seat.ts'
import { isFeatureName, isServerName } from '../protocol/subject.ts'
import { ClientCore, type Outcome } from './core.ts'
import { Prover } from './prove.ts'
import { Seat, SeatLink, errorOf } from './seat.ts'

export interface ConnectOptions extends NatsSource {
  /** The pool's name. Default: `LICD_POOL`, else that of the context file, else `default`. */
  readonly pool?: string
  /**
   * License servers to live at as long as one of them serves, the best first: the nearest, say. Default:
   * whichever answers first.
   */
  readonly prefer?: string | readonly string[]
  /** Shown in the NATS server's list of connections. */
  readonly name?: string
  /** How long to go on trying while no NATS server answers, milliseconds. Default 5,000. */
  readonly waitMs?: number
  /** Gives up connecting. */
  readonly signal?: AbortSignal
}

export interface AcquireOptions {
  /** How many seats, all or none: 1 to 1,000. Default 1. */
  readonly count?: number
  /** Who uses it, as operators see it. Default: the user of this process. At most 128 characters. */
  readonly user?: string
  /** Where. Default: this host's name. At most 128 characters. */
  readonly host?: string
  /** How long to wait for a seat when all are taken, milliseconds, at most a day. Default: not at all. */
  readonly timeout?: number
  /** Withdraws the request. */
  readonly signal?: AbortSignal
}

export interface ClientEvents {
  /** The server the client lives at has changed; undefined while it looks for one. */
  readonly server: [server: string | undefined]
  /** The link to NATS is down. Seats stay valid for what they were promised. */
  readonly disconnected: []
  readonly connected: []
}

/**
 * A connection to a pool of license servers. It keeps the process alive until it is closed.
 *
 * One client serves any number of seats: their renewals travel in one message.
 */
export class Client extends EventEmitter<ClientEvents> {
  readonly pool: string
  readonly #core: ClientCore
  readonly #prover: Prover
  readonly #closeBus: () => Promise<void>
  #closing: Promise<void> | undefined

  /** For {@link connect} and tests. @internal */
  constructor(
    ports: { bus: Bus; clock: Clock; random: Random },
    options: { pool: string; prefer?: readonly string[]; closeBus: () => Promise<void> },
  ) {
    super()
    this.pool = options.pool
    this.#closeBus = options.closeBus
    this.#prover = new Prover(ports, options.pool)
    this.#core = new ClientCore(ports, {
      pool: options.pool,
      ...(options.prefer === undefined ? {} : { prefer: options.prefer }),
      onServer: server => queueMicrotask(() => this.emit('server', server)),
    })
    ports.bus.onStatus(status => {
      const name = status === 'up' ? 'connected' : 'disconnected'
      queueMicrotask(() => this.emit(name))
    })
  }

  /** The license server this client lives at; undefined while it looks for one. */
  get server(): string | undefined {
    return this.#core.server
  }

  /**
   * Asks for seats of a feature.
   *
   * @example
   * ```ts
   * const seat = await client.acquire('cad', { timeout: 60_000 })
   * try {
   *   await draw(seat.signal)
   * } finally {
   *   await seat.release()
   * }
   * ```
   *
   * @throws LicdError LICD_NO_SEAT (all are taken, and no `timeout` was given), LICD_TIMEOUT (none came free in
   *   time), LICD_UNKNOWN_FEATURE (or its codes ended), LICD_BAD_COUNT, LICD_BAD_REQUEST (an argument is not as documented),
   *   LICD_TOO_MANY_WAITING, LICD_TOO_MANY_SEATS, LICD_NO_SERVER (none answers), LICD_NO_LEASE or LICD_NOT_SERVING
   *   (none may grant), LICD_ABORTED (`signal`), LICD_CLOSED
   */
  acquire(feature: string, options: AcquireOptions = {}): Promise<Seat> {
    const { count = 1, user = userName(), host = hostname(), timeout, signal } = options
    const fault = faultOf(feature, { count, user, host, timeout })
    if (fault !== undefined) return Promise.reject(fault)
    if (signal?.aborted === true) return Promise.reject(aborted(signal))
    return new Promise((resolve, reject) => {
      const link = new SeatLink()
      const finish = (outcome: Outcome): void => {
        if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort)
        if (outcome.ok) resolve(new Seat(outcome.hold, link, this.#prover))
        else if (outcome.code === 'LICD_ABORTED' && signal !== undefined) reject(aborted(signal))
        else reject(errorOf(outcome))
      }
      const request = { feature, count, user, host, waitMs: timeout === 0 ? undefined : timeout }
      const giveUp = this.#core.acquire(request, link, finish)
      const onAbort = signal && (() => giveUp({ code: 'LICD_ABORTED', detail: '' }))
      if (onAbort !== undefined) signal?.addEventListener('abort', onAbort)
    })
  }

  /**
   * Releases all seats, gives up all requests (they reject with LICD_CLOSED) and closes the connection. Takes at
   * most about two seconds, never rejects; twice does no harm.
   */
  close(): Promise<void> {
    this.#closing ??= new Promise<void>(resolve => this.#core.close(resolve)).then(this.#closeBus)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/**
 * Connects to a pool of license servers over NATS.
 *
 * Where NATS is and how to get in: `options.nats`, else `LICD_NATS` or `NATS_URL`, else the context file
 * (`options.context`, `LICD_CONTEXT`), else the selected context of the `nats` program, else `nats://127.0.0.1:4222`. The license servers find themselves: there is no list of them to configure.
 *
 * @example
 * ```ts
 * import { connect } from 'licd'
 *
 * await using client = await connect()
 * await using seat = await client.acquire('cad')
 * ```
 *
 * @throws LicdError LICD_NATS_UNREACHABLE, LICD_NATS_REFUSED (credentials), LICD_BAD_CONFIG (an option, the
 *   pool's name or a context file is wrong), LICD_BAD_KEY (others may read a secret file), LICD_ABORTED (`signal`)
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const { name, waitMs = 5_000, signal } = options
  const prefer = typeof options.prefer === 'string' ? [options.prefer] : (options.prefer ?? [])
  if (!prefer.every(isServerName)) {
    throw new LicdError('LICD_BAD_CONFIG', '`prefer` names what can be no server.')
  }
  const ofContext = await poolOfContext(options, 'client')
  const pool = options.pool ?? (process.env.LICD_POOL || ofContext || 'default')
  const bus = await openNats(options, {
    ...(name === undefined ? {} : { name }),
    ...(signal === undefined ? {} : { signal }),
    waitMs,
  })
  const ports = { bus, clock: systemClock, random: systemRandom }
  try {
    return new Client(ports, { pool, prefer, closeBus: () => bus.close() })
  } catch (error) {
    await bus.close()
    throw error
  }
}

/** What was found good: the same few texts come with every request. Bounded: at the bound all are forgotten. */
class Found {
  static readonly #most = 1_000
  readonly #judge: (text: string) => boolean
  readonly #good = new Set<string>()

  constructor(judge: (text: string) => boolean) {
    this.#judge = judge
  }

  isGood(text: string): boolean {
    if (this.#good.has(text)) return true
    if (!this.#judge(text)) return false
    if (this.#good.size >= Found.#most) this.#good.clear()
    this.#good.add(text)
    return true
  }
}

const features = new Found(isFeatureName)
const labels = new Found(isLabel)

/** Arguments are judged before anything is sent; servers judge them again. */
function faultOf(
  feature: string,
  options: { count: number; user: string; host: string; timeout: number | undefined },
): LicdError | undefined {
  const { count, user, host, timeout = 0 } = options
  const bad = (detail: string) => new LicdError('LICD_BAD_REQUEST', detail)
  if (!features.isGood(feature)) return bad(`${JSON.stringify(feature)} is no name of a feature.`)
  if (!Number.isInteger(count) || count < 1 || count > seatBounds.countMax) {
    return new LicdError('LICD_BAD_COUNT', `1 to ${seatBounds.countMax}, not ${count}.`)
  }
  if (!labels.isGood(user)) return bad('`user` is not up to 128 printable characters.')
  if (!labels.isGood(host)) return bad('`host` is not up to 128 printable characters.')
  if (!(timeout >= 0 && timeout <= seatBounds.waitMaxMs)) {
    return bad(`\`timeout\` is not 0 to ${seatBounds.waitMaxMs} milliseconds.`)
  }
  return undefined
}

function aborted(signal: AbortSignal): LicdError {
  return new LicdError('LICD_ABORTED', undefined, { cause: signal.reason })
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A process may run as a user that the system has no name for (containers).
    return `uid-${process.getuid?.() ?? 'unknown'}`
  }
}
