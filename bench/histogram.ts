/**
 * Latencies of one measurement, counted in buckets: each is 1/64 of its value wide, so that a quantile is true within
 * 1.6 %, whatever the number of operations. Counts of several processes and rounds are added up.
 */

const subBits = 6
const sub = 1 << subBits
/** Microseconds above this (17 minutes) count as this. */
const largest = 2 ** 30 - 1
const size = (30 - subBits + 1) * sub

/** Bucket number and count, in turn; only buckets that are not empty. */
export type HistogramJson = readonly number[]

export class Histogram {
  readonly #counts = new Float64Array(size)
  #total = 0

  record(micros: number): void {
    const index = indexOf(micros)
    this.#counts[index] = (this.#counts[index] ?? 0) + 1
    this.#total++
  }

  get total(): number {
    return this.#total
  }

  add(json: HistogramJson): this {
    for (let at = 0; at + 1 < json.length; at += 2) {
      const count = json[at + 1] ?? 0
      const index = json[at] ?? 0
      this.#counts[index] = (this.#counts[index] ?? 0) + count
      this.#total += count
    }
    return this
  }

  /** Milliseconds below which the part `q` (0 to 1) of the latencies lies; NaN of none. */
  quantile(q: number): number {
    if (this.#total === 0) return Number.NaN
    const wanted = Math.max(1, Math.ceil(q * this.#total))
    let seen = 0
    for (const [index, count] of this.#counts.entries()) {
      seen += count
      if (seen >= wanted) return middleOf(index) / 1000
    }
    return largest / 1000
  }

  toJSON(): number[] {
    const json: number[] = []
    for (const [index, count] of this.#counts.entries()) if (count > 0) json.push(index, count)
    return json
  }

  static of(...jsons: readonly HistogramJson[]): Histogram {
    const all = new Histogram()
    for (const json of jsons) all.add(json)
    return all
  }
}

function indexOf(micros: number): number {
  const value = Math.min(largest, Math.max(0, Math.round(micros)))
  if (value < sub) return value
  const shift = 31 - Math.clz32(value) - subBits
  return (shift << subBits) + (value >> shift)
}

function middleOf(index: number): number {
  if (index < 2 * sub) return index
  const shift = (index >> subBits) - 1
  return ((index - (shift << subBits)) << shift) + 2 ** (shift - 1)
}
