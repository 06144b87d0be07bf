/** How soon a pool whose servers all start at once has a leader. */
import assert from 'node:assert/strict'
import t from 'tap'
import { World, worldSettings } from './world.ts'

t.test(
  'a pool that starts as a whole has a leader within 7 heartbeats, whoever asks first',
  async t => {
    const { heartbeatMs } = worldSettings
    let slow = 0
    for (let seed = 1; seed <= 40; seed++) {
      const world = new World(seed)
      world.found(['a', 'b', 'c'])
      world.until(() => world.leader !== undefined)
      const { leader } = world
      assert(leader !== undefined)
      const behind = [...world.processes.values()].find(process => process !== leader)
      assert(behind !== undefined)
      world.crash(behind.id)
      world.propose(leader, 'x')
      world.run(10 * heartbeatMs)
      for (const id of [...world.processes.keys()]) if (id !== behind.id) world.crash(id)
      for (const id of ['a', 'b', 'c']) world.start(id)
      if (!world.until(() => world.leader !== undefined, 7 * heartbeatMs)) slow++
      else t.not(world.leader?.id, behind.id, 'not the one whose log is shorter')
    }
    t.ok(slow <= 2, `${slow} of 40 took longer`)
  },
)
