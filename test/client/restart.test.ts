/** A pool that is gone as a whole and starts again, as one client of it sees it. */
import t from 'tap'
import { subjects } from '../../lib/protocol/subject.ts'
import { refuse } from './scripted-server.ts'
import { World } from './world.ts'

/** Finds sent by the client, by when. */
function watchFinds(world: World): number[] {
  const at: number[] = []
  const subject = subjects('default').seat('any', 'find')
  world.broker.tap = (from, message) => {
    if (from === 'client' && message.subject === subject) at.push(world.time.now)
  }
  return at
}

/** Times between one and the next. */
function gaps(at: readonly number[]): number[] {
  return at.slice(1).map((time, n) => time - (at[n] ?? 0))
}

t.test('while the broker says that nobody listens one find is sent every 200 ms', async t => {
  const world = new World()
  const finds = watchFinds(world)
  world.ask({ waitMs: 60_000 })
  world.time.run(10_000)
  const later = gaps(finds).slice(2)
  t.ok(later.length > 35, `${later.length} finds`)
  t.ok(Math.min(...later) >= 150 - 1, `${Math.min(...later)} ms at least`)
  t.ok(Math.max(...later) <= 250 + 50, `${Math.max(...later)} ms at most, and the timer's lag`)
})

t.test('so it is while servers answer that they do not serve', async t => {
  const world = new World()
  world.server('alpha').serving = false
  const finds = watchFinds(world)
  world.ask({ waitMs: 60_000 })
  world.time.run(10_000)
  t.ok(Math.min(...gaps(finds).slice(2)) >= 150 - 1)
})

t.test('where nothing comes back at all three are sent every half second', async t => {
  const world = new World()
  const mute = world.broker.connect('mute', world.clock)
  mute.subscribe(subjects('default').seat('any', 'find'), () => {})
  const finds = watchFinds(world)
  world.ask({ waitMs: 60_000 })
  world.time.run(10_000)
  const rounds = new Set(finds.slice(3)).size
  t.equal(finds.slice(3).length / rounds, 3)
  t.ok(rounds <= 10_000 / 375, `${rounds} rounds`)
})

t.test('a seat waits for its own server before another is asked to take it', async t => {
  const world = new World()
  const a = world.server('alpha')
  const hold = world.at(a).hold()
  a.kill()
  const asked = world.ask({ waitMs: 60_000 })
  world.time.run(3_000)
  const b = world.server('beta')
  world.time.runUntil(() => world.core.server === 'beta', 1_000)
  const a2 = world.server('alpha')
  world.time.run(1_000)
  t.equal(
    asked.outcome?.ok === true && asked.outcome.hold.server(),
    'beta',
    'what is new does not wait',
  )
  t.equal(b.renewals.length, 0)
  t.equal(a2.renewals.length, 1)
  t.equal(hold.server(), 'alpha')
  t.strictSame(world.moved, [])
  t.strictSame(world.lost, [])
})

t.test('it goes on waiting while its client looks for other servers', async t => {
  const world = new World()
  const a = world.server('alpha')
  const hold = world.at(a).hold()
  a.kill()
  const asked = world.ask({ waitMs: 60_000 })
  world.time.run(3_000)
  const b = world.server('beta')
  b.onAcquire = ({ requestId }) => refuse(requestId, 'LICD_TOO_BUSY')
  world.time.runUntil(() => world.core.server === 'beta', 1_000)
  world.time.runUntil(() => b.acquires.length === 1, 1_000)
  b.onAcquire = item => b.grant(item)
  world.server('alpha')
  world.time.run(3_000)
  t.equal(asked.outcome?.ok, true)
  t.equal(b.renewals.length, 0, 'found again, the home is not asked for it')
  t.equal(hold.server(), 'alpha')
})

t.test('its own server does not come back: it moves, 0.6 s later at most', async t => {
  const world = new World()
  const a = world.server('alpha')
  const hold = world.at(a).hold()
  a.kill()
  world.ask({ waitMs: 60_000 })
  world.time.run(3_000)
  world.server('beta')
  world.time.runUntil(() => world.core.server === 'beta', 1_000)
  const foundAt = world.time.now
  world.time.runUntil(() => hold.server() === 'beta', 5_000)
  const waitedMs = world.time.now - foundAt
  t.ok(waitedMs >= 200 && waitedMs <= 600 + 60, `${waitedMs} ms`)
})

t.test('a seat that would be over soon waits for nobody', async t => {
  const world = new World()
  const a = world.server('alpha')
  a.ttlMs = 6_000
  const hold = world.at(a).hold()
  a.kill()
  world.ask({ waitMs: 60_000 })
  world.time.run(2_500)
  world.server('beta')
  world.time.runUntil(() => hold.server() === 'beta', 300)
  t.equal(hold.server(), 'beta')
})
