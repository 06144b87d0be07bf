/**
 * A client that sends as much as its connection takes: a bare socket that writes frames of NATS's protocol, as fast as
 * the other side reads, and counts what comes back.
 */
import { randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'

export interface Flood {
  readonly sent: number
  readonly ms: number
  /** NATS closed the connection: it reads its answers too slowly, or breaks the protocol. */
  readonly isCutOff: boolean
}

/** A message to send: built anew for each number, or the same for all. */
export type Shot = (n: number) => { readonly subject: string; readonly data: Uint8Array }

/** A flood ends with so many messages, or when so many seconds are over. */
export type Extent = { readonly messages: number } | { readonly seconds: number }

/** Bytes that are handed to the socket at once. */
const chunkBytes = 256 * 1024

export class Flooder {
  /** Messages that came back. */
  answers = 0
  readonly #socket: Socket
  readonly #inbox = `_INBOX.flood${process.pid}.${randomUUID()}`
  #tail = ''
  #isCutOff = false
  #onPong = (): void => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', () => undefined).on('close', () => (this.#isCutOff = true))
    socket.setEncoding('latin1').on('data', (text: string) => this.#read(text))
  }

  static async open(url: string): Promise<Flooder> {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    const flooder = new Flooder(socket)
    socket.write(
      `CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\nSUB ${flooder.#inbox} 1\r\n`,
    )
    return flooder
  }

  /** Sends; resolves when the broker has taken it all, or has cut this client off. */
  async fire(extent: Extent, shot: Shot): Promise<Flood> {
    const start = performance.now()
    const isMore = (n: number): boolean =>
      'messages' in extent
        ? n < extent.messages
        : performance.now() - start < extent.seconds * 1_000
    let parts: Buffer[] = []
    let bytes = 0
    const flush = async (): Promise<void> => {
      const isRoom = this.#socket.write(Buffer.concat(parts))
      parts = []
      bytes = 0
      // A turn of the loop: where the other side reads fast, `drain` comes without one, and nobody else here would run.
      await new Promise(resolve => setImmediate(resolve))
      if (isRoom || this.#isCutOff || !this.#socket.writableNeedDrain) return
      await new Promise<void>(resolve => {
        const go = (): void => {
          this.#socket.off('drain', go).off('close', go)
          resolve()
        }
        this.#socket.once('drain', go).once('close', go)
      })
    }
    let n = 0
    for (; !this.#isCutOff && isMore(n); n++) {
      const { subject, data } = shot(n)
      const frame = Buffer.concat([
        Buffer.from(`PUB ${subject} ${this.#inbox} ${data.length}\r\n`),
        data,
        Buffer.from('\r\n'),
      ])
      parts.push(frame)
      bytes += frame.length
      if (bytes >= chunkBytes) await flush()
    }
    await flush()
    return { sent: n, ms: performance.now() - start, isCutOff: this.#isCutOff }
  }

  /** Resolves when the broker has taken all that was sent. */
  async arrived(): Promise<void> {
    const arrived = new Promise<void>(resolve => (this.#onPong = resolve))
    this.#socket.write('PING\r\n')
    await arrived
  }

  /** Only the heads of messages are counted; what they hold is another test's business. */
  #read(text: string): void {
    const whole = this.#tail + text
    for (let at = whole.indexOf('\r\nMSG '); at >= 0; at = whole.indexOf('\r\nMSG ', at + 1)) {
      this.answers++
    }
    if (whole.startsWith('PING') || whole.includes('\r\nPING\r\n')) this.#socket.write('PONG\r\n')
    if (whole.includes('PONG\r\n')) this.#onPong()
    this.#tail = whole.slice(-5)
  }

  close(): void {
    this.#socket.destroy()
  }
}
