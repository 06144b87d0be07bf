/**
 * A store over a database: what its batches make of a trust, a condemnation, and a snapshot that is being received.
 *
 * What every storage does is in storage.test.ts; LevelDB and files are in level-storage.test.ts and damage.test.ts.
 */
import t from 'tap'
import { bootstrap, type RaftError } from '../../raft/index.ts'
import { maxDeleted } from '../../raft/leftovers.ts'
import { flip, founded, open, settled, valueOf } from './founded.ts'
import { copyOf, type Plain } from './plain-disk.ts'
import {
  close,
  configuration,
  meta,
  persist,
  plain as plainEntries,
  range,
  read,
  readChunk,
  write,
} from './stored.ts'

t.test('what was written is read, trusted, and nothing is told', async t => {
  const plain = await founded()
  const { store, told } = await open(plain)
  const state = await read(store)
  t.match(state, { currentTerm: 3, votedFor: 'c', trust: { kind: 'full' }, snapshot: { id: 's' } })
  t.strictSame(plainEntries(state?.entries), plainEntries([...range(5, 10), ...range(11, 12, 3)]))
  t.strictSame(told, [])
  t.equal(store.damage, undefined)
  t.equal(await readChunk(store, 's', 0), 'state')
})

t.test('a server that relearned is trusted from the batch that says so', async t => {
  const plain = await founded()
  plain.evidence.push('dropping 344 bytes')
  const { store, told } = await open(plain)
  t.strictSame(told, ['raft-damaged'])
  t.equal(store.damage, 'Dropping 344 bytes.')
  t.equal(
    await new Promise(resolve => bootstrap(store, { configuration, commands: [] }, resolve)).then(
      error => (error as RaftError).code,
    ),
    'RAFT_NOT_EMPTY',
    'it is no empty one',
  )
  const vote = { currentTerm: 4, votedFor: undefined }
  await write(store, { persists: [persist({ ...vote, entries: range(1, 3) })] })
  const { store: second, told: again } = await open(plain)
  t.match(await read(second), { trust: { kind: 'relearning' }, currentTerm: 4 })
  t.equal(second.damage, 'Dropping 344 bytes.')
  t.strictSame(again, [], 'told once')
  await write(second, { persists: [persist({ ...vote, trust: { kind: 'full' } })] })
  t.equal(second.damage, undefined)
  const { store: third } = await open(plain)
  t.match(await read(third), { trust: { kind: 'full' } })
  t.equal(third.damage, undefined)
  for (const trust of [{ kind: 'unknown' }, { kind: 'unknown', cleared: true }] as const) {
    await write(third, { persists: [persist({ ...vote, trust })] })
    t.strictSame((await read((await open(plain)).store))?.trust, trust)
  }
})

t.test('a truncated log is no log that was cut', async t => {
  const plain = await founded()
  const { store } = await open(plain)
  const vote = { currentTerm: 4, votedFor: undefined }
  await write(store, { persists: [persist({ ...vote, truncateFrom: 10 })] })
  await settled(store)
  const { store: next, told } = await open(plain)
  t.strictSame(told, [])
  t.equal((await read(next))?.entries.at(-1)?.index, 9)
})

t.test('condemned: the next start relearns everything, and nothing is written before', async t => {
  const plain = await founded()
  const { store } = await open(plain)
  await new Promise(resolve => store.condemn('the ledger is another', resolve))
  await t.rejects(write(store, { persists: [persist({ currentTerm: 9 })] }), {
    code: 'RAFT_DAMAGED',
  })
  const { store: next, told } = await open(plain)
  t.match(await read(next), { trust: { kind: 'relearning' }, currentTerm: 3, entries: [] })
  t.equal(next.damage, 'The ledger is another.')
  t.strictSame(told, ['raft-damaged'])
  t.strictSame([...plain.databases.keys()].sort(), ['1', 'db'])
})

t.test(
  'a chunk that breaks while the server runs ends it, and the next start relearns',
  async t => {
    const plain = await founded()
    const { store } = await open(plain)
    flip(valueOf(plain, '03'), 5)
    await t.rejects(readChunk(store, 's', 0), { code: 'RAFT_DAMAGED' })
    await t.rejects(read(store), { code: 'RAFT_DAMAGED' })
    // Even if it reads well again.
    flip(valueOf(plain, '03'), 5)
    const { store: next } = await open(plain)
    t.match(await read(next), { trust: { kind: 'relearning' }, entries: [] })
  },
)

