/**
 * What is on a simulated server's disk, and what may become of it: LevelDB as measured, not as hoped for.
 *
 * Batches stand as records in a log until they are merged into tables. A record whose checksum is wrong is dropped at
 * the next open, alone or with the rest of its block, while later ones stay; LevelDB then tells of it in its own log
 * (`evidence`) and reports success. A tail that was cut off leaves no trace. In a table a flipped bit gives a wrong
 * value, and no error.
 *
 * Invariant: without a damage, everything that was reported done is there at the next open; after a power cut, all that
 * was asked to be synced.
 */
import { slotBytes, type BatchOptions, type Operation } from '../../raft/database.ts'
import { RaftError } from '../../raft/error.ts'
import { Slots } from '../../raft/slots.ts'
import { openTail, tailKey } from '../../raft/store-layout.ts'
import { markCodec } from '../../raft/vote-file.ts'
import type { SeededRandom } from './seeded-random.ts'

/** What may happen to the files of a server that does not run. */
export const damages = [
  /** A bit flips in the database's log: some records are gone from its middle, the later ones stay. */
  'flip-log',
  /** A page of zeros in it: the same, and LevelDB does not tell. */
  'hole',
  /** A bit flips in the last record. */
  'flip-last',
  /** The log's last records are gone, and nothing tells. */
  'cut-tail',
  /** The disk lost power in the midst of the last record: it is broken, and the mark as old as it was. */
  'torn-last',
  /** A bit flips in a table: in a value, or in a key. */
  'flip-table',
  'flip-key',
  /** The file that names the database's parts is gone. */
  'no-current',
  /** The whole database is gone; the files beside it are there. */
  'no-database',
  /** A slot of the vote file is broken, or both are. */
  'vote-slot',
  'vote-file',
  /** The vote file is as it was before its last write. */
  'vote-old',
  /** The mark is broken, or as it was some time ago. */
  'mark-file',
  'mark-old',
] as const

export type Damage = (typeof damages)[number]

interface LogRecord {
  readonly operations: readonly (readonly [string, Buffer | undefined])[]
  isLost: boolean
  /** Or one behind it was. */
  isSynced: boolean
}

/** A table is made of so many records. */
const mergeAt = 40

export class Medium {
  /** Keys in latin1: in the order of their bytes. */
  table = new Map<string, Buffer>()
  log: LogRecord[] = []
  isThere = false
  hasCurrent = true
  evidence: string[] = []
  readonly vote = new SlotPair()
  readonly mark = new SlotPair()
  marker: string | undefined
  aside: number[] = []
  /** The key in the table whose value was flipped last. */
  flipped = ''

  /** What LevelDB makes of it at the next open: what it drops is dropped for good. */
  replay(): Map<string, Buffer> {
    for (const record of this.log) if (!record.isLost) this.#merge(record)
    this.log = []
    this.isThere = true
    return new Map(this.table)
  }

  /** A log is synced as far as it was written. */
  append(operations: readonly Operation[], { sync }: BatchOptions): void {
    const record = operations.map(operation => {
      const key = operation.key.toString('latin1')
      return [key, operation.type === 'put' ? operation.value : undefined] as const
    })
    this.log.push({ operations: record, isLost: false, isSynced: sync })
    if (sync) for (const earlier of this.log) earlier.isSynced = true
    if (this.log.length < mergeAt) return
    // Half of it stays in the log, so that both kinds of damage have something to hit.
    for (const merged of this.log.splice(0, mergeAt / 2)) this.#merge(merged)
  }

  /** What was never synced is gone from somewhere on: nobody was promised it, and nothing tells. */
  losePower(random: SeededRandom): void {
    const from = this.log.findIndex(({ isSynced }) => !isSynced)
    if (from >= 0) this.log.length = random.between(from, this.log.length)
  }

