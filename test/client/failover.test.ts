import t from 'tap'
import { subjects } from '../../lib/protocol/subject.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'
import { refuse, tokenText } from './scripted-server.ts'
import { World } from './world.ts'

t.test(
  'a killed server: nobody listens, the request and the seat go elsewhere at once (R6)',
  async t => {
    const world = new World()
    const a = world.server('alpha')
    const b = world.server('beta')
    const hold = world.at(a).hold()
    b.onRenew = item => (item.confirm === undefined ? b.challenge(item) : b.renew(item))
    a.kill()
    const asked = world.ask()
    world.time.run(20)
    t.equal(asked.outcome?.ok === true && asked.outcome.hold.server(), 'beta')
    t.equal(hold.server(), 'beta', 'confirmed within round trips')
    t.strictSame(world.moved, ['beta'])
    const [first, second] = b.renewals
    t.equal(first?.items[0]?.failover, true)
    t.equal(tokenText(first?.items[0]?.token), 'alpha-1')
    t.equal(tokenText(second?.items[0]?.confirm), 'nonce-beta')
    world.time.run(20_000)
    t.equal(b.renewals.at(-1)?.items[0]?.failover, false, 'at home there from then on')
    t.equal(world.lost.length, 0)
  },
)

t.test('the hint that a server is gone makes its clients look at once', async t => {
  const world = new World()
  const a = world.server('alpha')
  world.server('beta')
  const hold = world.at(a).hold()
  a.kill()
  const other = world.broker.connect('gamma', new VirtualClock(world.time))
  other.publish(subjects('default').goneEvent('alpha'), new Uint8Array(0))
  world.time.run(200)
  t.equal(hold.server(), 'beta')
})

t.test('a hung server is left after two seconds; its late answers are not heard', async t => {
  const world = new World()
  const a = world.server('alpha')
  const b = world.server('beta')
  const hold = world.at(a).hold()
  a.onRenew = () => undefined
  a.onAcquire = () => undefined
  world.time.runUntil(() => a.renewals.length === 1, 15_000)
  const silentAt = world.time.now
  world.time.runUntil(() => hold.server() === 'beta', 5_000)
  t.ok(world.time.now - silentAt < 2_600, `left after ${world.time.now - silentAt} ms`)
  t.equal(a.renewals.length, 2, 'asked twice')
  const before = hold.remainingMs()
  const first = a.renewals[0]
  const item = first?.items[0]
  if (first === undefined || item === undefined) throw new Error('Nothing was asked.')
  a.ttlMs = 500_000
  a.say(first, [a.renew(item)])
  world.time.run(10)
  t.ok(hold.remainingMs() < before)
  world.time.run(11_000)
  t.match(tokenText(b.renewals.at(-1)?.items[0]?.token), /^beta-/)
})

t.test(
  'a late answer of the old server makes nobody release a seat that was moved (R6, pool seed 329)',
  async t => {
    const world = new World()
    const a = world.server('alpha')
    const b = world.server('beta')
    const hold = world.at(a).hold()
    b.onRenew = item => (item.confirm === undefined ? b.challenge(item) : b.renew(item))
    a.onRenew = () => undefined
    world.time.runUntil(() => hold.server() === 'beta', 20_000)
    t.equal(hold.server(), 'beta')
    const [asked] = a.renewals
    const item = asked?.items[0]
    if (asked === undefined || item === undefined) throw new Error('Nothing was asked.')
    hold.release()
    world.time.run(2_000)
    t.equal(b.releases.length, 1)
    // Alpha does not know of the move yet: what it would set free is in use at beta, or given on.
    a.say(asked, [a.renew(item)])
    const [acquired] = a.acquires
    const request = acquired?.items[0]
    if (acquired !== undefined && request !== undefined) a.say(acquired, [a.grant(request)])
    world.time.run(2_000)
    t.equal(a.releases.length, 0)
  },
)

t.test(
  'an unfinished move: nothing is said to the old server until its outcome is known (R6)',
  async t => {
    for (const isMoved of [true, false]) {
      const world = new World()
      const a = world.server('alpha')
      const b = world.server('beta')
      const hold = world.at(a).hold()
      let confirmed = false
      let mute = false
      b.onRenew = item => {
        if (mute) return undefined
        if (item.confirm === undefined) {
          return confirmed && isMoved ? b.renew(item) : b.challenge(item)
        }
        confirmed = true
        mute = true
        return undefined
      }
      a.onRenew = () => undefined
      world.time.runUntil(() => confirmed, 20_000)
      // Alpha is back; beta is silent after it was told to go on.
      a.onRenew = item => a.renew(item)
      const renewedBefore = a.renewals.length
      let released = false
      hold.release(() => (released = true))
      t.equal(hold.remainingMs(), 0)
      world.time.run(3_000)
      t.equal(a.renewals.length, renewedBefore)
      t.equal(a.releases.length, 0)
      t.equal(released, false)
      mute = false
      world.time.run(8_000)
      const at = isMoved ? b : a
      const other = isMoved ? a : b
      t.equal(at.releases.length, 1, `it was ${at.name} that had it`)
      t.match(tokenText(at.releases[0]?.items[0]?.token), at.name)
      t.equal(other.releases.length, 0)
      t.equal(released, true)
    }
  },
)

