import { unpack } from 'msgpackr'
import t from 'tap'
import type { CommandBody } from '../../lib/ledger/command.ts'
import type { SyncEvent, ServerEvent } from '../../lib/protocol/event.ts'
import type { Outcome } from '../../lib/server/parts.ts'
import { simulatePool, type PoolOptions, type SimulatedPool } from '../sim/pool.ts'
import { idleService, type IdleService } from './idle-service.ts'

const three = ['alpha', 'beta', 'gamma']
const change = { by: 'test', timeoutMs: 5_000 }

function makePool(options: Partial<PoolOptions> = {}) {
  const services = new Map<string, IdleService>()
  const pool = simulatePool({
    seed: 1,
    servers: three,
    ...options,
    createService(host) {
      const service = idleService(host)
      services.set(host.server, service)
      return service
    },
  })
  const service = (name: string): IdleService => {
    const found = services.get(name)
    if (found === undefined) throw new Error(name)
    return found
  }
  return { pool: pool.startAll(), service }
}

function leaderOf(pool: SimulatedPool): string {
  const { leader } = pool
  if (leader === undefined) throw new Error('no leader')
  return leader.server
}

/** Nothing passes between `name` and the other servers any more, or again. */
function isolate(pool: SimulatedPool, name: string, heal = false): void {
  for (const other of three) {
    if (other === name) continue
    for (const [from, to] of [
      [name, other],
      [other, name],
    ] as const) {
      if (heal) pool.broker.heal(from, to)
      else pool.broker.cut(from, to)
    }
  }
}

function followersOf(pool: SimulatedPool): [string, string] {
  const [first, second] = pool.running.filter(s => !s.isLeader).map(s => s.server)
  if (first === undefined || second === undefined) throw new Error('no followers')
  return [first, second]
}

const borrow = (to: string, incarnation = 1): CommandBody => ({
  type: 'borrow',
  feature: 'cad',
  to,
  incarnation,
  needed: 1,
  wanted: 4,
  cause: 'request',
  queue: 0,
})

t.test('three servers elect, say hello, tick, and hold leases', async t => {
  const { pool, service } = makePool()
  t.ok(pool.settle(10_000), 'all serve within ten seconds')
  for (const name of three) t.strictSame(service(name).calls, ['start 1'])
  const { tick } = pool.server('alpha').ledger.state
  pool.run(20_000)
  const after = pool.server('alpha').ledger.state.tick
  t.ok(after - tick >= 18 && after - tick <= 20, `a tick a second, never sooner: ${after - tick}`)
  for (const server of pool.running) {
    const left = server.leaseUntil - server.clock.now()
    t.ok(left > 27_000 && left < 29_500, `${server.server} holds a lease: ${left}`)
    t.equal(server.ledger.serverState(server.server), 'up')
    const { health } = server.status()
    t.match(health, { trust: 'full', differing: [], lateMaxMs: 0 })
  }
})

t.test('a lease begins with hello: nobody waits for the first tick', async t => {
  const { pool } = makePool()
  t.ok(pool.settle(10_000), 'all hold leases')
  t.equal(pool.server('alpha').ledger.state.tick, 0, 'the pool clock has not moved')
  for (const { leaseUntil, clock, ledger } of pool.running) {
    const { leaseTicks, tickMs } = ledger.state.settings
    const left = leaseUntil - clock.now()
    t.ok(left > 0 && left <= leaseTicks * tickMs * 0.98, `counted from when it was said: ${left}`)
  }
})

t.test('pools of one, two and five', async t => {
  for (const servers of [['solo'], ['a', 'b'], ['a', 'b', 'c', 'd', 'e']]) {
    const { pool } = makePool({ servers })
    t.ok(pool.settle(15_000), `${servers.length} serve`)
    const request = { ...change, id: 'one', feature: 'cad', allocations: 5 }
    t.match(pool.ask('feature-add', request), { ok: true })
  }
})

t.test('one seed, one run', async t => {
  const trace = (): unknown => {
    const { pool } = makePool({ seed: 77 })
    pool.settle()
    pool.crash(leaderOf(pool))
    pool.run(20_000)
    return [pool.broker.counts, pool.running.map(({ applied }) => applied), pool.time.now]
  }
  t.strictSame(trace(), trace())
})

