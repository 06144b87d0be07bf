import t from 'tap'
import { configurationOf } from '../../../raft/core/configuration.ts'
import { blankState } from '../../../raft/core/input.ts'
import { Cluster, clusterOf, stateOf, T } from './cluster.ts'

function grown() {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.propose('a', 'p1')
  cluster.add('d', blankState)
  cluster.step('a', { type: 'changeConfiguration', id: 1, change: { learners: ['d'] } })
  cluster.elapse(300)
  return cluster
}

t.test('a learner receives everything and decides nothing', async t => {
  const cluster = grown()
  t.same(cluster.results('a', 'changes'), [{ id: 1, outcome: 'done' }])
  t.same(cluster.applied.get('d'), ['p1'])
  cluster.cut.add('*>b').add('*>c')
  cluster.propose('a', 'p2')
  t.equal(cluster.core('a').commitIndex, 4, 'a and d are no majority of a, b, c')
  cluster.elapse(10 * T, ['d'])
  t.equal(cluster.core('d').role, 'follower')
})

t.test('6: one voter replaces another through a joint configuration', async t => {
  const cluster = grown()
  const change = { voters: ['d'], remove: ['c'] }
  cluster.step('a', { type: 'changeConfiguration', id: 2, change })
  t.same(cluster.core('a').configuration, {
    voters: ['a', 'b', 'd'],
    outgoing: ['a', 'b', 'c'],
    learners: [],
  })
  cluster.settle()
  t.same(cluster.core('a').configuration, configurationOf(['a', 'b', 'd']))
  t.match(cluster.results('a', 'changes'), [{ id: 1 }, { id: 2, outcome: 'done' }])
  t.ok(
    cluster.effects.get('c')?.some(({ removed }) => removed),
    'who leaves is told',
  )
  t.notOk(cluster.effects.get('b')?.some(({ removed }) => removed))
  cluster.sent = []
  cluster.elapse(200)
  t.equal(cluster.sent.filter(({ from, to }) => from === 'a' && to === 'c').length, 0)
})

t.test('6: while joint, both majorities are needed', async t => {
  const cluster = grown()
  cluster.cut.add('*>d').add('*>b')
  cluster.step('a', {
    type: 'changeConfiguration',
    id: 2,
    change: { voters: ['d'], remove: ['c'] },
  })
  cluster.settle()
  cluster.propose('a', 'p2')
  t.equal(cluster.core('a').configuration.outgoing.length, 3, 'a and c are none of a, b, d')
  cluster.cut.clear()
  cluster.elapse(400)
  t.equal(cluster.core('a').configuration.outgoing.length, 0)
})

t.test('6: a leader that leaves manages to the end, then hands over', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.step('a', { type: 'changeConfiguration', id: 1, change: { remove: ['a'] } })
  cluster.elapse(200)
  t.match(cluster.results('a', 'changes'), [{ id: 1, outcome: 'done' }])
  t.ok(cluster.effects.get('a')?.some(({ removed }) => removed))
  const leader = ['b', 'c'].find(id => cluster.core(id).role === 'leader')
  t.ok(leader, 'at once')
  t.same(cluster.core('b').configuration, configurationOf(['b', 'c']))
  cluster.elapse(10 * T, ['a'])
  t.equal(cluster.core('a').role, 'follower', 'it never campaigns again')
})

t.test('a voter becomes a learner', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.step('a', { type: 'changeConfiguration', id: 1, change: { learners: ['c'] } })
  cluster.settle()
  t.same(cluster.core('c').configuration, configurationOf(['a', 'b'], ['c']))
  t.notOk(cluster.effects.get('c')?.some(({ removed }) => removed))
})

t.test('a configuration is in force when appended, and no more when truncated', async t => {
  const cluster = clusterOf(3)
  cluster.elect('a')
  cluster.cut.add('a>*').add('*>a')
  cluster.step('a', { type: 'changeConfiguration', id: 1, change: { remove: ['c'] } })
  t.equal(cluster.core('a').configuration.outgoing.length, 3)
  cluster.elapse(4 * T)
  cluster.cut.clear()
  cluster.elapse(2 * T)
  t.same(cluster.core('a').configuration, configurationOf(['a', 'b', 'c']))
  t.match(cluster.results('a', 'changes'), [{ id: 1, outcome: 'unknown' }])
  const told = cluster.effects.get('a')?.flatMap(({ configuration }) => configuration ?? [])
  t.same(told?.pop(), configurationOf(['a', 'b', 'c']))
})

t.test('a joint configuration that a predecessor began is brought to its end', async t => {
  const cluster = grown()
  cluster.cut.add('*>a')
  cluster.step('a', {
    type: 'changeConfiguration',
    id: 2,
    change: { voters: ['d'], remove: ['c'] },
  })
  cluster.settle()
  t.equal(cluster.core('b').configuration.outgoing.length, 3)
  cluster.cut.add('a>*')
  cluster.elapse(6 * T, ['b', 'c', 'd'])
  t.ok(['b', 'd'].some(id => cluster.core(id).role === 'leader'))
  t.same(cluster.core('b').configuration, configurationOf(['a', 'b', 'd']))
})

t.test('one change at a time, and only what makes sense', async t => {
  const cluster = grown()
  const refusal = (id: string, change: Parameters<typeof Object.keys>[0]) =>
    cluster.step(id, { type: 'changeConfiguration', id: 9, change }).changes[0]
  t.match(refusal('b', { remove: ['c'] }), { reason: 'not-leader' })
  t.match(refusal('a', { remove: ['x'] }), { reason: 'invalid' })
  t.match(refusal('a', { remove: ['d'], voters: ['d'] }), { reason: 'invalid' })
  t.match(refusal('a', { remove: ['a', 'b', 'c'] }), { reason: 'invalid' })
  t.match(refusal('a', { voters: ['x'] }), { reason: 'not-caught-up' })
  cluster.cut.add('*>b').add('*>c')
  t.equal(refusal('a', { remove: ['c'] }), undefined)
  t.match(refusal('a', { remove: ['b'] }), { reason: 'in-progress' })
})

t.test('thesis errata 4: no change before an entry of the own term is committed', async t => {
  const cluster = new Cluster({ a: stateOf(['a', 'b']), b: stateOf(['a', 'b']) })
  cluster.elapse(0)
  cluster.elect('a')
  cluster.cut.add('a>b')
  cluster.step('a', { type: 'stalled', ms: 1 })
  const change = { remove: ['b'] }
  const { changes } = cluster.step('a', { type: 'changeConfiguration', id: 1, change })
  t.match(changes, [{ reason: 'no-quorum' }])
})
