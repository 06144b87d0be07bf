import assert from 'node:assert/strict'
import t from 'tap'
import { configurationOf, type ConfigurationChange } from '../../../raft/core/configuration.ts'
import { blankState, type PersistedState } from '../../../raft/core/input.ts'
import type { Message } from '../../../raft/core/message.ts'
import { Cluster, clusterOf, stateOf, T } from './cluster.ts'

/** What is left of a server whose log was lost, but not its term and vote. */
function remains(cluster: Cluster, id: string): PersistedState {
  const { currentTerm, votedFor } = cluster.core(id)
  return { ...blankState, currentTerm, votedFor, trust: { kind: 'relearning' } }
}

function trustOf(cluster: Cluster, id: string): string {
  const { trust } = cluster.core(id)
  return trust.kind === 'unknown' && trust.cleared ? 'cleared' : trust.kind
}

function isType(...types: readonly Message['type'][]): (message: Message) => boolean {
  return ({ type }) => types.includes(type)
}

function led(count: number): Cluster {
  const cluster = clusterOf(count)
  cluster.elect('a')
  cluster.propose('a', 'p1', 'p2', 'p3')
  cluster.elapse(200)
  return cluster
}

function change(cluster: Cluster, leader: string, change: ConfigurationChange): unknown {
  cluster.step(leader, { type: 'changeConfiguration', id: 1, change })
  cluster.elapse(400)
  return cluster.results(leader, 'changes').at(-1)
}

t.test('a damaged follower is taught again, and only then votes', async t => {
  const cluster = led(3)
  cluster.add('c', remains(cluster, 'c'))
  t.equal(trustOf(cluster, 'c'), 'relearning')
  cluster.elapse(300)
  t.equal(trustOf(cluster, 'c'), 'full')
  t.same(cluster.applied.get('c'), ['p1', 'p2', 'p3'])
  const writes = cluster.effects.get('c')?.flatMap(({ persist }) => persist ?? []) ?? []
  const last = writes.filter(({ trust }) => trust !== undefined).at(-1)
  t.match(last, { trust: { kind: 'full' } })
  t.ok(last?.entries.length, 'in the write that brings the last of what it lost')
  t.ok(cluster.effects.get('c')?.some(({ trust }) => trust?.kind === 'full'))
  cluster.cut.add('*>a').add('a>*')
  cluster.elapse(6 * T, ['b', 'c'])
  t.ok(['b', 'c'].some(id => cluster.core(id).role === 'leader'))
})

t.test('until then it does not count: a commitment needs the other two', async t => {
  const cluster = led(3)
  cluster.lose = isType('teach')
  cluster.add('c', remains(cluster, 'c'))
  cluster.elapse(300)
  t.equal(cluster.core('c').lastIndex, cluster.core('a').lastIndex, 'it has everything')
  const { commitIndex } = cluster.core('a')
  cluster.cut.add('*>b')
  cluster.propose('a', 'p4')
  cluster.elapse(T / 2)
  t.equal(cluster.core('a').commitIndex, commitIndex)
  cluster.step('a', { type: 'read', id: 1 })
  cluster.settle()
  t.same(cluster.results('a', 'reads'), [], 'no round is confirmed by it')
  t.match(cluster.step('a', { type: 'transfer', id: 1, to: 'c' }).transfers, [
    { outcome: 'refused', reason: 'no-target' },
  ])
  cluster.cut.clear()
  cluster.settle()
  cluster.elapse(100)
  t.ok(cluster.core('a').commitIndex > commitIndex)
})

