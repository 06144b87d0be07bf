/**
 * A state machine for tests: it keeps what was applied, as text, and a running checksum over it.
 *
 * Snapshots are cut into as many slices as asked for, lazily, from a copy made at once: commands applied before the
 * first slice or between two must not show in them.
 */
import { createHash } from 'node:crypto'
import type { Command, Restoration, StateMachine } from '../../raft/index.ts'

export class Counter implements StateMachine {
  readonly #perSlice: number
  lines: string[] = []
  lastIndex = 0
  restores = 0
  snapshots = 0
  /** Called when commands or a snapshot were taken. */
  onChange: () => void = () => {}

  constructor(perSlice = 100) {
    this.#perSlice = perSlice
  }

  apply({ index, data }: Command): void {
    this.lines.push(Buffer.from(data).toString())
    this.lastIndex = index
    this.onChange()
  }

  snapshot(): Generator<Uint8Array> {
    this.snapshots++
    return this.#cut([...this.lines])
  }

  *#cut(lines: readonly string[]): Generator<Uint8Array> {
    for (let i = 0; i < lines.length; i += this.#perSlice) {
      yield Buffer.from(JSON.stringify(lines.slice(i, i + this.#perSlice)))
    }
  }

  restore(at: { readonly index: number }): Restoration {
    const restored: string[] = []
    return {
      slice(data) {
        if (data.length === 0) return
        const lines: unknown = JSON.parse(Buffer.from(data).toString())
        if (Array.isArray(lines)) for (const line of lines) restored.push(String(line))
      },
      end: () => {
        this.restores++
        this.lastIndex = at.index
        this.lines = restored
        this.onChange()
      },
    }
  }

  digest(): string {
    return `sha256:${this.hash}`
  }

  get hash(): string {
    return createHash('sha256').update(this.lines.join('\n')).digest('hex')
  }
}
