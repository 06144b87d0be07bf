/**
 * Regressions of bugs of the shell around a core, in a small simulated world: what the node does when disk, process
 * or caller do not behave.
 */
import assert from 'node:assert/strict'
import {
  configurationOf,
  memoryStorage,
  RaftError,
  silentLogger,
  systemRandom,
  type Clock,
} from '../../../raft/index.ts'
import { Metronome } from '../../../raft/metronome.ts'
import { Snapshots } from '../../../raft/snapshots.ts'
import { Writer } from '../../../raft/writer.ts'
import { Counter } from '../counter.ts'
import { World, worldSettings, type Process } from '../world.ts'
import type { Scenario } from './regressions.ts'

const T = worldSettings.electionTimeoutMs

function founded(seed: number, extra = {}): { world: World; leader: Process } {
  const world = new World(seed, extra)
  world.found(['a', 'b', 'c'])
  assert(
    world.until(() => world.leader !== undefined),
    'a leader',
  )
  const { leader } = world
  assert(leader !== undefined)
  return { world, leader }
}

function followers(world: World, leader: Process): [Process, Process] {
  const [one, other] = [...world.processes.values()].filter(process => process !== leader)
  assert(one !== undefined && other !== undefined)
  return [one, other]
}

/** V4: its disk refuses the write that goes with a vote: the node says nothing, and ends. */
function failedVoteWrite(): void {
  const { world, leader } = founded(1)
  const [one, other] = followers(world, leader)
  one.diskError = new RaftError('RAFT_STORAGE', 'no space left')
  world.crash(leader.id)
  world.run(3 * T)
  assert.equal(one.fatal[0]?.code, 'RAFT_STORAGE', 'it ends')
  assert.equal(world.leader, undefined, 'one vote of three elects nobody')
  assert.notEqual(other.node.status.role, 'leader')
}

/** V16: timers stay where they are however late each beat is handled, so load brings no two servers into step. */
function beatsStayOnTheGrid(): void {
  let now = 0
  let due: { at: number; fire: () => void } | undefined
  const clock: Clock = {
    now: () => now,
    wall: () => now,
    uptime: () => undefined,
    after: (ms, fire) => {
      due = { at: now + ms, fire }
      return { cancel: () => (due = undefined) }
    },
    defer: run => run(),
  }
  const beats: number[] = []
  const onBeat = (): void => void beats.push(now)
  const metronome = new Metronome({ clock, everyMs: 100, stallMs: 10_000, onBeat })
  for (let n = 0; n < 20; n++) {
    const next = due
    assert(next !== undefined)
    // Each is handled 30 ms late.
    now = next.at + 30
    next.fire()
  }
  metronome.stop()
  assert.deepEqual(
    beats,
    Array.from({ length: 20 }, (_, n) => (n + 1) * 100 + 30),
    'a late beat moves no later one',
  )
}

/** V17: after each slice of a snapshot the loop turns, and heartbeats with it. */
function snapshotInSlices(): void {
  const turns: (() => void)[] = []
  const clock: Clock = {
    now: () => 0,
    wall: () => 0,
    uptime: () => undefined,
    after: () => ({ cancel() {} }),
    defer: run => void turns.push(run),
  }
  const storage = memoryStorage({ schedule: run => void turns.push(run) })
  let slices = 0
  const machine = new Counter(1)
  machine.lines = Array.from({ length: 30 }, (_, n) => `line ${n}`)
  const take = machine.snapshot.bind(machine)
  machine.snapshot = function* () {
    for (const slice of take()) {
      slices += 1
      yield slice
    }
  }
  let isSaved = false
  const options = { storage, clock, onPersisted() {}, onError: assert.ifError }
  const snapshots = new Snapshots({
    ...{ machine, storage, writer: new Writer(options), clock, random: systemRandom },
    ...{ log: silentLogger, chunkBytes: 100, newest: undefined, onError: assert.ifError },
    onSaved: () => (isSaved = true),
    onStored() {},
    onChunk() {},
  })
  snapshots.take({ index: 30, term: 1, configuration: configurationOf(['a']) })
  for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) {
    slices = 0
    turn()
    assert(slices <= 1, `${slices} slices in one turn of the loop`)
  }
  assert(isSaved, 'the snapshot is taken')
}

