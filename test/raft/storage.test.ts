/**
 * What every storage must do, run on the one in memory and the one on disk; then what only a disk can suffer.
 */
import { execFile } from 'node:child_process'
import { appendFile, cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import type { Persist } from '../../raft/core/effect.ts'
import type { Entry } from '../../raft/core/entry.ts'
import type { PersistedState } from '../../raft/core/input.ts'
import type { SnapshotMeta } from '../../raft/core/message.ts'
import {
  bootstrap,
  configurationOf,
  memoryDisk,
  memoryStorage,
  openLevelStorage,
  RaftError,
  type Batch,
  type Storage,
} from '../../raft/index.ts'

const configuration = configurationOf(['a', 'b', 'c'], ['d'])

function command(index: number, term = 1, text = `command ${index}`): Entry {
  return { kind: 'command', index, term, data: new TextEncoder().encode(text) }
}

function range(from: number, to: number, term = 1): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => command(from + i, term))
}

function meta(id: string, index: number, chunks: number, bytes: number): SnapshotMeta {
  return { id, lastIncludedIndex: index, lastIncludedTerm: 1, configuration, bytes, chunks }
}

let seq = 0
function persist(rest: Partial<Persist>): Persist {
  return { seq: ++seq, currentTerm: 1, votedFor: undefined, entries: [], ...rest }
}

function write(storage: Storage, batch: Batch): Promise<void> {
  return new Promise((resolve, reject) => {
    storage.write(batch, error => (error === undefined ? resolve() : reject(error)))
  })
}

function read(storage: Storage): Promise<PersistedState | undefined> {
  return new Promise((resolve, reject) => {
    storage.read((error, state) => (error === undefined ? resolve(state) : reject(error)))
  })
}

function readChunk(storage: Storage, id: string, chunk: number): Promise<string> {
  return new Promise((resolve, reject) => {
    storage.readChunk(id, chunk, (error, data) =>
      data === undefined ? reject(error ?? new Error('no chunk')) : resolve(text(data)),
    )
  })
}

function close(storage: Storage): Promise<void> {
  return new Promise(resolve => storage.close(resolve))
}

function text(data: Uint8Array): string {
  return Buffer.from(data).toString()
}

/** Entries with their data as text: the storages give different kinds of byte arrays. */
function plain(entries: readonly Entry[] = []): unknown[] {
  return entries.map(entry =>
    entry.kind === 'command' ? { ...entry, data: text(entry.data) } : entry,
  )
}

/** Makes a place for one storage; `open` may be called again and again, and finds what was there. */
type Place = (folder: string) => { open: () => Promise<Storage> }

const places: Record<string, Place> = {
  memory: () => {
    const disk = memoryDisk()
    return { open: () => Promise.resolve(memoryStorage({ disk })) }
  },
  level: folder => ({ open: () => openLevelStorage(folder) }),
}

