/**
 * Nodes on the real parts: nats-server, LevelDB in folders, the system's clock.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import {
  connectNats,
  defaultSettings,
  startNode,
  memoryStorage,
  systemClock,
  systemRandom,
  silentLogger,
} from '../../raft/index.ts'
import { startNatsServer } from '../nats-server.ts'
import { Cluster, commit, propose, readIndex, until } from './cluster.ts'
import { Counter } from './counter.ts'

t.setTimeout(120_000)
const server = await startNatsServer()
t.teardown(() => server.stop())

t.test('one node elects itself, commits, reads, and keeps everything over a restart', async t => {
  const cluster = new Cluster(server.url, t.testdir(), 'one')
  await cluster.found(['a'], [Buffer.from('genesis')])
  const a = await cluster.leader()
  t.strictSame(a.machine.lines, ['genesis'], 'what was bootstrapped is applied before it leads')
  const outcomes = await Promise.all(
    Array.from({ length: 500 }, (_, i) => commit(cluster, `c${i}`)),
  )
  t.ok(outcomes.every(({ outcome }) => outcome === 'committed'))
  t.match(await readIndex(a), { ok: true })
  t.equal(a.machine.lines.length, 501)
  const { hash } = a.machine
  await cluster.kill('a')

  const again = await cluster.start('a')
  await cluster.leader()
  t.equal(again.machine.hash, hash)
  t.match(await propose(again, 'more'), { outcome: 'committed' })
  await cluster.end()
  t.match(await propose(again, 'late'), { outcome: 'refused', reason: 'stopped' })
  t.match(await readIndex(again), { ok: false, reason: 'stopped' })
})

for (const size of [2, 3, 5]) {
  t.test(`${size} nodes elect one leader and commit in one order`, async t => {
    const ids = ['a', 'b', 'c', 'd', 'e'].slice(0, size)
    const cluster = new Cluster(server.url, t.testdir(), `size${size}`)
    await cluster.found(ids)
    const leader = await cluster.leader()
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, (_, i) => commit(cluster, `c${i}`)),
    )
    t.ok(outcomes.every(({ outcome }) => outcome === 'committed'))
    await cluster.converged(200)
    t.equal(leader.machine.lines.length, 200)
    for (const member of cluster.all) {
      t.match(await readIndex(member), { ok: true }, 'a follower reads too')
      t.strictSame(member.fatal, [])
      if (member === leader) continue
      const refused = await propose(member, 'elsewhere')
      t.match(refused, { outcome: 'refused', reason: 'not-leader', leader: leader.id })
    }
    await cluster.end()
  })
}

t.test('three nodes: the leader dies, another leads, the dead one catches up by log', async t => {
  const cluster = new Cluster(server.url, t.testdir(), 'log')
  await cluster.found(['a', 'b', 'c'])
  const first = await cluster.leader()
  await commit(cluster, 'before')
  const gone: string[] = []
  for (const { node } of cluster.all) node.onUnreachable(peer => gone.push(peer))
  const killed = performance.now()
  await cluster.kill(first.id)
  const second = await cluster.leader()
  t.comment(`another leads after ${(performance.now() - killed).toFixed(0)} ms`)
  t.not(second.id, first.id)
  t.match(await commit(cluster, 'meanwhile'), { outcome: 'committed' })
  t.ok(gone.includes(first.id), 'the broker told that nobody listens there')
  const back = await cluster.start(first.id)
  await cluster.converged(2)
  t.strictSame(back.machine.lines, ['before', 'meanwhile'])
  t.equal(back.machine.restores, 0)
  await cluster.end()
})

t.test('three nodes: one far behind catches up by snapshot, then by log', async t => {
  const folder = t.testdir()
  const cluster = new Cluster(server.url, folder, 'snapshot', { snapshotEveryEntries: 300 })
  await cluster.found(['a', 'b', 'c'])
  const leader = await cluster.leader()
  const behind = cluster.all.find(member => member !== leader)?.id ?? ''
  await cluster.kill(behind)
  for (let round = 0; round < 5; round++) {
    await Promise.all(Array.from({ length: 200 }, (_, i) => commit(cluster, `r${round}c${i}`)))
  }
  for (const { node } of cluster.all) {
    while (node.status.snapshotIndex < 600) await cluster.change()
  }
  const back = await cluster.start(behind)
  await cluster.converged(1000)
  t.equal(back.machine.restores, 1)
  t.ok(back.node.status.snapshotIndex >= 300)
  await Promise.all(Array.from({ length: 50 }, (_, i) => commit(cluster, `after${i}`)))
  await cluster.converged(1050)
  const { hash } = back.machine
  t.strictSame(
    cluster.all.flatMap(({ fatal }) => fatal),
    [],
  )
  await cluster.end()

  // From its own disk alone: snapshot and log.
  await cluster.start(behind)
  const other = cluster.all[0]?.id === behind ? leader.id : behind
  await cluster.start(other === behind ? leader.id : other)
  await cluster.converged(1050)
  t.equal(cluster.member(behind).machine.hash, hash)
  await cluster.end()
})

t.test('a node whose disk was emptied is filled again as a new learner', async t => {
  const folder = t.testdir()
  const cluster = new Cluster(server.url, folder, 'learner', { snapshotEveryEntries: 100 })
  await cluster.found(['a', 'b'])
  await Promise.all(Array.from({ length: 250 }, (_, i) => commit(cluster, `c${i}`)))
  const joined = await cluster.start('n')
  t.equal(joined.node.status.role, 'learner')
  const change = async (wanted: object): Promise<string> => {
    const leader = await cluster.leader()
    return new Promise(resolve => {
      leader.node.changeConfiguration(wanted, result => resolve(result.outcome))
    })
  }
  t.equal(await change({ learners: ['n'] }), 'done')
  await cluster.converged(250)
  t.equal(joined.machine.restores, 1)
  // The leader may not have heard yet that it is, nor that it knows what it had to learn.
  while ((await change({ voters: ['n'] })) !== 'done') {
    // A refusal comes at once: without a turn of the loop no message would ever be read.
    await new Promise(resolve => setImmediate(resolve))
  }
  await until(cluster.all, () => joined.node.status.role === 'follower')
  t.strictSame(joined.node.status.configuration.voters, ['a', 'b', 'n'])
  // The old two can now do without each other.
  const leader = await cluster.leader()
  await cluster.kill(leader.id)
  t.match(await commit(cluster, 'with the newcomer'), { outcome: 'committed' })
  await cluster.end()
  await rm(join(folder, 'n'), { recursive: true })
})

t.test('all stop and start again: everything is there, with one history', async t => {
  const cluster = new Cluster(server.url, t.testdir(), 'restart', { snapshotEveryEntries: 50 })
  await cluster.found(['a', 'b', 'c'])
  for (let round = 1; round <= 3; round++) {
    await Promise.all(Array.from({ length: 70 }, (_, i) => commit(cluster, `r${round}c${i}`)))
    await cluster.converged(70 * round)
    const { hash } = (await cluster.leader()).machine
    const ids = [...cluster.members.keys()]
    for (const id of ids) await cluster.kill(id)
    await Promise.all(ids.map(id => cluster.start(id)))
    await cluster.converged(70 * round)
    t.equal((await cluster.leader()).machine.hash, hash)
  }
  await cluster.end()
})

t.test('the broker goes and comes back: nothing is taken meanwhile, nothing is lost', async t => {
  const broker = await startNatsServer()
  t.teardown(() => broker.stop())
  const cluster = new Cluster(broker.url, t.testdir(), 'outage')
  await cluster.found(['a', 'b', 'c'])
  t.match(await commit(cluster, 'before'), { outcome: 'committed' })
  await broker.kill()
  await until(cluster.all, () => cluster.all.every(({ node }) => !node.status.quorate))
  for (const member of cluster.all) {
    t.match(await propose(member, 'meanwhile'), { outcome: 'refused' })
    t.match(await readIndex(member), { ok: false })
  }
  const again = await broker.restart()
  t.teardown(() => again.stop())
  t.match(await commit(cluster, 'after'), { outcome: 'committed' })
  await cluster.converged(2)
  t.strictSame(cluster.all[0]?.machine.lines, ['before', 'after'])
  await cluster.end()
})

t.test('a clean stop of the leader hands over at once', async t => {
  const cluster = new Cluster(server.url, t.testdir(), 'handover')
  await cluster.found(['a', 'b', 'c'])
  const leader = await cluster.leader()
  await commit(cluster, 'x')
  const { term } = leader.node.status
  const from = performance.now()
  await cluster.stop(leader.id)
  const next = await cluster.leader()
  t.comment(`another leads after ${(performance.now() - from).toFixed(0)} ms`)
  t.equal(next.node.status.term, term + 1, 'without a contested election')
  await cluster.end()
})

t.test('a state machine that throws stops its node, and says so once', async t => {
  const machine = new Counter()
  machine.apply = () => {
    throw new Error('defect')
  }
  const cluster = new Cluster(server.url, t.testdir(), 'throws', { machine })
  await cluster.found(['a'], [Buffer.from('x')])
  const a = cluster.member('a')
  while (a.fatal.length === 0) await cluster.change()
  t.match(a.fatal, [{ code: 'RAFT_STATE_MACHINE', cause: { message: 'defect' } }])
  t.match(await propose(a, 'y'), { outcome: 'refused', reason: 'stopped' })
  await cluster.end()
  t.equal(a.fatal.length, 1)
})

t.test('wrong settings are refused by name', async t => {
  const bus = await connectNats({ servers: server.url })
  t.teardown(() => bus.close())
  const base = {
    id: 'a',
    cluster: 'c',
    settings: defaultSettings,
    storage: memoryStorage(),
    bus,
    clock: systemClock,
    random: systemRandom,
    machine: new Counter(),
    log: silentLogger,
  }
  const code = 'RAFT_BAD_SETTING'
  t.throws(() => startNode({ ...base, id: 'a.b' }), { code })
  t.throws(() => startNode({ ...base, cluster: 'a.*' }), { code })
  t.throws(() => startNode({ ...base, settings: { ...defaultSettings, heartbeatMs: 900 } }), {
    code,
    message: /heartbeatMs/,
  })
})
