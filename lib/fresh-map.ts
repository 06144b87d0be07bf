/**
 * A map for what comes and goes fast, made anew from time to time.
 *
 * V8 links each table that a map has outgrown to the one after it, with its entries still in it. Once one of them is old,
 * all that follow, and whatever was in them, live until the next full collection: a quarter of all that a busy client
 * made was kept so, and collected at four times the cost (docs/performance.md). A new map begins a new chain.
 */

/** Entries that were removed since the map was made: beyond it a new one is worth it. */
const staleMax = 1_000
/** A larger map is left alone: it outgrows its tables seldom, and to copy it would take long. */
const copiedMax = 4_096

export class FreshMap<Key, Value> {
  #map = new Map<Key, Value>()
  #removed = 0

  get size(): number {
    return this.#map.size
  }

  get(key: Key): Value | undefined {
    return this.#map.get(key)
  }

  has(key: Key): boolean {
    return this.#map.has(key)
  }

  set(key: Key, value: Value): void {
    this.#map.set(key, value)
  }

  delete(key: Key): boolean {
    if (!this.#map.delete(key)) return false
    this.#removed++
    return true
  }

  /** In the order in which they were set. */
  values(): IterableIterator<Value> {
    return this.#map.values()
  }

  /** Makes the map anew where it is worth it. Not while its values are walked. */
  refresh(): void {
    if (this.#removed < staleMax || this.#map.size > copiedMax) return
    this.#map = new Map(this.#map)
    this.#removed = 0
  }
}
