/**
 * Sentences of the rules, told to a whole pool: each is a schedule in which the sentence decides what happens.
 *
 * Unlike the four schedules of the design they are no attacks that succeeded once; they are what chance seldom plays.
 */
import assert from 'node:assert/strict'
import type { Settings } from '../../lib/ledger/command.ts'
import { Stage, type Program } from './pool-stage.ts'
import type { PoolStory } from './pool-stories.ts'
import type { VirtualClock } from './virtual-clock.ts'

const settings = { tickMs: 500, leaseTicks: 20, seatTicks: 20 }
/** It outlasts seats many times. */
const longLease = { tickMs: 1_000, leaseTicks: 60, seatTicks: 16 }

const uncommitted: PoolStory = {
  name: 'R2 - of the ticks that a leader cannot commit it puts two into its log, however long that lasts',
  mutants: ['many-ticks-uncommitted', 'tick-of-unknown-outcome-frees-its-slot'],
  run() {
    const stage = new Stage(settings, { alpha: 1, beta: 0, gamma: 0 })
    const { pool } = stage
    stage.lead('alpha')
    // They hear it and answer, so that it goes on leading; what it tells them never reaches their disks.
    for (const name of ['beta', 'gamma']) pool.slowDisk(name, Infinity)
    let most = 0
    let led = 0
    for (let n = 0; n < 60; n++) {
      pool.run(500)
      const { raft, isLeader } = pool.server('alpha')
      if (raft === undefined || !isLeader) continue
      led++
      most = Math.max(most, raft.lastIndex - raft.lastApplied)
    }
    assert(led > 40, 'it goes on leading')
    assert.equal(most, 2)
  },
}

/** What the mover says to a server from now on. */
function wordsTo(stage: Stage, mover: Program, server: string): () => number {
  const from = stage.said.length
  return () =>
    stage.said
      .slice(from)
      .filter(
        ({ from: name, message }) =>
          name === mover.name && message.subject.includes(`.seat.${server}.`),
      ).length
}

/** The mover has just renewed at alpha, loses sight of it, and confirms a move at beta of which it hears nothing more. */
function confirmed(late: boolean): { stage: Stage; mover: Program } {
  // Long enough to come back to beta, which it avoids for a while when it does not answer.
  const stage = new Stage({ ...settings, tickMs: 1_000 }, { alpha: 1, beta: 1, gamma: 0 })
  const { pool } = stage
  stage.lead('gamma')
  stage.cut([stage.holder('full', 'beta').name], ['alpha', 'gamma'])
  const mover = stage.holder('mover', 'alpha')
  let isMoved = false
  stage.onMove = to => {
    isMoved ||= to === 'beta'
    stage.cut([mover.name], ['beta'])
  }
  assert(
    pool.runUntil(() => mover.leftMs > 18_500, 20_000),
    'it has just renewed',
  )
  stage.cut([mover.name], ['gamma'])
  // Either nothing passes between them, or all that alpha says comes when the mover has left it.
  if (late) stage.delays = (from, to) => (from === 'alpha' && to === mover.name ? 8_000 : 0)
  else stage.cut([mover.name], ['alpha'])
  assert(
    pool.runUntil(() => isMoved, 15_000),
    'the seat is moved',
  )
  return { stage, mover }
}

const silentWhileOpen: PoolStory = {
  name: 'R6 - a client that does not know how its move ended neither renews nor releases at the server it left',
  mutants: ['renews-at-the-old-server', 'confirmation-not-noted', 'releases-while-a-move-is-open'],
  run() {
    for (const gives of [false, true]) {
      const { stage, mover } = confirmed(false)
      const { pool } = stage
      stage.heal([mover.name], ['alpha'])
      const words = wordsTo(stage, mover, 'alpha')
      if (gives) mover.giveBack()
      for (let n = 0; n < 40; n++) {
        pool.run(100)
        assert.equal(words(), 0, 'nothing is said to the server that it left')
      }
      stage.heal([mover.name], ['beta'])
      pool.run(8_000)
      // What it learned there decides.
      if (!gives) assert(mover.valid === 1 && mover.lost === 0, 'it has its seat at beta')
      assert.equal(stage.share('beta'), 2)
      assert.equal(words(), 0)
    }
  },
}

