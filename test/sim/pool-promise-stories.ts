/**
 * Stories of one sentence of R1: a giver keeps its limit lowered until it has seen its entry applied, refused or past its
 * deadline. Whatever befalls it meanwhile - its office ends, its time runs out, a snapshot hides what was - what it promised
 * away is granted to nobody there.
 */
import assert from 'node:assert/strict'
import { commandCodec } from '../../lib/command-codec.ts'
import type { BusMessage } from '../../raft/ports.ts'
import { Stage, type Program } from './pool-stage.ts'
import type { PoolStory } from './pool-stories.ts'

const settings = { tickMs: 500, leaseTicks: 20, seatTicks: 20 }
const raftToAlpha = /\.raft\.alpha\.[vahs]$/

/** Alpha leads and has all there is; `local` is its client alone, and `next` asks beta, which has to borrow. */
function borrowing(): { stage: Stage; local: Program; next: Program } {
  const stage = new Stage(settings, { alpha: 1, beta: 0, gamma: 0 })
  stage.lead('alpha')
  const local = stage.waiter('local', 'alpha', 0)
  const next = stage.waiter('next', 'beta', 0)
  stage.cut([local.name], ['beta', 'gamma'])
  stage.cut([next.name], ['alpha', 'gamma'])
  return { stage, local, next }
}

const afterOffice: PoolStory = {
  name: 'R1 - what a leader offered stays promised away when it leads no more',
  mutants: ['offers-void-with-the-office'],
  run() {
    const { stage, local, next } = borrowing()
    const { pool } = stage
    // It says what it offers, and hears of nobody that it is written down.
    stage.loses = (from, subject) => from !== 'alpha' && raftToAlpha.test(subject)
    next.ask()
    assert(
      pool.runUntil(() => !pool.server('alpha').isLeader, 10_000),
      'its office ends',
    )
    stage.cut(['alpha'], ['beta', 'gamma'])
    local.ask()
    assert(
      pool.runUntil(() => next.valid === 1, 5_000),
      'another leader has its entry, and what it offered is taken',
    )
    for (let n = 0; n < 20; n++) {
      pool.run(200)
      assert.equal(local.valid, 0)
    }
    stage.heal()
    stage.loses = () => false
    pool.run(5_000)
    assert.equal(local.valid, 0)
    next.giveBack()
    assert(
      pool.runUntil(() => local.valid === 1, 20_000),
      'in the end it is served',
    )
  },
}

const lastTick: PoolStory = {
  name: 'R1, R8 - what a leader offered stays promised away through the last tick at which it may be taken',
  mutants: ['offer-void-at-its-deadline'],
  run() {
    const { stage, local, next } = borrowing()
    const { pool } = stage
    const asked: BusMessage[] = []
    const { tap } = pool.broker
    pool.broker.tap = (from, message) => {
      if (from === 'beta' && message.subject.endsWith('.alpha.propose')) asked.push(message)
      tap?.(from, message)
    }
    // All that beta asks for is held up on its way.
    stage.loses = (from, subject) => from === 'beta' && subject.endsWith('.propose')
    next.ask()
    assert(pool.runUntil(() => asked.length > 0, 2_000))
    const [message] = asked
    assert(message !== undefined)
    const deadline = commandCodec.decode(message.data)?.deadline ?? 0
    // What is written down is committed a while later.
    stage.delays = (_from, _to, subject) => (raftToAlpha.test(subject) ? 200 : 0)
    const alpha = pool.server('alpha')
    const isDue = (): boolean =>
      alpha.ledger.state.tick === deadline - 1 &&
      (alpha.raft?.lastIndex ?? 0) > (alpha.raft?.lastApplied ?? 0)
    assert(pool.runUntil(isDue, 10_000), 'the last tick is in the log')
    pool.run(100)
    stage.loses = () => false
    pool.broker.inject('beta', message)
    pool.run(1)
    local.ask()
    pool.run(3_000)
    assert.equal(next.valid + local.valid, 1)
    assert.equal(next.valid, 1, 'it came in time')
  },
}

const throughSnapshot: PoolStory = {
  name: 'R1, R11 - what a server gives stays promised away when a snapshot does not tell of it',
  mutants: ['snapshot-frees-promises'],
  run() {
    const stage = new Stage(
      settings,
      { alpha: 0, beta: 4, gamma: 0 },
      { snapshotEveryEntries: 4, raft: { trailingEntries: 0 } },
    )
    const { pool } = stage
    stage.lead('alpha')
    // What beta tells the leader to do takes a while.
    stage.delays = (from, _to, subject) =>
      from === 'beta' && subject.endsWith('.propose') ? 4_000 : 0
    const targets = { alpha: 4, beta: 0, gamma: 0 }
    const set = { id: 'away', by: 'story', timeoutMs: 30_000, feature: 'cad', targets }
    assert(pool.ask('criteria-set', set)?.ok)
    pool.run(700)
    // Meanwhile it is told nothing, until all that it missed is in a snapshot.
    const before = pool.server('beta').raft?.snapshotIndex ?? 0
    stage.loses = (_from, subject) => /\.raft\.beta\.[vahs]$/.test(subject)
    pool.run(1_800)
    stage.loses = () => false
    assert(
      pool.runUntil(() => (pool.server('beta').raft?.snapshotIndex ?? 0) > before, 1_500),
      'it installs a snapshot',
    )
    assert.equal(stage.share('beta'), 4, 'nothing was given yet')
    const next = stage.waiter('next', 'beta', 4)
    stage.cut([next.name], ['alpha', 'gamma'])
    assert(
      pool.runUntil(() => next.valid > 0, 1_000),
      'what was not promised is granted',
    )
    assert(next.valid < 4, 'and no more')
    pool.run(10_000)
  },
}

export const promiseStories: readonly PoolStory[] = [afterOffice, lastTick, throughSnapshot]
