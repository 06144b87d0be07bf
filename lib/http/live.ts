/**
 * The pool as this server sees it and as the others say of themselves, kept fresh while anybody looks.
 *
 * However many look, the servers are asked once per turn; while nobody looks, hardly ever: then only for the
 * addresses of the others' pages, which a page needs when its own server is lost.
 */
import type { ServerResponse } from 'node:http'
import { CtlClient } from '../ctl/ctl-client.ts'
import type { PoolEvent } from '../ctl/pool-events.ts'
import { viewPool } from '../ctl/pool-view.ts'
import type { PoolStatus, ServerStatus } from '../protocol/ctl.ts'
import { featureStatus, poolHead } from '../server/status.ts'
import { streamHeaders, type Stream } from './listener.ts'
import { NewsRing } from './news.ts'
import { featureReport, headOf, type FeatureReport, type PoolReport } from './report.ts'
import { inTurns } from './turns.ts'
import type { Watched } from './watched.ts'

/** How often those who look are told; at most a quarter of the time is spent waiting for answers. */
const turnMs = 300
/** In a pool of many features and servers less often, for each of them costs: but within a second of what happened. */
const turnMaxMs = 800
const turnMsPerRow = 1
/** After an event here they are told at once, or nearly. */
const soonMs = 50
const freshMs = 250
const lookMs = 1_000
const addressesMs = 30_000
/** People who look on at one server. Beyond it one is told to try another. */
export const watchersMax = 32
/** One that takes nothing for so long is let go. */
const stuckMs = 15_000
const addressesMax = 64

interface Watcher {
  readonly response: ServerResponse
  /** Version of the features and id of the news that it has. */
  features: number
  news: number
  stuckSince: number | undefined
}

interface Kept {
  readonly json: string
  readonly version: number
}

export class Live {
  readonly #watched: Watched
  readonly #client: CtlClient
  readonly #url: () => string
  readonly #news: NewsRing
  readonly #watchers = new Set<Watcher>()
  readonly #http = new Map<string, string>()
  readonly #kept = new Map<string, Kept>()
  #gone: { readonly name: string; readonly version: number }[] = []
  #version = 0
  #report: PoolReport | undefined
  #reportAt = -Infinity
  #underWay: Promise<PoolReport> | undefined
  #turn: NodeJS.Timeout | undefined
  #dueAt = Infinity
  readonly #look: NodeJS.Timeout
  #addressesAt = -Infinity
  #isClosed = false

  constructor(watched: Watched, url: () => string) {
    const { bus, clock, random, pool, server } = watched
    this.#watched = watched
    this.#url = url
    this.#client = new CtlClient({ bus, clock, random, pool, by: `http:${server}` })
    this.#news = new NewsRing(() => clock.wall())
    this.#look = setInterval(() => this.#lookOn(), lookMs)
    this.#look.unref()
  }

  get client(): CtlClient {
    return this.#client
  }

  /** Where other servers of the pool have their pages, as far as is known. */
  get addresses(): ReadonlyMap<string, string> {
    return this.#http
  }

