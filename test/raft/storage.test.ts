/**
 * What every storage must do, run on the one in memory and the one on disk.
 */
import t from 'tap'
import type { Entry } from '../../raft/core/entry.ts'
import {
  bootstrap,
  memoryDisk,
  memoryStorage,
  openLevelStorage,
  type RaftError,
  type Storage,
} from '../../raft/index.ts'
import {
  close,
  command,
  configuration,
  meta,
  persist,
  plain,
  range,
  read,
  readChunk,
  write,
} from './stored.ts'

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
