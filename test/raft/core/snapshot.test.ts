import t from 'tap'
import { configurationOf } from '../../../raft/core/configuration.ts'
import { blankState } from '../../../raft/core/input.ts'
import type { SnapshotMeta } from '../../../raft/core/message.ts'
import { bytes, clusterOf, command, coreOf, stateOf, T } from './cluster.ts'

const voters = ['a', 'b', 'c']
const settings = { trailingEntries: 1, snapshotWindow: 2 }

function lagging() {
  const cluster = clusterOf(3, settings)
  cluster.elect('a')
  cluster.cut.add('a>c').add('c>a').add('c>b')
  for (let n = 1; n <= 6; n++) cluster.propose('a', `p${n}`)
  return cluster
}

function metaOf(index: number, term: number, chunks = 1): SnapshotMeta {
  const id = `s${index}`
  const configuration = configurationOf(voters)
  return { id, lastIncludedIndex: index, lastIncludedTerm: term, configuration, bytes: 9, chunks }
}

t.test('7: behind its snapshot a server drops the log, but for a few entries', async t => {
  const cluster = lagging()
  const snapshot = cluster.saveSnapshot('a')
  t.equal(cluster.core('a').snapshotIndex, 8)
  t.match(
    cluster.effects
      .get('a')
      ?.flatMap(({ persist }) => persist ?? [])
      .pop(),
    {
      compactTo: snapshot.lastIncludedIndex - 1,
      entries: [],
    },
  )
  t.equal(cluster.core('a').termAt(6), undefined)
  t.equal(cluster.core('a').termAt(8), 2)
  cluster.step('a', { type: 'snapshotSaved', snapshot: { ...snapshot, id: 'again' } })
  t.equal(cluster.core('a').snapshotIndex, 8, 'the same again changes nothing')
})

t.test(
  '7: a follower that needs what is gone gets the snapshot, in chunks, and goes on from there',
  async t => {
    const cluster = lagging()
    cluster.saveSnapshot('a', 5)
    cluster.propose('a', 'p7')
    cluster.cut.clear()
    cluster.elapse(T)
    t.same(cluster.applied.get('c'), ['p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7'])
    t.same(
      cluster.sentOf('installSnapshot').map(({ chunk }) => chunk),
      [0, 1, 2, 3, 4],
    )
    t.same(cluster.core('a').snapshotsInUse, [])
    t.equal(cluster.core('c').snapshotIndex, 8)
  },
)

t.test(
  'chunks go out by credit, a lost one is sent again, and the snapshot stays while it is needed',
  async t => {
    const cluster = lagging()
    const { id } = cluster.saveSnapshot('a', 5)
    cluster.cut.delete('c>a')
    cluster.elapse(2 * T)
    t.same(cluster.core('a').snapshotsInUse, [id])
    t.match(
      cluster
        .sentOf('installSnapshot')
        .slice(0, 3)
        .map(({ chunk }) => chunk),
      [0, 1],
      'two without an answer',
    )
    cluster.cut.clear()
    cluster.elapse(2 * T)
    t.equal(cluster.core('c').snapshotIndex, 8)
    t.same(cluster.applied.get('c'), cluster.applied.get('a'))
  },
)

t.test(
  'a receiver that restarts in the middle makes the sender begin again (dgraph#2707)',
  async t => {
    const cluster = lagging()
    cluster.saveSnapshot('a', 6)
    cluster.cut.delete('a>c')
    cluster.cut.delete('c>a')
    for (let n = 0; cluster.sentOf('installSnapshot').length === 0 && n < 100; n++) {
      cluster.elapse(20, ['a', 'b'])
      cluster.cut.add('c>a')
    }
    cluster.cut.clear()
    cluster.cut.add('a>c')
    cluster.elapse(T / 2)
    // It comes back with its disk as it was: the chunks it had stored are gone.
    cluster.add('c', stateOf(voters, [2], 2))
    cluster.cut.clear()
    cluster.sent = []
    cluster.elapse(3 * T)
    t.equal(cluster.core('c').snapshotIndex, 8)
    t.same(cluster.applied.get('c'), cluster.applied.get('a'))
    t.ok(cluster.sentOf('installSnapshot').some(({ chunk }) => chunk === 0))
  },
)