  told(event: PoolEvent): void {
    this.#news.told(event)
    if (this.#watchers.size > 0) this.#schedule(soonMs)
  }

  /** The pool as it is now, or was up to so long ago. */
  async report(ageMs = freshMs): Promise<PoolReport> {
    const { clock } = this.#watched
    if (this.#report !== undefined && clock.now() - this.#reportAt < ageMs) return this.#report
    this.#underWay ??= this.#gather().finally(() => (this.#underWay = undefined))
    return await this.#underWay
  }

  /** What happened after the item of that number. */
  news(after: number): { readonly news: ReturnType<NewsRing['after']>; readonly last: number } {
    return { news: this.#news.after(after), last: this.#news.id }
  }

  /** Sends all there is, then what changes; `undefined` when as many look on as may. */
  watch(): Stream | undefined {
    if (this.#watchers.size >= watchersMax || this.#isClosed) return undefined
    return response => {
      response.writeHead(200, streamHeaders)
      response.write('retry: 1000\n\n')
      const watcher = { response, features: -1, news: 0, stuckSince: undefined }
      this.#watchers.add(watcher)
      response.once('close', () => this.#watchers.delete(watcher))
      this.#schedule(0)
    }
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#turn)
    clearInterval(this.#look)
    for (const { response } of this.#watchers) response.destroy()
    this.#client.close()
  }

  #lookOn(): void {
    const { leader, ledger, incarnation, clock } = this.#watched
    // Before it has caught up it would tell old news.
    if (incarnation === 0) return
    const states = new Map<string, ServerStatus['state']>()
    for (const name of ledger.state.servers.keys()) states.set(name, ledger.serverState(name))
    this.#news.look(leader, states)
    const isDue = clock.now() - this.#addressesAt > (this.#http.size === 0 ? lookMs : addressesMs)
    if (this.#watchers.size === 0 && isDue && states.size > 1) void this.report()
  }

  #schedule(ms: number): void {
    const at = this.#watched.clock.now() + ms
    if (this.#isClosed || this.#dueAt <= at) return
    clearTimeout(this.#turn)
    this.#dueAt = at
    this.#turn = setTimeout(() => {
      this.#dueAt = Infinity
      void this.#tell()
    }, ms)
  }

  async #tell(): Promise<void> {
    const { clock, log } = this.#watched
    const began = clock.now()
    try {
      this.#reportAt = -Infinity
      const report = await this.report()
      for (const watcher of [...this.#watchers]) this.#send(watcher, report)
    } catch (error) {
      log.error('http-live', { error })
    }
    const tookMs = clock.now() - began
    if (this.#watchers.size > 0) this.#schedule(Math.max(this.#turnMs, 3 * tookMs))
  }

  get #turnMs(): number {
    const { features, servers } = this.#watched.ledger.state
    const rows = features.size * servers.size
    return Math.min(turnMaxMs, Math.max(turnMs, turnMsPerRow * rows))
  }

  async #gather(): Promise<PoolReport> {
    const { clock, server } = this.#watched
    const began = clock.now()
    this.#addressesAt = began
    const view = await viewPool(this.#client, { own: { server, status: await this.#ownStatus() } })
    for (const [name, url] of Object.entries(view.httpOf)) {
      if (name !== server && (this.#http.has(name) || this.#http.size < addressesMax)) {
        this.#http.set(name, url)
      }
    }
    const head = headOf(view, {
      server,
      at: clock.wall(),
      roleOf: name => this.#watched.ledger.state.servers.get(name)?.role ?? 'removed',
      httpOf: name => (name === server ? this.#url() : this.#http.get(name)),
    })
    const features = await inTurns(view.status.features, feature => featureReport(view, feature))
    const report = { ...head, features }
    await this.#keep(features)
    this.#report = report
    this.#reportAt = began
    return report
  }

  async #ownStatus(): Promise<PoolStatus> {
    const viewer = this.#watched.viewer()
    const { features } = viewer.ledger.state
    const own = await inTurns([...features.keys()].sort(), name => {
      const feature = features.get(name)
      return feature === undefined ? [] : [featureStatus(viewer, feature)]
    })
    return { ...poolHead(viewer), features: own.flat() }
  }

  /** Numbers what changed, so that each watcher is sent that alone. */
  async #keep(features: readonly FeatureReport[]): Promise<void> {
    if (this.#watchers.size === 0) return
    const version = ++this.#version
    const names = new Set<string>()
    await inTurns(features, feature => {
      names.add(feature.name)
      const text = JSON.stringify(feature)
      if (this.#kept.get(feature.name)?.json !== text) {
        this.#kept.set(feature.name, { json: text, version })
      }
    })
    for (const name of this.#kept.keys()) {
      if (names.has(name)) continue
      this.#kept.delete(name)
      this.#gone = [...this.#gone.slice(-100), { name, version }]
    }
  }

  #send(watcher: Watcher, { features: _all, ...head }: PoolReport): void {
    const { response } = watcher
    const now = this.#watched.clock.now()
    if (response.writableNeedDrain) {
      watcher.stuckSince ??= now
      if (now - watcher.stuckSince > stuckMs) response.destroy()
      return
    }
    watcher.stuckSince = undefined
    const isFirst = watcher.features < 0
    const changed = [...this.#kept.values()].filter(({ version }) => version > watcher.features)
    const gone = isFirst ? [] : this.#gone.filter(({ version }) => version > watcher.features)
    const { news, last } = this.news(watcher.news)
    let text = `event: pool\ndata: ${JSON.stringify(head)}\n\n`
    if (isFirst || changed.length > 0 || gone.length > 0) {
      const rows = changed.map(({ json }) => json).join(',')
      const names = JSON.stringify(gone.map(({ name }) => name))
      text += `event: features\ndata: {"all":${isFirst},"features":[${rows}],"gone":${names}}\n\n`
    }
    if (news.length > 0) text += `event: news\ndata: ${JSON.stringify(news)}\n\n`
    watcher.features = this.#version
    watcher.news = last
    response.write(text)
  }
}
