/**
 * How late a node's beats come: what the loop's longest stretches of work do to its heartbeats, as figures.
 *
 * A fixed set of counters, whatever the load: bounds of the counters grow by a quarter from one to the next, so
 * a percentile is at most a quarter too high. Two spans of time take turns, so that figures are of the last one
 * to two of them, for whoever asks and however often.
 */

export interface LatenessFigures {
  /** Beats counted; 0 makes all of the others 0 but `longestMs`. */
  readonly beats: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** The longest since the node began. */
  readonly longestMs: number
}

const leastMs = 0.1
const growth = 1.25
/** The last one counts all that is later than 0.1 ms * 1.25^71, 760 s. */
const counters = 72

export class Lateness {
  readonly #spanMs: number
  #spanBegan: number
  #now = new Span()
  #before = new Span()
  #longestMs = 0

  constructor(now: number, spanMs = 60_000) {
    this.#spanBegan = now
    this.#spanMs = spanMs
  }

  note(lateMs: number, now: number): void {
    if (now - this.#spanBegan >= this.#spanMs) {
      this.#before = this.#now
      this.#now = new Span()
      this.#spanBegan = now
    }
    this.#now.note(lateMs)
    this.#longestMs = Math.max(this.#longestMs, lateMs)
  }

  figures(): LatenessFigures {
    const both = [this.#now, this.#before]
    const maxMs = Math.max(...both.map(span => span.maxMs))
    return {
      beats: both.reduce((sum, { count }) => sum + count, 0),
      p50Ms: percentile(both, 0.5, maxMs),
      p99Ms: percentile(both, 0.99, maxMs),
      maxMs,
      longestMs: this.#longestMs,
    }
  }
}

class Span {
  readonly counts = new Uint32Array(counters)
  count = 0
  maxMs = 0

  note(lateMs: number): void {
    const at = Math.ceil(Math.log(Math.max(lateMs, leastMs) / leastMs) / Math.log(growth))
    const counter = Math.min(at, counters - 1)
    this.counts[counter] = (this.counts[counter] ?? 0) + 1
    this.count++
    this.maxMs = Math.max(this.maxMs, lateMs)
  }
}

/** The upper bound of the counter that holds it, which no figure in it exceeds. */
function percentile(spans: readonly Span[], part: number, maxMs: number): number {
  const wanted = part * spans.reduce((sum, { count }) => sum + count, 0)
  let seen = 0
  for (let at = 0; at < counters; at++) {
    for (const { counts } of spans) seen += counts[at] ?? 0
    if (seen > 0 && seen >= wanted) return Math.min(leastMs * growth ** at, maxMs)
  }
  return maxMs
}
