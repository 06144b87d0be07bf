/**
 * The node's shell in a simulated world: what it does when the disk hangs or fails, when the process is paused or
 * cut off, and that all of it can be replayed.
 */
import assert from 'node:assert/strict'
import t from 'tap'
import { encodeMessage } from '../../raft/codec.ts'
import { RaftError, type Clock } from '../../raft/index.ts'
import { Metronome } from '../../raft/metronome.ts'
import { World, worldSettings, type Process } from './world.ts'

const T = worldSettings.electionTimeoutMs

function founded(seed: number, ids = ['a', 'b', 'c']): { world: World; leader: Process } {
  const world = new World(seed)
  world.found(ids)
  world.until(() => world.leader !== undefined)
  const { leader } = world
  assert(leader !== undefined, 'no leader')
  return { world, leader }
}

function others(world: World, process: Process): Process[] {
  return [...world.processes.values()].filter(one => one !== process)
}

t.test('the same seed gives the same run, another one another', async t => {
  const run = (seed: number): string[] => {
    const { world, leader } = founded(seed)
    world.loss = 0.1
    for (let i = 0; i < 100; i++) world.propose(leader, `c${i}`)
    world.run(500)
    world.crash(leader.id)
    world.run(3000)
    world.start(leader.id)
    world.run(3000)
    return world.trace
  }
  t.ok(run(1).length > 100)
  t.strictSame(run(1), run(1))
  t.notSame(run(1), run(2))
})

t.test('who starts last completes a majority, which leads within T', async t => {
  for (let seed = 1; seed <= 40; seed++) {
    const world = new World(seed)
    world.found(['a', 'b', 'c'])
    for (const id of ['b', 'c']) world.crash(id)
    world.run(seed * 50)
    t.notOk(world.leader)
    world.start('c')
    t.ok(
      world.until(() => world.leader !== undefined, T + 100),
      `seed ${seed}`,
    )
  }
})

t.test('after the crash of a leader another one leads within 4 heartbeats', async t => {
  let slow = 0
  for (let seed = 1; seed <= 40; seed++) {
    // All beat at the same time, so that the two that are left often campaign at the same time.
    const { world, leader } = founded(seed)
    world.run(T + ((seed * 37) % worldSettings.heartbeatMs))
    world.crash(leader.id)
    if (!world.until(() => world.leader !== undefined, 4 * worldSettings.heartbeatMs)) slow++
  }
  t.ok(slow <= 2, `${slow} of 40 took longer`)
})

t.test('nothing is committed by followers whose disks have not written it', async t => {
  const { world, leader } = founded(3)
  for (const process of others(world, leader)) process.diskMs = Infinity
  world.propose(leader, 'x')
  world.run(T / 2)
  t.equal(leader.outcomes.size, 0)
  t.strictSame(leader.machine.lines, [])

  const second = founded(4)
  const [slow, hung] = others(second.world, second.leader)
  assert(slow !== undefined && hung !== undefined)
  hung.diskMs = Infinity
  slow.diskMs = 200
  second.world.propose(second.leader, 'y')
  second.world.run(90)
  t.equal(second.leader.outcomes.size, 0, 'the leader has it, and nobody else')
  second.world.run(400)
  t.match(second.leader.outcomes.get('y'), { outcome: 'committed' })
})

t.test('a leader whose disk hangs steps down, and another one leads', async t => {
  const { world, leader } = founded(5)
  leader.diskMs = Infinity
  world.propose(leader, 'x')
  t.ok(world.until(() => leader.node.status.role !== 'leader', 2 * T))
  t.ok(world.until(() => world.leader !== undefined && world.leader !== leader, 3 * T))
  const next = world.leader
  assert(next !== undefined)
  world.propose(next, 'y')
  world.run(200)
  t.match(next.outcomes.get('y'), { outcome: 'committed' })
})

t.test('a pause is not taken for a disk that hangs', async t => {
  const { world, leader } = founded(16)
  const { term } = leader.node.status
  for (const process of world.processes.values()) process.pausedUntil = world.now + 5 * T
  world.propose(leader, 'x')
  world.run(6 * T)
  t.equal(world.leader, leader)
  t.equal(leader.node.status.term, term)
  t.match(leader.outcomes.get('x'), { outcome: 'committed' })
})

t.test('the first error of the disk stops the node, and the others go on', async t => {
  const { world, leader } = founded(6)
  leader.diskError = new RaftError('RAFT_STORAGE', 'No space left.')
  world.propose(leader, 'x')
  world.run(50)
  t.match(leader.fatal, [{ code: 'RAFT_STORAGE' }])
  t.match(leader.outcomes.get('x'), { outcome: 'unknown' })
  let told = 0
  leader.node.onFatal(() => told++)
  world.run(1)
  t.equal(told, 1, 'who asks late is told as well')
  world.propose(leader, 'z')
  world.run(1)
  t.match(leader.outcomes.get('z'), { outcome: 'refused', reason: 'stopped' })
  t.ok(
    world.until(() => world.leader !== undefined, T),
    'told by the broker, not by a timeout',
  )
  let stopped = 0
  leader.node.stop(() => stopped++)
  leader.node.stop(() => stopped++)
  world.run(1)
  t.equal(stopped, 2)
})