t.test('pending: asked again there; the outcome comes late', async t => {
  const world = new World()
  const a = world.server('alpha')
  const b = world.server('beta')
  const hold = world.at(a).hold()
  b.onRenew = item =>
    item.confirm === undefined ? b.challenge(item) : { kind: 'pending', seatId: item.seatId }
  a.kill()
  world.ask()
  world.time.run(5_000)
  t.equal(hold.server(), 'alpha')
  const asks = b.renewals.length
  t.ok(asks >= 4 && asks <= 5, `asked ${asks} times`)
  const newest = b.renewals.at(-1)
  const item = newest?.items[0]
  if (newest === undefined || item === undefined) throw new Error('Nothing was asked.')
  b.say(newest, [b.renew(item)])
  world.time.run(10)
  t.equal(hold.server(), 'beta')
})

t.test(
  'a refused move leaves the seat where it is: back there, or elsewhere, never invalid',
  async t => {
    const world = new World()
    const a = world.server('alpha')
    const b = world.server('beta')
    const hold = world.at(a).hold()
    b.onRenew = ({ seatId }) => refuse(seatId, 'LICD_NO_MOVE_NOW')
    a.onRenew = () => undefined
    world.time.runUntil(() => b.renewals.length > 0, 20_000)
    a.onRenew = item => a.renew(item)
    world.time.run(40_000, () => {
      if (hold.remainingMs() === 0) throw new Error('Not valid for a moment.')
    })
    t.equal(hold.server(), 'alpha')
    t.equal(world.lost.length, 0)
  },
)

t.test(
  'a seat goes back to its own server when another says that it serves again (R7)',
  async t => {
    const world = new World()
    const a = world.server('alpha')
    const b = world.server('beta')
    const hold = world.at(a).hold()
    b.onRenew = ({ seatId }) => refuse(seatId, 'LICD_NO_MOVE_NOW')
    a.kill()
    world.ask()
    world.time.run(3_400)
    t.ok(b.renewals.length >= 3 && b.renewals.length <= 5, `asked ${b.renewals.length} times`)
    const again = world.server('alpha')
    again.incarnation = 2
    again.serving = false
    b.onRenew = ({ seatId }) => refuse(seatId, 'LICD_NO_MOVE_NOW', { server: 'alpha' })
    world.time.run(1_100)
    t.equal(again.renewals.length, 1)
    t.equal(again.renewals[0]?.items[0]?.failover, false)
    t.equal(hold.server(), 'alpha')
    t.equal(world.moved.length, 0)
  },
)

t.test('who is sent back to a server that is not there moves after all', async t => {
  const world = new World()
  const a = world.server('alpha')
  const b = world.server('beta')
  const hold = world.at(a).hold()
  a.kill()
  b.onRenew = item => {
    if (b.renewals.length <= 6) return refuse(item.seatId, 'LICD_NO_MOVE_NOW', { server: 'alpha' })
    return item.confirm === undefined ? b.challenge(item) : b.renew(item)
  }
  world.time.run(29_000, () => {
    if (hold.remainingMs() === 0) throw new Error('Not valid for a moment.')
  })
  t.equal(hold.server(), 'beta')
})

t.test('a busy server is not asked again while it answers what was sent before', async t => {
  const world = new World()
  const a = world.server('alpha')
  world.at(a).hold()
  a.onAcquire = () => undefined
  world.ask({ waitMs: 60_000 })
  world.time.run(10)
  const later = world.ask({ waitMs: 60_000 })
  world.time.run(10)
  const [early, late] = a.acquires.slice(-2)
  if (early === undefined || late === undefined) throw new Error('Nothing was asked.')
  for (let n = 0; n < 5; n++) {
    a.say(early, [])
    world.time.run(600)
  }
  t.equal(a.acquires.filter(({ batch }) => batch > late.batch).length, 0)
  t.equal(later.outcome, undefined)
  world.time.run(1_500)
  t.ok(a.acquires.filter(({ batch }) => batch > late.batch).length > 1, 'silent: both are lost')
})

