/**
 * One small value in a file of two slots that are written in turn: a torn write spoils the slot that nobody was
 * told about yet.
 *
 * Invariant: a slot that was acknowledged is one of the two that were written last; when both can be read and
 * follow each other, the newer one is the last that was acknowledged or one that was never.
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { slotBytes, type Done, type SlotFile } from './database.ts'
import { isCount, pack, unpack } from './record.ts'

/** How a value looks as a row. */
export interface SlotCodec<T> {
  row(value: T): readonly unknown[]
  value(row: readonly unknown[]): T | undefined
}

export class Slots<T> {
  readonly #file: SlotFile
  readonly #codec: SlotCodec<T>
  #last: T | undefined
  /** Counts writes; the greater one is newer. */
  #seq: number
  #isCertain: boolean

  /** `bytes` is what the file holds. */
  constructor(file: SlotFile, codec: SlotCodec<T>, bytes: Buffer) {
    const slots = [0, 1].map(n => bytes.subarray(n * slotBytes, (n + 1) * slotBytes))
    const read = slots.map(slot => parse(slot, codec))
    const [newest, other] = read.filter(slot => slot !== undefined).sort((a, b) => b.seq - a.seq)
    const blanks = slots.filter(slot => slot.every(byte => byte === 0)).length
    this.#file = file
    this.#codec = codec
    this.#last = newest?.value
    this.#seq = newest?.seq ?? 0
    this.#isCertain =
      other === undefined ? this.#seq + blanks === 2 && this.#seq <= 1 : this.#seq === other.seq + 1
  }

  /** The newest value that can be read; `undefined`: none ever was written, or both slots are broken. */
  get last(): T | undefined {
    return this.#last
  }

  /** How often it was written. */
  get seq(): number {
    return this.#seq
  }

  /** Whether `last` is sure to be what was acknowledged last, or is newer: no slot is broken. */
  get isCertain(): boolean {
    return this.#isCertain
  }

  /** One at a time. */
  write(value: T, done: Done): void {
    const seq = this.#seq + 1
    const body = pack([seq, ...this.#codec.row(value)])
    assert(body.length <= slotBytes - 8)
    const bytes = Buffer.alloc(slotBytes)
    bytes.writeUInt32BE(body.length, 4)
    bytes.set(body, 8)
    bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0)
    this.#file.write(seq % 2 === 0 ? 0 : 1, bytes, error => {
      if (error === undefined) {
        this.#last = value
        this.#seq = seq
      }
      done(error)
    })
  }

  /** Into both slots, one after the other: mends a broken one. */
  rewrite(value: T, done: Done): void {
    this.write(value, error => {
      if (error !== undefined) {
        done(error)
        return
      }
      this.write(value, failed => {
        this.#isCertain ||= failed === undefined
        done(failed)
      })
    })
  }
}

function parse<T>(bytes: Buffer, codec: SlotCodec<T>): { seq: number; value: T } | undefined {
  if (bytes.length < slotBytes || crc32(bytes.subarray(4)) !== bytes.readUInt32BE(0)) {
    return undefined
  }
  const length = bytes.readUInt32BE(4)
  if (length === 0 || length > slotBytes - 8) return undefined
  const [seq, ...row] = unpack(bytes.subarray(8, 8 + length)) ?? []
  const value = codec.value(row)
  return isCount(seq) && value !== undefined ? { seq, value } : undefined
}
