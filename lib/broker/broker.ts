/**
 * A broker that speaks core NATS, so that `licd dev` needs nothing but Node. NOT for production.
 *
 * It has what licd uses: publish and subscribe, wildcards, queue groups, headers, the no-responders notice. It
 * has no accounts, no permissions, no TLS, no cluster and no JetStream, asks for no credentials and therefore
 * listens on loopback alone. One suite of tests runs against it and against nats-server.
 *
 * Invariant: no byte from a client makes it throw or hold more than the bounds in `BrokerOptions`.
 */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { LicdError } from '../error.ts'
import { Connection, type Subscription } from './connection.ts'
import { Parser, type Operation, type Publish, type Subscribe } from './parser.ts'
import { isPattern, isSubject, matches, RoutingTable } from './subject.ts'

export interface BrokerOptions {
  /** A loopback address; `127.0.0.1` when absent. Any other is refused with LICD_BAD_CONFIG. */
  readonly host?: string
  /** 0, and absent, is any free one. */
  readonly port?: number
  /** Largest payload with headers, in bytes; 1 MiB when absent. A larger one ends the connection. */
  readonly maxPayload?: number
  /** Bytes that may wait for one client, 16 MiB when absent; at the bound it is cut off. */
  readonly maxPending?: number
  /** Clients at a time, 4096 when absent; one more is told so and closed. */
  readonly maxConnections?: number
  /** Subscriptions of one client, 16,384 when absent; one more is refused, the connection goes on. */
  readonly maxSubscriptions?: number
}

/** What has happened so far, for the log and the tests. */
export interface BrokerCounts {
  readonly connections: number
  readonly subscriptions: number
  /** Clients cut off since they did not read. */
  readonly slowConsumers: number
  /** Clients closed for what they sent. */
  readonly faults: number
}

export interface Broker {
  /** `nats://127.0.0.1:<port>` */
  readonly url: string
  readonly port: number
  counts(): BrokerCounts
  /** Says good-bye to all clients and stops listening. Twice does no harm. */
  stop(): Promise<void>
}

/** What nats-server reports as the protocol level of the features above. */
const version = '2.9.0'
const serverName = 'licd-dev-broker-not-for-production'

/**
 * Starts a broker and resolves when it listens.
 *
 * Rejects with LICD_BAD_CONFIG when the host is not loopback or the port cannot be had.
 */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const host =
    options.host === undefined || options.host === 'localhost' ? '127.0.0.1' : options.host
  if (!isLoopback(host)) {
    throw new LicdError(
      'LICD_BAD_CONFIG',
      `The built-in broker asks for no credentials, so it listens on loopback alone, not on ${host}.`,
    )
  }
  const server = createServer()
  await listen(server, host, options.port ?? 0)
  return new Running(server, host, options)
}

function isLoopback(host: string): boolean {
  return host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (cause: unknown) =>
      reject(
        new LicdError('LICD_BAD_CONFIG', `The built-in broker cannot use ${host}:${port}.`, {
          cause,
        }),
      )
    server.once('error', refuse)
    try {
      server.listen({ host, port }, () => {
        server.off('error', refuse)
        resolve()
      })
    } catch (cause) {
      // A port that is none is thrown, not emitted.
      refuse(cause)
    }
  })
}

class Running implements Broker {
  readonly port: number
  readonly url: string
  readonly #server: Server
  readonly #host: string
  readonly #bounds: Required<Omit<BrokerOptions, 'host' | 'port'>>
  readonly #table = new RoutingTable<Subscription>()
  readonly #connections = new Set<Connection>()
  readonly #unflushed = new Set<Connection>()
  readonly #chance = new Chance()
  readonly #closed: Promise<void>
  #lastId = 0
  #slowConsumers = 0
  #faults = 0

  constructor(server: Server, host: string, options: BrokerOptions) {
    this.#server = server
    this.#host = host
    this.#bounds = {
      maxPayload: options.maxPayload ?? 1024 * 1024,
      maxPending: options.maxPending ?? 16 * 1024 * 1024,
      maxConnections: options.maxConnections ?? 4096,
      maxSubscriptions: options.maxSubscriptions ?? 16_384,
    }
    this.port = (server.address() as AddressInfo).port
    this.url = `nats://${host.includes(':') ? `[${host}]` : host}:${this.port}`
    this.#closed = new Promise(resolve => server.once('close', resolve))
    // Those that are told so linger; of them, too, there may be only so many.
    server.maxConnections = this.#bounds.maxConnections + 64
    server.on('connection', socket => this.#welcome(socket))
    // A failed accept (no more file descriptors) concerns the one client that came; the others go on.
    server.on('error', () => undefined)
  }

