/**
 * When followers hear that an entry is committed: at once where somebody may wait there for it, else with the entries that
 * come next or a moment later.
 */
import assert from 'node:assert/strict'
import t from 'tap'
import { World } from './world.ts'

/** What a message takes, and more; far less than the 20 ms that news may wait, and than a heartbeat's time. */
const soonMs = 15

function founded(seed: number) {
  const world = new World(seed)
  world.found(['a', 'b', 'c'])
  world.until(() => world.leader !== undefined)
  const { leader } = world
  assert(leader !== undefined, 'no leader')
  world.run(100)
  const followers = [...world.processes.values()].filter(one => one !== leader)
  const propose = (text: string, patient: boolean): void => {
    let isDone = false
    leader.node.propose(Buffer.from(text), ({ outcome }) => (isDone = outcome === 'committed'), {
      patient,
    })
    assert(
      world.until(() => isDone),
      'not committed',
    )
  }
  const known = (text: string): boolean =>
    followers.every(({ machine }) => machine.lines.includes(text))
  return { world, leader, propose, known }
}

t.test('a command that somebody may wait for elsewhere is told at once', async t => {
  const { world, propose, known } = founded(1)
  propose('x', false)
  world.run(soonMs)
  t.ok(known('x'))
})

t.test('one that nobody waits for is told with the next, or after a moment', async t => {
  const { world, propose, known } = founded(1)
  propose('x', true)
  t.notOk(known('x'), 'not with its answer')
  propose('y', true)
  t.ok(known('x'), 'with the next')
  t.notOk(known('y'))
  world.run(20 + soonMs)
  t.ok(known('y'), 'without a heartbeat')
})

t.test('a leader that stops owes nobody anything', async t => {
  const { world, leader, propose, known } = founded(2)
  propose('x', true)
  world.crash(leader.id)
  t.ok(
    world.until(() => known('x')),
    'its successor tells of it',
  )
})
