/**
 * Messages of the seat protocol read straight from their bytes, where they are as the SDK writes them.
 *
 * A reader says no more than "not so": a form that it does not know, or a field that is not as documented, leaves `ok`
 * false, and the message is read and judged by `seat-codec.ts` as any other. So what it accepts is a part of what is
 * accepted there, with the same outcome, at a third of the cost (docs/performance.md).
 */
import { isLabel, isSeatId } from './seat-check.ts'
import { seatBounds } from './seat.ts'
import { isFeatureName } from './subject.ts'

/** Letters of request ids, by byte. */
const ofIds = new Uint8Array(256)
for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-') {
  ofIds[letter.charCodeAt(0)] = 1
}

/**
 * Texts that come again and again, by their bytes: judged once, and one object each, whose hash is known from then on.
 * Bounded: a text takes the place of another that falls to the same slot.
 */
class Texts {
  static readonly #slots = 1_024
  readonly #judge: (text: string) => boolean
  readonly #known: (string | undefined)[] = new Array<undefined>(Texts.#slots).fill(undefined)

  constructor(judge: (text: string) => boolean) {
    this.#judge = judge
  }

  /** `undefined`: not well formed, or with characters of more than one byte. */
  find(data: Buffer, at: number, length: number): string | undefined {
    let hash = length
    for (let n = at; n < at + length; n++) hash = (Math.imul(hash, 31) + (data[n] ?? 0)) | 0
    const slot = (hash ^ (hash >>> 12)) & (Texts.#slots - 1)
    const known = this.#known[slot]
    if (known?.length === length && isSame(known, data, at)) return known
    for (let n = at; n < at + length; n++) if ((data[n] ?? 0) > 0x7f) return undefined
    const text = data.toString('latin1', at, at + length)
    if (!this.#judge(text)) return undefined
    this.#known[slot] = text
    return text
  }
}

function isSame(text: string, data: Buffer, at: number): boolean {
  for (let n = 0; n < text.length; n++) if (text.charCodeAt(n) !== data[at + n]) return false
  return true
}

const labels = new Texts(isLabel)
const features = new Texts(isFeatureName)
const noBytes = new Uint8Array(0)

export class MessageReader {
  /** False once anything was not as expected; what was read is void then. */
  ok = true
  readonly #message: Uint8Array
  /** The same bytes, with a buffer's means. */
  readonly #data: Buffer
  #at = 0

  constructor(data: Uint8Array) {
    this.#message = data
    this.#data = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  }

  /** True when all was as expected and nothing is left. */
  get isDone(): boolean {
    return this.ok && this.#at === this.#data.length
  }

  /** The length of an array, as claimed: who reads its values stops at the first that is not there (`ok`). */
  array(): number {
    const token = this.#next()
    if (token >= 0x90 && token < 0xa0) return token & 0x0f
    if (token === 0xdc) return this.#big(2)
    return this.#fail()
  }

  /** A whole number of up to 32 bits. */
  whole(): number {
    const token = this.#next()
    if (token < 0x80) return token
    if (token === 0xcc) return this.#big(1)
    if (token === 0xcd) return this.#big(2)
    if (token === 0xce) return this.#big(4)
    return this.#fail()
  }

  /** The id of a request or client. */
  id(): string {
    const length = this.#textLength()
    const from = this.#at
    const isId = length > 0 && length <= seatBounds.idMax && this.#areOfIds(from, length)
    return isId ? this.#take(length) : this.#noText()
  }

  seatId(): string {
    const length = this.#textLength()
    if (length > 0 && length <= seatBounds.idMax && this.#areOfIds(this.#at, length)) {
      return this.#take(length)
    }
    // One of several: it has a slash, and is longer.
    const id = this.#take(Math.min(length, 2 * seatBounds.idMax))
    return this.ok && isSeatId(id) ? id : this.#noText()
  }

  flag(): boolean {
    const token = this.#next()
    if (token !== 0xc2 && token !== 0xc3) this.ok = false
    return token === 0xc3
  }

  label(): string {
    return this.#known(labels, seatBounds.labelMax)
  }

  feature(): string {
    return this.#known(features, seatBounds.labelMax)
  }

  /** A view of the message. */
  token(): Uint8Array {
    const token = this.#next()
    const length = token === 0xc4 ? this.#big(1) : token === 0xc5 ? this.#big(2) : this.#fail()
    const from = this.#at
    if (!this.ok || length > seatBounds.tokenMax || from + length > this.#data.length) {
      this.ok = false
      return noBytes
    }
    this.#at = from + length
    return length === 0 ? noBytes : this.#message.subarray(from, this.#at)
  }

  #known(texts: Texts, lengthMax: number): string {
    const length = this.#textLength()
    const from = this.#at
    if (this.ok && length <= lengthMax && from + length <= this.#data.length) {
      const text = texts.find(this.#data, from, length)
      if (text !== undefined) {
        this.#at = from + length
        return text
      }
    }
    return this.#noText()
  }

  #areOfIds(from: number, length: number): boolean {
    for (let n = from; n < from + length; n++) {
      if (ofIds[this.#data[n] ?? 0] !== 1) return false
    }
    return true
  }

  /** The next bytes as text of one byte a character. */
  #take(length: number): string {
    const from = this.#at
    if (from + length > this.#data.length) return this.#noText()
    this.#at = from + length
    return this.#data.toString('latin1', from, this.#at)
  }

  #noText(): string {
    this.ok = false
    return ''
  }

  #textLength(): number {
    const token = this.#next()
    if (token >= 0xa0 && token < 0xc0) return token & 0x1f
    return token === 0xd9 ? this.#big(1) : this.#fail()
  }

  #next(): number {
    const token = this.#data[this.#at++]
    return token ?? this.#fail()
  }

  #big(bytes: number): number {
    let value = 0
    for (let n = 0; n < bytes; n++) value = value * 256 + (this.#data[this.#at++] ?? this.#fail())
    return value
  }

  #fail(): number {
    this.ok = false
    return 0
  }
}