t.test('until then no election is won with it', async t => {
  const cluster = led(3)
  cluster.cut.add('*>a').add('a>*')
  cluster.sent = []
  cluster.add('c', remains(cluster, 'c'))
  cluster.step('c', { type: 'unreachable', peer: 'a' })
  cluster.elapse(10 * T, ['b', 'c'])
  t.notOk(
    cluster.sentOf('preVoteReply').some(({ from, voteGranted }) => from === 'c' && voteGranted),
  )
  t.equal(cluster.core('c').role, 'follower')
  t.not(cluster.core('b').role, 'leader')
  const { currentTerm: term } = cluster.core('c')
  const ask = { lastLogIndex: 99, lastLogTerm: term, transfer: true } as const
  const effects = cluster.step('c', {
    type: 'message',
    message: { type: 'requestVote', from: 'b', to: 'c', term: term + 1, ...ask },
  })
  t.match(effects.send, [{ message: { type: 'requestVoteReply', voteGranted: false } }])
})

t.test(
  'the target is where the log ends: what is acknowledged may not be known as committed',
  async t => {
    const cluster = clusterOf(5, { maxEntriesPerMessage: 1 })
    cluster.elect('a')
    cluster.propose('a', 'p1')
    cluster.elapse(200)
    // p2 reaches b and c; the acknowledgement of c is still on its way to a.
    cluster.cut.add('*>d').add('*>e')
    const late: Message[] = []
    cluster.lose = message => {
      const isLate = message.type === 'appendEntriesReply' && message.from === 'c'
      if (isLate) late.push(message)
      return isLate
    }
    cluster.propose('a', 'p2')
    const index = cluster.core('a').lastIndex
    const ack = late.at(-1)
    assert(ack)
    // b follows a in office; nothing that it appends arrives.
    cluster.cut.clear()
    cluster.cut.add('*>a').add('a>*')
    cluster.lose = isType('appendEntries')
    for (const id of ['b', 'c', 'd', 'e']) cluster.step(id, { type: 'unreachable', peer: 'a' })
    cluster.elect('b')
    t.ok(cluster.core('b').commitIndex < index)
    // c is damaged, and taught everything but p2.
    cluster.add('c', remains(cluster, 'c'))
    cluster.lose = message => {
      return message.type === 'appendEntries' && message.entries.some(entry => entry.index >= index)
    }
    cluster.elapse(200)
    t.equal(cluster.core('c').lastIndex, index - 1)
    // a is still in office, in its term, and hears c: p2 is committed.
    cluster.step('a', { type: 'message', message: ack })
    t.equal(cluster.core('a').commitIndex, index)
    cluster.cut.add('*>b').add('b>*')
    for (const id of ['c', 'd', 'e']) cluster.step(id, { type: 'unreachable', peer: 'b' })
    cluster.elapse(6 * T, ['c', 'd', 'e'])
    t.equal(trustOf(cluster, 'c'), 'relearning')
    t.notOk(
      ['c', 'd', 'e'].some(id => cluster.core(id).role === 'leader'),
      'p2 would be lost',
    )
  },
)

t.test('what it acknowledged before its damage counts no longer once the leader knows', async t => {
  const cluster = led(3)
  cluster.cut.add('*>b')
  const late: Message[] = []
  cluster.lose = message => {
    const isLate = message.type === 'appendEntriesReply' && message.from === 'c'
    if (isLate) late.push(message)
    return isLate
  }
  cluster.propose('a', 'p4')
  const { commitIndex, lastIndex } = cluster.core('a')
  cluster.add('c', remains(cluster, 'c'))
  const isData = isType('appendEntries', 'appendEntriesReply')
  cluster.lose = message => isData(message) || message.type === 'teachReply'
  cluster.elapse(100)
  for (const message of late) cluster.resend(message)
  t.equal(cluster.core('a').commitIndex, commitIndex)
  cluster.lose = () => false
  cluster.elapse(T)
  t.equal(trustOf(cluster, 'c'), 'full')
  t.equal(cluster.core('a').commitIndex, lastIndex, 'taught again, it counts')
})

