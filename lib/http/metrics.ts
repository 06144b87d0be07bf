/**
 * A server's figures for Prometheus: read at each scrape from what it keeps anyway, so that they cost nothing between.
 *
 * What a server knows of itself has the prefix `licd_`; what all servers know alike, `licd_pool_`: of those take the
 * maximum over servers, never the sum. Features beyond `featuresMax` are summed as `(other)`.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Bus } from '../../raft/ports.ts'
import type { Observer } from '../server/parts.ts'
import { FeatureCap } from './feature-cap.ts'
import { readPoolFigures } from './pool-figures.ts'
import { ProcessFigures } from './process-figures.ts'
import { readServerFigures } from './server-figures.ts'
import type { Sheet } from './sheet.ts'
import type { Watched } from './watched.ts'

export const featuresMax = 100
/** From a disk with a battery to one that is in trouble, in seconds. */
const buckets = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
]
export class Metrics implements Pick<Observer, 'synced' | 'committed'> {
  readonly #registry = new Registry()
  readonly #process = new ProcessFigures()
  readonly #cap = new FeatureCap(featuresMax)
  readonly #synced: Histogram
  readonly #committed: Histogram
  readonly #clientLinksLost: Counter
  readonly #gauges = new Map<string, Gauge>()
  readonly #counters = new Map<string, Counter>()
  readonly #version: string
  #underWay: Promise<string> | undefined

  constructor(labels: { readonly pool: string; readonly server: string }, version: string) {
    this.#version = version
    const registers = [this.#registry]
    this.#registry.setDefaultLabels(labels)
    this.#synced = new Histogram({
      ...{ registers, buckets },
      name: 'licd_raft_sync_seconds',
      help: 'How long each batch of the log took to be durable on disk.',
    })
    this.#committed = new Histogram({
      ...{ registers, buckets },
      name: 'licd_raft_commit_seconds',
      help: 'From proposing a command here, as the leader, to its being committed and applied here.',
    })
    this.#clientLinksLost = new Counter({
      registers,
      name: 'licd_nats_client_links_lost_total',
      help: 'How often the connection for clients was lost, or given up as too far behind what they send.',
    })
  }

  /** Counts its ends from now on. */
  follow(clientBus: Bus): void {
    clientBus.onStatus(status => {
      if (status === 'down') this.#clientLinksLost.inc()
    })
  }

  synced(ms: number): void {
    this.#synced.observe(ms / 1_000)
  }

  committed(ms: number): void {
    this.#committed.observe(ms / 1_000)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** The figures as text. One scrape at a time: who asks meanwhile gets the same. */
  async scrape(watched: Watched): Promise<string> {
    this.#underWay ??= this.#read(watched).finally(() => (this.#underWay = undefined))
    return await this.#underWay
  }

  close(): void {
    this.#process.close()
  }

  async #read(watched: Watched): Promise<string> {
    for (const gauge of this.#gauges.values()) gauge.reset()
    for (const counter of this.#counters.values()) counter.reset()
    this.#cap.choose(watched.ledger.state.features)
    this.#process.read(this.#sheet)
    readServerFigures(this.#sheet, watched, this.#version)
    await readPoolFigures(this.#sheet, watched)
    return await this.#registry.metrics()
  }

  readonly #sheet: Sheet = {
    gauge: (name, help, value, labels = {}) => {
      let gauge = this.#gauges.get(name)
      if (gauge === undefined) {
        const labelNames = Object.keys(labels)
        gauge = new Gauge({ name, help, labelNames, registers: [this.#registry] })
        this.#gauges.set(name, gauge)
      }
      gauge.inc(labels, value)
    },
    count: (name, help, value, labels = {}) => {
      let counter = this.#counters.get(name)
      if (counter === undefined) {
        const labelNames = Object.keys(labels)
        counter = new Counter({ name, help, labelNames, registers: [this.#registry] })
        this.#counters.set(name, counter)
      }
      counter.inc(labels, value)
    },
    label: feature => this.#cap.label(feature),
  }
}