for (const [name, place] of Object.entries(places)) {
  t.test(`storage in ${name}`, async t => {
    t.test('an empty store reads as nothing, and stays so', async t => {
      const { open } = place(t.testdir())
      const storage = await open()
      t.equal(await read(storage), undefined)
      await close(storage)
      const again = await open()
      t.equal(await read(again), undefined)
      await close(again)
    })

    t.test('term, vote and entries of every kind come back', async t => {
      const { open } = place(t.testdir())
      const storage = await open()
      const entries: Entry[] = [
        { kind: 'configuration', index: 1, term: 1, configuration },
        command(2),
        { kind: 'noop', index: 3, term: 2 },
        command(4, 2, ''),
      ]
      await write(storage, { persists: [persist({ currentTerm: 2, votedFor: 'b', entries })] })
      const check = async (handle: Storage): Promise<void> => {
        const state = await read(handle)
        t.match(state, { currentTerm: 2, votedFor: 'b', snapshot: undefined })
        t.strictSame(plain(state?.entries), plain(entries))
        await close(handle)
      }
      await check(storage)
      await check(await open())
    })

    t.test('a truncated suffix is replaced, several persists in one batch too', async t => {
      const { open } = place(t.testdir())
      const storage = await open()
      await write(storage, { persists: [persist({ entries: range(1, 5) })] })
      await write(storage, {
        persists: [
          persist({ currentTerm: 2, truncateFrom: 4, entries: range(4, 9, 2) }),
          persist({ currentTerm: 3, truncateFrom: 7 }),
          persist({ currentTerm: 3, votedFor: 'a', entries: range(7, 7, 3) }),
        ],
      })
      await close(storage)
      const again = await open()
      const state = await read(again)
      t.match(state, { currentTerm: 3, votedFor: 'a' })
      t.strictSame(
        plain(state?.entries),
        plain([...range(1, 3), ...range(4, 6, 2), ...range(7, 7, 3)]),
      )
      await close(again)
    })

    t.test('truncated to nothing, and filled anew', async t => {
      const { open } = place(t.testdir())
      const storage = await open()
      await write(storage, { persists: [persist({ entries: range(1, 3) })] })
      await write(storage, { persists: [persist({ currentTerm: 2, truncateFrom: 1 })] })
      t.strictSame((await read(storage))?.entries, [])
      await write(storage, { persists: [persist({ currentTerm: 2, entries: range(1, 2, 2) })] })
      await close(storage)
      const again = await open()
      t.strictSame(plain((await read(again))?.entries), plain(range(1, 2, 2)))
      await close(again)
    })

    t.test('a snapshot is read once it is published, and the log behind it can go', async t => {
      const { open } = place(t.testdir())
      const storage = await open()
      await write(storage, { persists: [persist({ entries: range(1, 10) })] })
      await write(storage, {
        chunks: [
          { snapshotId: 's1', chunk: 0, data: Buffer.from('one') },
          { snapshotId: 's1', chunk: 1, data: Buffer.from('') },
          { snapshotId: 's10', chunk: 0, data: Buffer.from('partial') },
        ],
      })
      t.equal((await read(storage))?.snapshot, undefined)
      const snapshot = meta('s1', 8, 2, 3)
      await write(storage, { snapshot })
      await write(storage, { persists: [persist({ compactTo: 6 })] })
      t.equal(await readChunk(storage, 's10', 0), 'partial')
      await close(storage)

      const again = await open()
      const state = await read(again)
      t.strictSame(state?.snapshot, snapshot)
      t.strictSame(plain(state?.entries), plain(range(7, 10)))
      t.equal(await readChunk(again, 's1', 0), 'one')
      t.equal(await readChunk(again, 's1', 1), '')
      // The log goes on after a compaction, and its checksums with it.
      await write(again, { persists: [persist({ compactTo: 8, entries: range(11, 12) })] })
      await close(again)
      const third = await open()
      t.strictSame(plain((await read(third))?.entries), plain(range(9, 12)))
      await t.rejects(readChunk(third, 's10', 0), { code: 'RAFT_DAMAGED' }, 'orphans are gone')
      await close(third)
    })

    t.test('a received snapshot beyond the log takes its place in one batch', async t => {
      const { open } = place(t.testdir())
      const storage = await open()
      await write(storage, { persists: [persist({ entries: range(1, 3) })] })
      await write(storage, { chunks: [{ snapshotId: 'r', chunk: 0, data: Buffer.from('far') }] })
      const snapshot = meta('r', 100, 1, 3)
      await write(storage, {
        persists: [persist({ currentTerm: 4, snapshot, compactTo: 100 })],
      })
      await write(storage, { persists: [persist({ currentTerm: 4, entries: range(101, 103, 4) })] })
      await close(storage)
      const again = await open()
      const state = await read(again)
      t.strictSame(state?.snapshot, snapshot)
      t.strictSame(plain(state?.entries), plain(range(101, 103, 4)))
      await close(again)
    })

    t.test('a newer snapshot replaces an older one, which is then removed', async t => {
      const { open } = place(t.testdir())
      const storage = await open()
      await write(storage, { persists: [persist({ entries: range(1, 9) })] })
      for (const [id, index] of [
        ['old', 3],
        ['new', 7],
      ] as const) {
        await write(storage, {
          chunks: [{ snapshotId: id, chunk: 0, data: Buffer.from(id) }],
          snapshot: meta(id, index, 1, 3),
        })
      }
      t.equal(await readChunk(storage, 'old', 0), 'old', 'still there for who is being sent it')
      await write(storage, { remove: ['old'] })
      t.equal(await readChunk(storage, 'new', 0), 'new')
      t.equal((await read(storage))?.snapshot?.id, 'new')
      await close(storage)
      const again = await open()
      t.equal(await readChunk(again, 'new', 0), 'new')
      await t.rejects(readChunk(again, 'old', 0), { code: 'RAFT_DAMAGED' })
      await close(again)
    })

    t.test('a chunk is replaced when a transfer begins anew', async t => {
      const { open } = place(t.testdir())
      const storage = await open()
      for (const data of ['first', 'second']) {
        await write(storage, { chunks: [{ snapshotId: 's', chunk: 0, data: Buffer.from(data) }] })
      }
      t.equal(await readChunk(storage, 's', 0), 'second')
      await close(storage)
    })

    t.test('what breaks the invariant is a bug and says so', async t => {
      const { open } = place(t.testdir())
      const storage = await open()
      await write(storage, { persists: [persist({ entries: range(1, 3) })] })
      if (name === 'level') {
        t.throws(() => storage.write({ persists: [persist({ entries: range(5, 5) })] }, () => {}))
      }
      await close(storage)
    })

    t.test('closed: every call ends in RAFT_CLOSED', async t => {
      const { open } = place(t.testdir())
      const storage = await open()
      await close(storage)
      await close(storage)
      await t.rejects(write(storage, { persists: [persist({})] }), { code: 'RAFT_CLOSED' })
      await t.rejects(read(storage), { code: 'RAFT_CLOSED' })
      await t.rejects(readChunk(storage, 's', 0), { code: 'RAFT_CLOSED' })
    })

    t.test('bootstrap writes the first entries once', async t => {
      const { open } = place(t.testdir())
      const storage = await open()
      const commands = [Buffer.from('x'), Buffer.from('y')]
      const boot = (handle: Storage): Promise<RaftError | undefined> =>
        new Promise(resolve => bootstrap(handle, { configuration, commands }, resolve))
      t.equal(await boot(storage), undefined)
      t.match(await boot(storage), { code: 'RAFT_NOT_EMPTY' })
      await close(storage)
      const again = await open()
      t.match(await boot(again), { code: 'RAFT_NOT_EMPTY' })
      const state = await read(again)
      t.match(state, { currentTerm: 1, votedFor: undefined })
      t.strictSame(plain(state?.entries), [
        { kind: 'configuration', index: 1, term: 1, configuration },
        { kind: 'command', index: 2, term: 1, data: 'x' },
        { kind: 'command', index: 3, term: 1, data: 'y' },
      ])
      await close(again)
    })
  })
}

