/**
 * A store of a founding server on a disk in memory, and what tests do to it.
 */
import { bootstrap, type RaftError } from '../../raft/index.ts'
import type { LogStore } from '../../raft/log-store.ts'
import { openLogStore } from '../../raft/open-store.ts'
import { openPlain, plainDisk, type Cut, type Plain } from './plain-disk.ts'
import { configuration, meta, persist, range, read, write } from './stored.ts'

export interface Opened {
  readonly store: LogStore
  readonly told: string[]
}

export function open(plain: Plain): Promise<Opened> {
  return new Promise((resolve, reject) => {
    const told: string[] = []
    openLogStore(
      openPlain(plain),
      (error, store) =>
        store === undefined ? reject(error ?? new Error()) : resolve({ store, told }),
      event => told.push(event),
    )
  })
}

/** Opens until the disk is cut off, or to the end; `true` when it was cut off. */
export function openCut(plain: Plain, cut: Omit<Cut, 'onCut'>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const disk = openPlain(plain, { ...cut, onCut: () => resolve(true) })
    openLogStore(disk, error => (error === undefined ? resolve(false) : reject(error)))
  })
}

/** A founder in term 3 that voted for c, with a snapshot at 8 and entries up to 12. */
export async function founded(): Promise<Plain> {
  const plain = plainDisk()
  const { store } = await open(plain)
  await new Promise<RaftError | undefined>(resolve =>
    bootstrap(store, { configuration, commands: [] }, resolve),
  )
  const vote = { currentTerm: 3, votedFor: 'c' }
  await write(store, { persists: [persist({ currentTerm: 2, entries: range(2, 10) })] })
  await write(store, { persists: [persist(vote)] })
  await write(store, {
    chunks: [{ snapshotId: 's', chunk: 0, data: Buffer.from('state') }],
    snapshot: meta('s', 8, 1, 5),
  })
  await write(store, { persists: [persist({ ...vote, compactTo: 4, entries: range(11, 12, 3) })] })
  await settled(store)
  return plain
}

/** The mark of the last batch is written after the batch, and nobody waits for it. */
export async function settled(store: LogStore): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await read(store)
}

export function valueOf(plain: Plain, prefix: string): Buffer {
  for (const [key, value] of plain.databases.get('db') ?? [])
    if (key.startsWith(prefix)) return value
  throw new Error(`no value with ${prefix}`)
}

export function flip(bytes: Buffer, at: number): void {
  bytes[at] = (bytes[at] ?? 0) ^ 4
}
