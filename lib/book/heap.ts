/**
 * Seats in the order in which they are due: a binary heap whose items know their place.
 *
 * Taking any seat out costs as little as putting it in, so a released seat leaves nothing behind, and what a grant
 * costs does not depend on how many seats are held. An item stands in at most one heap at a time.
 */
import assert from 'node:assert/strict'

/** Place of an item: `due` is what it is ordered by, `slot` where it stands, -1 when in no heap. */
export interface Slotted {
  due: number
  slot: number
}

export class DueHeap<Item extends Slotted> {
  readonly #items: Item[] = []

  get size(): number {
    return this.#items.length
  }

  /** The item that is due first. */
  peek(): Item | undefined {
    return this.#items[0]
  }

  /** All items, in no order. The heap must not be changed meanwhile. */
  items(): Iterable<Item> {
    return this.#items.values()
  }

  push(item: Item, due: number): void {
    assert.equal(item.slot, -1, 'An item stands in one heap')
    item.due = due
    this.#items.push(item)
    this.#up(item, this.#items.length - 1)
  }

  /** Does nothing for an item that stands in no heap; one of another heap is a defect. */
  remove(item: Item): void {
    const { slot } = item
    if (slot < 0) return
    assert.equal(this.#items[slot], item, 'An item is taken out of its own heap')
    item.slot = -1
    const last = this.#items.pop()
    if (last === undefined || last === item) return
    if (last.due < item.due) this.#up(last, slot)
    else this.#down(last, slot)
  }

  /** Puts an item of this heap where its new `due` belongs. */
  reorder(item: Item, due: number): void {
    assert.equal(this.#items[item.slot], item, 'An item is reordered in its own heap')
    const earlier = due < item.due
    item.due = due
    if (earlier) this.#up(item, item.slot)
    else this.#down(item, item.slot)
  }

  #up(item: Item, from: number): void {
    const items = this.#items
    let slot = from
    while (slot > 0) {
      const above = (slot - 1) >> 1
      const parent = items[above]
      if (parent === undefined || parent.due <= item.due) break
      items[slot] = parent
      parent.slot = slot
      slot = above
    }
    items[slot] = item
    item.slot = slot
  }

  #down(item: Item, from: number): void {
    const items = this.#items
    let slot = from
    for (;;) {
      let below = 2 * slot + 1
      let child = items[below]
      if (child === undefined) break
      const right = items[below + 1]
      if (right !== undefined && right.due < child.due) {
        child = right
        below++
      }
      if (item.due <= child.due) break
      items[slot] = child
      child.slot = slot
      slot = below
    }
    items[slot] = item
    item.slot = slot
  }
}
