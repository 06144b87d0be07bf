/** A queue: in at one end, out at the other, each at a cost that does not grow with its length. */

/** Places at its beginning that are free and not worth a copy. */
const freeMax = 64

export class Queue<Item> {
  #items: (Item | undefined)[] = []
  #first = 0

  get size(): number {
    return this.#items.length - this.#first
  }

  push(item: Item): void {
    this.#items.push(item)
  }

  /** The oldest; undefined when there is none. */
  shift(): Item | undefined {
    if (this.size === 0) return undefined
    const item = this.#items[this.#first]
    this.#items[this.#first++] = undefined
    if (this.size === 0) this.clear()
    else if (this.#first >= freeMax && this.#first * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#first)
      this.#first = 0
    }
    return item
  }

  clear(): void {
    this.#items = []
    this.#first = 0
  }
}