t.test('an answer of an earlier term teaches nothing; the next leader is asked', async t => {
  const cluster = led(3)
  const late: Message[] = []
  cluster.lose = message => {
    if (message.type === 'teachReply') late.push(message)
    return isType('teachReply', 'appendEntries')(message)
  }
  cluster.add('c', remains(cluster, 'c'))
  cluster.elapse(100)
  t.equal(late.length, 1)
  cluster.step('a', { type: 'transfer', id: 1, to: 'b' })
  cluster.settle()
  cluster.elapse(200)
  t.equal(cluster.core('b').role, 'leader')
  for (const message of late.slice(0, 1)) cluster.resend(message)
  t.equal(trustOf(cluster, 'c'), 'relearning')
  cluster.lose = () => false
  cluster.elapse(T)
  t.equal(trustOf(cluster, 'c'), 'full')
})

t.test('a snapshot at or above the target teaches as well', async t => {
  const cluster = new Cluster(
    Object.fromEntries(['a', 'b', 'c'].map(id => [id, stateOf(['a', 'b', 'c'])])),
    { trailingEntries: 0 },
  )
  cluster.elect('a')
  cluster.propose('a', 'p1', 'p2', 'p3')
  cluster.elapse(200)
  cluster.saveSnapshot('a')
  cluster.add('c', remains(cluster, 'c'))
  cluster.elapse(T)
  t.equal(trustOf(cluster, 'c'), 'full')
  const installed = cluster.effects.get('c')?.find(({ restore }) => restore !== undefined)
  t.match(installed?.persist, { snapshot: { lastIncludedIndex: 5 }, trust: { kind: 'full' } })
})

t.test('all servers damaged: nobody can vote, and all say so', async t => {
  const cluster = led(3)
  for (const id of ['a', 'b', 'c']) cluster.add(id, remains(cluster, id))
  cluster.elapse(10 * T)
  t.same(
    ['a', 'b', 'c'].map(id => trustOf(cluster, id)),
    Array(3).fill('relearning'),
  )
  t.notOk(['a', 'b', 'c'].some(id => cluster.core(id).role !== 'follower'))
})

t.test('a single server has nobody to learn from', async t => {
  const cluster = clusterOf(1)
  cluster.elect('a')
  cluster.propose('a', 'p1')
  cluster.add('a', { ...stateOf(['a'], [1]), currentTerm: 2, trust: { kind: 'relearning' } })
  cluster.elapse(10 * T)
  t.equal(trustOf(cluster, 'a'), 'relearning')
  t.equal(cluster.core('a').role, 'follower')
})

t.test(
  'a wiped voter never votes under its old name; made no voter and voter again, it does',
  async t => {
    const healings: ConfigurationChange[][] = [
      [{ remove: ['c'] }, { learners: ['c'] }, { voters: ['c'] }],
      [{ learners: ['c'] }, { voters: ['c'] }],
    ]
    for (const healing of healings) {
      const cluster = led(3)
      cluster.add('c', blankState)
      cluster.elapse(2 * T)
      t.equal(trustOf(cluster, 'c'), 'unknown')
      t.equal(cluster.core('c').lastApplied, cluster.core('a').lastApplied, 'it has everything')
      const { commitIndex } = cluster.core('a')
      cluster.cut.add('*>b')
      cluster.propose('a', 'p4')
      t.equal(cluster.core('a').commitIndex, commitIndex, 'a and c are no majority')
      cluster.cut.clear()
      cluster.elapse(200)
      for (const step of healing) t.match(change(cluster, 'a', step), { outcome: 'done' })
      t.equal(trustOf(cluster, 'c'), 'full')
      t.equal(cluster.core('c').votedFor, 'c', 'its vote in this term may be given already')
      cluster.cut.add('*>a').add('a>*')
      cluster.elapse(6 * T, ['b', 'c'])
      t.ok(['b', 'c'].some(id => cluster.core(id).role === 'leader'))
    }
  },
)

