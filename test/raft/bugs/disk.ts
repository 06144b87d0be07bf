/**
 * Regressions of bugs of what lies on a disk: over one in memory that is cut off at every call in turn, or changed
 * behind the store's back; and over LevelDB, where it is LevelDB that is asked.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import type { Disk } from '../../../raft/database.ts'
import { bootstrap, openLevelStorage, RaftError } from '../../../raft/index.ts'
import { openLogStore } from '../../../raft/open-store.ts'
import type { Batch } from '../../../raft/storage.ts'
import { flip, founded, open, openCut, settled, valueOf } from '../founded.ts'
import { copyOf, openPlain, type Plain } from '../plain-disk.ts'
import { close, command, configuration, meta, persist, range, read, write } from '../stored.ts'
import { readChunk } from '../stored.ts'
import type { Scenario } from './regressions.ts'

/** How many calls of the disk an open of it makes. */
async function callsOfAnOpen(plain: Plain): Promise<number> {
  for (let after = 0; ; after++) {
    if (!(await openCut(copyOf(plain), { after, isLastDone: false }))) return after
  }
}

/** What is left when the disk is cut off at a call of `batch`, at each in turn, and whether it was acknowledged. */
async function* cutAtEachCall(
  batch: Batch,
): AsyncGenerator<{ readonly left: Plain; readonly isAcknowledged: boolean }> {
  const before = await founded()
  const opening = await callsOfAnOpen(before)
  for (const isLastDone of [false, true]) {
    for (let calls = 0; calls < 5; calls++) {
      const left = copyOf(before)
      const after = opening + calls
      const isAcknowledged = await new Promise<boolean>((resolve, reject) => {
        const disk = openPlain(left, { after, isLastDone, onCut: () => resolve(false) })
        openLogStore(disk, (error, store) => {
          if (store === undefined) reject(error ?? new Error('no store'))
          else store.write(batch, failed => (failed ? reject(failed) : resolve(true)))
        })
      })
      // What was not carried out when the answer came never is.
      yield { left: copyOf(left), isAcknowledged }
    }
  }
}

const newTerm = { currentTerm: 4, votedFor: 'b' }

/** D1, D19: what was acknowledged is there after a crash at any moment; a batch is there as a whole, or not at all. */
async function acknowledgedIsDurable(): Promise<void> {
  const entries = [command(13, 3), command(14, 3)]
  const batch = { persists: [persist({ currentTerm: 3, votedFor: 'c', entries })] }
  let acknowledged = 0
  for await (const { left, isAcknowledged } of cutAtEachCall(batch)) {
    const state = await read((await open(left)).store)
    const last = state?.entries.at(-1)?.index
    assert(last === 14 || (!isAcknowledged && last === 12), `${String(last)} of 14 entries`)
    assert.equal(state?.trust?.kind, 'full')
    if (isAcknowledged) acknowledged += 1
  }
  assert(acknowledged > 0)
}

/**
 * D5: the vote and its term are durable before anything that belongs to that term, and stay so when the database
 * loses its last batch.
 */
async function voteBeforeEntries(): Promise<void> {
  const earlier = await founded()
  const batch = { persists: [persist({ ...newTerm, entries: [command(13, 4)] })] }
  for await (const { left, isAcknowledged } of cutAtEachCall(batch)) {
    const shorter = { ...copyOf(left), databases: copyOf(earlier).databases, mark: earlier.mark }
    for (const plain of [left, shorter]) {
      const state = await read((await open(plain)).store)
      const newest = state?.entries.at(-1)?.term ?? 0
      assert((state?.currentTerm ?? 0) >= newest, 'no entry is newer than the term')
      if (newest === 4) assert.equal(state?.votedFor, 'b')
      if (isAcknowledged) assert.deepEqual([state?.currentTerm, state?.votedFor], [4, 'b'])
    }
  }
}

