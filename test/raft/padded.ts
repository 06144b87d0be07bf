/**
 * A state machine of any size for tests and benches: rows of 1 KiB, made or replaced by commands.
 *
 * It keeps to the contract as a good one does: a snapshot copies references, not rows, and rows are replaced, never
 * changed; the hash follows each change; a restore keeps the old rows until its end.
 */
import { crc32 } from 'node:zlib'
import type { Command, Restoration, StateMachine } from '../../raft/index.ts'

const rowBytes = 1024
/** As many bytes as a slice of the ledger has. */
const rowsPerSlice = 48

/** Makes `count` rows more. */
export function fill(count: number): Uint8Array {
  const data = Buffer.alloc(5)
  data.writeUInt32BE(count, 1)
  return data
}

/** Replaces a row by `text`, repeated. */
export function put(row: number, text: string): Uint8Array {
  const head = Buffer.alloc(5, 1)
  head.writeUInt32BE(row, 1)
  return Buffer.concat([head, Buffer.from(text)])
}

export class Padded implements StateMachine {
  #rows: Buffer[] = []
  #sum = 0
  restores = 0
  /** Called after every change. */
  changed: () => void = () => {}

  get rows(): number {
    return this.#rows.length
  }

  apply({ data }: Command): void {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    const number = bytes.readUInt32BE(1)
    if (bytes[0] === 1) {
      if (number < this.rows) this.#set(number, Buffer.alloc(rowBytes, bytes.subarray(5)))
      this.changed()
      return
    }
    for (let made = 0; made < number; made++) {
      this.#set(this.rows, Buffer.alloc(rowBytes, `row ${this.rows} `))
    }
    this.changed()
  }

  #set(at: number, row: Buffer): void {
    const before = this.#rows[at]
    if (before !== undefined) this.#sum = (this.#sum - crc32(before, at)) >>> 0
    this.#sum = (this.#sum + crc32(row, at)) >>> 0
    this.#rows[at] = row
  }

  snapshot(): Generator<Uint8Array> {
    return this.#cut([...this.#rows])
  }

  *#cut(rows: readonly Buffer[]): Generator<Uint8Array> {
    for (let at = 0; at < rows.length; at += rowsPerSlice) {
      yield Buffer.concat(rows.slice(at, at + rowsPerSlice))
    }
  }

  restore(): Restoration {
    const restored = new Padded()
    return {
      slice: data => {
        const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
        for (let at = 0; at < bytes.length; at += rowBytes) {
          restored.#set(restored.rows, bytes.subarray(at, at + rowBytes))
        }
      },
      end: () => {
        this.#rows = restored.#rows
        this.#sum = restored.#sum
        this.restores++
        this.changed()
      },
    }
  }

  digest(): string {
    return `crc:${this.rows}:${this.#sum.toString(16)}`
  }
}
