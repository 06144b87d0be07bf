import t from 'tap'
import { blankState } from '../../../raft/core/input.ts'
import type { Raft } from '../../../raft/core/raft.ts'
import { defaultSettings } from '../../../raft/core/settings.ts'
import { Cluster, clusterOf, coreOf, stateOf, T } from './cluster.ts'

const voters = ['a', 'b', 'c']

/** Lets time go by for a follower until it campaigns. */
function waitedToCampaign(core: Raft): { ms: number; long: boolean } {
  let ms = 0
  while (core.role === 'follower') {
    core.step({ type: 'elapse', ms: 10 })
    ms += 10
  }
  return { ms, long: ms >= T && ms <= 2 * T + 10 }
}

function message(
  type: 'requestVote',
  fields: { from: string; term: number; last?: [number, number] },
) {
  const [lastLogIndex, lastLogTerm] = fields.last ?? [1, 1]
  const { from, term } = fields
  return { type, from, to: 'a', term, lastLogIndex, lastLogTerm, transfer: false } as const
}

t.test('5.2: a server that hears no leader campaigns, after between T and 2T', async t => {
  const core = coreOf('a', stateOf(voters))
  const beat = {
    type: 'heartbeat',
    from: 'b',
    to: 'a',
    term: 1,
    leaderCommit: 0,
    commitTerm: 0,
    round: 1,
  } as const
  core.step({ type: 'message', message: beat })
  core.step({ type: 'message', message: { ...beat, from: 'c', term: 2 } })
  t.match(waitedToCampaign(core), { long: true })
  t.equal(core.currentTerm, 2, 'a pre-vote does not touch the term (thesis 9.6)')
  // Nobody answers: again and again.
  const next = core.step({ type: 'elapse', ms: T - 10 })
  t.equal(next.send.length, 0)
})

t.test(
  'a server that has just started campaigns within 3 heartbeats, but hears one first',
  async t => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) {
      const core = coreOf(id, stateOf(['a', 'b', 'c', 'd', 'e']))
      const { ms } = waitedToCampaign(core)
      const { heartbeatMs } = defaultSettings
      t.ok(ms >= heartbeatMs && ms <= 3 * heartbeatMs, `${id}: ${ms} ms`)
      t.equal(core.step({ type: 'elapse', ms: T - 10 }).send.length, 0, 'then it waits for T')
    }
  },
)

t.test('two that campaign at once do not split the vote, though a third is down', async t => {
  for (const voters of [
    ['a', 'b'],
    ['a', 'b', 'c'],
  ]) {
    const cluster = new Cluster({ a: stateOf(voters), b: stateOf(voters) })
    for (const id of ['b', 'a']) {
      while (cluster.core(id).role === 'follower') cluster.step(id, { type: 'elapse', ms: 10 })
    }
    // Each one's question is on its way to the other.
    cluster.settle()
    t.equal(cluster.core('a').role, 'leader')
    t.equal(cluster.core('b').leader, 'a')
  }
})

t.test('of two that campaign at once the longer log wins, whatever its name', async t => {
  const cluster = new Cluster({ a: stateOf(voters), b: stateOf(voters, [1]) })
  for (const id of ['a', 'b']) {
    while (cluster.core(id).role === 'follower') cluster.step(id, { type: 'elapse', ms: 10 })
  }
  cluster.settle()
  t.equal(cluster.core('b').role, 'leader')
})

t.test("a campaign that found no majority is in nobody's way", async t => {
  const five = ['a', 'b', 'c', 'd', 'e']
  const states = Object.fromEntries(['a', 'b', 'c'].map(id => [id, stateOf(five)]))
  const cluster = new Cluster(states)
  // Three of five are left, and a and c do not hear each other: b alone can win, and needs both.
  cluster.cut.add('a>c').add('c>a')
  cluster.elapse(20 * T)
  t.equal(cluster.core('b').role, 'leader')
})

t.test('5.2: with a majority of votes it leads, and says so at once', async t => {
  for (const count of [1, 2, 3, 5]) {
    const cluster = clusterOf(count)
    cluster.elect('a')
    t.equal(cluster.core('a').currentTerm, 2)
    t.ok(cluster.core('a').ready, `${count}: its no-op is committed`)
    const others = [...cluster.cores.keys()].filter(id => id !== 'a')
    for (const id of others) t.equal(cluster.core(id).leader, 'a')
  }
})

