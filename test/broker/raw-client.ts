/**
 * A NATS client of nothing but a socket, for what a proper client would never send.
 */
import { createConnection, type Socket } from 'node:net'
import { once } from 'node:events'

export class RawClient implements AsyncDisposable {
  /** All that has come in so far; Latin-1, so that bytes stay what they are. */
  received = ''
  readonly closed: Promise<void>
  readonly #socket: Socket
  #looking: (() => void)[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    this.closed = new Promise(resolve => socket.once('close', () => resolve()))
    socket.setEncoding('latin1')
    socket.on('error', () => undefined)
    socket.on('data', (chunk: string) => {
      this.received += chunk
      this.#look()
    })
    socket.once('close', () => this.#look())
  }

  /** With `stays`, it does not hang up when the broker does. */
  static async open(port: number, options: { readonly stays?: boolean } = {}): Promise<RawClient> {
    const allowHalfOpen = options.stays ?? false
    const socket = createConnection({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen })
    const client = new RawClient(socket)
    await once(socket, 'connect')
    await client.until('INFO ')
    return client
  }

  /** Opens, sends CONNECT with these options and waits until they count. */
  static async connect(port: number, options: Record<string, unknown> = {}): Promise<RawClient> {
    const client = await RawClient.open(port)
    await client.talk(
      `CONNECT ${JSON.stringify({ verbose: false, pedantic: false, ...options })}\r\n`,
    )
    client.received = ''
    return client
  }

  send(data: string | Buffer): void {
    this.#socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data)
  }

  /** Resolves with all received when it contains `text`; rejects when the connection ends first. */
  async until(text: string): Promise<string> {
    while (!this.received.includes(text)) {
      if (this.#socket.destroyed) {
        throw new Error(`closed before ${JSON.stringify(text)} came: ${this.received.slice(-200)}`)
      }
      await new Promise<void>(resolve => this.#looking.push(resolve))
    }
    return this.received
  }

  /** Sends, then waits until the broker has handled it; returns what it said to it. */
  async talk(data: string | Buffer): Promise<string> {
    this.received = ''
    this.send(data)
    this.send('PING\r\n')
    return (await this.until('PONG\r\n')).replace('PONG\r\n', '')
  }

  /** Stops reading, so that what is sent here piles up at the sender. */
  deaf(): void {
    this.#socket.pause()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    await this.closed
  }

  #look(): void {
    const looking = this.#looking
    this.#looking = []
    for (const look of looking) look()
  }
}