/** D8, D9: whenever it dies, what the disk holds is a whole snapshot and a log without a gap behind it. */
function crashWhileTakingSnapshots(): void {
  for (let seed = 1; seed <= 5; seed++) {
    const settings = { ...worldSettings, trailingEntries: 2 }
    const { world, leader } = founded(seed, { snapshotEveryEntries: 20, settings })
    leader.diskMs = 15
    const times = 100 + seed * 13
    for (let n = 0; n < 80; n++) world.propose(leader, `${seed} ${n}`)
    world.run(times)
    const { id, disk } = leader
    world.crash(id)
    const { snapshot, entries } = disk
    const included = snapshot?.lastIncludedIndex ?? 0
    const first = entries[0]
    assert(first === undefined || first.index <= included + 1, 'no gap behind the snapshot')
    const chunks = snapshot === undefined ? undefined : disk.chunks.get(snapshot.id)
    assert.equal(chunks?.size ?? 0, snapshot?.chunks ?? 0, 'the snapshot is whole')
    const again = world.start(id)
    world.run(6 * T)
    assert.deepEqual(again.fatal, [])
    const lines = [...world.processes.values()].map(({ machine }) => machine.lines.length)
    assert.deepEqual(new Set(lines).size, 1, `all have the same: ${lines.join(' ')}`)
  }
}

/** D16: snapshots go on being taken, so that the log and the disk stay bounded. */
function snapshotsGoOn(): void {
  const { world, leader } = founded(4, { snapshotEveryEntries: 20 })
  for (let n = 0; n < 600; n++) {
    world.propose(leader, `command ${n}`)
    if (n % 10 === 9) world.run(40)
  }
  world.run(2 * T)
  const { disk, machine } = leader
  assert(machine.snapshots >= 10, `${machine.snapshots} snapshots were taken`)
  const above = disk.entries.filter(({ index }) => index > (disk.snapshot?.lastIncludedIndex ?? 0))
  assert(above.length < 100, `${above.length} entries behind the snapshot`)
  assert(disk.chunks.size <= 3, `${disk.chunks.size} snapshots are kept`)
}

/** D17: a leader whose disk hangs is replaced within two election timeouts; one whose disk is full ends. */
function diskThatHangsOrIsFull(): void {
  const { world, leader } = founded(5)
  leader.diskMs = Infinity
  world.propose(leader, 'x')
  const replaced = (): boolean => world.leader !== undefined && world.leader !== leader
  assert(world.until(replaced, 3 * T), 'another one leads')

  const second = founded(6)
  second.leader.diskError = new RaftError('RAFT_STORAGE', 'no space left')
  second.world.propose(second.leader, 'x')
  const isOver = (): boolean =>
    second.world.leader !== undefined && second.world.leader !== second.leader
  assert(second.world.until(isOver, 3 * T), 'another one leads')
  assert.equal(second.leader.fatal.length, 1)
  const outcome = second.leader.outcomes.get('x')?.outcome
  assert.notEqual(outcome, 'committed', 'nothing was acknowledged')
}

