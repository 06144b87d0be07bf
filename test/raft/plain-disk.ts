/**
 * A disk in memory that does what it is told and may be cut off at any of its calls: what a crash leaves.
 *
 * Of the call at which it is cut off, the effect is there or not, as asked for; nothing after it happens, and no
 * callback comes any more.
 */
import assert from 'node:assert/strict'
import {
  slotBytes,
  type Database,
  type Disk,
  type Done,
  type Got,
  type Operation,
  type Pair,
  type SlotFile,
} from '../../raft/database.ts'

/** What survives. Databases by name, their values by key in hex. */
export interface Plain {
  databases: Map<string, Map<string, Buffer>>
  vote: Buffer
  mark: Buffer
  marker: string | undefined
  /** What an open finds to say against the database in office. It goes with it when it is set aside. */
  evidence: string[]
}

export function plainDisk(): Plain {
  const empty = (): Buffer => Buffer.alloc(2 * slotBytes)
  return { databases: new Map(), vote: empty(), mark: empty(), marker: undefined, evidence: [] }
}

export interface Cut {
  /** Calls that are still carried out; the one after them is the last. */
  readonly after: number
  readonly isLastDone: boolean
  readonly onCut: () => void
}

/** A handle on `plain`. */
export function openPlain(plain: Plain, cut?: Cut): Disk {
  let left = cut?.after ?? Infinity
  const call = <T>(effect: () => T | undefined, done: Got<T>): void => {
    setImmediate(() => {
      if (left-- > 0) {
        done(undefined, effect())
        return
      }
      if (left < -1) return
      if (cut?.isLastDone === true) effect()
      cut?.onCut()
    })
  }
  const act = (effect: () => void, done: Done): void => call<undefined>(() => void effect(), done)
  const slots = (file: 'vote' | 'mark'): SlotFile => ({
    read: done => call(() => Buffer.from(plain[file]), done),
    write: (slot, bytes, done) => act(() => void bytes.copy(plain[file], slot * slotBytes), done),
  })
  let isOpen = false
  return {
    vote: slots('vote'),
    mark: slots('mark'),
    marker: {
      read: done => call(() => plain.marker, done),
      write: (text, done) => act(() => void (plain.marker = text), done),
      remove: (_aside, done) => act(() => void (plain.marker = undefined), done),
    },
    open: done =>
      call(() => {
        assert(!isOpen, 'opened once')
        isOpen = true
        const values = plain.databases.get('db') ?? new Map<string, Buffer>()
        plain.databases.set('db', values)
        return { database: databaseOver(values, call), evidence: plain.evidence }
      }, done),
    listAside: done =>
      call(() => {
        const names = [...plain.databases.keys()].filter(name => name !== 'db')
        return names.map(Number).sort((a, b) => a - b)
      }, done),
    setAside: (aside, done) =>
      act(() => {
        isOpen = false
        const values = plain.databases.get('db')
        if (values !== undefined) plain.databases.set(String(aside), values)
        plain.databases.delete('db')
        plain.evidence = []
      }, done),
    later: run => void setImmediate(run),
    close: done => void setImmediate(done),
  }
}

function databaseOver(
  values: Map<string, Buffer>,
  call: <T>(effect: () => T | undefined, done: Got<T>) => void,
): Database {
  const within = (from: Buffer, to: Buffer): Pair[] =>
    [...values.entries()]
      .map(([key, value]): Pair => [Buffer.from(key, 'hex'), value])
      .filter(([key]) => from.compare(key) <= 0 && key.compare(to) < 0)
      .sort(([a], [b]) => a.compare(b))
  return {
    batch: (operations, _options, done) =>
      call<undefined>(() => void write(values, operations), done),
    get: (key, done) => call(() => values.get(key.toString('hex')), done),
    scan: ({ from, to, limit }, done) => call(() => within(from, to).slice(0, limit), done),
    keys: (from, to, done) => call(() => within(from, to).map(([key]) => key), done),
  }
}

function write(values: Map<string, Buffer>, operations: readonly Operation[]): void {
  for (const operation of operations) {
    if (operation.type === 'put') values.set(operation.key.toString('hex'), operation.value)
    else values.delete(operation.key.toString('hex'))
  }
}

/** What `plain` is now, to be changed apart from it. */
export function copyOf(plain: Plain): Plain {
  const databases = [...plain.databases].map(([name, values]) => {
    const copies = [...values].map(([key, value]) => [key, Buffer.from(value)] as const)
    return [name, new Map(copies)] as const
  })
  return {
    ...plain,
    databases: new Map(databases),
    vote: Buffer.from(plain.vote),
    mark: Buffer.from(plain.mark),
    evidence: [...plain.evidence],
  }
}
