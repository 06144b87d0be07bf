/**
 * A small HTTP server that cannot take its process down: GET alone, bounded in connections, header bytes and time.
 *
 * What it cannot do is answered with a status and a JSON body that has a `code`; what a handler throws is a 500 and
 * a line in the log. A port that is taken is tried again, or another one taken where none was asked for by name.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Logger } from '../../raft/ports.ts'
import { codes, LicdError, type Code } from '../error.ts'
import { isLoopback, isOwnHost, urlOf, type HttpAddress } from './address.ts'

/** Beyond it a connection is closed as it comes. */
const connectionsMax = 128
const headerBytesMax = 8 * 1024
const urlMax = 2 * 1024
const requestMs = 10_000
const keepAliveMs = 5_000
/** A port that was asked for and is taken is tried again after so long. */
const retryMs = 5_000

export interface HttpRequest {
  readonly path: string
  readonly query: URLSearchParams
  header(name: string): string | undefined
}

export interface HttpAnswer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

/** Takes the connection over instead of answering: for a stream of events. */
export type Stream = (response: ServerResponse) => void

export type Handle = (request: HttpRequest) => HttpAnswer | Stream | Promise<HttpAnswer | Stream>

export interface ListenerOptions {
  readonly address: HttpAddress
  /** The address was not asked for by name: where its port is taken another will do. */
  readonly isDefault: boolean
  /** What others call it, where that is another name: a proxy's. */
  readonly knownAs?: string
  readonly handle: Handle
  readonly log: Logger
}

const always: Readonly<Record<string, string>> = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
}

export class Listener {
  readonly #options: ListenerOptions
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #retry: NodeJS.Timeout | undefined
  #url: string
  #port: number
  #isClosed = false

  constructor(options: ListenerOptions) {
    this.#options = options
    this.#url = urlOf(options.address)
    this.#port = options.address.port
    this.#server = createServer(
      { maxHeaderSize: headerBytesMax, requestTimeout: requestMs, headersTimeout: requestMs },
      (request, response) => void this.#answer(request, response),
    )
    this.#server.maxConnections = connectionsMax
    this.#server.keepAliveTimeout = keepAliveMs
    this.#server.on('connection', socket => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    this.#server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
      else socket.destroy()
    })
  }

  /** Where others find it: `http://host:port`, by the port asked for until it listens. */
  get url(): string {
    return this.#options.knownAs ?? this.#url
  }

  /** Resolves once it listens, or has found that it cannot yet: it never fails for good. */
  async start(): Promise<void> {
    const { address, isDefault, log } = this.#options
    const problem = await this.#listen(this.#port)
    if (this.#isClosed) return
    if (problem === undefined) {
      log.info('http', { url: this.#url })
      if (!isLoopback(address.host)) log.warn('http-open', { url: this.#url })
      return
    }
    if (isDefault && this.#port !== 0) {
      this.#port = 0
      await this.start()
      return
    }
    log.error('http-unavailable', { url: this.#url, error: problem.message, retryMs })
    this.#retry = setTimeout(() => void this.start(), retryMs).unref()
  }

  /** Ends all connections. Twice does no harm. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#retry)
    for (const socket of this.#sockets) socket.destroy()
    if (!this.#server.listening) return
    await new Promise<void>(resolve => this.#server.close(() => resolve()))
  }

  #listen(port: number): Promise<Error | undefined> {
    const server = this.#server
    const { host } = this.#options.address
    return new Promise(resolve => {
      const done = (error?: Error): void => {
        server.removeListener('error', done)
        server.removeListener('listening', done)
        const bound = server.address()
        if (error === undefined && bound !== null && typeof bound === 'object') {
          this.#url = urlOf({ host, port: bound.port })
          server.on('error', cause => this.#options.log.error('http', { error: cause }))
        }
        resolve(error)
      }
      server.once('error', done)
      server.once('listening', done)
      server.listen({ port, host, exclusive: true })
    })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy())
    try {
      const answer = await this.#handle(request)
      if (response.destroyed) return
      if (typeof answer === 'function') answer(response)
      else send(request, response, answer)
    } catch (error) {
      if (!(error instanceof LicdError)) this.#options.log.error('http-failed', { error })
      if (response.headersSent) response.destroy()
      else send(request, response, refusal(error))
    }
  }

  async #handle(request: IncomingMessage): Promise<HttpAnswer | Stream> {
    const { method, url = '/', headers } = request
    if (method !== 'GET' && method !== 'HEAD') {
      const headers = { Allow: 'GET, HEAD', Connection: 'close' }
      return { ...failure(405, 'LICD_BAD_REQUEST', 'This address is for reading alone.'), headers }
    }
    if (url.length > urlMax || !URL.canParse(url, 'http://licd')) {
      return failure(414, 'LICD_TOO_LARGE', `An address has at most ${urlMax} characters.`)
    }
    if (isLoopback(this.#options.address.host) && !isOwnHost(headers.host, this.url)) {
      return failure(421, 'LICD_BAD_REQUEST', 'This server goes by another name (--http-url).')
    }
    const { pathname, searchParams } = new URL(url, 'http://licd')
    return await this.#options.handle({
      path: pathname,
      query: searchParams,
      header: name => {
        const value = headers[name]
        return typeof value === 'string' ? value : undefined
      },
    })
  }
}

/** An answer that says what was wrong, for programs by `code`. */
export function failure(status: number, code: Code, message: string): HttpAnswer {
  return json({ error: { code, message } }, status)
}

export function json(value: unknown, status = 200): HttpAnswer {
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' },
    body: JSON.stringify(value),
  }
}

const statuses: Readonly<Partial<Record<Code, number>>> = {
  LICD_BAD_REQUEST: 400,
  LICD_UNKNOWN_FEATURE: 404,
  LICD_TOO_LARGE: 413,
  LICD_INTERNAL: 500,
  LICD_TOO_BUSY: 503,
}

function refusal(error: unknown): HttpAnswer {
  if (!(error instanceof LicdError)) return failure(500, 'LICD_INTERNAL', codes.LICD_INTERNAL)
  const { code, message } = error
  return failure(statuses[code] ?? 502, code, message)
}

function send(request: IncomingMessage, response: ServerResponse, answer: HttpAnswer): void {
  const { status = 200, headers = {}, body = '' } = answer
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  response.writeHead(status, { ...always, ...headers, 'Content-Length': bytes.byteLength })
  response.end(request.method === 'HEAD' ? undefined : bytes)
}

/** The headers of every answer, for those that are streams. */
export const streamHeaders: Readonly<Record<string, string>> = {
  ...always,
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store',
}