t.test('level: damage', async t => {
  /** A folder with 60 entries, a snapshot at 20, and no clean close: a copy taken while it is open. */
  async function crashed(folder: string): Promise<string> {
    const source = join(folder, 'source')
    const storage = await openLevelStorage(source)
    for (let index = 1; index <= 60; index += 4) {
      const entries = range(index, index + 3)
      await write(storage, { persists: [persist({ currentTerm: 3, votedFor: 'c', entries })] })
    }
    await write(storage, {
      chunks: [{ snapshotId: 'snap', chunk: 0, data: Buffer.from('state at twenty') }],
      snapshot: meta('snap', 20, 1, 15),
    })
    await write(storage, { persists: [persist({ currentTerm: 3, votedFor: 'c', compactTo: 10 })] })
    await write(storage, {
      persists: [persist({ currentTerm: 3, votedFor: 'c', entries: range(61, 64, 3) })],
    })
    const copy = join(folder, 'copy')
    await cp(source, copy, { recursive: true })
    await close(storage)
    return copy
  }

  /** The database's own log, where all of this still lies. */
  async function logOf(folder: string): Promise<string> {
    const names = await readdir(join(folder, 'db'))
    const logs = names.filter(name => name.endsWith('.log')).sort()
    return join(folder, 'db', logs.at(-1) ?? 'none')
  }

  async function flip(file: string, at: (bytes: Buffer) => number): Promise<void> {
    const bytes = await readFile(file)
    const offset = at(bytes)
    bytes[offset] = (bytes[offset] ?? 0) ^ 0x10
    await writeFile(file, bytes)
  }

  t.test('a copy without a close opens, and has everything', async t => {
    const storage = await openLevelStorage(await crashed(t.testdir()))
    const state = await read(storage)
    t.match(state, { currentTerm: 3, votedFor: 'c', snapshot: { id: 'snap' } })
    t.strictSame(plain(state?.entries), plain([...range(11, 60), ...range(61, 64, 3)]))
    t.equal(await readChunk(storage, 'snap', 0), 'state at twenty')
    await close(storage)
  })

  for (const [where, part] of [
    ['at the start', 0.02],
    ['in the middle', 0.5],
    ['near the end', 0.97],
  ] as const) {
    t.test(`a flipped bit ${where} of the log is RAFT_DAMAGED, and stays so`, async t => {
      const folder = await crashed(t.testdir())
      await flip(await logOf(folder), bytes => Math.floor(bytes.length * part))
      await t.rejects(openLevelStorage(folder), { code: 'RAFT_DAMAGED' })
      await t.rejects(openLevelStorage(folder), { code: 'RAFT_DAMAGED' }, 'a second start too')
      await rm(join(folder, 'DAMAGED'))
      await t.rejects(openLevelStorage(folder), { code: 'RAFT_DAMAGED' }, 'even unmarked')
    })
  }

  t.test('zeros in the log are RAFT_DAMAGED, wherever they begin', async t => {
    const source = await crashed(t.testdir())
    const whole = await readFile(await logOf(source))
    // Among them are headers of records, which LevelDB takes for the end of what was written.
    const second = 7 + whole.readUInt16LE(4)
    for (const start of [second, second + 1, second + 7, 1000]) {
      const folder = join(t.testdirName, `at ${start}`)
      await cp(source, folder, { recursive: true })
      await writeFile(await logOf(folder), Buffer.from(whole).fill(0, start, start + 600))
      await t.rejects(openLevelStorage(folder), { code: 'RAFT_DAMAGED' }, `from ${start}`)
    }
  })

  t.test('zeros at the end alone are space that was never written', async t => {
    const folder = await crashed(t.testdir())
    await appendFile(await logOf(folder), Buffer.alloc(5000))
    const storage = await openLevelStorage(folder)
    t.equal((await read(storage))?.entries.length, 54)
    await close(storage)
  })

  t.test('a tail cut to a shorter, consistent log cannot be told; the vote is kept', async t => {
    const folder = t.testdir()
    const source = join(folder, 'source')
    const storage = await openLevelStorage(source)
    const first = { currentTerm: 1, votedFor: undefined }
    await write(storage, { persists: [persist({ ...first, entries: range(1, 2) })] })
    await write(storage, { persists: [persist({ currentTerm: 7, votedFor: 'a' })] })
    const copy = join(folder, 'copy')
    await cp(source, copy, { recursive: true })
    await close(storage)
    const log = await logOf(copy)
    await truncate(log, (await readFile(log)).length - 10)
    const cut = await openLevelStorage(copy)
    t.match(await read(cut), { currentTerm: 7, votedFor: 'a' }, 'no second vote in term 7')
    t.equal((await read(cut))?.currentTerm, 7, 'read again')
    await write(cut, { persists: [persist({ currentTerm: 8, votedFor: 'b' })] })
    await close(cut)
    const again = await openLevelStorage(copy)
    t.match(await read(again), { currentTerm: 8, votedFor: 'b' })
    await close(again)
  })

  t.test('a flipped bit in a table is found by our own checksum', async t => {
    const folder = await crashed(t.testdir())
    // Opening moves what is in the log into a table; nothing is dropped.
    await close(await openLevelStorage(folder))
    const names = await readdir(join(folder, 'db'))
    const table = names.find(name => name.endsWith('.ldb'))
    if (table === undefined) throw new Error('no table was made')
    await flip(join(folder, 'db', table), bytes => bytes.indexOf('at twenty'))
    const failure = await openLevelStorage(folder).then(
      async storage => {
        const failed = await readChunk(storage, 'snap', 0).then(
          () => undefined,
          (error: unknown) => error,
        )
        await close(storage)
        return failed
      },
      (error: unknown) => error,
    )
    t.match(failure, { code: 'RAFT_DAMAGED' })
  })

  t.test('both slots of the vote file broken, or the database gone', async t => {
    const folder = await crashed(t.testdir())
    await writeFile(join(folder, 'vote'), Buffer.alloc(1024, 7))
    await t.rejects(openLevelStorage(folder), { code: 'RAFT_DAMAGED' })

    const other = await crashed(t.testdir({ other: {} }))
    await rm(join(other, 'DAMAGED'), { force: true })
    await rm(join(other, 'db'), { recursive: true })
    const storage = await openLevelStorage(other)
    // One vote was ever written: that is also what a stop in the very first write leaves.
    t.match(await read(storage), { currentTerm: 3, votedFor: 'c', entries: [] })
    await write(storage, { persists: [persist({ currentTerm: 4 })] })
    await close(storage)
    await rm(join(other, 'db'), { recursive: true })
    await t.rejects(openLevelStorage(other), { code: 'RAFT_DAMAGED' })
  })

  t.test('a foreign file in the place of the database', async t => {
    const folder = t.testdir({ db: 'no folder' })
    await t.rejects(openLevelStorage(folder), { code: 'RAFT_STORAGE' })
  })
})

