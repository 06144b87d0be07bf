/**
 * Chance from a seed, so that one seed replays one run.
 *
 * A small generator (sfc32) that is the same on every machine. Streams are split by name: what one process
 * draws does not shift what another draws.
 */
import type { Random } from '../../raft/ports.ts'

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

export class SeededRandom implements Random {
  #a: number
  #b: number
  #c: number
  #d = 1

  constructor(seed: number | string) {
    let hash = 0x811c9dc5
    for (const character of String(seed)) {
      hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193)
    }
    this.#a = hash | 0
    this.#b = Math.imul(hash, 0x9e3779b1) | 0
    this.#c = ~hash | 0
    for (let n = 0; n < 12; n++) this.next()
  }

  next(): number {
    const sum = (this.#a + this.#b + this.#d) | 0
    this.#d = (this.#d + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    this.#c |= 0
    return (sum >>> 0) / 4294967296
  }

  id(): string {
    let text = ''
    for (let n = 0; n < 22; n++) text += letters[Math.floor(this.next() * letters.length)]
    return text
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[Math.floor(this.next() * from.length)]
    if (picked === undefined) throw new Error('Nothing to pick from.')
    return picked
  }

  /** A stream of its own that depends on this one's seed draws so far and on `name`. */
  split(name: string): SeededRandom {
    return new SeededRandom(`${Math.floor(this.next() * 4294967296)}:${name}`)
  }
}