t.test('a paused leader finds itself deposed, and believes nothing meanwhile', async t => {
  const { world, leader } = founded(7)
  leader.pausedUntil = world.now + 6 * T
  t.ok(
    world.until(() => world.leader !== undefined, 5 * T),
    'another leads',
  )
  world.run(leader.pausedUntil - world.now - 1)
  t.ok(leader.node.status.quorate, 'it has not looked at its clock yet')
  const seen: boolean[] = []
  leader.node.onStatus(({ role, quorate }) => seen.push(role === 'leader' && quorate))
  world.run(2 * T)
  t.notOk(seen.includes(true))
  t.not(leader.node.status.role, 'leader')
})

t.test('a follower that was paused does not disturb the leader', async t => {
  const { world, leader } = founded(8)
  const { term } = leader.node.status
  const [follower] = others(world, leader)
  assert(follower !== undefined)
  for (let round = 0; round < 5; round++) {
    follower.pausedUntil = world.now + 3 * T
    world.run(4 * T)
  }
  t.equal(world.leader?.node.status.term, term)
})

t.test('timers that fire late by a little delay no heartbeat to the next beat', async t => {
  let now = 0
  let fire = (): void => {}
  const clock: Clock = {
    now: () => now,
    wall: () => now,
    uptime: () => undefined,
    after: (ms, run) => {
      // As timers of whole milliseconds do: late by 0 to 1 ms, each time by another bit.
      fire = () => {
        now = Math.ceil(now + ms) + ((now * 7) % 1)
        run()
      }
      return { cancel() {} }
    },
    defer: run => run(),
  }
  const { heartbeatMs } = worldSettings
  const gaps: number[] = []
  let since = 0
  let last = 0
  const metronome = new Metronome({
    clock,
    everyMs: heartbeatMs / 2,
    stallMs: T / 2,
    onBeat: ms => {
      since += ms
      if (since < heartbeatMs) return
      gaps.push(now - last)
      since = 0
      last = now
    },
  })
  now = 0.3
  for (let beat = 0; beat < 200; beat++) fire()
  metronome.stop()
  t.ok(Math.max(...gaps) < 1.2 * heartbeatMs, `${Math.max(...gaps)} ms`)
  t.ok(gaps.length > 95)
})

t.test('a host that slept is a stall too, though its clock stood still', async t => {
  const { world, leader } = founded(9)
  t.ok(leader.node.status.quorate)
  const seen: boolean[] = []
  leader.node.onStatus(({ quorate }) => seen.push(quorate))
  leader.suspendedMs = 60_000
  world.run(T / 2)
  t.equal(seen[0], false, 'its lease was void')
  t.ok(leader.node.status.quorate, 'and is confirmed anew')
})

t.test('a proposal of a leader that is cut off ends as unknown', async t => {
  const { world, leader } = founded(10)
  leader.isolated = true
  world.propose(leader, 'x')
  world.run(4 * T)
  t.equal(leader.outcomes.size, 0)
  world.run(2 * T)
  t.match(leader.outcomes.get('x'), { outcome: 'unknown' })
  leader.node.readIndex(outcome => leader.outcomes.set('read', { outcome: 'unknown', ...outcome }))
  world.run(3 * T)
  t.match(leader.outcomes.get('read'), { ok: false })
})

t.test('a cut-off leader’s command that another replaced is refused as lost', async t => {
  const { world, leader } = founded(11)
  leader.isolated = true
  world.propose(leader, 'x')
  t.ok(world.until(() => world.leader !== undefined && world.leader !== leader))
  const next = world.leader
  assert(next !== undefined)
  world.propose(next, 'y')
  world.run(200)
  leader.isolated = false
  world.run(2 * T)
  t.match(leader.outcomes.get('x'), { outcome: 'refused', reason: 'lost' })
  t.strictSame(leader.machine.lines, ['y'])
})

t.test('more proposals than one turn takes are refused as busy', async t => {
  const { world, leader } = founded(12, ['a'])
  for (let i = 0; i < 16_390; i++) world.propose(leader, `c${i}`)
  world.run(5 * T)
  const busy = [...leader.outcomes.values()].filter(
    one => one.outcome === 'refused' && one.reason === 'busy',
  )
  t.equal(busy.length, 6)
  t.equal(leader.outcomes.size, 16_390)
  t.equal(leader.machine.lines.length, 16_384)
})

t.test('what a callback throws is the caller’s defect and stops nothing', async t => {
  const { world, leader } = founded(13)
  const fail = (): never => {
    throw new Error('defect')
  }
  leader.node.propose(Buffer.from('x'), fail)
  leader.node.readIndex(fail)
  leader.node.onStatus(fail)
  world.propose(leader, 'y')
  world.run(200)
  t.match(leader.outcomes.get('y'), { outcome: 'committed' })
  t.strictSame(leader.machine.lines, ['x', 'y'])
})