t.test('level: one opener', async t => {
  const folder = t.testdir()
  const storage = await openLevelStorage(folder)
  await write(storage, { persists: [persist({ entries: range(1, 2) })] })
  await t.rejects(openLevelStorage(folder), { code: 'RAFT_LOCKED' })
  await t.rejects(openLevelStorage(`${folder}/../${folder.split('/').at(-1) ?? ''}`), {
    code: 'RAFT_LOCKED',
  })

  // The refused attempt must not have dropped the lock: another process is refused still.
  const script = `
    const { openLevelStorage } = await import(${JSON.stringify(new URL('../../raft/index.js', import.meta.url).href)})
    await openLevelStorage(${JSON.stringify(folder)}).then(
      () => console.log('opened'),
      error => console.log(error.code),
    )
    process.exit(0)`
  const other = async (): Promise<string> => {
    const args = ['--input-type=module', '-e', script]
    return (await promisify(execFile)(process.execPath, args)).stdout.trim()
  }
  t.equal(await other(), 'RAFT_LOCKED')
  await close(storage)
  t.equal(await other(), 'opened', 'a process that is gone holds nothing')
  const again = await openLevelStorage(folder)
  t.equal((await read(again))?.entries.length, 2)
  await close(again)
})

t.test('level: the first error is final', async t => {
  const folder = t.testdir()
  const storage = await openLevelStorage(folder)
  await write(storage, { persists: [persist({ entries: range(1, 2) })] })
  // The vote file's folder entry can go; the open file cannot be made to fail, so the chunk read is.
  await t.rejects(readChunk(storage, 'none', 0), { code: 'RAFT_DAMAGED' })
  await t.rejects(write(storage, { persists: [persist({ entries: range(3, 3) })] }), {
    code: 'RAFT_DAMAGED',
  })
  await close(storage)
  const again = await openLevelStorage(folder)
  t.equal((await read(again))?.entries.length, 2, 'and nothing was written after it')
  await close(again)
})