t.test('a snapshot that is being received goes on where it was', async t => {
  const plain = await founded()
  const { store } = await open(plain)
  const of = meta('far', 100, 4, 40)
  const chunk = (n: number, snapshot = of) => {
    return { snapshotId: snapshot.id, chunk: n, data: Buffer.from(`chunk ${n}`), of: snapshot }
  }
  await write(store, { chunks: [chunk(0), chunk(1)] })
  await write(store, { chunks: [chunk(2)] })
  const { store: second } = await open(plain)
  t.strictSame((await read(second))?.partial, { snapshot: of, stored: 3 })
  t.equal(await readChunk(second, 'far', 2), 'chunk 2')
  const broken = copyOf(plain)
  const last = [...(broken.databases.get('db') ?? [])]
    .filter(([key]) => key.startsWith('03'))
    .sort()
  flip(last.find(([key]) => key.endsWith('0000000001'))?.[1] ?? Buffer.alloc(9), 6)
  const { store: shorter } = await open(broken)
  t.strictSame((await read(shorter))?.partial, { snapshot: of, stored: 1 }, 'as far as it is whole')
  await write(second, { chunks: [chunk(3)] })
  await write(second, {
    persists: [persist({ currentTerm: 3, votedFor: 'c', snapshot: of, compactTo: 100 })],
  })
  const { store: third } = await open(plain)
  t.match(await read(third), { partial: undefined, snapshot: { id: 'far' }, entries: [] })

  const newer = meta('newer', 200, 2, 20)
  const other = meta('other', 300, 2, 20)
  await write(third, { chunks: [chunk(0, newer)] })
  await write(third, { chunks: [chunk(0, other)] })
  const { store: fourth } = await open(plain)
  t.strictSame((await read(fourth))?.partial, { snapshot: other, stored: 1 })
  await write(fourth, { remove: ['other'] })
  const { store: fifth } = await open(plain)
  t.equal((await read(fifth))?.partial, undefined)
  await close(fifth)
})

/** How many keys of a kind there are. */
function count(plain: Plain, prefix: string): number {
  return [...(plain.databases.get('db')?.keys() ?? [])].filter(key => key.startsWith(prefix)).length
}

t.test(
  'a long log that ends is deleted bit by bit, and nobody reads what is left of it',
  async t => {
    const plain = await founded()
    const { store } = await open(plain)
    const vote = { currentTerm: 3, votedFor: 'c' }
    const last = 12 + 4 * maxDeleted
    await write(store, { persists: [persist({ ...vote, entries: range(13, last, 3) })] })
    const far = meta('far', last + 10, 1, 5)
    const chunks = [{ snapshotId: 'far', chunk: 0, data: Buffer.from('state'), of: far }]
    await write(store, { chunks })
    const before = count(plain, '02')
    await write(store, {
      persists: [persist({ ...vote, snapshot: far, compactTo: far.lastIncludedIndex })],
    })
    t.equal(count(plain, '02'), before - maxDeleted, 'in one batch no more than that')
    t.strictSame((await read(store))?.entries, [], 'the log has begun anew all the same')
    const entries = range(last + 11, last + 12, 3)
    await write(store, { persists: [persist({ ...vote, entries })] })
    await settled(store)

    const { store: second, told } = await open(plain)
    t.strictSame(told, [], 'what is left over is no damage')
    t.strictSame(plainEntries((await read(second))?.entries), plainEntries(entries))
    for (let batch = 0; batch < 4; batch++) await write(second, { persists: [persist(vote)] })
    t.equal(count(plain, '02'), entries.length, 'a start goes on with it')
    const { store: third } = await open(plain)
    t.strictSame(plainEntries((await read(third))?.entries), plainEntries(entries))
  },
)

t.test('chunks go bit by bit; one that is stored again stays', async t => {
  const plain = await founded()
  const { store } = await open(plain)
  const total = 3 * maxDeleted
  const of = meta('far', 100, total, 1)
  const chunk = (n: number) => ({ snapshotId: 'far', chunk: n, data: Buffer.from(`${n}`), of })
  const all = Array.from({ length: total }, (_, n) => chunk(n))
  await write(store, { chunks: all })
  await write(store, { remove: ['far'] })
  t.equal(count(plain, '03'), 1 + total - maxDeleted)
  await write(store, { chunks: [chunk(0), chunk(1)] })
  for (let batch = 0; batch < 3; batch++) {
    await write(store, { persists: [persist({ currentTerm: 3, votedFor: 'c' })] })
  }
  t.equal(await readChunk(store, 'far', 0), '0')
  t.equal(await readChunk(store, 'far', 1), '1')
  await settled(store)
  const { store: second, told } = await open(plain)
  t.strictSame(told, [])
  t.match((await read(second))?.partial, { snapshot: of })
  await write(second, { remove: ['far'] })
  for (let batch = 0; batch < 3; batch++) {
    await write(second, { persists: [persist({ currentTerm: 3, votedFor: 'c' })] })
  }
  t.equal(count(plain, '03'), 1, 'the published one alone is left')
})