t.test('a snapshot is taken over in one write, and acknowledged after it', async t => {
  const core = coreOf('a', stateOf(voters, [1, 1, 1]))
  const snapshot = metaOf(9, 2, 2)
  const head = { type: 'installSnapshot', from: 'b', to: 'a', term: 3, round: 1, snapshot } as const
  const chunk = (n: number) =>
    core.step({ type: 'message', message: { ...head, chunk: n, data: bytes(`${n}`) } })
  t.match(chunk(0).storeChunks, [{ chunk: 0 }])
  t.match(chunk(1).storeChunks, [{ chunk: 1 }])
  core.step({ type: 'chunkStored', snapshotId: 's9', chunk: 1 })
  const effects = core.step({ type: 'chunkStored', snapshotId: 's9', chunk: 0 })
  t.match(effects.persist, { snapshot, compactTo: 9, currentTerm: 3, entries: [] })
  t.match(effects.restore, snapshot)
  t.match(effects.send, [{ after: effects.persist?.seq, message: { matchIndex: 9 } }])
  t.match(core, { commitIndex: 9, lastIndex: 9, snapshotIndex: 9 })
  t.match(chunk(1).send, [{ message: { matchIndex: 9 } }], 'a repeated chunk is told so')
})

t.test('7: a log that continues the snapshot is kept, one that does not is dropped', async t => {
  for (const [term, lastIndex] of [
    [1, 4],
    [2, 3],
  ] as const) {
    const core = coreOf('a', stateOf(voters, [1, 1, 1]))
    const snapshot = metaOf(3, term)
    const head = {
      type: 'installSnapshot',
      from: 'b',
      to: 'a',
      term: 3,
      round: 1,
      snapshot,
    } as const
    core.step({ type: 'message', message: { ...head, chunk: 0, data: bytes('x') } })
    const { persist } = core.step({ type: 'chunkStored', snapshotId: 's3', chunk: 0 })
    t.equal(persist?.truncateFrom, term === 1 ? undefined : 4)
    t.equal(core.lastIndex, lastIndex)
  }
})

t.test(
  'a snapshot never takes back what is committed, and chunks of an old one start nothing',
  async t => {
    const core = coreOf('a', stateOf(voters, [1, 1, 1]))
    const beat = {
      type: 'heartbeat',
      from: 'b',
      to: 'a',
      term: 3,
      leaderCommit: 4,
      commitTerm: 1,
      round: 1,
    } as const
    core.step({ type: 'message', message: beat })
    const head = {
      type: 'installSnapshot',
      from: 'b',
      to: 'a',
      term: 3,
      round: 1,
      chunk: 0,
    } as const
    const give = (snapshot: SnapshotMeta) =>
      core.step({ type: 'message', message: { ...head, snapshot, data: bytes('x') } })
    t.match(give(metaOf(4, 2)).send, [{ message: { matchIndex: 4 } }])
    t.equal(core.lastIndex, 4)
    t.match(give(metaOf(9, 2, 2)).storeChunks, [{ chunk: 0 }])
    t.same(give(metaOf(7, 2, 2)).storeChunks, [])
    core.step({ type: 'chunkStored', snapshotId: 's7', chunk: 0 })
    t.equal(core.snapshotIndex, 0)
  },
)

t.test("another leader's snapshot replaces one that will never end", async t => {
  const core = coreOf('a', stateOf(voters))
  const head = { type: 'installSnapshot', from: 'b', to: 'a', term: 3, round: 1, chunk: 0 } as const
  const data = bytes('x')
  core.step({ type: 'message', message: { ...head, snapshot: metaOf(9, 2, 2), data } })
  const other = { ...head, from: 'c', term: 4, snapshot: metaOf(7, 2), data } as const
  t.match(core.step({ type: 'message', message: other }).storeChunks, [{ chunk: 0 }])
  core.step({ type: 'chunkStored', snapshotId: 's7', chunk: 0 })
  t.equal(core.snapshotIndex, 7)
})

