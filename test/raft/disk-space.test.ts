/**
 * A disk that is about to be full, while there is still time to hand over.
 */
import t from 'tap'
import { lowBytes, SpaceWatch } from '../../raft/disk-space.ts'
import { memoryStorage, openLevelStorage, silentLogger } from '../../raft/index.ts'
import { close } from './stored.ts'

t.test(
  'a leader with little space steps down, at most three times a minute; others say so',
  async t => {
    let free = lowBytes
    let leads = true
    const told: string[] = []
    const watch = new SpaceWatch({
      storage: { ...memoryStorage(), freeBytes: done => done(free) },
      log: { ...silentLogger, error: event => told.push(event) },
      leads: () => leads,
      onLow: () => told.push('stepped down'),
    })
    watch.beat(50)
    t.strictSame(told, [], 'looked at once, and there is enough')
    free--
    watch.beat(4_900)
    t.strictSame(told, [], 'not every beat')
    watch.beat(200)
    t.strictSame(told, ['raft-disk-low', 'stepped down'])
    watch.beat(5_000)
    t.strictSame(told.slice(2), ['stepped down'], 'elected again, it tries again')
    for (let ms = 0; ms < 50_000; ms += 5_000) watch.beat(5_000)
    t.equal(told.length, 4)
    leads = false
    watch.beat(5_000)
    t.strictSame(told.slice(4), ['raft-disk-low'])
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