const openUntilTold: PoolStory = {
  name: 'R6 - nobody but the server that a move was confirmed at, or time, tells its client how it ended',
  mutants: ['open-move-forgotten'],
  run() {
    const { stage, mover } = confirmed(false)
    const { pool } = stage
    const words = wordsTo(stage, mover, 'alpha')
    const asked = wordsTo(stage, mover, 'gamma')
    // It reaches gamma, which challenges it, and is gone before it hears the answer: that cannot have moved anything.
    stage.heal([mover.name], ['gamma'])
    const hasAsked = (): boolean => asked() > 0
    assert(pool.runUntil(hasAsked, 6_000), 'it asks gamma')
    stage.delays = (from, to) => (from === 'gamma' && to === mover.name ? 30 : 0)
    pool.time.after(15, () => pool.crash('gamma'))
    pool.run(200)
    stage.delays = () => 0
    stage.heal([mover.name], ['alpha'])
    pool.run(2_500)
    assert.equal(words(), 0, 'nothing is said to the server that it left')
  },
}

const dropsLateReplies: PoolStory = {
  name: 'R6 - a client whose server does not answer leaves it, and drops its late replies',
  mutants: ['hears-the-server-it-left'],
  run() {
    const { stage, mover } = confirmed(true)
    const { pool } = stage
    const words = wordsTo(stage, mover, 'alpha')
    for (let n = 0; n < 90 && mover.leftMs > 200; n++) {
      const before = mover.leftMs
      pool.run(100)
      assert(mover.leftMs <= before, 'it believes no longer for what alpha says')
    }
    assert.equal(words(), 0, 'and says nothing to it')
  },
}

const unheard: PoolStory = {
  name: 'R4, R5 - a seat that its client did not hear of is given back, and may be granted again long before it ends',
  mutants: ['unheard-grant-kept'],
  run() {
    const stage = new Stage({ ...settings, tickMs: 1_000 }, { alpha: 1, beta: 1, gamma: 0 })
    const { pool } = stage
    stage.lead('gamma')
    const asker = stage.waiter('asker', 'beta', 0)
    const heldAtBeta = (): number => pool.server('beta').service.seats({ limit: 9 }).seats.length
    stage.delays = (from, to) => (from === 'beta' && to === 'asker' ? 7_000 : 0)
    asker.ask()
    assert(
      pool.runUntil(() => heldAtBeta() === 1, 1_000),
      'it is granted',
    )
    // Nor does beta hear that it is wanted no more.
    stage.loses = (from, subject) => from === 'asker' && subject.includes('.seat.beta.')
    pool.run(6_000)
    assert(asker.valid === 1 && asker.own.server !== 'beta', 'it has a seat of another server')
    stage.loses = () => false
    pool.run(3_000)
    assert.equal(heldAtBeta(), 0)
    assert.equal(asker.valid, 1)
  },
}

const unlisted: PoolStory = {
  name: 'R3, R11 - a lease is extended by nothing but ticks that list its server, and is over before that one is down',
  mutants: ['snapshot-extends-the-lease', 'run-never-over'],
  run() {
    const stage = new Stage(
      settings,
      { alpha: 0, beta: 0, gamma: 1 },
      { snapshotEveryEntries: 4, raft: { trailingEntries: 0 } },
    )
    const { pool } = stage
    stage.lead('alpha')
    const holder = stage.holder('holder', 'gamma')
    stage.cut([holder.name], ['alpha', 'beta'])
    stage.loses = (from, subject) => from === 'gamma' && subject.endsWith('.keepalive')
    // What it missed comes in a snapshot.
    stage.cut(['gamma'], ['alpha', 'beta'])
    pool.run(5_000)
    const before = pool.server('gamma').raft?.snapshotIndex ?? 0
    stage.heal(['gamma'], ['alpha', 'beta'])
    assert(
      pool.runUntil(() => (pool.server('gamma').raft?.snapshotIndex ?? 0) > before, 5_000),
      'it installs a snapshot',
    )
    const run = pool.server('gamma').incarnation
    const isDown = (): boolean => stage.state.servers.get('gamma')?.endedIncarnation === run
    let lapsed = false
    assert(
      pool.runUntil(() => {
        const { leaseUntil, clock } = pool.server('gamma')
        lapsed ||= leaseUntil <= clock.now()
        return isDown()
      }, 20_000),
      'it goes down',
    )
    assert(lapsed, 'its lease was over before the ledger said that it is down')
  },
}