t.test('a command through a follower: synced everywhere, told everywhere, once', async t => {
  const { pool } = makePool()
  pool.settle()
  const events: SyncEvent[] = []
  const watcher = pool.connect('watcher')
  watcher.bus.subscribe(pool.subjects.syncEvent('*'), ({ data }) =>
    events.push(unpack(data) as SyncEvent),
  )
  pool.run(100)
  const [first, second] = followersOf(pool)
  const request = { ...change, id: 'add-cad', feature: 'cad', allocations: 30 }
  const added = pool.ask('feature-add', request, { at: first })
  t.match(added, { ok: true, server: first, duplicate: false })
  const again = pool.ask('feature-add', request, { at: second })
  t.match(again, { ok: true, server: second, duplicate: true }, 'repeated elsewhere: I4')
  pool.run(100)
  const revision = added?.ok ? added.revision : -1
  t.strictSame(events.map(({ server }) => server).sort(), three, 'each server told it once')
  for (const event of events) {
    t.match(event, { revision, features: [{ name: 'cad', allocations: 30 }], more: false })
    t.match(event.changes, [{ type: 'add-feature', feature: 'cad', by: 'test' }])
    t.equal(event.leader, event.server === leaderOf(pool))
  }
  for (const at of three) {
    t.match(pool.ask('status', {}, { at }), { ok: true, status: { revision, leader: /./ } })
  }
})

t.test('one id through two servers at once takes effect once', async t => {
  const { pool } = makePool()
  pool.settle()
  const outcomes: Outcome[] = []
  const body: CommandBody = { type: 'add-feature', feature: 'cad', allocations: 10 }
  for (const server of pool.running) server.submit(body, { id: 'same' }, o => outcomes.push(o))
  pool.server('alpha').submit(body, { id: 'same' }, o => outcomes.push(o))
  pool.run(3_000)
  t.equal(outcomes.length, 4)
  for (const outcome of outcomes) t.match(outcome, { type: 'applied', result: { ok: true } })
  t.equal(pool.server('beta').ledger.state.features.get('cad')?.allocations, 10)
  pool.server('alpha').submit(body, { id: 'same' }, o => outcomes.push(o))
  t.equal(outcomes.length, 4, 'never from within submit')
  pool.run(1)
  t.match(outcomes[4], { type: 'applied', duplicate: true })
})

t.test('the leader dies: another ticks on, commands go on, it comes back relearning', async t => {
  const { pool, service } = makePool()
  pool.settle()
  const dead = leaderOf(pool)
  const [first] = followersOf(pool)
  pool.crash(dead)
  const outcomes: Outcome[] = []
  const body: CommandBody = { type: 'add-feature', feature: 'cad', allocations: 10 }
  pool.server(first).submit(body, {}, o => outcomes.push(o))
  t.ok(
    pool.runUntil(() => outcomes.length > 0, 5_000),
    'a command sent to the dead reaches the next',
  )
  t.match(outcomes, [{ type: 'applied', result: { ok: true }, duplicate: false }])
  pool.run(5_000)
  t.equal(pool.server(first).ledger.serverState(dead), 'silent')
  pool.start(dead)
  t.ok(pool.settle())
  t.strictSame(service(dead).calls, ['start 2 relearn'])
  pool.crash(dead)
  pool.run(35_000)
  t.equal(pool.server(first).ledger.serverState(dead), 'down')
  pool.start(dead)
  t.ok(pool.settle())
  t.strictSame(service(dead).calls, ['start 3'], 'it was down: no seat of it can be left')
})

