/**
 * The process's own figures, under the names that prom-client gives them, so that dashboards know them.
 *
 * Not prom-client's whole set: that watches each collection of garbage, which is work where there is most to do.
 */
import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks'
import type { Sheet } from './sheet.ts'

/** How often the loop is asked whether it is late, in milliseconds: a stall shorter than it may pass unseen. */
const resolutionMs = 20

export class ProcessFigures {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: resolutionMs })
  readonly #startedAt = Date.now() / 1_000 - process.uptime()

  constructor() {
    this.#delay.enable()
  }

  read({ gauge, count }: Sheet): void {
    const { user, system } = process.cpuUsage()
    const memory = process.memoryUsage()
    const delay = this.#delay
    count('process_cpu_user_seconds_total', 'User CPU time.', user / 1e6)
    count('process_cpu_system_seconds_total', 'System CPU time.', system / 1e6)
    count('process_cpu_seconds_total', 'User and system CPU time.', (user + system) / 1e6)
    gauge('process_start_time_seconds', 'When it started, seconds since 1970.', this.#startedAt)
    gauge('process_resident_memory_bytes', 'Resident memory.', memory.rss)
    gauge('nodejs_heap_size_used_bytes', 'Heap in use.', memory.heapUsed)
    gauge('nodejs_heap_size_total_bytes', 'Heap reserved.', memory.heapTotal)
    gauge('nodejs_external_memory_bytes', 'Memory of objects outside the heap.', memory.external)
    const late = 'How late the event loop was since the last scrape'
    gauge('nodejs_eventloop_lag_mean_seconds', `${late}: the mean.`, seconds(delay.mean))
    gauge('nodejs_eventloop_lag_p50_seconds', `${late}: half.`, seconds(delay.percentile(50)))
    gauge('nodejs_eventloop_lag_p99_seconds', `${late}: 99 %.`, seconds(delay.percentile(99)))
    gauge('nodejs_eventloop_lag_max_seconds', `${late}: the latest.`, seconds(delay.max))
    delay.reset()
  }

  close(): void {
    this.#delay.disable()
  }
}

/** Of nanoseconds between two looks, what was more than they were meant to be apart; 0 where nothing was counted. */
function seconds(nanoseconds: number): number {
  const late = nanoseconds / 1e9 - resolutionMs / 1e3
  return Number.isFinite(late) && nanoseconds < 1e15 ? Math.max(0, late) : 0
}
