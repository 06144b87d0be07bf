/**
 * As much of PostgreSQL's protocol (version 3) as a bench needs: trust, plain text, prepared statements. One statement
 * is under way at a time on a connection.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

type Done = (failure: string | undefined, rows: number) => void

const protocol = 196_608
const headBytes = 5

export class PostgresConnection {
  readonly #socket: Socket
  #rest: Buffer = Buffer.alloc(0)
  #done: Done | undefined
  #failure: string | undefined
  #rows = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (data: Buffer) => this.#read(data))
    socket.on('error', error => this.#finish(String(error)))
    socket.on('close', () => this.#finish('closed'))
  }

  static async connect(url: string): Promise<PostgresConnection> {
    const { hostname, port, username, pathname } = new URL(url)
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    await once(socket, 'connect')
    const connection = new PostgresConnection(socket)
    const words = `user\0${username}\0database\0${pathname.slice(1)}\0\0`
    const version = Buffer.alloc(4)
    version.writeInt32BE(protocol)
    await connection.#ask(withLength(Buffer.concat([version, Buffer.from(words)])))
    return connection
  }

  /** Any statements, one after another. */
  async query(text: string): Promise<void> {
    await this.#ask(message('Q', Buffer.from(`${text}\0`)))
  }

  async prepare(name: string, text: string): Promise<void> {
    const body = Buffer.concat([Buffer.from(`${name}\0${text}\0`), Buffer.alloc(2)])
    await this.#ask(Buffer.concat([message('P', body), message('S', Buffer.alloc(0))]))
  }

  /** What runs a prepared statement with its parameters, made once. */
  static bound(name: string, parameters: readonly string[]): Buffer {
    const values = parameters.flatMap(text => {
      const bytes = Buffer.from(text)
      return [int32(bytes.length), bytes]
    })
    const head = [Buffer.from(`\0${name}\0`), int16(0), int16(parameters.length)]
    const bind = message('B', Buffer.concat([...head, ...values, int16(0)]))
    const execute = message('E', Buffer.concat([Buffer.from('\0'), int32(0)]))
    return Buffer.concat([bind, execute, message('S', Buffer.alloc(0))])
  }

  run(bound: Buffer, done: Done): void {
    this.#done = done
    this.#socket.write(bound)
  }

  close(): void {
    this.#socket.destroy()
  }

  #ask(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.run(bytes, failure => (failure === undefined ? resolve() : reject(new Error(failure))))
    })
  }

  #read(data: Buffer): void {
    this.#rest = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data])
    while (this.#rest.length >= headBytes) {
      const length = this.#rest.readInt32BE(1) + 1
      if (this.#rest.length < length) return
      const type = String.fromCharCode(this.#rest[0] ?? 0)
      const body = this.#rest.subarray(headBytes, length)
      this.#rest = this.#rest.subarray(length)
      if (type === 'E') this.#failure = body.toString('utf8').replaceAll('\0', ' ')
      else if (type === 'D') this.#rows++
      else if (type === 'Z') this.#finish(this.#failure)
    }
  }

  #finish(failure: string | undefined): void {
    const done = this.#done
    const rows = this.#rows
    this.#done = undefined
    this.#failure = undefined
    this.#rows = 0
    done?.(failure, rows)
  }
}

function message(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type), withLength(body)])
}

function withLength(body: Buffer): Buffer {
  return Buffer.concat([int32(body.length + 4), body])
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}