const keptPromise: PoolStory = {
  name: 'R1, R8 - a giver keeps its limit lowered until it has seen its entry applied, refused or past its deadline',
  mutants: ['given-up-at-its-deadline'],
  run() {
    const stage = new Stage(settings, { alpha: 0, beta: 4, gamma: 0 })
    const { pool } = stage
    stage.lead('alpha')
    // All that beta tells the leader from now on comes in the last ticks in which it may be applied.
    stage.delays = (from, _to, subject) =>
      from === 'beta' && subject.endsWith('.propose') ? 4_700 : 0
    const targets = { alpha: 4, beta: 0, gamma: 0 }
    const set = { id: 'away', by: 'story', timeoutMs: 30_000, feature: 'cad', targets }
    assert(pool.ask('criteria-set', set)?.ok)
    pool.run(1_500)
    const next = stage.waiter('next', 'beta', 4)
    pool.run(20_000)
    assert(next.valid > 0, 'what was not promised is granted')
  },
}

/**
 * The mover takes its seat from alpha to beta, and loses sight of that one. Alpha hears nothing of it and serves on;
 * the mover comes back to it when it no longer avoids it. With `lateMs`, alpha has an answer to it under way for so long.
 */
function returned(pace: Settings, lateMs: number): { stage: Stage; mover: Program } {
  const stage = new Stage(pace, { alpha: 1, beta: 1, gamma: 0 })
  const { pool } = stage
  stage.lead('gamma')
  stage.cut([stage.holder('full', 'beta').name], ['alpha', 'gamma'])
  const mover = stage.holder('mover', 'alpha')
  let isMoved = false
  stage.onMove = to => (isMoved ||= to === 'beta')
  const { tick } = stage.state
  stage.delays = (from, to) => (from === 'alpha' && to === mover.name ? lateMs : 0)
  const words = wordsTo(stage, mover, 'alpha')
  assert(
    pool.runUntil(() => (lateMs > 0 ? words() > 0 : stage.state.tick > tick), 20_000),
    'it renews, or a tick begins',
  )
  pool.run(100)
  stage.delays = () => 0
  stage.cut([mover.name], ['alpha', 'gamma'])
  stage.cut(['alpha'], ['beta', 'gamma'])
  if (lateMs === 0) mover.relink()
  assert(
    pool.runUntil(() => isMoved, 15_000),
    'the seat is moved',
  )
  pool.run(500)
  assert.equal(mover.own.server, 'beta')
  stage.cut([mover.name], ['beta'])
  stage.heal([mover.name], ['alpha'])
  // Slow to answer, so that what it said before comes while it is asked again.
  if (lateMs > 0) stage.delays = (from, to) => (from === 'alpha' && to === mover.name ? 900 : 0)
  return { stage, mover }
}

/** The seat ends where it went to, and what it stood on is granted there to another one. */
function outlived({ stage, mover }: { stage: Stage; mover: Program }): void {
  const { pool } = stage
  const next = stage.waiter('next', 'beta')
  assert(
    pool.runUntil(() => mover.own.server === 'alpha', 30_000),
    'it comes back',
  )
  assert(
    pool.runUntil(() => next.valid === 1, 60_000),
    'what it stood on is granted again',
  )
  assert.equal(mover.valid, 0)
}

