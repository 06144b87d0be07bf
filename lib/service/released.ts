/**
 * Ids that were released a moment ago.
 *
 * A request that comes again after its seat was released (repeated or overtaken on the way) must not make a seat
 * that nobody holds. Safety does not rest on it: such a seat would expire. Two generations, so that memory is
 * bounded and forgetting costs nothing; beyond the bound the oldest are forgotten early.
 */
const idsMax = 32_768
const keepMs = 30_000

export class ReleasedIds {
  #young = new Set<string>()
  #old = new Set<string>()
  #turnedAt = 0

  add(id: string, now: number): void {
    this.#turn(now)
    this.#young.add(id)
  }

  has(id: string, now: number): boolean {
    this.#turn(now)
    return this.#young.has(id) || this.#old.has(id)
  }

  #turn(now: number): void {
    if (this.#young.size < idsMax && now - this.#turnedAt < keepMs) return
    // Two turns' time without use: the young ones are old enough to go as well.
    this.#old = now - this.#turnedAt < 2 * keepMs ? this.#young : new Set()
    this.#young = new Set()
    this.#turnedAt = now
  }
}
