/**
 * Ids that were released a moment ago.
 *
 * A request that comes again after its seat was released (repeated or overtaken on the way) must not make a seat
 * that nobody holds. Safety does not rest on it: such a seat would expire. Two generations, so that memory is
 * bounded and forgetting costs nothing; beyond the bound the oldest are forgotten early.
 *
 * Nearly every id that is asked for was never released. A table of bits says so without a look at the ids themselves,
 * which are too many to be near: 128 KiB a generation, in which one fresh id in thirty finds a bit that is set.
 */
const idsMax = 32_768
const keepMs = 30_000
const wordsOfBits = 32_768

class Generation {
  readonly #ids = new Set<string>()
  readonly #bits = new Uint32Array(wordsOfBits)

  get size(): number {
    return this.#ids.size
  }

  add(id: string, hash: number): void {
    this.#ids.add(id)
    const word = hash >>> 17
    this.#bits[word] = (this.#bits[word] ?? 0) | (1 << (hash & 31))
  }

  has(id: string, hash: number): boolean {
    const word = this.#bits[hash >>> 17] ?? 0
    return (word & (1 << (hash & 31))) !== 0 && this.#ids.has(id)
  }
}

export class ReleasedIds {
  #young = new Generation()
  #old = new Generation()
  #turnedAt = 0

  add(id: string, now: number): void {
    this.#turn(now)
    this.#young.add(id, hashOf(id))
  }

  has(id: string, now: number): boolean {
    this.#turn(now)
    const hash = hashOf(id)
    return this.#young.has(id, hash) || this.#old.has(id, hash)
  }

  #turn(now: number): void {
    if (this.#young.size < idsMax && now - this.#turnedAt < keepMs) return
    // Two turns' time without use: the young ones are old enough to go as well.
    this.#old = now - this.#turnedAt < 2 * keepMs ? this.#young : new Generation()
    this.#young = new Generation()
    this.#turnedAt = now
  }
}

/** 32 bits; their upper and lower ones both depend on all letters. */
function hashOf(id: string): number {
  let hash = id.length
  for (let n = 0; n < id.length; n++) hash = Math.imul(hash ^ id.charCodeAt(n), 0x01000193)
  return Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
}
