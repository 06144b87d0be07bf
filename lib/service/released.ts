/**
 * Ids that were released a moment ago, each with the client that released it.
 *
 * Anybody may release an id that is not here, so it is released for its sender alone: the client whose id it is still
 * moves its seat here.
 *
 * A request that comes again after its seat was released (repeated or overtaken on the way) must not make a seat
 * that nobody holds. Safety does not rest on it: such a seat would expire. Two generations, so that memory is
 * bounded and forgetting costs nothing; beyond the bound the oldest are forgotten early.
 *
 * Of an id 63 bits of a hash are kept, and not its text: some 100,000 texts a second that live for a moment longer cost the
 * collector more than all else that a release does. That a fresh id is taken for another one happens once in 10^14
 * requests; that acquire is refused. Nearly every id that is asked for was never released: bits, few enough
 * to be near, say so of nine in ten without a look at the hashes.
 */
const idsMax = 32_768
const keepMs = 30_000
/** Twice as many as ids: half are free, so that a search is short. 512 KiB a generation. */
const slots = 65_536
/** 32 KiB a generation. */
const wordsOfBits = 8_192
/** A search ends after so many slots, which ids of chance never come near: ids that were made to fall together are forgotten. */
const searchMax = 256

class Generation {
  /** Two words a slot, the second of which is never 0 where there is an id. */
  readonly #words = new Uint32Array(2 * slots)
  readonly #bits = new Uint32Array(wordsOfBits)
  #size = 0

  get size(): number {
    return this.#size
  }

  add(first: number, second: number): void {
    const word = first >>> 19
    this.#bits[word] = (this.#bits[word] ?? 0) | (1 << (second >>> 27))
    const at = this.#find(first, second)
    if (at < 0 || this.#words[at + 1] !== 0) return
    this.#words[at] = first
    this.#words[at + 1] = second
    this.#size++
  }

  has(first: number, second: number): boolean {
    const bits = this.#bits[first >>> 19] ?? 0
    if ((bits & (1 << (second >>> 27))) === 0) return false
    const at = this.#find(first, second)
    return at >= 0 && this.#words[at + 1] !== 0
  }

  clear(): void {
    if (this.#size === 0) return
    this.#words.fill(0)
    this.#bits.fill(0)
    this.#size = 0
  }

  /** Where the id is, or the free slot that it belongs in; -1 where neither is near. */
  #find(first: number, second: number): number {
    const words = this.#words
    for (let n = 0; n < searchMax; n++) {
      const at = 2 * ((first + n) % slots)
      const there = words[at + 1]
      if (there === 0 || (there === second && words[at] === first)) return at
    }
    return -1
  }
}

export class ReleasedIds {
  #young = new Generation()
  #old = new Generation()
  #turnedAt = 0
  /** Of the id that is looked at. */
  #first = 0
  #second = 0

  add(id: string, clientId: string, now: number): void {
    this.#turn(now)
    this.#hash(id, clientId)
    this.#young.add(this.#first, this.#second)
  }

  has(id: string, clientId: string, now: number): boolean {
    this.#turn(now)
    this.#hash(id, clientId)
    return this.#young.has(this.#first, this.#second) || this.#old.has(this.#first, this.#second)
  }

  #turn(now: number): void {
    if (this.#young.size < idsMax && now - this.#turnedAt < keepMs) return
    const oldest = this.#old
    this.#old = this.#young
    this.#young = oldest
    this.#young.clear()
    // Two turns' time without use: the young ones are old enough to go as well.
    if (now - this.#turnedAt >= 2 * keepMs) this.#old.clear()
    this.#turnedAt = now
  }

  /** Two hashes of 32 bits that have nothing in common; of the second one bit is always set. */
  #hash(id: string, clientId: string): void {
    this.#first = id.length
    this.#second = id.length
    this.#mix(clientId)
    this.#mix(id)
    const first = this.#first
    const second = this.#second
    this.#first = Math.imul(first ^ (first >>> 15), 0x2c1b3c6d) >>> 0
    this.#second = (Math.imul(second ^ (second >>> 16), 0xc2b2ae35) | 1) >>> 0
  }

  #mix(text: string): void {
    let first = this.#first
    let second = this.#second
    for (let n = 0; n < text.length; n++) {
      const code = text.charCodeAt(n)
      first = Math.imul(first ^ code, 0x01000193)
      second = Math.imul(((second << 13) | (second >>> 19)) ^ code, 0x85ebca6b)
    }
    this.#first = first
    this.#second = second
  }
}
