/**
 * The core's own chance: one seeded stream (mulberry32), so that a seed repeats a run exactly.
 *
 * Nothing secret rests on it. It spreads election timeouts and makes keys of read requests unlikely to repeat.
 */
export class Randomness {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  /** A number in [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let x = this.state
    x = Math.imul(x ^ (x >>> 15), x | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }

  /** A number in [low, high). */
  between(low: number, high: number): number {
    return low + this.next() * (high - low)
  }

  /** A whole number in [0, 2^47), small enough to be counted up from without reaching any limit. */
  key(): number {
    return Math.floor(this.next() * 2 ** 15) * 2 ** 32 + Math.floor(this.next() * 2 ** 32)
  }
}
