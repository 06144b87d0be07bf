/**
 * A client process of the bench: opens a driver as told, then runs closed loops over given stretches of time. Each
 * worker has one operation under way; the next begins when the last has ended.
 *
 * An operation counts if it ended within the stretch; its latency counts if it began there, so that what outlasts
 * the stretch is seen as well.
 */
import type { Driver, DriverOrder } from './contender.ts'
import { openDriver } from './drivers/open.ts'
import { Histogram } from './histogram.ts'

/** Times are milliseconds since 1970, with fractions: the clock that processes of one machine share. */
export type GeneratorOrder =
  | { readonly type: 'open'; readonly order: DriverOrder }
  | { readonly type: 'run'; readonly from: number; readonly until: number }
  | { readonly type: 'settle' }
  | { readonly type: 'close' }

export interface Measured {
  readonly operations: number
  readonly latencies: readonly number[]
  /** How often each failure was met. */
  readonly failures: Readonly<Record<string, number>>
  readonly cpuSeconds: number
  readonly rssMiB: number
}

export type GeneratorReply =
  | { readonly ok: true; readonly measured?: Measured }
  | { readonly ok: false; readonly error: string }

/** A worker whose operation failed waits this long, lest failures be counted as work. */
const afterFailureMs = 5

function now(): number {
  return performance.timeOrigin + performance.now()
}

/** One stretch of measuring. */
class Stretch {
  readonly #driver: Driver
  readonly #from: number
  readonly #until: number
  readonly #latencies = new Histogram()
  readonly #failures: Record<string, number> = {}
  readonly #isOver = () => now() >= this.#until
  #operations = 0
  #cpuAtFrom: NodeJS.CpuUsage | undefined
  #cpuSeconds = 0
  #open = 0
  #finish: () => void = () => undefined

  constructor(driver: Driver, from: number, until: number) {
    this.#driver = driver
    this.#from = from
    this.#until = until
  }

  async run(workers: number): Promise<Measured> {
    const ended = new Promise<void>(resolve => (this.#finish = resolve))
    this.#open = workers
    const timer = setTimeout(() => this.#cpuFrom(), Math.max(0, this.#from - now()))
    for (let worker = 0; worker < workers; worker++) this.#begin(worker)
    await ended
    clearTimeout(timer)
    this.#cpuUntil()
    return {
      operations: this.#operations,
      latencies: this.#latencies.toJSON(),
      failures: this.#failures,
      cpuSeconds: this.#cpuSeconds,
      rssMiB: process.memoryUsage.rss() / 2 ** 20,
    }
  }

  #cpuFrom(): void {
    this.#cpuAtFrom ??= process.cpuUsage()
  }

  /** Whoever is first after the end: a timer may be late in a busy loop. */
  #cpuUntil(): void {
    if (this.#cpuSeconds > 0) return
    const { user, system } = process.cpuUsage(this.#cpuAtFrom)
    this.#cpuSeconds = (user + system) / 1e6
  }

  #begin(worker: number): void {
    const began = now()
    this.#driver.run(worker, failure => this.#end(worker, began, failure), this.#isOver)
  }

  #end(worker: number, began: number, failure: string | undefined): void {
    const ended = now()
    if (failure !== undefined) {
      if (ended >= this.#from) this.#failures[failure] = (this.#failures[failure] ?? 0) + 1
      setTimeout(() => this.#next(worker, now()), afterFailureMs)
      return
    }
    if (ended >= this.#from) this.#cpuFrom()
    if (began >= this.#from) this.#latencies.record((ended - began) * 1000)
    if (ended >= this.#from && ended < this.#until) this.#operations++
    this.#next(worker, ended)
  }

  #next(worker: number, at: number): void {
    if (at < this.#until) this.#begin(worker)
    else {
      this.#cpuUntil()
      if (--this.#open === 0) this.#finish()
    }
  }
}

let driver: Driver | undefined
let workers = 0

async function take(order: GeneratorOrder): Promise<GeneratorReply> {
  if (order.type === 'open') {
    driver = await openDriver(order.order)
    workers = order.order.inFlight
    return { ok: true }
  }
  if (driver === undefined) throw new Error('not open')
  if (order.type === 'run') {
    return { ok: true, measured: await new Stretch(driver, order.from, order.until).run(workers) }
  }
  if (order.type === 'settle') await driver.settle?.()
  else await driver.close()
  return { ok: true }
}

process.on('message', (order: GeneratorOrder) => {
  take(order).then(
    reply => process.send?.(reply, () => order.type === 'close' && process.exit(0)),
    (error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      process.send?.({ ok: false, error: text } satisfies GeneratorReply)
    },
  )
})
process.on('disconnect', () => process.exit(0))