t.test('cut off: the lease ends first, then the incarnation; healed, it begins anew', async t => {
  const { pool, service } = makePool()
  pool.settle()
  pool.run(3_000)
  const events: ServerEvent[] = []
  const watcher = pool.connect('watcher')
  watcher.bus.subscribe(pool.subjects.serverEvent('*'), ({ data }) =>
    events.push(unpack(data) as ServerEvent),
  )
  const [lost, other] = followersOf(pool)
  isolate(pool, lost)
  const server = pool.server(lost)
  pool.run(25_000)
  t.ok(server.leaseUntil > server.clock.now(), 'it goes on from its share')
  t.equal(server.incarnation, 1)
  const ended = pool.runUntil(() => server.leaseUntil <= server.clock.now(), 10_000)
  t.ok(ended)
  t.not(pool.server(other).ledger.serverState(lost), 'down', 'before the ledger has it down')
  pool.run(10_000)
  t.equal(pool.server(other).ledger.serverState(lost), 'down')
  t.match(events.filter(e => e.server === lost).at(-1), { event: 'lease-lost', incarnation: 1 })
  isolate(pool, lost, true)
  t.ok(pool.settle())
  t.strictSame(service(lost).calls, ['start 1', 'ended', 'start 2'])
})

t.test('far behind: a snapshot, and what it says of a command that waits', async t => {
  const raft = { trailingEntries: 0 }
  const { pool, service } = makePool({ raft, snapshotEveryEntries: 20 })
  pool.settle()
  const [behind] = followersOf(pool)
  // It is heard and hears nothing of the log, but its command gets through.
  for (const name of three) if (name !== behind) pool.broker.cut(name, behind)
  const outcomes: Outcome[] = []
  const server = pool.server(behind)
  server.submit({ type: 'add-feature', feature: 'cad', allocations: 10 }, { id: 'x' }, o =>
    outcomes.push(o),
  )
  pool.run(29_000)
  t.strictSame(outcomes, [], 'it cannot know')
  for (const name of three) if (name !== behind) pool.broker.heal(name, behind)
  t.ok(pool.runUntil(() => outcomes.length > 0, 10_000))
  t.match(outcomes, [{ type: 'applied', result: { ok: true } }])
  t.ok(service(behind).calls.includes('installed'), 'by a snapshot')
  t.ok(pool.settle())
  t.equal(server.ledger.state.features.get('cad')?.allocations, 10)

  pool.crash(behind)
  pool.run(60_000)
  pool.start(behind)
  t.ok(pool.settle())
  t.strictSame(service(behind).calls, ['start 2'])
})

t.test('the leader offers its spare, lowered until the borrow is applied either way', async t => {
  const { pool, service } = makePool()
  pool.settle()
  pool.ask('feature-add', { ...change, id: 'f', feature: 'cad', allocations: 9 })
  pool.run(5_000)
  const leader = leaderOf(pool)
  const [to, other] = followersOf(pool)
  service(leader).spare = 2
  let atApply: number | undefined
  service(leader).applied = ({ id }) => {
    if (id === 'b1') atApply = service(leader).offers.size
  }
  const outcomes: Outcome[] = []
  pool.server(to).submit(borrow(to), { id: 'b1' }, o => outcomes.push(o))
  pool.runUntil(() => outcomes.length > 0, 3_000)
  t.match(outcomes, [
    {
      type: 'applied',
      result: { ok: true, taken: [{ source: 'offer', server: leader, count: 2 }] },
    },
  ])
  t.equal(atApply, 1, 'lowered while it was applied')
  pool.run(1_000)
  t.equal(service(leader).offers.size, 0, 'and settled then')

  pool.server(other).submit(borrow(other, 7), { id: 'b2' }, o => outcomes.push(o))
  pool.runUntil(() => outcomes.length > 1, 3_000)
  t.match(outcomes[1], { result: { ok: false, code: 'LICD_PAST_INCARNATION' } })
  t.equal(service(leader).offers.size, 0, 'settled by a refusal as well')

  isolate(pool, leader)
  pool.broker.heal(to, leader)
  pool.server(to).submit(borrow(to), { id: 'b3', deadlineTicks: 3 }, o => outcomes.push(o))
  pool.run(500)
  t.equal(service(leader).offers.size, 1, 'proposed by a leader that cannot commit')
  pool.broker.cut(to, leader)
  pool.run(20_000)
  t.equal(service(leader).offers.size, 1, 'cut off it cannot know: the promise stays')
  isolate(pool, leader, true)
  pool.run(5_000)
  t.equal(service(leader).offers.size, 0)
  t.equal(outcomes.length, 3)
})
