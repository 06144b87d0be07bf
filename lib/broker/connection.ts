/**
 * One client of the broker: its options, its subscriptions, and what waits to be sent to it.
 *
 * Sending never waits and never throws. A client that does not read what it is sent is cut off at
 * `pendingMax`, so that one slow client costs the others nothing and the broker bounded memory.
 *
 * Invariant: after `close` or the socket's end, nothing is delivered and nothing is read.
 */
import type { Socket } from 'node:net'
import type { ConnectOptions, Publish } from './parser.ts'
import type { Interest } from './subject.ts'

/** A connection that was closed from here may linger this long to read its last words, in milliseconds. */
const lingerMs = 1_000
/** Smaller messages are copied into one buffer with their control line; larger ones are sent without a copy. */
const copiedBytesMax = 4096

const lineEnd = Buffer.from('\r\n')
/** What nats-server takes for granted until CONNECT says otherwise. */
const untilConnected: ConnectOptions = {
  verbose: true,
  pedantic: true,
  echo: true,
  headers: false,
  noResponders: false,
}

export interface Subscription extends Interest {
  readonly connection: Connection
  readonly sid: string
  /** Messages delivered so far, and the number after which it is over (`UNSUB sid max`). */
  delivered: number
  max: number | undefined
}

export class Connection {
  readonly id: number
  readonly subscriptions = new Map<string, Subscription>()
  options: ConnectOptions = untilConnected
  readonly #socket: Socket
  readonly #pendingMax: number
  readonly #onSlow: () => void
  #closed = false
  #corked = false

  constructor(
    socket: Socket,
    options: { readonly id: number; readonly pendingMax: number; readonly onSlow: () => void },
  ) {
    this.#socket = socket
    this.id = options.id
    this.#pendingMax = options.pendingMax
    this.#onSlow = options.onSlow
    socket.setNoDelay(true)
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Sends a control line; its line end is added here. */
  line(text: string): void {
    if (this.#closed) return
    this.#write(Buffer.from(`${text}\r\n`, 'latin1'))
  }

  /** `+OK`, to a client that asked for it. */
  ok(): void {
    if (this.options.verbose) this.line('+OK')
  }

  /** True when the message is on its way; false when the connection is closed, or was over its bound. */
  message(sid: string, message: Publish): boolean {
    if (this.#closed) return false
    const { subject, reply } = message
    const withHeaders = message.headerBytes > 0 && this.options.headers
    // A client that does not know headers gets the payload alone.
    const data = withHeaders ? message.data : message.data.subarray(message.headerBytes)
    const to = reply === undefined ? `${subject} ${sid}` : `${subject} ${sid} ${reply}`
    const control = withHeaders
      ? `HMSG ${to} ${message.headerBytes} ${data.length}\r\n`
      : `MSG ${to} ${data.length}\r\n`
    if (data.length > copiedBytesMax) {
      this.#write(Buffer.from(control, 'latin1'), data, lineEnd)
    } else {
      const bytes = Buffer.allocUnsafe(control.length + data.length + 2)
      bytes.write(control, 'latin1')
      bytes.set(data, control.length)
      bytes.set(lineEnd, control.length + data.length)
      this.#write(bytes)
    }
    return !this.#closed
  }

  /** Sends what was held back since the last call in one go. */
  flush(): void {
    if (!this.#corked) return
    this.#corked = false
    this.#socket.uncork()
  }

  /** Sends what is pending, `-ERR` included if there is a reason, and ends; what still comes in is thrown away. */
  close(reason?: string): void {
    if (this.#closed) return
    if (reason !== undefined) this.line(`-ERR '${reason}'`)
    this.flush()
    this.#closed = true
    this.#socket.end()
    // Destroying it now could lose the last words: a peer that still sends would be answered by a reset.
    const timer = setTimeout(() => this.#socket.destroy(), lingerMs)
    this.#socket.once('close', () => clearTimeout(timer))
    this.#socket.resume()
  }

  /** Cuts the connection, whatever is pending. */
  destroy(): void {
    this.#closed = true
    this.#socket.destroy()
  }

  #write(...parts: readonly Buffer[]): void {
    if (!this.#corked) {
      this.#corked = true
      this.#socket.cork()
    }
    for (const part of parts) this.#socket.write(part)
    if (this.#socket.writableLength > this.#pendingMax) {
      this.#onSlow()
      this.destroy()
    }
  }
}
