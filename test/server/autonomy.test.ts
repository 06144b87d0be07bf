/**
 * Autonomy (R3): a server that is alone serves from its share until its lease ends, says so, and then refuses by name.
 * Leases of hours with seats of half a minute, over virtual time.
 */
import t from 'tap'
import type { Hold } from '../../lib/client/core.ts'
import { codes } from '../../lib/error.ts'
import type { Settings } from '../../lib/ledger/command.ts'
import { simulatePool, type SimulatedPool } from '../sim/pool.ts'
import { user } from './pool-user.ts'

// Hours of virtual time are seconds of work, and more on a machine that has other work.
t.setTimeout(180_000)

const three = ['alpha', 'beta', 'gamma']
const hour = 3_600_000
/** Two hours, and half a minute. */
const long: Settings = { tickMs: 1_000, leaseTicks: 7_200, seatTicks: 30 }
/** Slow elections: for most of the time there is nobody to elect, and each try costs the simulation. */
const raft = { heartbeatMs: 500, electionTimeoutMs: 5_000 }

function makePool(settings: Settings = long): SimulatedPool {
  const pool = simulatePool({ seed: 17, servers: three, settings, raft }).startAll()
  pool.settle()
  const request = { by: 'test', timeoutMs: 5_000, id: 'cad', feature: 'cad', allocations: 9 }
  pool.ask('feature-add', request)
  pool.run(5_000)
  return pool
}

const believed = (holds: readonly Hold[]) => holds.filter(hold => hold.remainingMs() > 0).length

t.test('the majority gone: its share serves for the rest of a lease of two hours', async t => {
  const pool = makePool()
  const [first = '', second = '', alone = ''] = three
  const kept = user(pool, 'kept', alone)
  const hold = kept.hold()
  pool.crash(first)
  pool.crash(second)
  const since = pool.time.now
  pool.run(60_000)
  const server = pool.server(alone)
  const status = server.status()
  t.equal(status.leader, undefined)
  t.ok(status.tickAgeMs >= 59_000, 'how old its knowledge is')
  t.ok(status.leaseLeftMs > 1.8 * hour, 'how long it serves on')
  t.match(pool.ask('status', {}, { at: alone }), { ok: true, server: alone }, 'it answers alone')

  const others = user(pool, 'others', alone)
  const two = [others.hold(), others.hold()]
  t.match(others.refused(), { code: 'LICD_NO_SEAT' }, 'its share is used up')
  const why = pool.ask('why', { feature: 'cad' }, { at: alone })
  const tried = why?.ok === true ? why.denials[0]?.tried : undefined
  t.match(tried?.find(({ source }) => source === 'own share')?.why, 'owns 3: 3 in use')
  t.match(
    tried?.find(({ source }) => source === 'leader')?.why,
    /^no leader was heard for \d+ s: nothing can be borrowed$/,
  )
  // Seats come and go for the better part of an hour, some of them silently, and none stays dark: the clock alone ends them (R5).
  for (let n = 0; n < 5; n++) {
    const guest = user(pool, `guest-${n}`, alone)
    two[0]?.release()
    pool.run(500)
    const stays = guest.hold()
    t.ok(stays.remainingMs() > 20_000)
    guest.vanish()
    pool.run(60_000)
    t.equal(server.service.inUse('cad'), 2, 'its allocation is free again')
    two[0] = others.hold()
    pool.run(600_000)
  }
  t.equal(believed([hold, ...two]), 3, 'renewed all the time')
  t.ok(pool.time.now - since > 0.9 * hour)

  pool.runUntil(() => server.leaseUntil - server.clock.now() < 10_000, 2 * hour)
  t.ok(pool.time.now - since > 1.9 * hour && pool.time.now - since < 2 * hour)
  t.ok(hold.remainingMs() <= 10_500, 'no seat outlives its lease (R4)')
  pool.run(11_000)
  t.equal(believed([hold, ...two]), 0)
  const refused = user(pool, 'late', alone).refused()
  t.match(refused, {
    code: 'LICD_NO_LEASE',
    detail:
      /^Server gamma has not heard from a leader for \d+ min; it served from its share until its lease ended .* s ago\.$/,
  })
  t.match(codes.LICD_NO_LEASE, /majority/, 'and what to do')
  const after = pool.ask('why', { feature: 'cad' }, { at: alone })
  t.match(after, { standing: { grantsForMs: 0, reason: /has not heard from a leader/ } })

  pool.start(first)
  t.ok(pool.settle(), 'the majority is back')
  t.equal(user(pool, 'again', alone).hold().remainingMs() > 20_000, true)
})

t.test(
  'cut off from the others yet reached by its clients: the same, and no seat too many',
  async t => {
    const pool = makePool()
    const leader = pool.leader?.server ?? ''
    const alone = three.find(name => name !== leader) ?? ''
    const holds: Hold[] = []
    let most = 0
    pool.check = () => {
      most = Math.max(most, believed(holds))
      if (most > 9) throw new Error(`I3: ${most} seats are believed in`)
    }
    for (const name of three.filter(other => other !== alone)) {
      pool.broker.cut(alone, name)
      pool.broker.cut(name, alone)
    }
    pool.run(10_000)
    const inside = user(pool, 'inside', alone)
    for (let n = 0; n < 3; n++) holds.push(inside.hold())
    const outside = user(pool, 'outside', leader)
    for (let n = 0; n < 6; n++) holds.push(outside.hold())
    t.match(outside.refused(), { code: 'LICD_NO_SEAT' }, 'what it owns may be in use there')
    const silent = pool.server(leader).status().features[0]?.dark
    t.match(silent, [{ server: alone, kind: 'silent', count: 3 }])
    t.ok((silent?.[0]?.lastInMs ?? 0) > 1.9 * hour, 'the price of long leases')
    pool.run(600_000)
    t.equal(believed(holds), 9)
    for (const name of three.filter(other => other !== alone)) {
      pool.broker.heal(alone, name)
      pool.broker.heal(name, alone)
    }
    t.ok(pool.runUntil(() => pool.server(alone).status().tickAgeMs < 2_000, 30_000))
    pool.run(5_000)
    t.strictSame(pool.server(leader).status().features[0]?.dark, [])
    t.equal(believed(holds), 9)
    t.equal(pool.server(alone).incarnation, 1, 'it never was down')
  },
)

t.test('one way only: its own words are lost, and its lease ends all the same', async t => {
  const pool = makePool({ tickMs: 1_000, leaseTicks: 20, seatTicks: 10 })
  const leader = pool.leader?.server ?? ''
  const alone = three.find(name => name !== leader) ?? ''
  pool.broker.cut(alone, leader)
  pool.run(25_000)
  t.equal(pool.server(alone).status().leaseLeftMs, 0)
  t.match(pool.ask('why', { feature: 'cad' }, { at: alone }), {
    standing: { grantsForMs: 0, reason: /its lease ended \d/ },
  })
  t.ok(user(pool, 'mary', alone).hold().remainingMs() > 0, 'another server grants')
})