t.test('5.2: half of the votes are not enough', async t => {
  const cluster = clusterOf(4)
  cluster.cut.add('*>c').add('*>d')
  cluster.elapse(6 * T, ['a'])
  t.equal(cluster.core('a').role, 'preCandidate')
  t.equal(cluster.core('a').currentTerm, 1)
})

t.test('5.2: one vote a term, kept through a restart', async t => {
  const core = coreOf('a', stateOf(voters))
  const first = core.step({
    type: 'message',
    message: message('requestVote', { from: 'b', term: 2 }),
  })
  t.match(first.send, [{ message: { voteGranted: true }, after: 1 }], 'waits for the disk')
  t.match(first.persist, { currentTerm: 2, votedFor: 'b' })
  const second = core.step({
    type: 'message',
    message: message('requestVote', { from: 'c', term: 2 }),
  })
  t.match(second.send, [{ message: { voteGranted: false } }])
  const again = core.step({
    type: 'message',
    message: message('requestVote', { from: 'b', term: 2 }),
  })
  t.match(again.send, [{ message: { voteGranted: true }, after: 1 }], 'still not on disk')
  core.step({ type: 'persisted', seq: 1 })
  const restarted = coreOf('a', { ...stateOf(voters), currentTerm: 2, votedFor: 'b' })
  const third = restarted.step({
    type: 'message',
    message: message('requestVote', { from: 'c', term: 2 }),
  })
  t.match(third.send, [{ message: { voteGranted: false } }])
})

t.test('stepping down keeps the vote (nats-server#7698)', async t => {
  const cluster = clusterOf(3)
  cluster.cut.add('a>*')
  while (cluster.core('a').role === 'follower') cluster.elapse(20, ['a'])
  const reply = { type: 'preVoteReply', to: 'a', term: 1, nextTerm: 2, voteGranted: true } as const
  cluster.step('a', { type: 'message', message: { ...reply, from: 'b' } })
  t.equal(cluster.core('a').role, 'candidate')
  const beat = {
    type: 'heartbeat',
    from: 'c',
    to: 'a',
    term: 2,
    leaderCommit: 0,
    commitTerm: 0,
    round: 1,
  } as const
  cluster.step('a', { type: 'message', message: beat })
  t.match(cluster.core('a'), { role: 'follower', leader: 'c', votedFor: 'a' })
  const ask = message('requestVote', { from: 'b', term: 2 })
  const { send } = cluster.core('a').step({ type: 'message', message: ask })
  t.match(send, [{ message: { type: 'requestVoteReply', voteGranted: false } }])
})

t.test(
  '5.4.1: only a log at least as up-to-date gets the vote: the term first, then the length',
  async t => {
    const cases = [
      { own: [1, 2], last: [5, 1], granted: false },
      { own: [1, 2], last: [3, 2], granted: true },
      { own: [1, 2], last: [2, 2], granted: false },
      { own: [1, 2], last: [2, 3], granted: true },
    ] as const
    for (const { own, last, granted } of cases) {
      const core = coreOf('a', stateOf(voters, own))
      const effects = core.step({
        type: 'message',
        message: message('requestVote', { from: 'b', term: 7, last: [...last] }),
      })
      t.match(
        effects.send,
        [{ message: { voteGranted: granted, term: 7 } }],
        `${own.join()} against ${last.join()}`,
      )
    }
  },
)

t.test(
  '5.1: a higher term makes anyone a follower; a lower one is answered with the own',
  async t => {
    const cluster = clusterOf(3)
    cluster.elect('a')
    const stale = { from: 'b', to: 'a', term: 1, round: 4, leaderCommit: 9, commitTerm: 1 } as const
    const told = cluster
      .core('a')
      .step({ type: 'message', message: { type: 'heartbeat', ...stale } })
    t.match(told.send, [{ message: { to: 'b', term: 2 } }])
    t.equal(cluster.core('a').role, 'leader')
    const reply = { ...stale, type: 'heartbeatReply', term: 8, round: 0, lastLogIndex: 1 } as const
    cluster.core('a').step({ type: 'message', message: reply })
    t.equal(cluster.core('a').role, 'follower')
    t.equal(cluster.core('a').currentTerm, 8)
  },
)

