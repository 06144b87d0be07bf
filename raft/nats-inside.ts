/**
 * What of the NATS client is no part of its interface: its list of servers, its parser, its socket.
 *
 * All of it is looked at before it is used: where the client is not as known here, nothing is changed.
 */
import { Socket } from 'node:net'
import type { Msg, NatsConnection } from 'nats'

/**
 * When the link is lost for the first time the client dials the same address again, though the next one is as good: of
 * a host that is lost it would wait for `dialMs`. It is at the end of the client's list from here on, as after any later loss.
 *
 * The list is no part of the client's interface; where it is not as known here, nothing is changed.
 */
export function turnToNext(connection: NatsConnection): void {
  const protocol: unknown = Reflect.get(connection, 'protocol')
  const servers: unknown = isObject(protocol) ? Reflect.get(protocol, 'servers') : undefined
  const list: unknown = isObject(servers) ? Reflect.get(servers, 'servers') : undefined
  if (!isObject(servers) || !Array.isArray(list)) return
  if (list[0] === Reflect.get(servers, 'currentServer')) list.push(list.shift())
}

/**
 * Servers of a cluster tell of each other. A client that is refused by one and told of the others goes on to those, which
 * tell of the first: round and round, without ever saying so. Hence it hears of others only once it got in.
 */
export function hearOfOthers(connection: NatsConnection, ignores: boolean): void {
  const protocol: unknown = Reflect.get(connection, 'protocol')
  if (ignores || !isObject(protocol)) return
  const options: unknown = Reflect.get(protocol, 'options')
  const servers: unknown = Reflect.get(protocol, 'servers')
  const transport: unknown = Reflect.get(protocol, 'transport')
  if (!isObject(options) || !isObject(servers) || !isObject(transport)) return
  Reflect.set(options, 'ignoreClusterUpdates', false)
  const update: unknown = Reflect.get(servers, 'update')
  const isEncrypted: unknown = Reflect.get(transport, 'isEncrypted')
  if (typeof update !== 'function' || typeof isEncrypted !== 'function') return
  const encrypted: unknown = Reflect.apply(isEncrypted, transport, [])
  Reflect.apply(update, servers, [connection.info, encrypted])
}

/** No part of the client's interface either; undefined where it is not as known here. */
export function socketOf(connection: NatsConnection): Socket | undefined {
  const protocol: unknown = Reflect.get(connection, 'protocol')
  const transport: unknown = isObject(protocol) ? Reflect.get(protocol, 'transport') : undefined
  const socket: unknown = isObject(transport) ? Reflect.get(transport, 'socket') : undefined
  return socket instanceof Socket ? socket : undefined
}

/**
 * What a link reads goes straight to the client's parser, and what is written straight to the socket. The client takes a
 * chunk through an asynchronous iterator and makes promises for each write that nobody waits for: ten turns of the queue
 * of microtasks a message, a cost that a message of few requests feels (docs/performance.md).
 *
 * Where the client is not as known here, nothing is changed. What its parser refuses ends the link, and another is made.
 */
export function shorten(connection: NatsConnection): void {
  const protocol: unknown = Reflect.get(connection, 'protocol')
  const transport: unknown = isObject(protocol) ? Reflect.get(protocol, 'transport') : undefined
  const socket = socketOf(connection)
  if (!isObject(protocol) || !isObject(transport) || socket === undefined) return
  const [queue, ...others] = socket.listeners('data')
  const queued: unknown = Reflect.get(transport, 'yields')
  if (queue === undefined || others.length > 0 || !Array.isArray(queued)) return
  if (!isParser(Reflect.get(protocol, 'parser'))) return
  socket.removeAllListeners('data')
  socket.on('data', (chunk: Buffer) => {
    const parser: unknown = Reflect.get(protocol, 'parser')
    // What came before the link was known to be up may be on its way still; what comes after it was given up is nobody's.
    const waits: unknown = Reflect.get(transport, 'yields')
    const isBehind = !Array.isArray(waits) || waits.length > 0
    const isOver = Reflect.get(protocol, 'transport') !== transport
    if (isBehind || isOver || !isParser(parser)) {
      Reflect.apply(queue, socket, [chunk])
      return
    }
    try {
      parser.parse(chunk)
    } catch (cause) {
      socket.destroy(cause instanceof Error ? cause : undefined)
    }
  })
  Reflect.set(transport, 'send', (frame: Uint8Array) => {
    if (socket.writable) socket.write(frame)
  })
}

const none = new Uint8Array(0)

/**
 * The reply subject of a message as it came, empty where there is none. The client has its bytes, and makes a text of them at
 * a multiple of what a look at them costs; where the client is not as known here, bytes are made of that text.
 */
export function replyBytes(message: Msg): Uint8Array {
  if ('_msg' in message && isObject(message._msg) && 'reply' in message._msg) {
    const { reply } = message._msg
    if (reply instanceof Uint8Array) return reply
    if (reply === undefined) return none
  }
  return message.reply === undefined ? none : Buffer.from(message.reply)
}

/** Bytes of a message's headers and payload; of the payload alone where the client is not as known here. */
export function carriedBytes(message: Msg): number {
  if ('_msg' in message && isObject(message._msg) && 'size' in message._msg) {
    if (typeof message._msg.size === 'number') return message._msg.size
  }
  return message.data.length
}

function isParser(value: unknown): value is { parse(chunk: Uint8Array): void } {
  return isObject(value) && typeof Reflect.get(value, 'parse') === 'function'
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
