/**
 * What a storage on disk has to suffer: damage of every kind that LevelDB does not tell of, and other openers.
 */
import { execFile } from 'node:child_process'
import { appendFile, cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { condemn, openLevelStorage, silentLogger } from '../../raft/index.ts'
import { close, meta, persist, plain, range, read, readChunk, write } from './stored.ts'

t.test('level: damage', async t => {
  /** A folder with 60 entries, a snapshot at 20, and no clean close: a copy taken while it is open. */
  async function crashed(folder: string): Promise<string> {
    const source = join(folder, 'source')
    const storage = await openLevelStorage(source)
    for (let index = 1; index <= 60; index += 4) {
      const entries = range(index, index + 3)
      const vote = { currentTerm: 3, votedFor: 'c' }
      const trust = { kind: 'full' } as const
      await write(storage, { persists: [persist({ ...vote, trust, entries })] })
    }
    await write(storage, {
      chunks: [{ snapshotId: 'snap', chunk: 0, data: Buffer.from('state at twenty') }],
      snapshot: meta('snap', 20, 1, 15),
    })
    await write(storage, { persists: [persist({ currentTerm: 3, votedFor: 'c', compactTo: 10 })] })
    await write(storage, {
      persists: [persist({ currentTerm: 3, votedFor: 'c', entries: range(61, 64, 3) })],
    })
    // Nobody waits for the mark of the last batch; it is there some turns of the loop later.
    for (let turn = 0; turn < 4; turn++) await read(storage)
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

  /** What a start makes of a folder whose database is damaged: it is set aside, and nothing of it is believed. */
  async function beginsAnew(t: Test, folder: string, found: RegExp): Promise<void> {
    const storage = await openLevelStorage(folder)
    t.match(storage.damage, found)
    const anew = { currentTerm: 3, votedFor: 'c', entries: [], trust: { kind: 'relearning' } }
    t.match(await read(storage), { ...anew, snapshot: undefined })
    await close(storage)
    const names = await readdir(folder)
    t.ok(names.includes('damaged-1') && !names.includes('damaged-2'), 'kept once')
    t.notOk(names.includes('DAMAGED'), 'dealt with')
    t.match(await readFile(join(folder, 'damaged-1', 'FOUND'), 'utf8'), found)
    const again = await openLevelStorage(folder)
    t.match(await read(again), anew, 'a second start too')
    t.match(again.damage, found)
    await close(again)
  }

  for (const [where, part] of [
    ['at the start', 0.02],
    ['in the middle', 0.5],
    ['near the end', 0.97],
  ] as const) {
    t.test(`a flipped bit ${where} of the log`, async t => {
      const folder = await crashed(t.testdir())
      await flip(await logOf(folder), bytes => Math.floor(bytes.length * part))
      const told: unknown[] = []
      const log = { ...silentLogger, error: (...line: unknown[]) => void told.push(line) }
      await close(await openLevelStorage(folder, { log }))
      t.match(told, [['raft-damaged', { code: 'RAFT_DAMAGED', found: /dropping/ }]])
      await beginsAnew(t, folder, /dropping \d+ bytes/)
    })
  }

  t.test('zeros in the log, wherever they begin', async t => {
    const source = await crashed(t.testdir())
    const whole = await readFile(await logOf(source))
    // Among them are headers of records, which LevelDB takes for the end of what was written.
    const second = 7 + whole.readUInt16LE(4)
    for (const start of [second, second + 1, second + 7, 1000]) {
      const folder = join(t.testdirName, `at ${start}`)
      await cp(source, folder, { recursive: true })
      await writeFile(await logOf(folder), Buffer.from(whole).fill(0, start, start + 600))
      await beginsAnew(t, folder, /dropping|hole/)
    }
  })

  t.test('zeros at the end alone are space that was never written', async t => {
    const folder = await crashed(t.testdir())
    await appendFile(await logOf(folder), Buffer.alloc(5000))
    const storage = await openLevelStorage(folder)
    t.equal((await read(storage))?.entries.length, 54)
    await close(storage)
  })

  t.test('a tail cut to a shorter, consistent log is told by the mark', async t => {
    const folder = await crashed(t.testdir())
    const log = await logOf(folder)
    await truncate(log, (await readFile(log)).length - 10)
    await beginsAnew(t, folder, /the last 1 batches of the database are missing/i)
  })

  t.test('without the mark it is not, but the vote is kept', async t => {
    const folder = t.testdir()
    const source = join(folder, 'source')
    const storage = await openLevelStorage(source)
    const trust = { kind: 'full' } as const
    const first = { currentTerm: 1, votedFor: undefined, trust }
    await write(storage, { persists: [persist({ ...first, entries: range(1, 2) })] })
    await write(storage, { persists: [persist({ currentTerm: 7, votedFor: 'a' })] })
    const copy = join(folder, 'copy')
    await cp(source, copy, { recursive: true })
    await close(storage)
    const log = await logOf(copy)
    await truncate(log, (await readFile(log)).length - 10)
    await rm(join(copy, 'mark'))
    const cut = await openLevelStorage(copy)
    t.match(await read(cut), { currentTerm: 7, votedFor: 'a', trust }, 'no second vote in term 7')
    t.equal((await read(cut))?.currentTerm, 7, 'read again')
    await write(cut, { persists: [persist({ currentTerm: 8, votedFor: 'b' })] })
    await close(cut)
    const again = await openLevelStorage(copy)
    t.match(await read(again), { currentTerm: 8, votedFor: 'b' })
    await close(again)
  })

  t.test('a flipped bit in a table', async t => {
    const folder = await crashed(t.testdir())
    // Opening moves what is in the log into a table; nothing is dropped.
    await close(await openLevelStorage(folder))
    const names = await readdir(join(folder, 'db'))
    const table = names.find(name => name.endsWith('.ldb'))
    if (table === undefined) throw new Error('no table was made')
    await flip(join(folder, 'db', table), bytes => bytes.indexOf('at twenty'))
    await beginsAnew(t, folder, /chunk 0 of snapshot snap is broken/i)
  })

  for (const name of ['CURRENT', 'MANIFEST', '.ldb', '.log'] as const) {
    t.test(`a file of the database is missing: ${name}`, async t => {
      const folder = await crashed(t.testdir())
      if (name !== '.log') await close(await openLevelStorage(folder))
      const names = await readdir(join(folder, 'db'))
      const file = names.find(one => one.includes(name))
      if (file === undefined) throw new Error(`no ${name}`)
      await rm(join(folder, 'db', file))
      if (name === '.log') {
        const storage = await openLevelStorage(folder)
        // All there was lay in it: what is left is an empty database, of which nothing is kept.
        t.match(await read(storage), { trust: { kind: 'relearning' }, currentTerm: 3 })
        await close(storage)
      } else await beginsAnew(t, folder, /missing/)
    })
  }

  t.test('both slots of the vote file broken, or the whole database gone', async t => {
    const folder = await crashed(t.testdir())
    await writeFile(join(folder, 'vote'), Buffer.alloc(1024, 7))
    const mended = await openLevelStorage(folder)
    t.match(await read(mended), { currentTerm: 3, votedFor: 'c' }, 'the database has the vote')
    await close(mended)

    await rm(join(folder, 'db'), { recursive: true })
    const storage = await openLevelStorage(folder)
    t.match(storage.damage, /missing/)
    t.match(await read(storage), { trust: { kind: 'relearning' }, currentTerm: 3, votedFor: 'c' })
    await close(storage)
  })

  t.test('condemned from outside', async t => {
    const folder = await crashed(t.testdir())
    const storage = await openLevelStorage(folder)
    await t.rejects(condemn(folder, 'its ledger is another'), { code: 'RAFT_LOCKED' })
    await close(storage)
    await condemn(folder, 'its ledger is another')
    await beginsAnew(t, folder, /its ledger is another/i)
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
