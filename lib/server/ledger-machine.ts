/**
 * The ledger as Raft's state machine: log entries in, snapshots out and in.
 *
 * An entry of a later version stops the server: others have applied it. One that does not decode otherwise changes
 * nothing, on every server alike: it never got past a leader, so it is damage that checksums missed. It is logged and skipped.
 */
import { Packr } from 'msgpackr'
import assert from 'node:assert/strict'
import { unpackPlain } from '../../raft/msgpack.ts'
import type { Logger } from '../../raft/ports.ts'
import type { Command as Entry, Restoration, StateMachine } from '../../raft/state-machine.ts'
import { commandCodec } from '../command-codec.ts'
import { LicdError } from '../error.ts'
import { levelMax, type Command } from '../ledger/command.ts'
import { Ledger, type Applied } from '../ledger/ledger.ts'
import type { Judge } from '../ledger/outcome.ts'
import type { Row } from '../ledger/snapshot.ts'

/** A slice is closed once it holds so much; with its last row it stays well below Raft's 128 KiB. */
export const sliceBytes = 48 * 1024
/** Rows in a slice, a bound on the work of one pull. */
export const sliceRows = 512
const sliceVersion = 1
const packr = new Packr({ useRecords: false, int64AsType: 'number' })
const comparedEveryTicks = 4

export interface LedgerHooks {
  /** After every entry that changed the ledger or was refused by it, in order. */
  applied(index: number, command: Command, applied: Applied): void
  /** The ledger was replaced: at start from the own snapshot, later by one from the leader. */
  installed(index: number): void
}

export class LedgerMachine implements StateMachine {
  readonly #hooks: LedgerHooks
  readonly #log: Logger
  readonly #judge: Judge | undefined
  #ledger: Ledger
  #index = 0
  #isCheckpoint = false
  #hash: { readonly index: number; readonly text: string } | undefined

  /** Without a judge signatures are not looked at when a code is applied. */
  constructor(hooks: LedgerHooks, log: Logger, judge?: Judge) {
    this.#hooks = hooks
    this.#log = log
    this.#judge = judge
    this.#ledger = new Ledger(judge)
  }

  /** Another object after a snapshot: never keep it. */
  get ledger(): Ledger {
    return this.#ledger
  }

  /** Index of the last entry applied. */
  get index(): number {
    return this.#index
  }

  /** Of the ledger at `index`; computed at most once for each. */
  hash(): string {
    if (this.#hash?.index !== this.#index) {
      this.#hash = { index: this.#index, text: this.#ledger.hash() }
    }
    return this.#hash.text
  }

  /** Throws LICD_BAD_VERSION. */
  apply({ index, data }: Entry): void {
    this.#index = index
    this.#isCheckpoint = false
    const command = commandCodec.decode(data)
    // Servers that know it have applied it: going on without would be another ledger than theirs.
    if (commandCodec.isLater(data) || (command !== undefined && raises(command) > levelMax)) {
      throw new LicdError('LICD_BAD_VERSION', `Entry ${index} of the log is of a later version.`)
    }
    if (command === undefined) {
      this.#log.error('entry-unreadable', { index, bytes: data.length })
      return
    }
    const applied = this.#ledger.apply(command, index)
    this.#isCheckpoint = command.body.type === 'tick' && applied.result.ok
    this.#hooks.applied(index, command, applied)
  }

  snapshot(): Iterator<Uint8Array> {
    return slices(this.#ledger.snapshotRows())
  }

  /** The same for an operator, beside one that Raft takes. */
  backup(): Iterator<Uint8Array> {
    return slices(this.#ledger.snapshotRows('backup'))
  }

  restore({ index }: { readonly index: number }): Restoration {
    const restoring = Ledger.restoring(this.#judge)
    return {
      slice(data) {
        for (const row of rowsOf(data)) {
          if (row.kind === 'pool' && row.version > levelMax) {
            throw new LicdError('LICD_BAD_VERSION', 'The snapshot is of a later version.')
          }
          restoring.put(row)
        }
      },
      end: () => {
        this.#ledger = restoring.end()
        this.#index = index
        this.#hash = undefined
        this.#hooks.installed(index)
      },
    }
  }

  /** The number is of the rows' shape: servers of versions with other rows are not compared. */
  digest(): string {
    return `rows-${this.#ledger.state.level}:${this.hash()}`
  }

  /** Every few ticks, so that servers of a pool where nothing else happens are compared too. */
  isCheckpoint(): boolean {
    return this.#isCheckpoint && this.#ledger.state.tick % comparedEveryTicks === 0
  }
}

/** The level to which the command takes the pool. */
function raises({ body }: Command): number {
  if (body.type === 'set-level') return body.level
  return body.type === 'genesis' ? (body.level ?? 1) : 1
}

function* slices(rows: Iterator<Row>): Generator<Uint8Array, void> {
  for (let next = rows.next(); !next.done;) {
    const packed: Uint8Array[] = []
    let bytes = 0
    while (!next.done && bytes < sliceBytes && packed.length < sliceRows) {
      const row = packr.pack(next.value)
      packed.push(row)
      bytes += row.length
      next = rows.next()
    }
    yield new Uint8Array(packr.pack([sliceVersion, packed]))
  }
}

export function* rowsOf(data: Uint8Array): Generator<Row> {
  const slice = unpackPlain(packr, data)
  // Raft has checked the bytes; what does not fit here was written by another version.
  assert(isList(slice) && slice[0] === sliceVersion, 'a snapshot of another version')
  const rows = slice[1]
  assert(isList(rows))
  for (const row of rows) {
    assert(row instanceof Uint8Array)
    yield unpackPlain(packr, row) as Row
  }
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}