t.test('thesis 9.6: a server that was cut off comes back without disturbing anyone', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.cut.add('*>c').add('c>*')
  cluster.elapse(10 * T)
  t.equal(cluster.core('c').currentTerm, 2, 'it never raised its term')
  cluster.cut.clear()
  cluster.elapse(3 * T)
  t.equal(cluster.core('a').role, 'leader')
  t.equal(cluster.core('a').currentTerm, 2)
  t.equal(cluster.core('c').leader, 'a')
})

t.test(
  'thesis 4.2.3: who hears the leader refuses votes and pre-votes, whatever the term',
  async t => {
    const cluster = clusterOf(3)
    cluster.elect('a')
    const vote = { ...message('requestVote', { from: 'c', term: 9, last: [9, 8] }), to: 'b' }
    t.equal(cluster.core('b').step({ type: 'message', message: vote }).send.length, 0)
    t.equal(cluster.core('b').currentTerm, 2)
    const last = { lastLogIndex: 9, lastLogTerm: 8, leaderGone: false }
    const ask = { type: 'preVote', from: 'c', to: 'b', term: 8, nextTerm: 9, ...last } as const
    const refused = cluster.core('b').step({ type: 'message', message: ask })
    t.match(refused.send, [{ message: { voteGranted: false } }])
    const fromLeader = cluster.core('b').step({ type: 'message', message: { ...ask, from: 'a' } })
    t.match(
      fromLeader.send,
      [{ message: { voteGranted: true } }],
      'but not the leader itself (#606)',
    )
  },
)

t.test('a pre-vote granted touches neither term nor timer (hashicorp/raft#609)', async t => {
  const core = coreOf('a', stateOf(voters))
  const last = { lastLogIndex: 1, lastLogTerm: 1, leaderGone: false }
  for (let ms = 0; core.role === 'follower' && ms < 3 * T; ms += 20) {
    const ask = { type: 'preVote', from: 'b', to: 'a', term: 1, nextTerm: 2, ...last } as const
    const effects = core.step({ type: 'message', message: ask })
    t.match(effects.send, [{ message: { voteGranted: true } }])
    t.equal(effects.persist, undefined)
    core.step({ type: 'elapse', ms: 20 })
  }
  t.equal(core.role, 'preCandidate')
})

t.test('a late answer to an earlier campaign counts for nothing (openraft 511f33c7)', async t => {
  const core = coreOf('a', stateOf(voters))
  while (core.role === 'follower') core.step({ type: 'elapse', ms: 20 })
  const reply = { type: 'preVoteReply', from: 'b', to: 'a', term: 0, voteGranted: true } as const
  core.step({ type: 'message', message: { ...reply, nextTerm: 1 } })
  t.equal(core.role, 'preCandidate')
  core.step({ type: 'message', message: { ...reply, from: 'x', nextTerm: 2 } })
  t.equal(core.role, 'preCandidate', 'nor does a stranger (M4)')
  core.step({ type: 'message', message: { ...reply, nextTerm: 2 } })
  t.equal(core.role, 'candidate')
})

t.test('pre-vote across terms always ends in a leader (etcd d4471b2)', async t => {
  const states = {
    a: stateOf(voters, [2], 2),
    b: stateOf(voters, [], 7),
    c: stateOf(voters, [], 1),
  }
  const cluster = new Cluster(states)
  cluster.cut.add('*>c').add('c>*')
  cluster.elapse(8 * T)
  t.equal(cluster.core('a').role, 'leader', 'only a has the longer log')
  t.ok(cluster.core('a').currentTerm > 7)
})

t.test('the own vote and the request for others wait for the disk', async t => {
  const cluster = clusterOf(3)
  cluster.holdDisk('a')
  cluster.elapse(2 * T, ['a'])
  t.equal(cluster.core('a').role, 'candidate')
  t.equal(cluster.sentOf('requestVote').length, 0)
  cluster.release('a')
  cluster.settle()
  t.equal(cluster.core('a').role, 'leader')
})

