/**
 * How entries, configurations and snapshot descriptions look as msgpack arrays, on the wire and on the disk.
 *
 * Positions are fixed and first comes what tells the kinds apart; whoever puts a row inside a message or a
 * record adds a version and a checksum. Reading is strict: anything but the exact shape gives `undefined`,
 * for msgpack builds dates, maps and worse from bytes alone.
 */
import { Packr } from 'msgpackr'
import { maxMembers, type Configuration } from './core/configuration.ts'
import { numberLimit, type Entry } from './core/entry.ts'
import type { SnapshotMeta } from './core/message.ts'
import { unpackPlain } from './msgpack.ts'

/** No shared structures (they depend on the order of messages); binary is copied out of the input. */
const packr = new Packr({ useRecords: false, copyBuffers: true, int64AsType: 'number' })

/** A slice of the encoder's pool that no later call touches. */
export function pack(row: readonly unknown[]): Uint8Array {
  return packr.pack(row)
}

/** Never throws: what is no msgpack, has bytes left over, or is no array gives `undefined`. */
export function unpack(data: Uint8Array): readonly unknown[] | undefined {
  return arrayOf(unpackPlain(packr, data))
}

function arrayOf(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) ? value : undefined
}

/** The largest name of a server or a snapshot, in characters. */
export const maxIdLength = 128

export function isId(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length > 0 &&
    value.length <= maxIdLength &&
    /^[A-Za-z0-9_-]+$/.test(value)
  )
}

/** A whole number from 0 up to the limit of terms and indices. */
export function isCount(value: unknown): value is number {
  return (
    Number.isSafeInteger(value) && typeof value === 'number' && value >= 0 && value < numberLimit
  )
}

const kinds = { noop: 0, command: 1, configuration: 2 } as const satisfies Record<
  Entry['kind'],
  number
>

export function entryRow(entry: Entry): readonly unknown[] {
  const { index, term } = entry
  switch (entry.kind) {
    case 'noop':
      return [kinds.noop, index, term]
    case 'command':
      return [kinds.command, index, term, entry.data]
    case 'configuration':
      return [kinds.configuration, index, term, configurationRow(entry.configuration)]
  }
}

export function entryOf(value: unknown): Entry | undefined {
  const row = arrayOf(value)
  if (row === undefined) return undefined
  const [kind, index, term, rest] = row
  if (!isCount(index) || !isCount(term) || index < 1 || term < 1) return undefined
  if (kind === kinds.noop) return row.length === 3 ? { kind: 'noop', index, term } : undefined
  if (row.length !== 4) return undefined
  if (kind === kinds.command) {
    return isBytes(rest) ? { kind: 'command', index, term, data: rest } : undefined
  }
  if (kind !== kinds.configuration) return undefined
  const configuration = configurationOf(rest)
  return configuration && { kind: 'configuration', index, term, configuration }
}

export function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array
}

export function configurationRow(configuration: Configuration): readonly unknown[] {
  return [configuration.voters, configuration.outgoing, configuration.learners]
}

export function configurationOf(value: unknown): Configuration | undefined {
  const row = arrayOf(value)
  if (row?.length !== 3) return undefined
  const [voters, outgoing, learners] = row
  if (!isIds(voters) || !isIds(outgoing) || !isIds(learners)) return undefined
  const configuration = { voters, outgoing, learners }
  return isConfiguration(configuration) ? configuration : undefined
}

/** Whether a configuration is as `core/configuration.ts` wants it. */
export function isConfiguration({ voters, outgoing, learners }: Configuration): boolean {
  const isList = (ids: readonly string[]): boolean =>
    ids.length <= maxMembers && ids.every((id, i) => i === 0 || (ids[i - 1] ?? '') < id)
  return (
    [voters, outgoing, learners].every(isList) &&
    !voters.some(id => learners.includes(id)) &&
    (voters.length > 0 || (outgoing.length === 0 && learners.length === 0))
  )
}

function isIds(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isId)
}

export function snapshotRow(meta: SnapshotMeta): readonly unknown[] {
  const { id, lastIncludedIndex, lastIncludedTerm, configuration, bytes, chunks } = meta
  const row = configurationRow(configuration)
  return [id, lastIncludedIndex, lastIncludedTerm, row, bytes, chunks]
}

export function snapshotOf(value: unknown): SnapshotMeta | undefined {
  const row = arrayOf(value)
  if (row?.length !== 6) return undefined
  const [id, lastIncludedIndex, lastIncludedTerm, members, bytes, chunks] = row
  const configuration = configurationOf(members)
  if (!isId(id) || !isCount(lastIncludedIndex) || !isCount(lastIncludedTerm)) return undefined
  if (configuration === undefined || !isCount(bytes) || !isCount(chunks)) return undefined
  if (chunks < 1 || lastIncludedIndex < 1 || lastIncludedTerm < 1) return undefined
  return { id, lastIncludedIndex, lastIncludedTerm, configuration, bytes, chunks }
}
