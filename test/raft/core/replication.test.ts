import t from 'tap'
import type { Entry } from '../../../raft/core/entry.ts'
import type { AppendEntries, Message } from '../../../raft/core/message.ts'
import { bytes, Cluster, clusterOf, command, coreOf, stateOf, T } from './cluster.ts'

const voters = ['a', 'b', 'c']

function append(term: number, prev: [number, number], entries: Entry[], leaderCommit = 0): Message {
  const [prevLogIndex, prevLogTerm] = prev
  const message: AppendEntries = {
    type: 'appendEntries',
    from: 'b',
    to: 'a',
    term,
    prevLogIndex,
    prevLogTerm,
    entries,
    leaderCommit,
    round: 1,
  }
  return message
}

t.test(
  '5.3: a proposal is committed once a majority has it on disk, and applied everywhere',
  async t => {
    for (const count of [1, 2, 3, 5]) {
      const cluster = clusterOf(count)
      cluster.elect('a')
      cluster.propose('a', 'p1', 'p2')
      for (const id of cluster.cores.keys()) t.same(cluster.applied.get(id), ['p1', 'p2'], id)
      t.match(cluster.results('a', 'proposals'), [
        { id: 1, outcome: 'accepted', index: 3, term: 2 },
        { id: 2, outcome: 'accepted', index: 4, term: 2 },
      ])
    }
  },
)

t.test('5.3: a minority commits nothing; a majority without the own disk does', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.holdDisk('b')
  cluster.holdDisk('c')
  cluster.propose('a', 'p1')
  t.equal(cluster.core('a').commitIndex, 2, 'acknowledged by none but itself')
  cluster.holdDisk('a')
  cluster.propose('a', 'p2')
  cluster.release('b')
  cluster.settle()
  t.equal(cluster.core('a').commitIndex, 3, 'p2 is on one disk of three')
  cluster.release('c')
  cluster.settle()
  t.equal(cluster.core('a').commitIndex, 4, 'thesis 10.2.1')
  t.same(cluster.applied.get('a'), ['p1'], 'but applied only from the own disk')
  cluster.release('a')
  t.same(cluster.applied.get('a'), ['p1', 'p2'])
})

t.test('5.3: sent to all at once, before the own disk is done', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.holdDisk('a')
  cluster.sent = []
  cluster.propose('a', 'p1', 'p2', 'p3')
  const sent = cluster.sentOf('appendEntries').filter(({ entries }) => entries.length > 0)
  t.equal(sent.length, 2, 'one message for each, with all three')
  t.match(sent, [{ entries: { length: 3 } }, { entries: { length: 3 } }])
})

t.test('5.3: the consistency check, with a hint that skips a whole term', async t => {
  const own = stateOf(voters, [1, 1, 3, 3, 3])
  const cases = [
    { prev: [9, 4], reply: { success: false, rejectedIndex: 9, hintIndex: 6, hintTerm: 3 } },
    { prev: [5, 2], reply: { success: false, rejectedIndex: 5, hintIndex: 3, hintTerm: 1 } },
    { prev: [6, 3], reply: { success: true, matchIndex: 6 } },
    { prev: [2, 1], reply: { success: true, matchIndex: 2 } },
  ] as const
  for (const { prev, reply } of cases) {
    const core = coreOf('a', own)
    const { send, persist } = core.step({ type: 'message', message: append(4, [...prev], []) })
    t.match(send, [{ message: { result: reply } }], prev.join())
    t.equal(persist?.truncateFrom, undefined)
    t.equal(core.lastIndex, 6)
  }
})

t.test('5.3: only a real conflict truncates (redpanda#17731)', async t => {
  const core = coreOf('a', stateOf(voters, [1, 1, 2]))
  const old = append(2, [1, 1], [command(2, 1)])
  t.equal(core.step({ type: 'message', message: old }).persist?.truncateFrom, undefined)
  t.equal(core.lastIndex, 4, 'a late message with less takes nothing away')
  const newer = append(3, [2, 1], [command(3, 1), command(4, 3), command(5, 3)], 3)
  const { persist, send } = core.step({ type: 'message', message: newer })
  t.match(persist, { truncateFrom: 4, entries: [{ index: 4, term: 3 }, { index: 5 }] })
  t.match(send, [{ after: persist?.seq, message: { result: { success: true, matchIndex: 5 } } }])
})

t.test('5.3: a follower commits what matched and no more (cockroach#36353)', async t => {
  const core = coreOf('a', stateOf(voters, [1, 1, 1]))
  core.step({ type: 'message', message: append(2, [2, 1], [], 9) })
  t.equal(core.commitIndex, 2)
  core.step({ type: 'message', message: append(2, [4, 1], [command(5, 2)], 3) })
  t.equal(core.commitIndex, 3)
  core.step({ type: 'message', message: append(2, [4, 1], [], 1) })
  t.equal(core.commitIndex, 3, 'and never goes back')
})