t.test('a seat that was given on is looked for where it is said to be, then lost', async t => {
  const world = new World()
  const a = world.server('alpha')
  const b = world.server('beta')
  const hold = world.at(a).hold()
  a.onRenew = ({ seatId }) => refuse(seatId, 'LICD_SEAT_LOST', { server: 'beta' })
  world.time.run(12_000)
  t.equal(hold.server(), 'beta')
  t.equal(world.lost.length, 0)
  b.onRenew = ({ seatId }) => refuse(seatId, 'LICD_SEAT_LOST')
  world.time.run(12_000)
  t.strictSame(
    world.lost.map(({ code }) => code),
    ['LICD_SEAT_LOST'],
  )
  t.equal(hold.remainingMs(), 0)
})

t.test('one seat of several lost: the hold is over, the others are given back', async t => {
  const world = new World()
  const a = world.server('alpha')
  const hold = world.at(a).hold({ count: 3 })
  a.onRenew = item =>
    item.seatId.endsWith('/1') ? refuse(item.seatId, 'LICD_SEAT_LOST') : a.renew(item)
  world.time.run(12_000)
  t.equal(world.lost.length, 1)
  t.equal(hold.remainingMs(), 0)
  t.strictSame(
    a.releases.flatMap(({ items }) => items.map(({ seatId }) => seatId.split('/')[1])).sort(),
    ['0', '2'],
  )
})

t.test('a restarted server is home again at once, and its seats are learned anew', async t => {
  const world = new World()
  const a = world.server('alpha')
  const hold = world.at(a).hold()
  a.kill()
  world.ask({ waitMs: 5_000 })
  world.time.run(500)
  const again = world.server('alpha')
  again.incarnation = 2
  again.onRenew = item => (item.confirm === undefined ? again.challenge(item) : again.renew(item))
  world.time.run(1_500)
  t.equal(again.renewals[0]?.items[0]?.failover, false)
  t.ok(hold.remainingMs() > 28_000)
})

t.test('a host lost with its broker: its server is not waited for once more', async t => {
  const world = new World()
  const a = world.server('alpha')
  const b = world.server('beta')
  const hold = world.at(a).hold()
  b.onRenew = item => (item.confirm === undefined ? b.challenge(item) : b.renew(item))
  // Nobody says anything, and nobody says that nobody is there.
  a.onRenew = () => undefined
  a.serving = false
  world.bus.setLink(false)
  world.time.run(1_500)
  world.bus.setLink(true)
  const backAt = world.time.now
  t.ok(world.time.runUntil(() => hold.server() === 'beta', 5_000))
  t.ok(world.time.now - backAt < 1_100, `moved after ${world.time.now - backAt} ms`)
  t.ok(a.renewals.length > 0, 'it was asked')

  // It stays left though the link breaks again.
  const asked = a.renewals.length
  world.bus.setLink(false)
  world.time.run(100)
  world.bus.setLink(true)
  world.time.run(3_000)
  t.equal(a.renewals.length, asked)
  t.equal(hold.server(), 'beta')
  t.strictSame(world.lost, [])
})

t.test(
  'a server that lives when the link is back is stayed with, though it takes its time',
  async t => {
    const world = new World()
    const a = world.server('alpha')
    const b = world.server('beta')
    const hold = world.at(a).hold()
    let mute = true
    a.onRenew = item => (mute ? undefined : a.renew(item))
    world.bus.setLink(false)
    world.time.run(1_500)
    world.bus.setLink(true)
    world.time.runUntil(() => a.renewals.length > 0, 1_000)
    world.time.run(500)
    mute = false
    const [first] = a.renewals
    const item = first?.items[0]
    if (first === undefined || item === undefined) throw new Error('Nothing was asked.')
    a.say(first, [a.renew(item)])
    world.time.run(5_000)
    t.equal(hold.server(), 'alpha')
    t.equal(b.renewals.length, 0)

    // Heard since, it has the patience of before again.
    a.onRenew = () => undefined
    const asked = a.renewals.length
    world.time.runUntil(() => a.renewals.length > asked, 15_000)
    world.time.run(1_500)
    t.equal(hold.server(), 'alpha')
    t.ok(world.time.runUntil(() => hold.server() === 'beta', 2_000))
  },
)

t.test('a seat that nobody renewed says what the last refusal was', async t => {
  const world = new World()
  const a = world.server('alpha')
  world.at(a).hold()
  a.onRenew = ({ seatId }) => refuse(seatId, 'LICD_NO_LEASE')
  world.time.run(31_000)
  t.match(world.lost, [
    { code: 'LICD_SEAT_LOST', detail: /expired\. The last refusal was LICD_NO_LEASE\.$/ },
  ])
  a.onRenew = () => undefined
  world.hold()
  world.time.run(31_000)
  t.match(world.lost.slice(1), [{ detail: 'No server renewed the seat before it expired.' }])
})
