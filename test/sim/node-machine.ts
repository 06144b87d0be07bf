/**
 * The ledger as a simulated node's state machine, cut into small slices so that even a small pool's snapshot travels in
 * many chunks.
 *
 * It tells whoever watches of every command it applied and of every snapshot it took, with the ledger's hash.
 */
import { pack, unpack } from 'msgpackr'
import assert from 'node:assert/strict'
import type { Command, Restoration, StateMachine } from '../../raft/state-machine.ts'
import { commandCodec } from '../../lib/command-codec.ts'
import { Ledger, type Applied } from '../../lib/ledger/ledger.ts'
import type { Row } from '../../lib/ledger/snapshot.ts'

export interface MachineWatcher {
  applied(command: Command, applied: Applied | undefined): void
  restored(at: { readonly index: number }): void
  /** A slice of a snapshot was cut or taken in. */
  sliced(): void
}

export class NodeMachine implements StateMachine {
  readonly #watcher: MachineWatcher
  readonly #rowsPerSlice: number
  ledger = new Ledger()

  constructor(watcher: MachineWatcher, rowsPerSlice: number) {
    this.#watcher = watcher
    this.#rowsPerSlice = rowsPerSlice
  }

  apply(entry: Command): void {
    const command = commandCodec.decode(entry.data)
    const applied = command && this.ledger.apply(command, entry.index)
    this.#watcher.applied(entry, applied)
  }

  snapshot(): Iterator<Uint8Array> {
    // Opened at once: what is applied before the first slice is cut must not show in it.
    return this.#cut(this.ledger.snapshotRows())
  }

  restore(at: { readonly index: number }): Restoration {
    const restoring = Ledger.restoring()
    return {
      slice: data => {
        this.#watcher.sliced()
        const rows: unknown = unpack(data)
        assert(Array.isArray(rows), 'a slice of rows')
        for (const row of rows) restoring.put(row as Row)
      },
      end: () => {
        this.ledger = restoring.end()
        this.#watcher.restored(at)
      },
    }
  }

  digest(): string {
    return this.ledger.hash()
  }

  *#cut(rows: Iterable<Row>): Generator<Uint8Array, void> {
    let slice: Row[] = []
    for (const row of rows) {
      slice.push(row)
      if (slice.length < this.#rowsPerSlice) continue
      this.#watcher.sliced()
      yield new Uint8Array(pack(slice))
      slice = []
    }
    if (slice.length > 0) yield new Uint8Array(pack(slice))
  }
}
