/**
 * Is what the files hold what was acknowledged? Asked at every start, before anything is believed.
 *
 * A log without gaps that some batch made durable may still be an older one than the last: the mark tells. A vote
 * file may be older than the database's tail only if it was damaged; the tail then has the vote, provided the
 * mark shows that the database is whole.
 *
 * Invariant: `sound` means that nothing acknowledged is missing as far as these files can show; whatever they
 * cannot show is left to the leader (see `core/trust.ts`).
 */
import type { Database, Done, Got, Pair } from './database.ts'
import type { Entry } from './core/entry.ts'
import type { SnapshotMeta } from './core/message.ts'
import { RaftError } from './error.ts'
import type { Slots } from './slots.ts'
import {
  allFrom,
  allTo,
  chunkKey,
  chunkOf,
  chunksFrom,
  chunksTo,
  damaged,
  entriesFrom,
  entriesTo,
  entryKey,
  isEntryKey,
  keyAfter,
  indexOf,
  openChunk,
  openEntry,
  openSnapshot,
  openTail,
  partialKey,
  snapshotKey,
  tailKey,
  type Tail,
} from './store-layout.ts'
import type { Mark, Vote } from './vote-file.ts'

/** Entries read and checked at a stretch, so that a long log keeps nothing else waiting. */
const maxScanned = 512

/** The store as read: the tail, and what lies behind it. */
export interface Store {
  readonly tail: Tail
  /** Checksum of the tail record. */
  readonly tailCrc: number
  readonly snapshot: SnapshotMeta | undefined
  readonly entries: readonly Entry[]
  /** CRC of each entry from `tail.firstIndex` on. */
  readonly crcs: readonly number[]
  /** Entries from here on to `tail.firstIndex` are compacted and have still to be deleted. */
  readonly leftFrom: number | undefined
}

/** Reads and checks log, tail and snapshot description; `undefined` for an empty database. */
export function readStore(database: Database, done: Got<Store>): void {
  database.get(tailKey, (error, value) => {
    if (error !== undefined) {
      done(error)
      return
    }
    if (value === undefined) {
      refuseUntold(database, done)
      return
    }
    const tail = openTail(value)
    if (tail instanceof RaftError) done(tail)
    else readSnapshot(database, { tail, tailCrc: value.readUInt32BE(0) }, done)
  })
}

/** Without a tail there must be nothing at all. */
function refuseUntold(database: Database, done: Got<Store>): void {
  database.keys(allFrom, allTo, (error, keys) => {
    if (error !== undefined) done(error)
    else if (keys?.length === 0) done(undefined)
    else done(damaged('the record of where the log ends is missing'))
  })
}

function readSnapshot(
  database: Database,
  head: Pick<Store, 'tail' | 'tailCrc'>,
  done: Got<Store>,
): void {
  database.get(snapshotKey, (error, value) => {
    const snapshot = value && openSnapshot(value)
    if (error !== undefined) done(error)
    else if (value !== undefined && snapshot === undefined) {
      done(damaged('the description of the snapshot is broken'))
    } else readLog(database, { ...head, snapshot }, done)
  })
}

function readLog(
  database: Database,
  head: Pick<Store, 'tail' | 'tailCrc' | 'snapshot'>,
  done: Got<Store>,
): void {
  const log = new LogCheck(head.tail)
  const next = (from: Buffer): void => {
    database.scan({ from, to: entriesTo, limit: maxScanned }, (error, pairs = []) => {
      const last = pairs.length < maxScanned ? undefined : pairs.at(-1)
      const wrong = log.take(pairs) ?? (last ? undefined : (log.end() ?? misfit(head)))
      if (error !== undefined) done(error)
      else if (wrong !== undefined) done(damaged(wrong))
      else if (last !== undefined) next(keyAfter(last[0]))
      else done(undefined, { ...head, ...log.found })
    })
  }
  next(entriesFrom)
}

/** The entries as they are read, held against what the tail says. */
class LogCheck {
  readonly #tail: Tail
  readonly #entries: Entry[] = []
  readonly #crcs: number[] = []
  #leftFrom: number | undefined
  readonly #begins: Buffer
  #crc: number
  #term = 0

  constructor(tail: Tail) {
    this.#tail = tail
    this.#crc = tail.baseCrc
    this.#begins = entryKey(tail.firstIndex)
  }

