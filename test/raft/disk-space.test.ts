/**
 * A disk that is about to be full, while there is still time to hand over.
 */
import assert from 'node:assert/strict'
import t from 'tap'
import { lowBytes, SpaceWatch } from '../../raft/disk-space.ts'
import { memoryStorage, openLevelStorage, silentLogger } from '../../raft/index.ts'
import { close } from './stored.ts'
import { World, worldSettings } from './world.ts'

t.test(
  'a leader with little space hands over, at most three times a minute; others say so',
  async t => {
    let free = lowBytes
    let leads = true
    const told: string[] = []
    const watch = new SpaceWatch({
      storage: { ...memoryStorage(), freeBytes: done => done(free) },
      log: { ...silentLogger, error: event => told.push(event) },
      leads: () => leads,
      onLow: () => told.push('handed over'),
    })
    watch.beat(50)
    t.strictSame(told, [], 'looked at once, and there is enough')
    free--
    watch.beat(4_900)
    t.strictSame(told, [], 'not every beat')
    watch.beat(200)
    t.strictSame(told, ['raft-disk-low', 'handed over'])
    watch.beat(5_000)
    t.strictSame(told.slice(2), ['handed over'], 'still in office, it tries again')
    for (let ms = 0; ms < 50_000; ms += 5_000) watch.beat(5_000)
    t.equal(told.length, 4)
    leads = false
    watch.beat(5_000)
    t.strictSame(told.slice(4), ['raft-disk-low'])
  },
)

t.test(
  'with work under way, too, its office goes on to another within a few heartbeats',
  async t => {
    const world = new World(11)
    world.found(['a', 'b', 'c'])
    world.until(() => world.leader !== undefined)
    const { leader } = world
    assert(leader !== undefined, 'no leader')
    let asked = 0
    leader.freeBytes = lowBytes - 1
    const others = [...world.processes.values()].filter(one => one !== leader)
    const next = () => others.find(({ node }) => node.status.role === 'leader')
    // One change every 5 ms, each on its way for longer than that: there never is a moment without.
    while (next() === undefined && world.now < 30_000) {
      world.propose(leader, `change ${++asked}`)
      world.run(5)
    }
    t.ok(world.until(() => next()?.node.status.quorate === true, 1))
    const refused = [...leader.outcomes.values()].filter(({ outcome }) => outcome !== 'committed')
    t.ok(refused.length * 5 < 3 * worldSettings.heartbeatMs, `${refused.length} were not taken`)
    t.match(refused[0], {
      ...{ outcome: 'refused', reason: 'transferring', retryAfterMs: worldSettings.heartbeatMs },
    })
  },
)

t.test('a disk that does not answer is asked once', async t => {
  let asked = 0
  const onLow = (): void => void t.fail('nothing is known')
  const storage = { ...memoryStorage(), freeBytes: () => void asked++ }
  const watch = new SpaceWatch({ storage, log: silentLogger, leads: () => true, onLow })
  for (let n = 0; n < 10; n++) watch.beat(5_000)
  t.equal(asked, 1)
  const silent = { storage: memoryStorage(), log: silentLogger, leads: () => true, onLow }
  new SpaceWatch(silent).beat(50)
})

t.test('a folder tells', async t => {
  const storage = await openLevelStorage(t.testdir())
  const bytes = await new Promise<number>(resolve => storage.freeBytes?.(resolve))
  t.ok(bytes > 0, String(bytes))
  await close(storage)
})