t.test(
  'what does not know how it voted is answered only by a leader that a quorum confirms',
  async t => {
    const cluster = led(3)
    cluster.cut.add('*>b').add('b>*')
    cluster.add('c', blankState)
    cluster.elapse(T / 2)
    t.ok(cluster.sentOf('teach').length > 0)
    t.same(cluster.sentOf('teachReply'), [])
  },
)

t.test(
  'a new server is not made a voter before it has learned; a restart in between does no harm',
  async t => {
    const cluster = clusterOf(1)
    cluster.elect('a')
    cluster.propose('a', 'p1')
    cluster.lose = isType('teach')
    cluster.add('b', blankState)
    t.match(change(cluster, 'a', { learners: ['b'] }), { outcome: 'done' })
    t.equal(cluster.core('b').lastIndex, cluster.core('a').lastIndex)
    t.match(change(cluster, 'a', { voters: ['b'] }), { reason: 'not-caught-up' })
    cluster.lose = () => false
    cluster.elapse(T)
    t.equal(trustOf(cluster, 'b'), 'cleared')
    const { currentTerm, lastIndex } = cluster.core('a')
    const entries = (cluster.effects.get('b') ?? []).flatMap(
      ({ persist }) => persist?.entries ?? [],
    )
    t.equal(entries.length, lastIndex)
    cluster.add('b', {
      ...blankState,
      ...{ currentTerm, entries },
      trust: { kind: 'unknown', cleared: true },
    })
    cluster.elapse(200)
    t.match(change(cluster, 'a', { voters: ['b'] }), { outcome: 'done' }, 'two of two')
    t.same(cluster.core('b').configuration, configurationOf(['a', 'b']))
    t.equal(trustOf(cluster, 'b'), 'full')
  },
)

t.test(
  'alarm: a server whose answers show less than it acknowledged, and does not know',
  async t => {
    for (const divergent of [false, true]) {
      const cluster = led(3)
      const { currentTerm, votedFor, lastIndex } = cluster.core('c')
      const cutTail = stateOf(['a', 'b', 'c'], divergent ? [1, 1, 1, 1, 1] : [])
      cluster.lose = isType('distrust')
      cluster.add('c', { ...cutTail, currentTerm, votedFor })
      cluster.elapse(200)
      if (divergent) cluster.propose('a', 'p4')
      const { commitIndex } = cluster.core('a')
      t.same(
        cluster.effects.get('a')?.flatMap(({ regressed }) => regressed),
        ['c'],
        'shouts once',
      )
      cluster.cut.add('*>b')
      cluster.propose('a', 'p5')
      t.equal(cluster.core('a').commitIndex, commitIndex, 'and counts it no longer')
      cluster.cut.clear()
      t.equal(trustOf(cluster, 'c'), 'full')
      cluster.lose = isType('teachReply')
      cluster.elapse(200)
      t.equal(trustOf(cluster, 'c'), 'relearning', 'it is told until it admits it')
      cluster.lose = () => false
      cluster.elapse(T)
      t.equal(trustOf(cluster, 'c'), 'full')
      t.ok(cluster.core('c').lastIndex > lastIndex)
      t.same(cluster.applied.get('c')?.slice(-2), cluster.applied.get('a')?.slice(-2))
    }
  },
)

t.test('no false alarm: late answers, restarts and terms', async t => {
  const cluster = led(3)
  const late = cluster.sentOf('heartbeatReply').filter(({ from }) => from === 'c')
  cluster.propose('a', 'p4')
  for (const message of late) cluster.resend(message)
  cluster.elapse(500)
  for (const message of late) cluster.resend(message)
  const { term } = late.at(-1) ?? { term: 0 }
  cluster.step('c', {
    type: 'message',
    message: { type: 'distrust', from: 'a', to: 'c', term: term - 1 },
  })
  cluster.elapse(200)
  t.notOk(cluster.effects.get('a')?.some(({ regressed }) => regressed.length > 0))
  t.equal(trustOf(cluster, 'c'), 'full')
})
