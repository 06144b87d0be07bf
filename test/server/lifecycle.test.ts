import { unpack } from 'msgpackr'
import t from 'tap'
import { memoryStorage, silentLogger, defaultSettings } from '../../raft/index.ts'
import type { LicdError } from '../../lib/error.ts'
import { judge } from '../../lib/code/judge.ts'
import { encodeClaim } from '../../lib/server/peer-codec.ts'
import { LicenseServer } from '../../lib/server/server.ts'
import { simulatePool, type PoolOptions, type SimulatedPool } from '../sim/pool.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import { idleService, type IdleService } from './idle-service.ts'

const three = ['alpha', 'beta', 'gamma']

function makePool(options: Partial<PoolOptions> = {}) {
  const services = new Map<string, IdleService>()
  const pool = simulatePool({
    seed: 2,
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
  pool.startAll()
  pool.settle()
  return { pool, service }
}

const leaderOf = (pool: SimulatedPool): string => pool.leader?.server ?? ''

t.test('a clean stop writes the book, for the very next incarnation', async t => {
  const { pool, service } = makePool()
  for (const name of three) service(name).book = new Uint8Array(5)
  const leader = leaderOf(pool)
  t.ok(pool.stop(leader), 'the leader stops')
  t.ok(
    pool.runUntil(() => pool.leader !== undefined, 500),
    'and its office was handed over, without an election timeout',
  )
  t.match(pool.book(leader), { incarnation: 1 })
  pool.run(2_000)
  pool.start(leader)
  t.ok(pool.settle())
  t.equal(pool.book(leader), undefined, 'consumed')
  t.strictSame(service(leader).calls, ['read ahead 5', 'start 2 relearn book 5'])

  service(leader).book = new Uint8Array(6)
  pool.stop(leader)
  pool.run(40_000)
  pool.start(leader)
  t.ok(pool.settle())
  t.strictSame(service(leader).calls, ['read ahead 6', 'start 3'], 'void: it was down meanwhile')

  service(leader).book = new Uint8Array(7)
  pool.stop(leader)
  pool.start(leader)
  pool.run(3)
  pool.crash(leader)
  pool.start(leader)
  t.ok(pool.settle())
  t.strictSame(service(leader).calls, ['start 4 relearn'], 'taken by a start that came to nothing')
})

t.test('a stop without a leader ends all the same; so does one before it serves', async t => {
  const { pool, service } = makePool()
  const [first, second, third] = three
  pool.crash(first ?? '')
  pool.crash(second ?? '')
  service(third ?? '').stop = () => {} // its returns never come through
  t.ok(pool.stop(third ?? '', 20_000))
  pool.start(third ?? '')
  pool.run(1_000)
  t.ok(pool.stop(third ?? '', 20_000))
  pool.start(first ?? '')
  t.ok(pool.stop(first ?? '', 20_000), 'at once')
})

t.test(
  'a suspended host: its lease ends when it wakes, and the next tick gives another',
  async t => {
    const { pool } = makePool()
    pool.run(2_000)
    const name = three.find(n => n !== leaderOf(pool)) ?? ''
    const { server, clock } = pool.process(name) ?? {}
    if (server === undefined || clock === undefined) throw new Error(name)
    t.ok(server.leaseUntil > clock.now())
    clock.pause(true)
    pool.run(5_000)
    clock.resume()
    t.equal(server.leaseUntil, 0, 'the monotonic clock stood: what it says is worth nothing')
    t.ok(
      pool.runUntil(() => server.leaseUntil > clock.now(), 3_000),
      'a keepalive of now does',
    )
    t.equal(server.incarnation, 1)
  },
)

t.test('a jump of the wall clock moves no lease', async t => {
  const { pool } = makePool()
  pool.run(2_000)
  for (const name of three) pool.process(name)?.clock.jumpWall(3_600_000)
  for (const server of pool.running) t.ok(server.leaseUntil > server.clock.now())
  const before = pool.server('alpha').ledger.state.calendar
  pool.run(3_000)
  const moved = pool.server('alpha').ledger.state.calendar - before
  t.ok(moved > 60_000 && moved <= 4 * 60_000, 'the calendar follows a minute a tick (R10)')
})

t.test('the link to NATS lost for a minute: everything goes on when it is back', async t => {
  const { pool, service } = makePool()
  pool.run(2_000)
  for (const name of three) pool.process(name)?.bus.setLink(false)
  pool.run(60_000)
  t.ok(pool.running.every(server => server.leaseUntil <= server.clock.now()))
  t.equal(pool.leader, undefined)
  for (const name of three) pool.process(name)?.bus.setLink(true)
  t.ok(pool.settle(15_000))
  for (const name of three) {
    t.equal(pool.process(name)?.fatal, undefined)
    t.strictSame(service(name).calls, ['start 1'], 'no tick passed, so no incarnation is over')
  }
  t.match(
    pool.ask('feature-add', {
      id: 'a',
      by: 'test',
      timeoutMs: 5_000,
      feature: 'cad',
      allocations: 1,
    }),
    { ok: true },
  )
})

/** Another process under the name of a server, on a disk of its own. */
function usurp(pool: SimulatedPool, name: string) {
  const { bus, clock } = pool.connect(`${name}-twin`)
  let fatal: LicdError | undefined
  const server = new LicenseServer({
    identity: {
      pool: 'simulated',
      server: name,
      fingerprint: pool.fingerprint,
      clusterId: 'simulated-cluster',
      macKeys: [pool.macKey],
    },
    bus,
    clock,
    random: new SeededRandom('twin'),
    storage: memoryStorage({ schedule: run => void clock.after(1, run) }),
    raft: defaultSettings,
    books: { take: done => done(undefined), write: (_book, done) => done() },
    judge,
    createService: idleService,
    log: silentLogger,
    onFatal: error => (fatal = error),
  })
  server.start()
  return { server, fatal: () => fatal }
}

t.test('a second process of one name does not run', async t => {
  const { pool, service } = makePool()
  const twin = usurp(pool, 'beta')
  t.ok(pool.runUntil(() => twin.fatal() !== undefined, 5_000))
  t.equal(twin.fatal()?.code, 'LICD_DUPLICATE_SERVER')
  pool.run(3_000)
  t.equal(pool.process('beta')?.fatal, undefined, 'the first one goes on')
  t.strictSame(service('beta').calls, ['start 1'])
})

t.test('... nor does it go on when they could not hear each other at first', async t => {
  const { pool } = makePool()
  pool.broker.cut('beta-twin', 'beta')
  pool.broker.cut('beta', 'beta-twin')
  const twin = usurp(pool, 'beta')
  pool.run(3_000)
  t.equal(twin.fatal(), undefined)
  pool.broker.heal('beta-twin', 'beta')
  pool.broker.heal('beta', 'beta-twin')
  // Said by hand, so that it is heard at once: with an empty disk it has to learn the log before its own `hello`.
  pool.server('alpha').submit({ type: 'hello', server: 'beta', bootId: 'twin' }, {}, () => {})
  t.ok(
    pool.runUntil(() => twin.fatal() !== undefined, 5_000),
    'the younger one stops',
  )
  t.equal(twin.fatal()?.code, 'LICD_DUPLICATE_SERVER')
  t.ok(pool.settle())
  t.equal(pool.process('beta')?.fatal, undefined)
  const { incarnation } = pool.server('beta')
  t.ok(incarnation >= 3, 'the older one has a new incarnation')
  t.ok(incarnation < 30, 'and they did not fill the log with theirs')
})

t.test('a late word of a run that is gone stops nobody', async t => {
  const { pool } = makePool()
  const { bus } = pool.connect('delayed')
  const subject = pool.subjects.peer('beta', 'claim')
  const said: Uint8Array[] = []
  const listener = pool.connect('listener').bus
  listener.subscribe(subject, ({ data }) => void said.push(data))
  pool.crash('beta')
  const bootId = 'gone'
  pool.server('alpha').submit({ type: 'hello', server: 'beta', bootId }, {}, () => {})
  pool.start('beta')
  t.ok(pool.settle())
  const before = pool.server('beta').incarnation
  // Of the run before and of one that never got an incarnation, as announcement and as question.
  for (const since of [1, 0]) {
    const claim = encodeClaim({ server: 'beta', bootId, since })
    bus.publish(subject, claim)
    bus.publish(subject, claim, { reply: `${bus.inbox}.claim` })
  }
  pool.run(3_000)
  t.equal(pool.process('beta')?.fatal, undefined)
  // Its last `hello` may stand in the log after ours: the run is over, the process is not.
  pool.server('alpha').submit({ type: 'hello', server: 'beta', bootId: 'late' }, {}, () => {})
  t.ok(pool.runUntil(() => pool.server('beta').incarnation > before, 10_000))
  t.equal(pool.process('beta')?.fatal, undefined)
  t.ok(said.length < 20, `${said.length} words about it`)
})

t.test('a server whose key is of another pool stops, and says why', async t => {
  const { pool } = makePool({ servers: ['alpha'] })
  pool.stop('alpha')
  Object.defineProperty(pool, 'fingerprint', { value: 'another' })
  const process = pool.start('alpha')
  t.ok(pool.runUntil(() => process.fatal !== undefined, 10_000))
  t.equal(process.fatal?.code, 'LICD_WRONG_POOL')
})

t.test('events tell of roles, leases and servers that are gone', async t => {
  const { pool } = makePool()
  const seen: string[] = []
  const { bus } = pool.connect('watcher')
  bus.subscribe(pool.subjects.events, ({ subject, data }) => {
    const event = unpack(data) as { server: string; event?: string }
    seen.push(`${subject.split('.')[4]} ${event.server} ${event.event ?? ''}`.trim())
  })
  pool.run(10)
  const dead = leaderOf(pool)
  pool.crash(dead)
  pool.run(3_500)
  t.ok(seen.includes(`gone ${dead}`), 'a hint, so that its clients need not wait')
  const next = leaderOf(pool)
  t.ok(seen.includes(`server ${next} leader`))
  pool.run(5_000)
  const hints = seen.filter(text => text.startsWith('gone')).length
  pool.run(20_000)
  t.equal(seen.filter(text => text.startsWith('gone')).length, hints, 'no more once it is silent')
  pool.start(dead)
  pool.settle()
  pool.run(10)
  t.ok(seen.includes(`server ${dead} started`) && seen.includes(`server ${dead} lease`))
  pool.stop(dead)
  pool.run(10)
  t.ok(seen.includes(`server ${dead} stopping`))
})

t.test('a change of tickMs: no lease counts on ticks that may still come as before', async t => {
  const { pool } = makePool()
  pool.run(3_000)
  const server = pool.server(three.find(name => name !== leaderOf(pool)) ?? '')
  const settings = { tickMs: 10_000, leaseTicks: 30, seatTicks: 30 }
  pool.ask(
    'settings-set',
    { id: 's', by: 'test', timeoutMs: 5_000, settings },
    { at: server.server },
  )
  const { tick } = server.ledger.state
  const left = (): number => server.leaseUntil - server.clock.now()
  for (let n = 1; n <= 3; n++) {
    pool.runUntil(() => server.ledger.state.tick === tick + n, 60_000)
    t.ok(left() > 19_000 && left() < 29_500, `by the shorter of the two: ${left()}`)
  }
  pool.runUntil(() => server.ledger.state.tick === tick + 4, 60_000)
  t.ok(left() > 280_000 && left() < 295_000, `then by the new one: ${left()}`)
})