/** D5: a crash in the very write of a vote, which leaves half of it, costs nobody the vote before it. */
async function tornVote(): Promise<void> {
  const plain = await founded()
  const { store } = await open(plain)
  await write(store, { persists: [persist(newTerm)] })
  await settled(store)
  const half = copyOf(plain)
  await write(store, { persists: [persist({ currentTerm: 5, votedFor: 'a' })] })
  const torn = copyOf(plain)
  for (let n = 0; n < torn.vote.length; n++) if (n % 512 >= 8) torn.vote[n] = half.vote[n] ?? 0
  torn.databases = half.databases
  torn.mark = half.mark
  const state = await read((await open(torn)).store)
  assert.deepEqual([state?.currentTerm, state?.votedFor], [4, 'b'])
  assert.equal(state?.trust?.kind, 'full', 'the vote is known')
}

/** D3, D10: a bit that flips, a hole, a record gone: seen at the start, and nothing of it is believed. */
async function damageIsSeen(): Promise<void> {
  const damages: readonly ((plain: Plain) => unknown)[] = [
    plain => flip(valueOf(plain, '02'), 8),
    plain => flip(valueOf(plain, '00'), 6),
    plain => flip(valueOf(plain, '01'), 6),
    plain => flip(valueOf(plain, '03'), 5),
    plain => plain.databases.get('db')?.delete('02000000000000000a'),
    plain => plain.databases.get('db')?.delete('02000000000000000c'),
    plain => plain.databases.get('db')?.delete('00'),
    plain => plain.databases.get('db')?.delete('01'),
    plain => plain.evidence.push('dropping 344 bytes; checksum mismatch'),
  ]
  for (const [n, damage] of damages.entries()) {
    const plain = await founded()
    damage(plain)
    const { store } = await open(plain)
    const state = await read(store)
    assert.equal(state?.trust?.kind, 'relearning', `damage ${n} is seen`)
    assert.deepEqual(state?.entries, [], 'nothing of it is believed')
    assert.deepEqual([state?.currentTerm, state?.votedFor], [3, 'c'], 'but its vote is kept')
    assert(plain.databases.has('1'), 'what was damaged is kept aside, and not deleted')
    await write(store, { persists: [persist({ currentTerm: 4 })] })
    await settled(store)
    const later = await read((await open(plain)).store)
    assert.equal(later?.trust?.kind, 'relearning', 'nor after the next start')
  }
}

/** D3: a snapshot whose bytes are not what was written is sent to nobody, and does not make others delete theirs. */
async function brokenSnapshotIsNotSent(): Promise<void> {
  const plain = await founded()
  const { store } = await open(plain)
  flip(valueOf(plain, '03'), 5)
  await assert.rejects(readChunk(store, 's', 0), { code: 'RAFT_DAMAGED' })
  await assert.rejects(write(store, { persists: [persist({ currentTerm: 9 })] }))
}

/** D2, D19: a database that ends before what was durable, and agrees with itself, is told by the mark beside it. */
async function cutBackDatabase(): Promise<void> {
  const plain = await founded()
  const earlier = copyOf(plain)
  const { store } = await open(plain)
  const entries = [command(13, 3)]
  await write(store, { persists: [persist({ currentTerm: 3, votedFor: 'c', entries })] })
  await settled(store)
  plain.databases = earlier.databases
  const state = await read((await open(plain)).store)
  assert.equal(state?.trust?.kind, 'relearning')
}

/** D9: what was stored of a snapshot that was never published is no snapshot. */
async function unfinishedSnapshot(): Promise<void> {
  const plain = await founded()
  const { store } = await open(plain)
  const data = Buffer.from('half')
  const of = meta('far', 100, 3, 12)
  await write(store, { chunks: [{ snapshotId: 't', chunk: 0, data }] })
  await write(store, { chunks: [{ snapshotId: 'far', chunk: 0, data, of }] })
  const { store: next } = await open(plain)
  const state = await read(next)
  assert.equal(state?.snapshot?.id, 's')
  assert.equal(state.partial?.stored, 1, 'the one being received goes on, from where it is')
  await assert.rejects(readChunk(next, 't', 0), 'the one being taken is gone')
}

