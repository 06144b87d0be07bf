/**
 * The four schedules by hand that broke earlier forms of the rules (design, after R12), told to a whole pool.
 *
 * Each names the mutants that take its rule away; `pool-stories.test.ts` sees that it throws with each of them.
 */
import assert from 'node:assert/strict'
import { observe } from './pool-observer.ts'
import { promiseStories } from './pool-promise-stories.ts'
import { ruleStories } from './pool-rule-stories.ts'
import { Stage, type Program } from './pool-stage.ts'

export interface PoolStory {
  readonly name: string
  /** They take the rule away that it is about. */
  readonly mutants: readonly string[]
  readonly run: (this: void) => void
}

const settings = { tickMs: 500, leaseTicks: 20, seatTicks: 20 }

/** The mover fails over to beta and does not hear how that ended; `then` happens at that moment. */
function moved(stage: Stage, mover: Program, then: () => void): void {
  const { pool } = stage
  let isMoved = false
  stage.onMove = to => {
    stage.onMove = () => {}
    isMoved = to === 'beta'
    stage.cut([mover.name], ['beta'])
    pool.time.after(0, then)
  }
  assert(
    pool.runUntil(() => mover.leftMs > 9_000, 10_000),
    'it has just renewed',
  )
  stage.cut([mover.name], ['alpha', 'gamma'])
  assert(
    pool.runUntil(() => isMoved, 8_000),
    'the seat is moved',
  )
}

const takerDown: PoolStory = {
  name: 'the taker of a move is not down before the mover\u2019s older token ends',
  mutants: ['taker-down-too-early'],
  run() {
    const stage = new Stage(settings, { alpha: 1, beta: 1, gamma: 0 })
    const { pool } = stage
    stage.lead('gamma')
    const full = stage.holder('full', 'beta')
    stage.cut([full.name], ['alpha', 'gamma'])
    const mover = stage.holder('mover', 'alpha')
    // The taker was last listed long ago when it takes the seat, and dies the moment it has.
    stage.loses = (from, subject) => from === 'beta' && subject.endsWith('.keepalive')
    pool.run(2_000)
    moved(stage, mover, () => pool.crash('beta'))
    const next = stage.waiter('next', 'gamma', 2)
    let both = 0
    pool.runUntil(() => {
      both = Math.max(both, mover.valid + full.valid + next.valid)
      return next.valid === 2
    }, 30_000)
    assert.equal(next.valid, 2, 'what the seat stood on is lent in the end')
    assert(both <= 2)
  },
}

const resumed: PoolStory = {
  name: 'a server resumed after its share was lent grants and renews nothing',
  mutants: ['lease-outlives-a-suspension'],
  run() {
    const stage = new Stage(settings, { alpha: 0, beta: 0, gamma: 3 })
    const { pool } = stage
    stage.lead('alpha')
    const old = stage.holder('old', 'gamma', 2)
    // Its clients cannot know: they are cut off as well, and stay with it.
    stage.cut([old.name], ['alpha', 'beta'])
    // Its host sleeps, and its monotonic clock stands: by that its lease has hardly begun when it goes on.
    pool.process('gamma')?.clock.pause(true)
    const next = stage.waiter('next', 'alpha', 3)
    assert(
      pool.runUntil(() => next.valid === 3, 30_000),
      'its whole share was lent',
    )
    old.ask()
    pool.run(1_500)
    stage.cut(['gamma'], ['alpha', 'beta'])
    pool.process('gamma')?.clock.resume()
    for (let n = 0; n < 30; n++) {
      pool.run(200)
      // Both what it holds and what it has spare, by its book.
      assert.equal(old.valid, 0, 'what it granted now would be granted twice')
    }
    stage.heal()
    next.giveBack()
    assert(
      pool.runUntil(() => old.valid > 0, 40_000),
      'it comes back',
    )
  },
}

const remembered: PoolStory = {
  name: 'a move is remembered until the newest token of the seat ends',
  mutants: ['move-forgotten-early', 'moved-twice'],
  run() {
    const stage = new Stage(settings, { alpha: 2, beta: 1, gamma: 0 })
    const { pool } = stage
    stage.lead('gamma')
    const others = [stage.holder('full', 'beta'), stage.holder('staying', 'alpha')]
    const mover = stage.holder('mover', 'alpha')
    // Nobody asks the old server whether it holds the seat: that is no part of the proof (R6).
    stage.loses = (from, subject) => from === 'gamma' && subject.endsWith('.ask')
    moved(stage, mover, () => {})
    const next = stage.waiter('next', 'beta')
    pool.run(3_000)
    // It knows the token that moved it already, and comes with it to a third server.
    assert(mover.valid === 1, 'it believes what its first server promised')
    stage.heal([mover.name], ['gamma'])
    for (let n = 0; n < 40; n++) {
      pool.run(500)
      const all = [...others, mover]
      assert(
        all.every(one => one.valid === 1),
        'each keeps its seat',
      )
    }
    assert(mover.own.server === 'gamma' && next.valid === 0)
  },
}

const repeated: PoolStory = {
  name: 'a repeated message at a relearning server eats nobody\u2019s seat',
  mutants: ['challenge-skipped', 'released-unseen-frees-another'],
  run() {
    const stage = new Stage(settings, { alpha: 0, beta: 2, gamma: 0 })
    const { pool } = stage
    stage.lead('gamma')
    const first = stage.holder('first', 'beta')
    const count = (what: string): number =>
      stage.said.filter(({ from, message }) => from === 'first' && message.subject.endsWith(what))
        .length
    assert(
      pool.runUntil(() => count('renew') > 0, 8_000),
      'it renews',
    )
    // Unanswered, so that it gives back by its id and then by its token.
    stage.loses = (from, subject) => from === 'beta' && subject.includes('.beta.release.')
    first.giveBack()
    assert(
      pool.runUntil(() => count('release') > 1, 3_000),
      'it gives back',
    )
    stage.loses = () => false
    first.end()
    const held = [stage.holder('one', 'beta'), stage.holder('other', 'beta')]
    const names = held.map(({ name }) => name)
    stage.cut(names, ['alpha', 'beta', 'gamma'])
    pool.crash('beta')
    pool.start('beta')
    assert(
      pool.runUntil(() => pool.server('beta').leaseUntil > 0, 5_000),
      'it serves again',
    )
    const next = stage.waiter('next', 'beta')
    // What the first one said, out of the network's memory: all that it said to keep its seat, and to give it back.
    for (const what of ['renew', 'release']) {
      for (const { from, message } of stage.said) {
        if (from !== 'first' || !message.subject.endsWith(what)) continue
        pool.broker.inject(from, message)
        pool.run(100)
        const { seats } = pool.server('beta').service.seats({ limit: 9 })
        assert.deepEqual(seats, [], 'nothing is learned for it')
      }
    }
    pool.run(500)
    stage.heal()
    for (let n = 0; n < 60; n++) {
      pool.run(500)
      assert(
        held.every(one => one.valid === 1 && one.lost === 0),
        'its seat is kept',
      )
    }
    assert.equal(next.valid, 0)
  },
}

const told = [takerDown, resumed, remembered, repeated, ...promiseStories, ...ruleStories]

export const poolStories: readonly PoolStory[] = told.map(story => ({
  ...story,
  run: () => {
    try {
      story.run()
    } finally {
      observe(undefined)
    }
  },
}))