t.test('who has no vote does not campaign, but votes when asked (6)', async t => {
  const core = coreOf('d', stateOf(voters))
  core.step({ type: 'elapse', ms: 10 * T })
  t.equal(core.role, 'follower')
  const ask = { ...message('requestVote', { from: 'b', term: 2 }), to: 'd' }
  t.match(core.step({ type: 'message', message: ask }).send, [{ message: { voteGranted: true } }])
})

t.test(
  'an empty log gives no vote: it may be that of a server that lost its own (R12)',
  async t => {
    const core = coreOf('a', blankState)
    const last = { lastLogIndex: 1, lastLogTerm: 1, leaderGone: false }
    const ask = { type: 'preVote', from: 'b', to: 'a', term: 1, nextTerm: 2, ...last } as const
    const opinion = core.step({ type: 'message', message: ask })
    t.match(opinion.send, [{ message: { voteGranted: false } }])
    const vote = core.step({
      type: 'message',
      message: message('requestVote', { from: 'b', term: 2 }),
    })
    t.match(vote.send, [{ message: { voteGranted: false, term: 2 } }])
  },
)

t.test(
  'check-quorum: a leader that hears nobody first takes nothing new, then steps down',
  async t => {
    const cluster = clusterOf(3)
    cluster.elect('a')
    // It can send, but not hear: its heartbeats would keep the others quiet for ever.
    cluster.cut.add('*>a')
    cluster.elapse(T + 40)
    t.equal(cluster.core('a').role, 'leader')
    t.notOk(cluster.core('a').quorate)
    cluster.propose('a', 'p1')
    t.match(cluster.results('a', 'proposals'), [{ outcome: 'refused', reason: 'no-quorum' }])
    cluster.elapse(T)
    t.equal(cluster.core('a').role, 'follower')
    cluster.elapse(3 * T)
    t.ok(['b', 'c'].some(id => cluster.core(id).role === 'leader'))
  },
)

t.test('check-quorum: an answer heard again makes a leader whole', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.cut.add('*>a')
  cluster.elapse(T + 40)
  t.notOk(cluster.core('a').quorate)
  cluster.cut.clear()
  cluster.elapse(200)
  t.ok(cluster.core('a').quorate)
  t.equal(cluster.core('a').currentTerm, 2, 'without an election')
})

t.test('answers count from when their round began, not from when they arrive', async t => {
  const cluster = clusterOf(2)
  cluster.elect('a')
  cluster.cut.add('b>a')
  cluster.sent = []
  cluster.elapse(120)
  const late = cluster.sentOf('heartbeatReply')[0]
  t.ok(late)
  cluster.elapse(T)
  t.notOk(cluster.core('a').quorate)
  if (late) cluster.step('a', { type: 'message', message: late })
  t.notOk(cluster.core('a').quorate, 'it was given more than T ago')
})

t.test('after a stall a leader knows nothing of its quorum until it is answered anew', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.sent = []
  cluster.step('a', { type: 'stalled', ms: 5000 })
  t.notOk(cluster.core('a').quorate)
  t.equal(cluster.sentOf('heartbeat').length, 2, 'it asks at once')
  cluster.settle()
  t.ok(cluster.core('a').quorate)
})

t.test('hint: nobody listens at the leader: a new one without waiting for the timeout', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.cores.delete('a')
  cluster.elapse(200)
  t.ok(cluster.sentOf('heartbeatReply').length > 0, 'a follower that misses heartbeats asks')
  cluster.step('b', { type: 'unreachable', peer: 'a' })
  cluster.elapse(100, ['b'])
  t.equal(cluster.core('b').role, 'preCandidate', 'c still believes in a')
  cluster.step('c', { type: 'unreachable', peer: 'a' })
  cluster.elapse(100, ['c'])
  t.equal(cluster.core('c').role, 'leader')
})

t.test('hint: asked by one that has it, a server looks for itself', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.sent = []
  cluster.step('b', { type: 'unreachable', peer: 'a' })
  cluster.elapse(100, ['b'])
  t.match(cluster.sentOf('preVote'), [{ leaderGone: true }, { leaderGone: true }])
  t.ok(cluster.sentOf('heartbeatReply').some(({ from, to }) => from === 'c' && to === 'a'))
  t.equal(cluster.core('a').role, 'leader', 'a false hint changes nothing')
  cluster.elapse(100)
  t.equal(cluster.core('b').leader, 'a')
})