t.test('a message that reaches back behind the commit index matches from there', async t => {
  const core = coreOf('a', stateOf(voters, [1, 1, 1]))
  core.step({ type: 'message', message: append(2, [4, 1], [], 4) })
  const known = append(2, [1, 1], [command(2, 1), command(3, 1)])
  t.match(core.step({ type: 'message', message: known }).send, [
    { message: { result: { success: true, matchIndex: 4 } } },
  ])
  const longer = append(2, [2, 1], [command(3, 1), command(4, 1), command(5, 2)], 5)
  t.match(core.step({ type: 'message', message: longer }).persist?.entries, [{ index: 5 }])
  t.equal(core.commitIndex, 5)
})

t.test('Figure 7: a new leader brings every kind of follower level', async t => {
  const leader = [1, 1, 4, 4, 5, 5, 6, 6, 6]
  const followers: Record<string, number[]> = {
    b: [1, 1, 4, 4, 5, 5, 6, 6],
    c: [1],
    d: [1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    e: [1, 1, 4, 4, 4, 4],
    f: [1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
  }
  const ids = ['a', ...Object.keys(followers)]
  const states = Object.entries(followers).map(
    ([id, terms]) => [id, stateOf(ids, terms, 7)] as const,
  )
  const cluster = new Cluster({ a: stateOf(ids, leader, 7), ...Object.fromEntries(states) })
  cluster.cut.add('*>d')
  cluster.elect('a')
  cluster.cut.clear()
  cluster.propose('a', 'p1')
  cluster.elapse(300)
  for (const id of ids) {
    t.same(cluster.applied.get(id)?.slice(-1), ['p1'], id)
    t.same(cluster.applied.get(id), cluster.applied.get('a'))
  }
})

t.test('Figure 8: an entry of an earlier term is not committed by counting', async t => {
  const states = { a: stateOf(voters, [2], 3), b: stateOf(voters), c: stateOf(voters) }
  const cluster = new Cluster(states, { maxEntriesPerMessage: 1, maxInflightMessages: 1 })
  cluster.cut.add('*>c')
  cluster.elect('a')
  const core = coreOf('a', stateOf(voters, [2], 3))
  while (core.role === 'follower') core.step({ type: 'elapse', ms: 20 })
  const vote = { from: 'b', to: 'a', voteGranted: true } as const
  core.step({ type: 'message', message: { ...vote, type: 'preVoteReply', term: 3, nextTerm: 4 } })
  core.step({ type: 'persisted', seq: 1 })
  core.step({ type: 'message', message: { ...vote, type: 'requestVoteReply', term: 4 } })
  core.step({ type: 'persisted', seq: 2 })
  t.equal(core.role, 'leader')
  const reply = { type: 'appendEntriesReply', from: 'b', to: 'a', term: 4, round: 1 } as const
  core.step({ type: 'message', message: { ...reply, result: { success: true, matchIndex: 2 } } })
  t.equal(core.commitIndex, 0, 'the old entry is on two of three')
  core.step({ type: 'message', message: { ...reply, result: { success: true, matchIndex: 3 } } })
  t.equal(core.commitIndex, 3, 'with one of its own term, all before it')
})

t.test(
  'acknowledgements of another term, of strangers or beyond the log count for nothing',
  async t => {
    const cluster = clusterOf(3)
    cluster.elect('a')
    cluster.cut.add('a>*')
    cluster.propose('a', 'p1')
    const reply = { type: 'appendEntriesReply', from: 'b', to: 'a', term: 2, round: 1 } as const
    const result = { success: true, matchIndex: 3 } as const
    cluster.step('a', { type: 'message', message: { ...reply, term: 1, result } })
    cluster.step('a', { type: 'message', message: { ...reply, from: 'x', result } })
    cluster.step('a', {
      type: 'message',
      message: { ...reply, result: { ...result, matchIndex: 9 } },
    })
    t.equal(cluster.core('a').commitIndex, 2)
    cluster.step('a', { type: 'message', message: { ...reply, result } })
    t.equal(cluster.core('a').commitIndex, 3)
  },
)

t.test('pipelining: no more messages and bytes on the way than the window has', async t => {
  const texts = Array.from({ length: 40 }, (_, n) => `p${n}`)
  for (const window of [{ maxInflightMessages: 3 }, { maxInflightBytes: 100 }]) {
    const cluster = clusterOf(2, { maxEntriesPerMessage: 1, ...window })
    cluster.elect('a')
    cluster.cut.add('b>a')
    cluster.sent = []
    cluster.propose('a', ...texts)
    t.equal(cluster.sentOf('appendEntries').length, 3)
    cluster.cut.clear()
    cluster.elapse(2 * T)
    t.same(cluster.applied.get('b'), texts, 'what was lost is sent again')
  }
})

t.test('a long log is sent in parts: each acknowledgement lets more of it go', async t => {
  const terms = Array.from({ length: 60 }, () => 1)
  const states = { a: stateOf(voters, terms), b: stateOf(voters, terms), c: stateOf(voters) }
  const cluster = new Cluster(states, { maxEntriesPerMessage: 1, maxInflightMessages: 64 })
  cluster.elect('a')
  const parts = (cluster.effects.get('a') ?? []).map(
    ({ send }) =>
      send.filter(({ message: { type, to } }) => type === 'appendEntries' && to === 'c').length,
  )
  t.equal(Math.max(...parts), 4)
  t.same(cluster.applied.get('c'), cluster.applied.get('a'), 'all of it arrives')
  t.equal(cluster.applied.get('c')?.length, 60)

  cluster.propose('a', 'p1')
  cluster.cut.add('c>a')
  for (let n = 0; n < 8; n++) cluster.propose('a', `q${n}`)
  cluster.cut.clear()
  cluster.elapse(2 * T)
  t.same(cluster.applied.get('c'), cluster.applied.get('a'), 'though answers are lost')
})

t.test(
  'an idle follower that missed the last message gets it within a heartbeat or two',
  async t => {
    const cluster = clusterOf(3)
    cluster.elect('a')
    cluster.propose('a', 'p1')
    cluster.cut.add('a>b')
    cluster.propose('a', 'p2')
    cluster.cut.clear()
    cluster.elapse(220)
    t.same(cluster.applied.get('b'), ['p1', 'p2'])
  },
)

t.test('back-pressure: refused as busy, and never for ever', async t => {
  const cluster = clusterOf(2, { maxUncommittedBytes: 100 })
  cluster.elect('a')
  cluster.holdDisk('b')
  cluster.propose('a', 'p1', 'p2', 'p3', 'p4')
  const outcomes = () => cluster.results('a', 'proposals').map(({ outcome }) => outcome)
  t.same(outcomes(), ['accepted', 'accepted', 'refused', 'refused'])
  t.match(cluster.results('a', 'proposals')[2], { reason: 'busy', leader: 'a' })
  cluster.release('b')
  cluster.settle()
  cluster.propose('a', 'p5')
  t.equal(outcomes().pop(), 'accepted')
})

t.test('back-pressure: entries wait for a slow state machine', async t => {
  const core = coreOf('a', stateOf(['a']), { maxUnappliedBytes: 64 })
  const applied: number[] = []
  const take = (input: Parameters<typeof core.step>[0]): void => {
    const { persist, apply } = core.step(input)
    applied.push(...apply.map(({ index }) => index))
    if (persist) take({ type: 'persisted', seq: persist.seq })
  }
  take({ type: 'elapse', ms: 10 })
  take({ type: 'applied', index: 2 })
  const proposals = [1, 2, 3, 4].map(id => ({ id, data: bytes('x'.repeat(40)) }))
  take({ type: 'propose', proposals })
  t.same(applied, [1, 2, 3], 'one, then no more')
  t.match(core.step({ type: 'propose', proposals }).proposals, [{ reason: 'busy' }, {}, {}, {}])
  take({ type: 'applied', index: 3 })
  t.same(applied, [1, 2, 3, 4])
})

t.test('too large is refused, and who does not lead says who does', async t => {
  const cluster = clusterOf(2, { maxBytesPerMessage: 200 })
  cluster.elect('a')
  const data = bytes('x'.repeat(200))
  const refused = cluster.step('a', { type: 'propose', proposals: [{ id: 1, data }] })
  t.match(refused.proposals, [{ outcome: 'refused', reason: 'too-large' }])
  const elsewhere = cluster.step('b', { type: 'propose', proposals: [{ id: 1, data }] })
  t.match(elsewhere.proposals, [{ reason: 'not-leader', leader: 'a' }])
})

t.test('a proposal that another took the place of is lost, once that is certain', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.cut.add('a>*').add('*>a')
  cluster.propose('a', 'p1')
  cluster.elapse(3 * T)
  t.equal(cluster.core('a').role, 'follower')
  t.match(cluster.results('a', 'proposals'), [{ outcome: 'accepted' }])
  cluster.cut.clear()
  cluster.elapse(2 * T)
  t.same(cluster.settled.get('a'), [{ id: 1, outcome: 'lost' }])
})

t.test('an unreachable follower costs one probe a heartbeat', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.cut.add('a>c')
  cluster.step('a', { type: 'unreachable', peer: 'c' })
  cluster.sent = []
  cluster.propose('a', 'p1', 'p2')
  cluster.propose('a', 'p3')
  t.equal(cluster.sentOf('appendEntries').filter(({ to }) => to === 'c').length, 0)
  cluster.cut.clear()
  cluster.elapse(120)
  t.same(cluster.applied.get('c'), ['p1', 'p2', 'p3'])
})