const staysMoved: PoolStory = {
  name: 'R6, R11 - a server that has not heard of a move renews nothing for a token newer than what it has heard',
  mutants: ['renews-what-moved-away', 'renews-what-moved-in-its-last-tick'],
  run() {
    outlived(returned(longLease, 0))
    // The token is of the last tick that alpha heard of: it knows a part of that one.
    outlived(returned({ tickMs: 10_000, leaseTicks: 20, seatTicks: 3 }, 0))
  },
}

const hearsNothingOld: PoolStory = {
  name: 'R6 - a client that comes back to a server takes nothing of what that one said before it was left',
  mutants: ['hears-what-is-older-than-a-move'],
  run() {
    // The client asks about every second: some of these come between its question and the answer to that.
    for (let lateMs = 11_500; lateMs <= 14_000; lateMs += 500) outlived(returned(longLease, lateMs))
  },
}

/** What has that clock sleeps for `ms` at a time and is awake for twice as long, for `forMs` in all. */
function nap(stage: Stage, clock: VirtualClock, ms: number, forMs: number, awake = (): void => {}) {
  for (let n = 0; n < forMs / (3 * ms); n++) {
    stage.pool.run(2 * ms)
    clock.pause(true)
    stage.pool.run(ms)
    clock.resume()
    awake()
  }
}

/** By systems that know the time since boot, and by others; long enough to show at once, and too short. */
const napping = [false, true].flatMap(hasUptime => [12, 45].map(ms => ({ hasUptime, ms })))

const nappingServer: PoolStory = {
  name: 'R3, R4 - short naps of a host shorten its lease by as much, whether or not it knows the time since boot',
  mutants: ['naps-leave-the-lease'],
  run() {
    for (const { hasUptime, ms } of napping) {
      const stage = new Stage(
        { tickMs: 100, leaseTicks: 40, seatTicks: 40 },
        { alpha: 0, beta: 0, gamma: 3 },
        // As far apart as honest clocks may be.
        { clockOf: server => ({ rate: server === 'gamma' ? 0.9901 : 1.0099, hasUptime }) },
      )
      const { pool } = stage
      stage.lead('alpha')
      const old = stage.holder('old', 'gamma', 3)
      stage.cut([old.name], ['alpha', 'beta'])
      const next = stage.waiter('next', 'alpha', 3)
      stage.cut(['gamma', old.name], ['alpha', 'beta'])
      const clock = pool.process('gamma')?.clock
      assert(clock !== undefined)
      nap(stage, clock, ms, 2_000)
      assert(
        pool.runUntil(() => next.valid === 3, 20_000),
        'its whole share was lent',
      )
    }
  },
}

const nappingClient: PoolStory = {
  name: 'R4 - short naps of a client count as time, whether or not it knows the time since boot',
  mutants: ['naps-forgotten'],
  run() {
    for (const { hasUptime, ms } of napping) {
      const stage = new Stage(settings, { alpha: 0, beta: 0, gamma: 1 })
      const { pool } = stage
      stage.clientsHaveUptime = hasUptime
      stage.lead('alpha')
      const old = stage.holder('old', 'gamma')
      assert(
        pool.runUntil(() => old.leftMs > 9_000, 10_000),
        'it has just renewed',
      )
      stage.cut([old.name], ['alpha', 'beta', 'gamma'])
      const next = stage.waiter('next', 'gamma')
      nap(stage, old.clock, ms, 13_000, () => stage.checks.heard(old))
      assert(
        pool.runUntil(() => next.valid === 1, 10_000),
        'its seat is granted again',
      )
    }
  },
}

export const ruleStories: readonly PoolStory[] = [
  uncommitted,
  silentWhileOpen,
  openUntilTold,
  dropsLateReplies,
  unheard,
  unlisted,
  keptPromise,
  staysMoved,
  hearsNothingOld,
  nappingServer,
  nappingClient,
]
