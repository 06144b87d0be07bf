/**
 * Hash tables of whole numbers in flat memory: millions of entries at a few bytes each.
 *
 * Open addressing, linear probing, at most half full. Nothing is ever taken out.
 */
import assert from 'node:assert/strict'

/** Mixes two words into one whose low bits are worth using as a place. */
export function mix(a: number, b: number): number {
  let hash = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b ^ 0x7f4a7c15, 0xc2b2ae35)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x2c1b3c6d)
  return hash ^ (hash >>> 13)
}

/** From pairs of 32-bit words to whole numbers from 0 up. */
export class PairTable {
  private keys: Int32Array
  /** The value plus one; 0 is an empty place. */
  private values: Int32Array
  private capacity: number
  size = 0

  constructor(capacity = 1024) {
    this.capacity = capacity
    this.keys = new Int32Array(2 * capacity)
    this.values = new Int32Array(capacity)
  }

  get(a: number, b: number): number | undefined {
    const found = this.values[this.place(a | 0, b | 0)]
    return found === undefined || found === 0 ? undefined : found - 1
  }

  set(a: number, b: number, value: number): void {
    assert(value >= 0)
    if (this.size * 2 >= this.capacity) this.grow()
    const place = this.place(a | 0, b | 0)
    if (this.values[place] === 0) this.size += 1
    this.keys[2 * place] = a
    this.keys[2 * place + 1] = b
    this.values[place] = value + 1
  }

  private place(a: number, b: number): number {
    const { keys, values, capacity } = this
    let place = mix(a, b) & (capacity - 1)
    while (values[place] !== 0 && (keys[2 * place] !== a || keys[2 * place + 1] !== b)) {
      place = (place + 1) & (capacity - 1)
    }
    return place
  }

  private grow(): void {
    const { keys, values, capacity } = this
    this.capacity = 2 * capacity
    this.keys = new Int32Array(2 * this.capacity)
    this.values = new Int32Array(this.capacity)
    for (let i = 0; i < capacity; i++) {
      const value = values[i] ?? 0
      if (value === 0) continue
      const place = this.place(keys[2 * i] ?? 0, keys[2 * i + 1] ?? 0)
      this.keys[2 * place] = keys[2 * i] ?? 0
      this.keys[2 * place + 1] = keys[2 * i + 1] ?? 0
      this.values[place] = value
    }
  }
}

/** Rows of whole numbers, each told from every other by all its columns: no two that differ are taken for one. */
export class RowTable {
  readonly width: number
  private rows: Int32Array
  /** The row plus one. */
  private places: Int32Array
  size = 0

  constructor(width: number, capacity = 1024) {
    this.width = width
    this.rows = new Int32Array(width * capacity)
    this.places = new Int32Array(2 * capacity)
  }

  at(row: number, column: number): number {
    return this.rows[row * this.width + column] ?? 0
  }

  has(row: readonly number[]): boolean {
    let place = this.hash(row) & (this.places.length - 1)
    for (;;) {
      const found = this.places[place] ?? 0
      if (found === 0) return false
      if (this.equals(found - 1, row)) return true
      place = (place + 1) & (this.places.length - 1)
    }
  }

  /** The number of this row. It is new when it equals what `size` was before. */
  add(row: readonly number[]): number {
    assert.equal(row.length, this.width)
    let place = this.hash(row) & (this.places.length - 1)
    for (;;) {
      const found = this.places[place] ?? 0
      if (found === 0) break
      if (this.equals(found - 1, row)) return found - 1
      place = (place + 1) & (this.places.length - 1)
    }
    if ((this.size + 1) * this.width > this.rows.length) {
      this.grow()
      return this.add(row)
    }
    this.rows.set(row, this.size * this.width)
    this.size += 1
    this.places[place] = this.size
    return this.size - 1
  }

  private hash(row: readonly number[]): number {
    let hash = 0
    for (const word of row) hash = mix(hash, word)
    return hash
  }

  private equals(known: number, row: readonly number[]): boolean {
    for (let i = 0; i < row.length; i++) if (this.at(known, i) !== row[i]) return false
    return true
  }

  private grow(): void {
    const rows = new Int32Array(2 * this.rows.length)
    rows.set(this.rows)
    this.rows = rows
    this.places = new Int32Array(2 * this.places.length)
    for (let row = 0; row < this.size; row++) {
      const words = Array.from({ length: this.width }, (_, column) => this.at(row, column))
      let place = this.hash(words) & (this.places.length - 1)
      while (this.places[place] !== 0) place = (place + 1) & (this.places.length - 1)
      this.places[place] = row + 1
    }
  }
}
