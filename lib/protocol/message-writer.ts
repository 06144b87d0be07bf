/**
 * Msgpack as the seat protocol writes it: the few shapes it has, into one buffer that is used again and again.
 *
 * The library writes the same bytes out of arrays that are made for it alone; at a hundred thousand seats a second these
 * arrays and the look at each value's type cost more than all else of a message (docs/performance.md).
 */

const firstBytes = 64 * 1024
/** A longer text is written by the runtime: a call costs as much as so many characters. */
const shortText = 64

export class MessageWriter {
  #bytes = Buffer.allocUnsafe(firstBytes)
  #at = 0

  /** The header of an array; its values follow. */
  array(length: number): void {
    this.#room(5)
    if (length < 0x10) this.#bytes[this.#at++] = 0x90 | length
    else this.#length(length, 0xdc)
  }

  text(value: string): void {
    const { length } = value
    this.#room(3 * length + 5)
    if (length > shortText || !this.#ascii(value)) this.#utf8(value)
  }

  /** Whole numbers of up to 32 bits as such, all others as floating point of 64 bits, as the library has it. */
  number(value: number): void {
    this.#room(9)
    const bytes = this.#bytes
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
      bytes[this.#at++] = 0xcb
      this.#at = bytes.writeDoubleBE(value, this.#at)
    } else if (value < 0x80) bytes[this.#at++] = value
    else if (value < 0x100) {
      bytes[this.#at++] = 0xcc
      bytes[this.#at++] = value
    } else if (value < 0x1_0000) {
      bytes[this.#at++] = 0xcd
      this.#at = bytes.writeUInt16BE(value, this.#at)
    } else {
      bytes[this.#at++] = 0xce
      this.#at = bytes.writeUInt32BE(value, this.#at)
    }
  }

  bytes(value: Uint8Array): void {
    const { length } = value
    this.#room(length + 5)
    if (length < 0x100) {
      this.#bytes[this.#at++] = 0xc4
      this.#bytes[this.#at++] = length
    } else this.#length(length, 0xc5)
    this.#bytes.set(value, this.#at)
    this.#at += length
  }

  flag(value: boolean): void {
    this.#room(1)
    this.#bytes[this.#at++] = value ? 0xc3 : 0xc2
  }

  nil(): void {
    this.#room(1)
    this.#bytes[this.#at++] = 0xc0
  }

  /** A copy of what was written; what is written next begins anew. */
  take(): Uint8Array {
    const message = new Uint8Array(this.#bytes.subarray(0, this.#at))
    this.#at = 0
    return message
  }

  /** False, and nothing written, for a text with characters of more than one byte. */
  #ascii(value: string): boolean {
    const { length } = value
    const bytes = this.#bytes
    const start = this.#at + (length < 0x20 ? 1 : 2)
    for (let n = 0; n < length; n++) {
      const code = value.charCodeAt(n)
      if (code > 0x7f) return false
      bytes[start + n] = code
    }
    if (length < 0x20) bytes[this.#at] = 0xa0 | length
    else {
      bytes[this.#at] = 0xd9
      bytes[this.#at + 1] = length
    }
    this.#at = start + length
    return true
  }

  #utf8(value: string): void {
    const length = Buffer.byteLength(value)
    if (length < 0x20) this.#bytes[this.#at++] = 0xa0 | length
    else if (length < 0x100) {
      this.#bytes[this.#at++] = 0xd9
      this.#bytes[this.#at++] = length
    } else this.#length(length, 0xda)
    this.#at += this.#bytes.write(value, this.#at)
  }

  /** A length of 16 or 32 bits, behind the byte that says so. */
  #length(length: number, token16: number): void {
    if (length < 0x1_0000) {
      this.#bytes[this.#at++] = token16
      this.#at = this.#bytes.writeUInt16BE(length, this.#at)
    } else {
      this.#bytes[this.#at++] = token16 + 1
      this.#at = this.#bytes.writeUInt32BE(length, this.#at)
    }
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}
