/**
 * A hash over a set of rows that follows each change of the set, so that comparing ledgers between servers costs
 * what changed and not what there is (I5).
 *
 * Each row's text is hashed to two words of 32 bits and the words are summed, so order does not matter. It tells
 * accidents from equality; it is no protection against someone who wants two ledgers to look alike.
 */

/** Two words of 32 bits. */
export type RowHash = readonly [number, number]

/** The sum of the rows put in, less those taken out. */
export class Digest {
  #high = 0
  #low = 0

  /** Answers what takes it out again. */
  add(text: string): RowHash {
    const hash = hashText(text)
    this.#high = (this.#high + hash[0]) >>> 0
    this.#low = (this.#low + hash[1]) >>> 0
    return hash
  }

  /** Takes out a row that was put in with the same text. */
  subtract(text: string): void {
    this.remove(hashText(text))
  }

  remove([high, low]: RowHash): void {
    this.#high = (this.#high - high) >>> 0
    this.#low = (this.#low - low) >>> 0
  }

  /** 16 hexadecimal digits of the sum and one row more, which is not kept. */
  with(text: string): string {
    const [high, low] = hashText(text)
    return hex((this.#high + high) >>> 0) + hex((this.#low + low) >>> 0)
  }
}

/** Two multiplicative lanes over the UTF-16 units, each finished as in MurmurHash3. */
function hashText(text: string): RowHash {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    a = Math.imul(a ^ unit, 0x9e3779b1)
    a = (a << 13) | (a >>> 19)
    b = Math.imul(b ^ unit, 0x5f356495)
    b = (b << 15) | (b >>> 17)
  }
  return [finish(a ^ text.length), finish(b ^ Math.imul(text.length, 0x27d4eb2f))]
}

function finish(word: number): number {
  let mixed = word ^ (word >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

function hex(word: number): string {
  return word.toString(16).padStart(8, '0')
}
