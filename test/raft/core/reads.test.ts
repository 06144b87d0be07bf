import t from 'tap'
import { clusterOf, coreOf, stateOf, T } from './cluster.ts'

t.test('thesis 6.4: a read is answered once a quorum confirmed a round begun after it', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.propose('a', 'p1')
  const { reads } = cluster.step('a', { type: 'read', id: 1 })
  t.same(reads, [])
  cluster.settle()
  t.same(cluster.results('a', 'reads'), [{ id: 1, outcome: 'ready', index: 3 }])
})

t.test('a single voter answers at once', async t => {
  const cluster = clusterOf(1)
  cluster.elect('a')
  t.match(cluster.step('a', { type: 'read', id: 1 }).reads, [{ outcome: 'ready', index: 2 }])
})

t.test('reads that come while a round is under way share the next', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.sent = []
  for (const id of [1, 2, 3, 4]) cluster.step('a', { type: 'read', id })
  cluster.settle()
  t.equal(cluster.results('a', 'reads').length, 4)
  t.equal(cluster.sentOf('heartbeat').length, 4, 'two rounds to two followers')
})

t.test(
  'a deposed leader answers no read, not even by a late answer to an earlier round',
  async t => {
    const cluster = clusterOf(3)
    cluster.elect('a')
    cluster.sent = []
    cluster.elapse(120, ['a'])
    const early = cluster.sentOf('heartbeatReply')
    t.ok(early.length > 0)
    cluster.cut.add('*>a').add('a>*')
    cluster.step('b', { type: 'unreachable', peer: 'a' })
    cluster.step('c', { type: 'unreachable', peer: 'a' })
    cluster.elapse(200, ['b'])
    t.equal(cluster.core('b').role, 'leader')
    cluster.propose('b', 'p1')
    cluster.step('a', { type: 'read', id: 1 })
    for (const message of early) cluster.step('a', { type: 'message', message })
    t.same(cluster.results('a', 'reads'), [])
    cluster.cut.clear()
    cluster.elapse(2 * T)
    t.same(cluster.results('a', 'reads'), [{ id: 1, outcome: 'refused', reason: 'leader-changed' }])
  },
)

t.test('a new leader answers only after its no-op is committed (thesis 6.4)', async t => {
  const core = coreOf('a', stateOf(['a', 'b', 'c']))
  while (core.role === 'follower') core.step({ type: 'elapse', ms: 20 })
  const vote = { from: 'b', to: 'a', voteGranted: true } as const
  core.step({ type: 'message', message: { ...vote, type: 'preVoteReply', term: 1, nextTerm: 2 } })
  core.step({ type: 'persisted', seq: 1 })
  core.step({ type: 'message', message: { ...vote, type: 'requestVoteReply', term: 2 } })
  core.step({ type: 'persisted', seq: 2 })
  t.match(core, { role: 'leader', ready: false })
  const reply = { from: 'b', to: 'a', term: 2, round: 1 } as const
  core.step({ type: 'read', id: 1 })
  const beat = { ...reply, type: 'heartbeatReply', lastLogIndex: 1 } as const
  t.same(core.step({ type: 'message', message: beat }).reads, [], 'a quorum is behind it, but')
  const result = { success: true, matchIndex: 2 } as const
  const acknowledged = { ...reply, type: 'appendEntriesReply', result } as const
  t.same(core.step({ type: 'message', message: acknowledged }).reads, [])
  t.ok(core.ready)
  const confirmed = core.step({ type: 'message', message: { ...beat, round: 2 } })
  t.same(confirmed.reads, [{ id: 1, outcome: 'ready', index: 2 }])
})

t.test(
  'a follower asks the leader; one question at a time carries all reads that wait',
  async t => {
    const cluster = clusterOf(3)
    cluster.elect('a')
    cluster.propose('a', 'p1')
    cluster.sent = []
    for (const id of [1, 2, 3]) cluster.step('b', { type: 'read', id })
    cluster.settle()
    const ready = { outcome: 'ready', index: 3 }
    t.match(cluster.results('b', 'reads'), [ready, ready, ready])
    t.equal(cluster.sentOf('readIndex').length, 2)
  },
)

