/**
 * The eyes on one license server: figures, health, the page and its API, over one small HTTP server.
 *
 * It listens before the server runs, so that whoever asks hears that it starts, and goes on while the server has no
 * lease, no leader or no NATS. Nothing here can stop or slow the server: see `Listener` for the bounds.
 */
import type { Logger } from '../../raft/ports.ts'
import type { PoolEvent } from '../ctl/pool-events.ts'
import type { Observer } from '../server/parts.ts'
import { packageVersion } from '../version.ts'
import type { HttpAddress } from './address.ts'
import { answerApi } from './api.ts'
import { failure, Listener, type HttpAnswer, type HttpRequest, type Stream } from './listener.ts'
import { Live } from './live.ts'
import { Metrics } from './metrics.ts'
import { Pace } from './pace.ts'
import { Pages } from './pages.ts'
import type { Watched } from './watched.ts'

export interface EyesOptions {
  readonly address: HttpAddress
  readonly isDefault: boolean
  /** What others call the address, where it is another one. */
  readonly knownAs?: string
  readonly pool: string
  readonly server: string
  readonly log: Logger
}

export class Eyes implements Observer {
  readonly #listener: Listener
  readonly #metrics: Metrics
  readonly #pages = new Pages()
  #watched: Watched | undefined
  #live: Live | undefined
  #pace: Pace | undefined

  private constructor(options: EyesOptions) {
    const { pool, server, ...rest } = options
    this.#metrics = new Metrics({ pool, server }, packageVersion())
    this.#listener = new Listener({ ...rest, handle: request => this.#handle(request) })
  }

  /** Resolves when it listens, or has found that it cannot for now. */
  static async open(options: EyesOptions): Promise<Eyes> {
    const eyes = new Eyes(options)
    await eyes.#listener.start()
    return eyes
  }

  get url(): string {
    return this.#listener.url
  }

  /** From now on there is something to look at. */
  watch(watched: Watched): void {
    this.#watched = watched
    this.#live = new Live(watched, () => this.url)
    this.#pace = new Pace(watched.clock)
    this.#metrics.follow(watched.clientBus)
  }

  synced(ms: number): void {
    this.#metrics.synced(ms)
  }

  committed(ms: number): void {
    this.#metrics.committed(ms)
  }

  told(event: PoolEvent): void {
    this.#live?.told(event)
  }

  async close(): Promise<void> {
    this.#live?.close()
    this.#metrics.close()
    await this.#listener.close()
  }

  async #handle(request: HttpRequest): Promise<HttpAnswer | Stream> {
    const { path } = request
    const others = [...(this.#live?.addresses.values() ?? [])]
    const page = this.#pages.answer(request, others)
    if (page !== undefined) return page
    if (path === '/healthz') return text(200, 'ok')
    const watched = this.#watched
    const live = this.#live
    const pace = this.#pace
    if (path === '/readyz') return readiness(watched)
    if (watched === undefined || live === undefined || pace === undefined) {
      return failure(503, 'LICD_NOT_SERVING', 'The server starts.')
    }
    if (path === '/metrics') {
      const body = await this.#metrics.scrape(watched)
      return { headers: { 'Content-Type': this.#metrics.contentType }, body }
    }
    const answer = await answerApi({ watched, live, pace }, request)
    if (answer === undefined) return failure(404, 'LICD_BAD_REQUEST', 'There is nothing here.')
    return withOrigin(answer, request.header('origin'), others)
  }
}

/** Pages of the pool's other servers may go on here when their own is lost; no other site may read this. */
function withOrigin(
  answer: HttpAnswer | Stream,
  origin: string | undefined,
  others: readonly string[],
): HttpAnswer | Stream {
  if (origin === undefined || !others.includes(origin)) return answer
  const headers = { 'Access-Control-Allow-Origin': origin, Vary: 'Origin' }
  if (typeof answer !== 'function') return { ...answer, headers: { ...answer.headers, ...headers } }
  return response => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    answer(response)
  }
}

function readiness(watched: Watched | undefined): HttpAnswer {
  if (watched === undefined || watched.incarnation === 0) return text(503, 'starting')
  if (watched.stopping) return text(503, 'stopping')
  if (watched.leaseUntil <= watched.clock.now()) return text(503, 'no lease')
  if (!watched.bus.connected || !watched.clientBus.connected) return text(503, 'no link to NATS')
  return text(200, 'ready')
}

function text(status: number, words: string): HttpAnswer {
  const headers = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' }
  return { status, headers, body: `${words}\n` }
}