/** D18: after the first error nothing is acknowledged any more, though the disk has room again. */
async function errorIsFinal(): Promise<void> {
  const plain = await founded()
  const disk = openPlain(plain)
  let isFull = false
  const full: Disk = {
    ...disk,
    open: done =>
      disk.open((error, opened) => {
        const { database } = opened ?? {}
        if (opened === undefined || database === undefined) return done(error, opened)
        const refused = new RaftError('RAFT_STORAGE', 'no space left on device')
        const batch: typeof database.batch = (operations, options, finished) => {
          if (isFull) setImmediate(() => finished(refused))
          else database.batch(operations, options, finished)
        }
        done(undefined, { ...opened, database: { ...database, batch } })
      }),
  }
  const store = await new Promise<Awaited<ReturnType<typeof open>>['store']>((resolve, reject) =>
    openLogStore(full, (error, opened) =>
      opened === undefined ? reject(error ?? new Error('no store')) : resolve(opened),
    ),
  )
  isFull = true
  const next = (index: number): Batch => {
    const entries = [command(index, 3)]
    return { persists: [persist({ currentTerm: 3, votedFor: 'c', entries })] }
  }
  await assert.rejects(write(store, next(13)), { code: 'RAFT_STORAGE' })
  isFull = false
  await assert.rejects(write(store, next(13)), { code: 'RAFT_STORAGE' })
  await assert.rejects(read(store), { code: 'RAFT_STORAGE' })
}

/** D20: a truncation, and what takes the place of what it cut, are on the disk together or not at all. */
async function truncationIsWhole(): Promise<void> {
  const entries = [command(11, 4, 'another')]
  const batch = { persists: [persist({ ...newTerm, truncateFrom: 11, entries })] }
  for await (const { left, isAcknowledged } of cutAtEachCall(batch)) {
    const state = await read((await open(left)).store)
    const terms = state?.entries.map(({ term }) => term).slice(-2)
    const isNew = state?.entries.at(-1)?.index === 11
    assert.equal(state?.trust?.kind, 'full', 'no crash looks like a damage')
    assert.deepEqual(terms, isNew ? [1, 4] : [3, 3])
    assert(isNew || !isAcknowledged)
  }
}

/** D19: LevelDB is never asked to write anything without a sync: mixed writes lose their order in a crash. */
async function everyBatchIsSynced(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'raft-synced-'))
  const unsynced: unknown[] = []
  let batches = 0
  const original = Reflect.get(Level.prototype, 'batch') as (...args: unknown[]) => unknown
  const note = (options: unknown): void => {
    batches += 1
    const isSynced = typeof options === 'object' && options !== null && 'sync' in options
    if (!isSynced || options.sync !== true) unsynced.push(options)
  }
  Reflect.set(Level.prototype, 'batch', function (this: unknown, ...args: unknown[]): unknown {
    const chained = Reflect.apply(original, this, args) as { write(options: unknown): unknown }
    if (args.length > 0) note(args[1])
    else {
      const whole = chained.write.bind(chained)
      chained.write = options => {
        note(options)
        return whole(options)
      }
    }
    return chained
  })
  try {
    const store = await openLevelStorage(folder)
    await new Promise(resolve => bootstrap(store, { configuration, commands: [] }, resolve))
    await write(store, { persists: [persist({ currentTerm: 2, entries: range(2, 10) })] })
    await write(store, { persists: [persist({ currentTerm: 3, truncateFrom: 9 })] })
    await close(store)
    await close(await openLevelStorage(folder))
    assert(batches >= 3, `${batches} batches`)
    assert.deepEqual(unsynced, [])
  } finally {
    Reflect.set(Level.prototype, 'batch', original)
    rmSync(folder, { recursive: true, force: true })
  }
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  'D1-acknowledged-is-durable': acknowledgedIsDurable,
  'D2-cut-back-database': cutBackDatabase,
  'D3-damage-is-seen': damageIsSeen,
  'D3-broken-snapshot-is-not-sent': brokenSnapshotIsNotSent,
  'D5-vote-before-entries': voteBeforeEntries,
  'D5-torn-vote': tornVote,
  'D9-unfinished-snapshot': unfinishedSnapshot,
  'D18-error-is-final': errorIsFinal,
  'D19-every-batch-is-synced': everyBatchIsSynced,
  'D20-truncation-is-whole': truncationIsWhole,
}