t.test(
  'a lost question is asked again under a new key, and an answer to another key is none',
  async t => {
    const cluster = clusterOf(3)
    cluster.elect('a')
    cluster.sent = []
    cluster.cut.add('b>a')
    cluster.step('b', { type: 'read', id: 1 })
    cluster.cut.clear()
    const reply = { type: 'readIndexReply', from: 'a', to: 'b', term: 2, key: 5, index: 1 } as const
    cluster.step('b', { type: 'message', message: reply })
    t.same(cluster.results('b', 'reads'), [])
    cluster.elapse(T / 2 + 20)
    t.match(cluster.results('b', 'reads'), [{ outcome: 'ready' }])
    const keys = cluster.sentOf('readIndex').map(({ key }) => key)
    t.equal(new Set(keys).size, 2)
  },
)

t.test('refusals: no leader, no quorum, too many, too long', async t => {
  const cluster = clusterOf(3, { maxPendingReads: 2 })
  t.match(cluster.step('a', { type: 'read', id: 1 }).reads, [{ reason: 'no-leader' }])
  cluster.elect('a')
  cluster.cut.add('*>a')
  for (const id of [2, 3, 4]) cluster.step('a', { type: 'read', id })
  t.match(cluster.results('a', 'reads').slice(1), [{ id: 4, reason: 'busy' }])
  for (const id of [5, 6, 7]) cluster.step('b', { type: 'read', id })
  t.match(cluster.results('b', 'reads'), [{ id: 7, reason: 'busy' }])
  cluster.elapse(T + 40)
  cluster.step('a', { type: 'read', id: 8 })
  t.match(cluster.results('a', 'reads').slice(2), [{ id: 8, reason: 'no-quorum' }])
  cluster.elapse(2 * T)
  t.equal(cluster.results('a', 'reads').length, 5, 'each was answered')
  t.equal(cluster.results('b', 'reads').length, 3)
})

t.test('thesis 3.10: leadership goes to a named voter, or to the best, within moments', async t => {
  for (const to of ['c', undefined]) {
    const cluster = clusterOf(3)
    cluster.elect('a')
    cluster.propose('a', 'p1')
    cluster.step('a', { type: 'transfer', id: 1, to })
    cluster.settle()
    t.equal(cluster.core(to ?? 'b').role, 'leader')
    t.equal(cluster.core('a').role, 'follower')
    t.same(cluster.results('a', 'transfers'), [{ id: 1, outcome: 'done' }])
    t.equal(cluster.sentOf('preVote').filter(({ from }) => from !== 'a').length, 0)
  }
})

t.test(
  'while it hands over, a leader takes neither proposals nor reads; after T it goes on',
  async t => {
    const cluster = clusterOf(3)
    cluster.elect('a')
    cluster.cut.add('a>c')
    cluster.propose('a', 'p1')
    cluster.step('a', { type: 'transfer', id: 1, to: 'c' })
    cluster.propose('a', 'p2')
    cluster.step('a', { type: 'read', id: 2 })
    t.match(cluster.results('a', 'proposals').slice(1), [{ reason: 'transferring' }])
    t.match(cluster.results('a', 'reads'), [{ reason: 'transferring' }])
    t.match(cluster.step('a', { type: 'transfer', id: 3, to: 'b' }).transfers, [{ reason: 'busy' }])
    cluster.elapse(T, ['a'])
    t.match(cluster.results('a', 'transfers'), [{ id: 3 }, { id: 1, reason: 'timeout' }])
    cluster.propose('a', 'p4')
    t.match(cluster.results('a', 'proposals').slice(2), [{ outcome: 'accepted' }])
  },
)

t.test('transfers that cannot be: not leading, no such voter, nobody heard', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  const refusal = (id: string, to?: string) =>
    cluster.step(id, { type: 'transfer', id: 1, to }).transfers[0]
  t.match(refusal('b', 'c'), { reason: 'not-leader' })
  t.match(refusal('a', 'x'), { reason: 'no-target' })
  t.match(refusal('a', 'a'), { outcome: 'done' })
})

t.test('a late TimeoutNow of an earlier term starts nothing', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  const message = { type: 'timeoutNow', from: 'a', to: 'b', term: 1 } as const
  cluster.step('b', { type: 'message', message })
  cluster.step('b', { type: 'message', message: { ...message, from: 'c', term: 2 } })
  t.equal(cluster.core('b').role, 'follower')
})

t.test('told to step down, a leader hands over to a voter that has everything', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.step('a', { type: 'stepDown' })
  cluster.settle()
  t.equal(cluster.core('b').role, 'leader')
  t.equal(cluster.core('a').leader, 'b')
})
