/**
 * A core as plain data: copied, and hashed, whatever its fields are called.
 *
 * What is frozen never changes, so copies share it and its hash is computed once. Everything else is walked through in
 * the order of its fields, which the same code always fills in the same order; a difference that is none would cost
 * time, not truth.
 */
import assert from 'node:assert/strict'

/** A copy that shares only what is frozen. */
export function copyOf<T>(value: T): T {
  return copied(value) as T
}

function copied(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  if (Array.isArray(value)) return value.map(copied)
  if (value instanceof Map) {
    return new Map([...value].map(([key, item]) => [copied(key), copied(item)]))
  }
  if (value instanceof Set) return new Set([...value].map(copied))
  if (value instanceof Uint8Array) return value
  const copy = Object.create(Object.getPrototypeOf(value) as object | null) as Record<
    string,
    unknown
  >
  for (const [key, item] of Object.entries(value)) copy[key] = copied(item)
  return copy
}

/** Freezes plain data to the bottom; bytes cannot be frozen, and nobody changes them. */
export function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  if (value instanceof Uint8Array) return value
  for (const item of Object.values(value)) freeze(item)
  return Object.freeze(value)
}

/** Two words that together tell values apart: 64 bits. */
export class Hash {
  low = 0x811c9dc5
  high = 0x9e3779b9
  private static readonly known = new WeakMap<object, readonly [number, number]>()

  word(word: number): void {
    this.low = Math.imul(this.low ^ word, 0x01000193)
    this.low ^= this.low >>> 15
    this.high = Math.imul(this.high ^ (word + 0x7f4a7c15), 0x85ebca6b)
    this.high ^= this.high >>> 13
  }

  private number(value: number): void {
    if (Number.isInteger(value)) {
      this.word(value | 0)
      this.word(Math.floor(value / 2 ** 32))
    } else this.text(String(value))
  }

  private text(text: string): void {
    for (let i = 0; i < text.length; i++) this.word(text.charCodeAt(i))
    this.word(text.length)
  }

  /** Takes in a value of any shape. */
  value(value: unknown): void {
    switch (typeof value) {
      case 'number':
        this.word(1)
        return this.number(value)
      case 'string':
        this.word(2)
        return this.text(value)
      case 'boolean':
        return this.word(value ? 3 : 4)
      case 'undefined':
        return this.word(5)
      case 'object':
        return value === null ? this.word(6) : this.object(value)
      default:
        assert.fail(`a core does not keep a ${typeof value}`)
    }
  }

  private object(value: object): void {
    if (!Object.isFrozen(value)) return this.fields(value)
    let known = Hash.known.get(value)
    if (known === undefined) {
      const hash = new Hash()
      hash.fields(value)
      known = [hash.low, hash.high]
      Hash.known.set(value, known)
    }
    this.word(known[0])
    this.word(known[1])
  }

  private fields(value: object): void {
    if (Array.isArray(value)) {
      this.word(7)
      for (const item of value) this.value(item)
      return this.word(value.length)
    }
    if (value instanceof Map || value instanceof Set) {
      this.word(8)
      for (const item of value) this.value(item)
      return this.word(value.size)
    }
    if (value instanceof Uint8Array) {
      this.word(9)
      for (const byte of value) this.word(byte)
      return this.word(value.length)
    }
    this.word(10)
    for (const key of Object.keys(value)) {
      const item = (value as Record<string, unknown>)[key]
      // A field that is absent and one that holds nothing are the same to all who read it.
      if (item === undefined) continue
      this.text(key)
      this.value(item)
    }
    this.word(11)
  }
}