  get found(): Pick<Store, 'entries' | 'crcs' | 'leftFrom'> {
    return { entries: this.#entries, crcs: this.#crcs, leftFrom: this.#leftFrom }
  }

  /** Takes what comes next. @returns what is wrong with it */
  take(pairs: readonly Pair[]): string | undefined {
    for (const [key, value] of pairs) {
      const wrong = key.compare(this.#begins) < 0 ? this.#leave(key) : this.#check(key, value)
      if (wrong !== undefined) return wrong
    }
    return undefined
  }

  #leave(key: Buffer): string | undefined {
    if (!isEntryKey(key)) return 'the key of an entry is broken'
    this.#leftFrom ??= indexOf(key)
    return undefined
  }

  #check(key: Buffer, value: Buffer): string | undefined {
    const index = this.#tail.firstIndex + this.#entries.length
    if (!key.equals(entryKey(index))) return `entry ${index} is missing`
    const opened = openEntry(value, this.#crc)
    if (opened === undefined || opened.entry.index !== index || opened.entry.term < this.#term) {
      return `entry ${index} is broken`
    }
    this.#crc = opened.crc
    this.#term = opened.entry.term
    this.#entries.push(opened.entry)
    this.#crcs.push(opened.crc)
    return undefined
  }

  /** That was all. @returns what is wrong with it */
  end(): string | undefined {
    const { firstIndex, lastIndex, lastCrc } = this.#tail
    const ends = firstIndex + this.#entries.length - 1
    if (ends === lastIndex && this.#crc === lastCrc) return undefined
    return `the log should end at entry ${lastIndex}, and ends at ${ends}`
  }
}

function misfit({ tail, snapshot }: Pick<Store, 'tail' | 'snapshot'>): string | undefined {
  const included = snapshot?.lastIncludedIndex ?? 0
  if (tail.firstIndex > included + 1) return 'entries between snapshot and log are missing'
  if (tail.lastIndex < included) return 'the log ends before the snapshot'
  return undefined
}

export type Verdict =
  /** `vote` is the newest. */
  | { readonly kind: 'sound'; readonly vote: Vote | undefined; readonly mend: boolean }
  /** The log is whole, but nothing vouches for the vote. */
  | { readonly kind: 'vote-lost'; readonly vote: Vote }
  /** What the database held cannot be used; `voteKnown` is whether the vote file can. */
  | { readonly kind: 'damaged'; readonly reason: string; readonly voteKnown: boolean }

/** Holds the database against the two files beside it. `store` is `undefined` for an empty one. */
export function judge(store: Store | undefined, vote: Slots<Vote>, mark: Slots<Mark>): Verdict {
  const filed = vote.last
  const lost = (reason: string, voteKnown = isVoteKnown(vote)): Verdict => {
    return { kind: 'damaged', reason, voteKnown }
  }
  if (store === undefined) {
    if (mark.last !== undefined) return lost('the database is missing')
    // One vote and no batch: what a stop in the very first write leaves.
    if (vote.isCertain && vote.seq <= 1) return { kind: 'sound', vote: filed, mend: false }
    return lost('the database is missing')
  }
  const { tail, tailCrc } = store
  const { seq = 0, crc } = mark.last ?? {}
  if (tail.seq < seq) return lost(`the last ${seq - tail.seq} batches of the database are missing`)
  if (tail.seq === seq && mark.last !== undefined && tailCrc !== crc) {
    return lost('the database is not the one that was written last')
  }
  const kept = { currentTerm: tail.currentTerm, votedFor: tail.votedFor }
  const order = filed === undefined ? 'behind' : compare(filed, kept)
  if (order === 'contrary') {
    return lost('the vote file and the database name different votes', false)
  }
  const newest = order === 'behind' || filed === undefined ? kept : filed
  if (order === 'ahead' && vote.isCertain) return { kind: 'sound', vote: newest, mend: false }
  // Without the mark, a database that was cut back would look the same, and its vote be an older one.
  if (mark.last === undefined) return { kind: 'vote-lost', vote: newest }
  return { kind: 'sound', vote: newest, mend: true }
}

/** The file is written first: it is ahead, or the same, or it was damaged. */
function compare(filed: Vote, kept: Vote): 'ahead' | 'behind' | 'contrary' {
  if (filed.currentTerm !== kept.currentTerm) {
    return filed.currentTerm > kept.currentTerm ? 'ahead' : 'behind'
  }
  if (kept.votedFor === undefined || filed.votedFor === kept.votedFor) return 'ahead'
  return filed.votedFor === undefined ? 'behind' : 'contrary'
}

/** Whether the vote file alone can be relied upon. */
export function isVoteKnown(vote: Slots<Vote>): boolean {
  return vote.isCertain && vote.last !== undefined
}

/** Numbers of the last chunks, by snapshot id. */
export function readChunkOwners(database: Database, done: Got<Map<string, number>>): void {
  database.keys(chunksFrom, chunksTo, (error, keys = []) => {
    const owners = new Map<string, number>()
    for (const key of keys) {
      const owner = chunkOf(key)
      if (owner === undefined) {
        done(damaged('the key of a chunk is broken'))
        return
      }
      owners.set(owner.snapshotId, owner.chunk)
    }
    done(error, owners)
  })
}

/** The snapshot that was being received, as far as it came; a broken record or chunk means that it begins there. */
export function readPartial(
  database: Database,
  published: SnapshotMeta | undefined,
  done: Got<{ readonly snapshot: SnapshotMeta; readonly stored: number }>,
): void {
  database.get(partialKey, (error, value) => {
    const snapshot = value && openSnapshot(value)
    const isOf = snapshot && snapshot.lastIncludedIndex > (published?.lastIncludedIndex ?? 0)
    if (error !== undefined) done(error)
    else if (isOf !== true) done(undefined)
    else {
      countChunks(database, snapshot, (failed, stored = 0) => {
        if (failed !== undefined || stored === 0) done(failed)
        else done(undefined, { snapshot, stored })
      })
    }
  })
}

/** Reads all chunks of the snapshot once, one at a time: a server must not learn in office that one is broken. */
export function checkChunks(database: Database, snapshot: SnapshotMeta, done: Done): void {
  countChunks(database, snapshot, (error, count = 0) => {
    const { id, chunks } = snapshot
    if (error !== undefined || count === chunks) done(error)
    else done(damaged(`chunk ${count} of snapshot ${id} is broken or missing`))
  })
}

/** How many chunks from the first on are whole. */
function countChunks(database: Database, { id, chunks }: SnapshotMeta, done: Got<number>): void {
  const check = (chunk: number): void => {
    if (chunk === chunks) {
      done(undefined, chunk)
      return
    }
    const key = chunkKey(id, chunk)
    database.get(key, (error, value) => {
      if (error !== undefined) done(error)
      else if (value === undefined || openChunk(key, value) === undefined) done(undefined, chunk)
      else check(chunk + 1)
    })
  }
  check(0)
}
