/**
 * What the shells need of the outside world, and nothing more: time, chance, a message bus and a disk.
 *
 * Everything that is not a pure core takes these as parameters. In production they are the adapters in
 * `system.ts`, `nats-bus.ts` and `level-storage.ts`; in the simulator they are parts of one seeded world, so
 * that one seed replays one run. All of them speak in callbacks, never in promises: the order of events is
 * then the order of calls, and nothing happens between them.
 */

/** A running timer. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void
}

/** Time as one process sees it. */
export interface Clock {
  /** Milliseconds on a monotonic clock, fractions included; the origin means nothing. */
  now(): number
  /** Milliseconds since 1970 by the wall. For reports and the calendar (R10), never for leases. */
  wall(): number
  /**
   * Milliseconds since boot, counting the time the host was suspended, or `undefined` where the system cannot
   * tell. Running ahead of `now()` is how a suspended laptop or host is noticed (R4).
   */
  uptime(): number | undefined
  /** Calls `fire` once, after at least `ms` (0 and up) have passed on the monotonic clock. */
  after(ms: number, fire: () => void): Timer
  /** Calls `run` after the I/O that is ready now has been handled. */
  defer(run: () => void): void
}

/** Chance. One seeded stream per process in the simulator. */
export interface Random {
  /** A number in [0, 1). */
  next(): number
  /** A fresh identifier: 22 characters of `A-Z a-z 0-9`, at least 128 bits of chance. */
  id(): string
}

/** A message as it arrives. `data` is valid for good: adapters copy what they do not own. */
export interface BusMessage {
  readonly subject: string
  readonly data: Uint8Array
  /** Where an answer is awaited; absent when none is. */
  readonly reply?: string
  /** True when the broker itself answers that nobody listens on the subject (NATS status 503). */
  readonly noResponders: boolean
  /** The value of a header, or `undefined`. */
  header(name: string): string | undefined
}

export interface Subscription {
  unsubscribe(): void
}

export interface PublishOptions {
  /** Subject on which an answer, or the broker's no-responders notice, is to arrive. */
  readonly reply?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface SubscribeOptions {
  /** One subscriber of that name gets each message. */
  readonly queue?: string
  /**
   * Looks at a message before anything is made of it, and says whether it is to be handled; `handle` follows at once where
   * it is. `reply`: the reply subject's bytes, empty where there is none, not to be kept. `bytes`: of what it carries, headers
   * included.
   */
  readonly admit?: (reply: Uint8Array, bytes: number) => boolean
}

/**
 * Publish and subscribe with NATS's semantics: at most once, in order per publisher, late at times.
 *
 * `publish` never throws: while the link is down, or when `data` exceeds `maxPayload`, the message is dropped
 * and `false` returned. Handlers run one at a time and must not throw (an adapter that catches one reports it
 * as a bug through its own error handler and goes on).
 */
export interface Bus {
  publish(subject: string, data: Uint8Array, options?: PublishOptions): boolean
  /** `*` and `>` work as in NATS. */
  subscribe(
    subject: string,
    handle: (message: BusMessage) => void,
    options?: SubscribeOptions,
  ): Subscription
  /** A subject prefix that is this connection's own, for replies: subscribe to `${inbox}.>`. */
  readonly inbox: string
  /** Whether the link to the broker is believed up. */
  readonly connected: boolean
  /** The largest payload the broker takes, in bytes. May change after a reconnect. */
  readonly maxPayload: number
  /** Called at each change of `connected`, and once when the bus is closed for good. */
  onStatus(handle: (status: 'up' | 'down' | 'closed') => void): Subscription
}

/** Where a shell reports what an operator may want to know. Must not throw, nor wait. */
export interface Logger {
  debug(event: string, fields?: Readonly<Record<string, unknown>>): void
  info(event: string, fields?: Readonly<Record<string, unknown>>): void
  warn(event: string, fields?: Readonly<Record<string, unknown>>): void
  error(event: string, fields?: Readonly<Record<string, unknown>>): void
}

/** A logger that keeps nothing. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} }