  #merge({ operations }: LogRecord): void {
    for (const [key, value] of operations) {
      if (value === undefined) this.table.delete(key)
      else this.table.set(key, value)
    }
  }

  /** Nothing of the database is left. */
  clear(): void {
    this.table = new Map()
    this.log = []
    this.isThere = false
    this.hasCurrent = true
    this.evidence = []
  }

  /** An empty disk under the old name. */
  wipe(): void {
    this.clear()
    this.vote.clear()
    this.mark.clear()
    this.marker = undefined
    this.aside = []
  }

  /** False: there is nothing that this could hit. */
  damage(kind: Damage, random: SeededRandom): boolean {
    switch (kind) {
      case 'flip-log':
        return this.#drop(random, `Ignoring error: dropping ${random.between(100, 30_000)} bytes`)
      case 'hole':
        return this.#drop(random, "the database's log has a hole")
      case 'flip-last': {
        const last = this.log.pop()
        if (last !== undefined) this.evidence.push('dropping 344 bytes; checksum mismatch')
        return last !== undefined
      }
      case 'torn-last':
        if (this.log.pop() === undefined) return false
        this.mark.revert()
        this.evidence.push('dropping 97 bytes; checksum mismatch')
        return true
      case 'cut-tail':
        return this.#cutTail(random)
      case 'flip-table':
        return this.#flipTable(random)
      case 'flip-key':
        return this.#flipKey(random)
      case 'no-current':
        this.hasCurrent = false
        return this.isThere
      case 'no-database':
        if (this.#marked === undefined) return false
        this.clear()
        return true
      case 'vote-slot':
        return this.vote.flip(random.pick([0, 1]), random)
      case 'vote-file':
        return [this.vote.flip(0, random), this.vote.flip(1, random)].includes(true)
      case 'vote-old':
        return this.vote.revert()
      case 'mark-file':
        return [this.mark.flip(0, random), this.mark.flip(1, random)].includes(true)
      case 'mark-old':
        return this.mark.revert()
    }
  }

  /** Some records from the middle on. */
  #drop(random: SeededRandom, evidence: string): boolean {
    if (this.log.length === 0) return false
    const from = random.between(0, this.log.length - 1)
    const to = Math.min(this.log.length, from + random.pick([1, 1, 3, 15]))
    for (const record of this.log.slice(from, to)) record.isLost = true
    this.evidence.push(evidence)
    return true
  }

  /** The number of the batch that the mark names; `undefined` when it cannot be read. */
  get #marked(): number | undefined {
    const file = { read() {}, write() {} }
    return new Slots(file, markCodec, this.mark.bytes).last?.seq
  }

  /**
   * To before the batch that the mark names. Where less is lost, nobody can tell but the leader that heard of it: a
   * disk that forgets what it had synced a moment ago is out of bounds.
   */
  #cutTail(random: SeededRandom): boolean {
    const marked = this.#marked
    if (marked === undefined) return false
    const least = this.log.findIndex(record => (seqOf(record) ?? 0) >= marked)
    if (least < 0) return false
    this.log.length = random.between(Math.max(0, least - 10), least)
    return true
  }

  /** One kind of record is as likely as another, however many there are of it: of the tail there is one. */
  #pickKey(random: SeededRandom): string | undefined {
    const keys = [...this.table.keys()]
    if (keys.length === 0) return undefined
    const kind = random.pick([...new Set(keys.map(([first = '']) => first))])
    const alike = keys.filter(one => one.startsWith(kind)).sort()
    return random.chance(0.3) ? alike.at(-1) : random.pick(alike)
  }

  #flipKey(random: SeededRandom): boolean {
    const key = this.#pickKey(random)
    const value = key === undefined ? undefined : this.table.get(key)
    if (key === undefined || value === undefined) return false
    const bytes = Buffer.from(key, 'latin1')
    flip(bytes, 0, bytes.length, random)
    const other = bytes.toString('latin1')
    if (this.table.has(other)) return false
    this.table.delete(key)
    this.table.set(other, value)
    return true
  }

  #flipTable(random: SeededRandom): boolean {
    const key = this.#pickKey(random)
    if (key === undefined) return false
    const value = Buffer.from(this.table.get(key) ?? '')
    if (value.length === 0) return false
    flip(value, 0, value.length, random)
    this.table.set(key, value)
    this.flipped = key
    return true
  }
}

/** Of a batch: what its record of the tail says. */
function seqOf({ operations }: LogRecord): number | undefined {
  const name = tailKey.toString('latin1')
  const value = operations.findLast(([key]) => key === name)?.[1]
  const tail = value && openTail(value)
  return tail === undefined || tail instanceof RaftError ? undefined : tail.seq
}

/** A file of two slots, and what the last write replaced. */
export class SlotPair {
  readonly bytes = Buffer.alloc(2 * slotBytes)
  #before: { readonly slot: 0 | 1; readonly bytes: Buffer } | undefined

  write(slot: 0 | 1, bytes: Buffer): void {
    const from = slot * slotBytes
    this.#before = { slot, bytes: Buffer.from(this.bytes.subarray(from, from + slotBytes)) }
    bytes.copy(this.bytes, from)
  }

  /** A write that a crash cut short. */
  tear(slot: 0 | 1, bytes: Buffer, random: SeededRandom): void {
    bytes.copy(this.bytes, slot * slotBytes, 0, random.between(0, slotBytes))
  }

  flip(slot: 0 | 1, random: SeededRandom): boolean {
    const from = slot * slotBytes
    if (this.bytes.subarray(from, from + slotBytes).every(byte => byte === 0)) return false
    flip(this.bytes, from, slotBytes, random)
    return true
  }

  /** As it was before the last write. */
  revert(): boolean {
    const before = this.#before
    this.#before = undefined
    before?.bytes.copy(this.bytes, before.slot * slotBytes)
    return before !== undefined
  }

  clear(): void {
    this.bytes.fill(0)
    this.#before = undefined
  }
}

function flip(bytes: Buffer, from: number, length: number, random: SeededRandom): void {
  const at = from + random.between(0, length - 1)
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random.between(0, 7))
}