t.test('malformed and foreign messages are counted and change nothing', async t => {
  const { world, leader } = founded(14)
  const { term } = leader.node.status
  const subject = `sim.raft.${leader.id}.a`
  const heartbeat = {
    type: 'heartbeat',
    from: 'b',
    to: leader.id,
    term: term + 10,
    leaderCommit: 0,
    commitTerm: 0,
    round: 1,
  } as const
  world.inject(subject, new Uint8Array())
  world.inject(subject, new Uint8Array(10))
  world.inject(subject, new Uint8Array(400_000))
  world.inject(subject, encodeMessage(heartbeat, { cluster: 1, incarnation: 1 }))
  world.inject(`_INBOX.${leader.id}.gone.b`, new Uint8Array(3))
  world.run(T)
  t.match(leader.node.status, {
    role: 'leader',
    term,
    dropped: { 'too-large': 1, checksum: 1, foreign: 1 },
  })
  leader.connected = false
  world.run(200)
  t.ok(leader.node.status.dropped.unsent > 0)
})

t.test('a server that was removed and is added again is no longer called removed', async t => {
  const { world, leader } = founded(21)
  const { id, node } = others(world, leader)[0] ?? leader
  const change = (wanted: {
    voters?: string[]
    learners?: string[]
    remove?: string[]
  }): string => {
    let outcome = ''
    leader.node.changeConfiguration(wanted, result => (outcome = result.outcome))
    world.until(() => outcome !== '')
    return outcome
  }
  t.equal(change({ remove: [id] }), 'done')
  t.ok(world.until(() => node.status.removed, 3 * T))
  t.equal(change({ learners: [id] }), 'done')
  t.ok(world.until(() => node.status.role === 'learner' && !node.status.removed, 3 * T))
  world.run(3 * T)
  t.notOk(node.status.removed)
})

t.test('a stop before the disk was read ends too', async t => {
  const world = new World(15)
  const process = world.start('a')
  let stopped = false
  process.node.stop(() => {
    stopped = true
  })
  world.run(100)
  t.ok(stopped)
  t.equal(process.node.status.term, 0)
})

/** A minute of crashes, pauses, loss and slow disks; then everything mends. */
function chaos(seed: number, ids: readonly string[]): World {
  const world = new World(seed)
  world.found(ids)
  const pick = <X>(list: readonly X[]): X | undefined =>
    list[Math.floor(world.random() * list.length)]
  let next = 0
  const committed = new Set<string>()
  for (let round = 0; round < 60; round++) {
    world.loss = pick([0, 0, 0.05, 0.3]) ?? 0
    const victim = pick(ids) ?? ''
    const process = world.processes.get(victim)
    if (process === undefined) world.start(victim)
    else {
      const deed = pick(['crash', 'pause', 'isolate', 'slow', 'nothing', 'nothing'])
      if (deed === 'crash') world.crash(victim)
      if (deed === 'pause') process.pausedUntil = world.now + world.random() * 3 * T
      process.isolated = deed === 'isolate'
      process.diskMs = deed === 'slow' ? 300 : 2
    }
    for (let i = 0; i < 15; i++) {
      const { leader } = world
      if (leader !== undefined) world.propose(leader, `c${next++}`)
      world.run(world.random() * 100)
    }
    for (const { outcomes } of world.processes.values()) {
      for (const [text, { outcome }] of outcomes) if (outcome === 'committed') committed.add(text)
    }
  }
  world.loss = 0
  for (const id of ids) {
    const process = world.processes.get(id) ?? world.start(id)
    Object.assign(process, { isolated: false, diskMs: 2, pausedUntil: 0 })
  }
  const whole = (): boolean => {
    const lines = [...world.processes.values()].map(({ machine }) => machine.lines.join())
    return world.leader !== undefined && lines.every(one => one === lines[0])
  }
  assert(world.until(whole, 20 * T), `seed ${seed}: does not mend`)
  const lines = world.process(ids[0] ?? '').machine.lines
  assert.equal(new Set(lines).size, lines.length, `seed ${seed}: applied twice`)
  for (const text of committed) assert(lines.includes(text), `seed ${seed}: lost ${text}`)
  for (const { fatal } of world.processes.values()) assert.deepEqual(fatal, [], `seed ${seed}`)
  assert(committed.size > 20, `seed ${seed}: committed only ${committed.size}`)
  return world
}

t.test('chaos: what was acknowledged is there, once, in one order, everywhere', async t => {
  let restores = 0
  for (let seed = 1; seed <= 24; seed++) {
    const size = [3, 5, 2, 3][seed % 4] ?? 3
    const world = chaos(seed, ['a', 'b', 'c', 'd', 'e'].slice(0, size))
    for (const { machine } of world.processes.values()) restores += machine.restores
    t.pass(`seed ${seed}, ${size} servers`)
  }
  t.ok(restores > 0, 'snapshots were sent or read')
})