  counts(): BrokerCounts {
    let subscriptions = 0
    for (const connection of this.#connections) subscriptions += connection.subscriptions.size
    return {
      connections: this.#connections.size,
      subscriptions,
      slowConsumers: this.#slowConsumers,
      faults: this.#faults,
    }
  }

  async stop(): Promise<void> {
    if (this.#server.listening) this.#server.close()
    for (const connection of this.#connections) connection.close()
    await this.#closed
  }

  #welcome(socket: Socket): void {
    const connection = new Connection(socket, {
      id: ++this.#lastId,
      pendingMax: this.#bounds.maxPending,
      onSlow: () => void this.#slowConsumers++,
    })
    this.#connections.add(connection)
    const parser = new Parser({ payloadMax: this.#bounds.maxPayload })
    socket.on('data', chunk => {
      for (const operation of parser.read(chunk)) {
        // What follows the operation that ended the connection is not looked at.
        if (connection.closed) break
        this.#handle(connection, operation)
      }
      this.#flush()
    })
    // An error is always followed by 'close', and all there is to do is done there.
    socket.on('error', () => undefined)
    socket.on('close', () => this.#farewell(connection))
    connection.line(`INFO ${JSON.stringify(this.#info(connection, socket))}`)
    if (this.#connections.size > this.#bounds.maxConnections) {
      connection.close('maximum connections exceeded')
    }
    connection.flush()
  }

  #info(connection: Connection, socket: Socket): Record<string, unknown> {
    return {
      server_id: serverName,
      server_name: serverName,
      version,
      proto: 1,
      host: this.#host,
      port: this.port,
      headers: true,
      max_payload: this.#bounds.maxPayload,
      client_id: connection.id,
      client_ip: socket.remoteAddress ?? this.#host,
    }
  }

  #farewell(connection: Connection): void {
    connection.destroy()
    for (const subscription of connection.subscriptions.values()) this.#table.remove(subscription)
    connection.subscriptions.clear()
    this.#connections.delete(connection)
    this.#unflushed.delete(connection)
  }

  #handle(connection: Connection, operation: Operation): void {
    this.#unflushed.add(connection)
    switch (operation.type) {
      case 'publish':
        return this.#publish(connection, operation)
      case 'subscribe':
        return this.#subscribe(connection, operation)
      case 'unsubscribe':
        return this.#unsubscribe(connection, operation)
      case 'connect':
        connection.options = operation.options
        return connection.ok()
      case 'ping':
        return connection.line('PONG')
      case 'pong':
        return
      case 'fault':
        this.#faults++
        return connection.close(operation.fault)
    }
  }

  #subscribe(connection: Connection, { subject, queue, sid }: Subscribe): void {
    if (!isPattern(subject)) return connection.line("-ERR 'Invalid Subject'")
    // A second one of the same number changes nothing, as in nats-server.
    if (!connection.subscriptions.has(sid)) {
      if (connection.subscriptions.size >= this.#bounds.maxSubscriptions) {
        return connection.line("-ERR 'maximum subscriptions exceeded'")
      }
      const subscription = { connection, subject, queue, sid, delivered: 0, max: undefined }
      connection.subscriptions.set(sid, subscription)
      this.#table.add(subscription)
    }
    connection.ok()
  }

  /** With a `max` that is still ahead the subscription goes on until it; otherwise it is over now. */
  #unsubscribe(
    connection: Connection,
    { sid, max }: { readonly sid: string; readonly max: number | undefined },
  ): void {
    const subscription = connection.subscriptions.get(sid)
    if (subscription !== undefined) {
      if (max !== undefined && max > subscription.delivered) subscription.max = max
      else this.#remove(subscription)
    }
    connection.ok()
  }

  #remove(subscription: Subscription): void {
    subscription.connection.subscriptions.delete(subscription.sid)
    this.#table.remove(subscription)
  }

  #publish(from: Connection, message: Publish): void {
    if (message.headerBytes > 0 && !from.options.headers) {
      this.#faults++
      return from.close('message headers not supported')
    }
    if (from.options.pedantic && !isSubject(message.subject)) {
      // Said, and then delivered all the same, as nats-server does.
      from.line("-ERR 'Invalid Publish Subject'")
    }
    from.ok()
    const { plain, queues } = this.#table.route(message.subject)
    let delivered = false
    for (const subscription of plain) {
      delivered = this.#deliver(from, subscription, message) || delivered
    }
    for (const members of queues.values()) {
      delivered = this.#deliverToOne(from, members, message) || delivered
    }
    if (!delivered && message.reply !== undefined) this.#noResponders(from, message.reply)
  }

  /** A random member that can take it, as in nats-server. */
  #deliverToOne(from: Connection, members: readonly Subscription[], message: Publish): boolean {
    const first = this.#chance.below(members.length)
    for (let step = 0; step < members.length; step++) {
      const member = members[(first + step) % members.length]
      if (member !== undefined && this.#deliver(from, member, message)) return true
    }
    return false
  }

  #deliver(from: Connection, subscription: Subscription, message: Publish): boolean {
    const { connection, sid } = subscription
    if (connection === from && !from.options.echo) return false
    if (!connection.message(sid, message)) return false
    this.#unflushed.add(connection)
    subscription.delivered++
    if (subscription.max !== undefined && subscription.delivered >= subscription.max) {
      this.#remove(subscription)
    }
    return true
  }

  /** Tells the publisher at once that nobody listens, where it has asked to be told and listens for it. */
  #noResponders(from: Connection, reply: string): void {
    if (!from.options.noResponders) return
    for (const { subject, sid } of from.subscriptions.values()) {
      if (!matches(subject, reply)) continue
      const data = Buffer.from('NATS/1.0 503\r\n\r\n')
      const notice = {
        type: 'publish',
        subject: reply,
        reply: undefined,
        headerBytes: 16,
        data,
      } as const
      from.message(sid, notice)
      return
    }
  }

  /** One write to each client for all that one chunk of input caused. */
  #flush(): void {
    for (const connection of this.#unflushed) connection.flush()
    this.#unflushed.clear()
  }
}

/** Spreads work over the members of a queue (xorshift32). Always the same series: nothing depends on it. */
class Chance {
  #state = 0x2545f491

  below(count: number): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 0) % count
  }
}
