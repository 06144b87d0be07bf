/**
 * The stream of events from the server whose page this is; when that one is lost, from another one of the pool.
 *
 * It learns the others' addresses from what it is told. While it looks on elsewhere it asks now and then whether its
 * own server is back.
 */

/** Told three times a second: silence for so long means that the server, or the way to it, is gone. */
const silentMs = 4000
const connectMs = 2500
const homeEveryMs = 5000

/**
 * @typedef {import('../http/report.ts').PoolHead} PoolHead
 * @typedef {import('../http/report.ts').FeatureReport} FeatureReport
 * @typedef {import('../http/news.ts').News} News
 * @typedef {{ all: boolean, features: FeatureReport[], gone: string[] }} FeaturesEvent
 * @typedef {object} FeedHandlers
 * @property {(head: PoolHead) => void} pool
 * @property {(event: FeaturesEvent) => void} features
 * @property {(news: News[], isOther: boolean) => void} news
 * @property {(state: FeedState) => void} state
 * @typedef {{ kind: 'live' | 'lost', server: string, home: string }} FeedState
 */

export class Feed {
  /** @type {FeedHandlers} */ #handlers
  #home = location.origin
  #base = location.origin
  /** Address -> name of its server. @type {Map<string, string>} */
  #known = new Map([[location.origin, '']])
  /** @type {EventSource | undefined} */ #source
  /** @type {number | undefined} */ #timer
  #isNew = true

  /** @param {FeedHandlers} handlers */
  constructor(handlers) {
    this.#handlers = handlers
    setInterval(() => void this.#lookHome(), homeEveryMs)
    this.#open(this.#home)
  }

  /**
   * Asks the API of the server that is listened to.
   *
   * @param {string} path
   * @returns {Promise<any>}
   */
  async ask(path) {
    const response = await fetch(this.#base + path, { signal: AbortSignal.timeout(10_000) })
    const body = await response.json()
    if (!response.ok) throw new Error(body?.error?.message ?? response.statusText)
    return body
  }

  /** @param {string} base */
  #open(base) {
    this.#source?.close()
    this.#base = base
    this.#isNew = true
    const source = new EventSource(`${base}/api/events`)
    this.#source = source
    this.#await(connectMs)
    source.addEventListener('pool', event => {
      /** @type {PoolHead} */
      const head = JSON.parse(event.data)
      this.#await(silentMs)
      this.#learn(head)
      this.#handlers.pool(head)
      this.#state('live', head.server)
    })
    source.addEventListener('features', event => this.#handlers.features(JSON.parse(event.data)))
    source.addEventListener('news', event => {
      this.#handlers.news(JSON.parse(event.data), this.#isNew)
      this.#isNew = false
    })
    source.addEventListener('error', () => {
      // Once: the browser would go on asking a server that is gone.
      if (source === this.#source) this.#await(200)
    })
  }

  /** @param {number} ms */
  #await(ms) {
    clearTimeout(this.#timer)
    this.#timer = window.setTimeout(() => this.#next(), ms)
  }

  /** Nothing came: the next address that is known, round and round. */
  #next() {
    this.#state('lost', this.#known.get(this.#base) ?? '')
    const all = [...this.#known.keys()]
    const next = all[(all.indexOf(this.#base) + 1) % all.length] ?? this.#home
    this.#open(next)
  }

  /** @param {PoolHead} head */
  #learn({ servers, server }) {
    this.#known.set(this.#base, server)
    for (const { name, http } of servers) {
      if (http !== undefined && name !== this.#known.get(this.#home)) this.#known.set(http, name)
    }
  }

  async #lookHome() {
    if (this.#base === this.#home) return
    try {
      const { ok } = await fetch(`${this.#home}/readyz`, { signal: AbortSignal.timeout(connectMs) })
      if (ok && this.#base !== this.#home) this.#open(this.#home)
    } catch {
      // Not yet: it is asked again.
    }
  }

  /**
   * @param {FeedState['kind']} kind
   * @param {string} server
   */
  #state(kind, server) {
    this.#handlers.state({ kind, server, home: this.#known.get(this.#home) ?? '' })
  }
}
