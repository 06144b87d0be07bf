/**
 * The node's shell in a simulated world: every wait has an end, and refusals say when to come back.
 */
import assert from 'node:assert/strict'
import t from 'tap'
import { maxFlushed } from '../../raft/batcher.ts'
import { World, worldSettings, type Process } from './world.ts'

const T = worldSettings.electionTimeoutMs

function founded(seed: number): { world: World; leader: Process; follower: Process } {
  const world = new World(seed)
  world.found(['a', 'b', 'c'])
  world.until(() => world.leader !== undefined)
  const { leader } = world
  const follower = [...world.processes.values()].find(process => process !== leader)
  assert(leader !== undefined && follower !== undefined)
  return { world, leader, follower }
}

t.test('a stop ends though the disk does not, and says so', async t => {
  const { world, leader } = founded(17)
  leader.diskMs = Infinity
  world.propose(leader, 'x')
  world.run(10)
  const codes: (string | undefined)[] = []
  leader.node.stop(error => codes.push(error?.code))
  world.run(4 * T)
  leader.node.stop(error => codes.push(error?.code))
  world.run(1)
  t.strictSame(codes, ['RAFT_DISK_HANGS', 'RAFT_DISK_HANGS'])
})

t.test('refusals say when to try again', async t => {
  const { world, leader, follower } = founded(18)
  world.propose(follower, 'elsewhere')
  world.run(1)
  t.match(follower.outcomes.get('elsewhere'), { reason: 'not-leader', retryAfterMs: 0 })
  leader.isolated = true
  world.run(2 * T)
  world.propose(leader, 'x')
  world.run(1)
  t.match(leader.outcomes.get('x'), { outcome: 'refused', retryAfterMs: T })
})

t.test('a read ends in time, though what it waits for is never applied here', async t => {
  const { world, leader, follower } = founded(19)
  // Nothing is applied that is not on the own disk.
  follower.diskMs = Infinity
  world.propose(leader, 'x')
  world.run(50)
  const answers: unknown[] = []
  follower.node.readIndex(outcome => answers.push(outcome))
  world.run(6 * T)
  t.strictSame(answers, [{ ok: false, reason: 'timeout' }])
})

t.test('beats that come late show in the figures', async t => {
  const { world, leader } = founded(20)
  world.run(10 * T)
  t.ok(leader.node.lateness.beats > 100)
  t.ok(leader.node.lateness.maxMs < 1)
  leader.pausedUntil = world.now + 300
  world.run(T)
  const { maxMs, longestMs } = leader.node.lateness
  t.ok(maxMs > 200 && maxMs <= 300, String(maxMs))
  t.equal(longestMs, maxMs)
})

t.test('a long log is taken in parts at a start', async t => {
  const world = new World(23, { snapshotEveryEntries: 10_000 })
  world.found(['a'])
  world.until(() => world.leader !== undefined)
  const { leader } = world
  assert(leader !== undefined)
  for (let n = 0; n < 1_500; n++) world.propose(leader, `p${n}`)
  t.ok(world.until(() => leader.machine.lines.length === 1_500, 5 * T))
  const { hash } = leader.machine
  world.crash('a')
  const again = world.start('a')
  t.ok(world.until(() => again.machine.lines.length === 1_500, 5 * T))
  t.equal(again.machine.hash, hash)

  world.crash('a')
  const stopped = world.start('a')
  let isStopped = false
  // While it takes the log: before that it waits for the disk, after that it is a follower.
  world.run(0)
  stopped.node.stop(() => (isStopped = true))
  t.ok(world.until(() => isStopped, 5 * T))
  t.strictSame(stopped.fatal, [])
  world.crash('a')

  const holed = world.start('a')
  holed.disk.entries.splice(1_200, 1)
  t.ok(
    world.until(() => holed.fatal.length > 0, 5 * T),
    'a gap far down is seen',
  )
  t.match(holed.fatal, [{ code: 'RAFT_INTERNAL' }])
})

t.test('very many proposals of one turn are stepped in parts', async t => {
  const steps: number[] = []
  const world = new World(22, {
    trace: (_raft, input) => {
      if (input.type === 'propose') steps.push(input.proposals.length)
    },
  })
  world.found(['a', 'b', 'c'])
  world.until(() => world.leader !== undefined)
  const { leader } = world
  assert(leader !== undefined)
  const total = 5 * maxFlushed + 7
  for (let n = 0; n < total; n++) world.propose(leader, `p${n}`)
  t.ok(world.until(() => leader.machine.lines.length === total, 5 * T))
  t.equal(Math.max(...steps), maxFlushed, String(steps))
  t.ok((steps[0] ?? total) <= maxFlushed / 4, 'few at first')
  t.equal(
    steps.reduce((sum, count) => sum + count, 0),
    total,
  )
})