/** C4: a new leader is one for its callers only when it has applied what was committed before. */
function leadsWhenApplied(): void {
  for (let seed = 1; seed <= 10; seed++) {
    const { world, leader } = founded(seed)
    let acknowledged = 0
    // What a callback throws, the node takes for a defect of its caller.
    const early: string[] = []
    const next = followers(world, leader)
    for (const process of next) {
      process.node.onStatus(({ role }) => {
        const { length } = process.machine.lines
        if (role === 'leader' && length < acknowledged) early.push(`${length} of ${acknowledged}`)
      })
      // The application has much to do.
      const apply = process.machine.apply.bind(process.machine)
      process.machine.apply = command => {
        if (process.machine.lines.length % 2 === 0) world.now += 6
        apply(command)
      }
    }
    for (let n = 0; n < 30; n++) world.propose(leader, `command ${n}`)
    // Some are acknowledged before the others are told that they are committed.
    while (leader.outcomes.size === 0) world.run(0.5)
    for (const { outcome } of leader.outcomes.values()) if (outcome === 'committed') acknowledged++
    world.crash(leader.id)
    assert(world.until(() => world.leader !== undefined, 6 * T))
    world.run(T)
    assert.deepEqual(early, [], 'it leads when it has applied')
    const fatal = next.flatMap(process => process.fatal)
    assert.deepEqual(fatal, [])
  }
}

/** C7, R16: whoever proposed at a leader that is cut off hears what became of it, and nothing that is not so. */
function callerOfACutOffLeader(): void {
  const { world, leader } = founded(7)
  leader.isolated = true
  world.propose(leader, 'lost')
  world.run(2 * T)
  const next = (): Process | undefined =>
    [...world.processes.values()].find(
      process => process !== leader && process.node.status.role === 'leader',
    )
  assert(world.until(() => next() !== undefined, 5 * T))
  const successor = next()
  assert(successor !== undefined)
  world.propose(successor, 'kept')
  world.run(T / 2)
  leader.isolated = false
  world.run(10 * T)
  const outcome = leader.outcomes.get('lost')?.outcome
  assert(outcome === 'refused' || outcome === 'unknown', `it hears ${String(outcome)}`)
  assert(!successor.machine.lines.includes('lost'))

  const second = founded(8)
  second.leader.isolated = true
  second.world.propose(second.leader, 'x')
  second.world.run(8 * T)
  assert.equal(
    second.leader.outcomes.get('x')?.outcome,
    'unknown',
    'though nothing is heard any more',
  )
}

/** C6, D11: after a restart from a snapshot each command is there once. */
function restartFromASnapshot(): void {
  const { world, leader } = founded(9, { snapshotEveryEntries: 20 })
  for (let n = 0; n < 70; n++) {
    world.propose(leader, `command ${n}`)
    if (n % 10 === 9) world.run(40)
  }
  world.run(T)
  assert((leader.disk.snapshot?.lastIncludedIndex ?? 0) > 0)
  world.crash(leader.id)
  const again = world.start(leader.id)
  world.run(5 * T)
  assert.deepEqual(again.fatal, [])
  assert.equal(again.machine.lines.length, 70)
  assert.equal(new Set(again.machine.lines).size, 70)
}

/** C5: a leader that did not run for a while answers nothing before a majority has answered it anew. */
function pausedLeader(): void {
  const { world, leader } = founded(10)
  world.run(T)
  leader.isolated = true
  leader.pausedUntil = world.now + 0.8 * T
  world.run(0.8 * T + 60)
  let answer: boolean | undefined
  leader.node.readIndex(({ ok }) => (answer = ok))
  world.run(200)
  assert.equal(leader.node.status.quorate, false, 'it does not believe that it is heard')
  assert.notEqual(answer, true)
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  'V4-failed-vote-write': failedVoteWrite,
  'V16-beats-stay-on-the-grid': beatsStayOnTheGrid,
  'V17-snapshot-in-slices': snapshotInSlices,
  'D8-crash-while-taking-snapshots': crashWhileTakingSnapshots,
  'D16-snapshots-go-on': snapshotsGoOn,
  'D17-disk-that-hangs-or-is-full': diskThatHangsOrIsFull,
  'C4-leads-when-applied': leadsWhenApplied,
  'C5-paused-leader': pausedLeader,
  'C6-restart-from-a-snapshot': restartFromASnapshot,
  'C7-caller-of-a-cut-off-leader': callerOfACutOffLeader,
}