t.test("what is said of a snapshot's chunks answers no round of another leader", async t => {
  const core = coreOf('c', stateOf(voters, [2], 2))
  const snapshot = metaOf(9, 2, 3)
  const send = (from: string, term: number, round: number, chunk: number) => {
    const envelope = { type: 'installSnapshot', from, to: 'c', term, round } as const
    return core.step({
      type: 'message',
      message: { ...envelope, snapshot, chunk, data: bytes('x') },
    })
  }
  const stored = (chunk: number) => core.step({ type: 'chunkStored', snapshotId: 's9', chunk })
  const answer = (to: string, term: number, round: number, nextChunk: number) => ({
    send: [{ message: { type: 'installSnapshotReply', to, term, round, nextChunk } }],
  })
  send('a', 2, 50, 0)
  t.match(stored(0), answer('a', 2, 50, 1))
  send('a', 2, 51, 1)
  const heartbeat = { leaderCommit: 0, commitTerm: 0, round: 2 } as const
  const envelope = { type: 'heartbeat', from: 'b', to: 'c', term: 3 } as const
  core.step({ type: 'message', message: { ...envelope, ...heartbeat } })
  t.match(stored(1), answer('b', 3, 0, 2), 'the chunk came before that leader was one')
  t.match(send('b', 3, 3, 0), answer('b', 3, 3, 2), 'its own rounds count, low as they are')
  t.end()
})

t.test('a server starts from its snapshot and what the disk has around it', async t => {
  const snapshot = metaOf(5, 2)
  const state = { currentTerm: 3, votedFor: undefined, snapshot }
  const plain = coreOf('a', { ...state, entries: [command(6, 2), command(7, 3)] })
  t.match(plain, { commitIndex: 5, lastApplied: 5, lastIndex: 7, snapshotIndex: 5 })
  t.same(plain.configuration, configurationOf(voters))
  const trailing = coreOf('a', { ...state, entries: [command(4, 1), command(5, 2), command(6, 3)] })
  t.equal(trailing.lastIndex, 6)
  t.equal(trailing.termAt(4), 1)
  t.throws(() => coreOf('a', { ...state, entries: [command(7, 3)] }), 'a gap (redisraft#43)')
  t.throws(() => coreOf('a', { ...state, entries: [command(5, 1), command(6, 2)] }), 'no match')
  t.throws(() => coreOf('a', { ...blankState, entries: [command(1, 1)] }), 'term without its vote')
})

t.test('two snapshots back to back (etcd#18055)', async t => {
  const cluster = lagging()
  cluster.saveSnapshot('a')
  cluster.propose('a', 'p7', 'p8')
  cluster.saveSnapshot('a')
  cluster.cut.clear()
  cluster.elapse(2 * T)
  t.same(cluster.applied.get('c'), cluster.applied.get('a'))
  t.equal(cluster.core('c').snapshotIndex, 10)
})

t.test(
  'a transfer goes on after a restart of the receiver, where its disk has left off',
  async t => {
    for (const stored of [0, 2, 3]) {
      const cluster = clusterOf(3, { trailingEntries: 0, snapshotWindow: 1 })
      cluster.elect('a')
      cluster.cut.add('*>c')
      cluster.propose('a', 'p1', 'p2', 'p3')
      const snapshot = cluster.saveSnapshot('a')
      cluster.cut.clear()
      cluster.add('c', { ...stateOf(voters), partial: { snapshot, stored } })
      cluster.elapse(2 * T)
      t.same(cluster.applied.get('c'), ['p1', 'p2', 'p3'])
      const chunks = (cluster.effects.get('c') ?? []).flatMap(({ storeChunks }) => storeChunks)
      const wanted = [0, 1, 2].slice(Math.min(stored, 2))
      t.same(
        chunks.map(({ chunk }) => chunk),
        wanted,
      )
    }
  },
)
