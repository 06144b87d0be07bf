/**
 * Entries, snapshots and calls of a storage in a form that tests can say briefly.
 */
import type { Persist } from '../../raft/core/effect.ts'
import type { Entry } from '../../raft/core/entry.ts'
import type { PersistedState } from '../../raft/core/input.ts'
import type { SnapshotMeta } from '../../raft/core/message.ts'
import { configurationOf, type Batch, type Storage } from '../../raft/index.ts'

export const configuration = configurationOf(['a', 'b', 'c'], ['d'])

export function command(index: number, term = 1, text = `command ${index}`): Entry {
  return { kind: 'command', index, term, data: new TextEncoder().encode(text) }
}

export function range(from: number, to: number, term = 1): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => command(from + i, term))
}

export function meta(id: string, index: number, chunks: number, bytes: number): SnapshotMeta {
  return { id, lastIncludedIndex: index, lastIncludedTerm: 1, configuration, bytes, chunks }
}

let seq = 0
export function persist(rest: Partial<Persist>): Persist {
  return { seq: ++seq, currentTerm: 1, votedFor: undefined, entries: [], ...rest }
}

export function write(storage: Storage, batch: Batch): Promise<void> {
  return new Promise((resolve, reject) => {
    storage.write(batch, error => (error === undefined ? resolve() : reject(error)))
  })
}

export function read(storage: Storage): Promise<PersistedState | undefined> {
  return new Promise((resolve, reject) => {
    storage.read((error, state) => (error === undefined ? resolve(state) : reject(error)))
  })
}

export function readChunk(storage: Storage, id: string, chunk: number): Promise<string> {
  return new Promise((resolve, reject) => {
    storage.readChunk(id, chunk, (error, data) =>
      data === undefined ? reject(error ?? new Error('no chunk')) : resolve(text(data)),
    )
  })
}

export function close(storage: Storage): Promise<void> {
  return new Promise(resolve => storage.close(resolve))
}

export function text(data: Uint8Array): string {
  return Buffer.from(data).toString()
}

/** Entries with their data as text: the storages give different kinds of byte arrays. */
export function plain(entries: readonly Entry[] = []): unknown[] {
  return entries.map(entry =>
    entry.kind === 'command' ? { ...entry, data: text(entry.data) } : entry,
  )
}
