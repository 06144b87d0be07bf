// Who belongs to the pool, in the ledger: adding, roles, removal (R3), and a pool that begins anew (R11).
import t from 'tap'
import { Ledger } from '../../lib/ledger/ledger.ts'
import { Pool, codeOf } from './pool.ts'

const holdTicks = 0
const wallMs = 0

function setRole(pool: Pool, server: string, role: 'voter' | 'learner' | 'removed'): string {
  return codeOf(pool.run({ type: 'set-role', server, role }))
}

function add(pool: Pool, server: string, role: 'voter' | 'learner' = 'voter'): string {
  return codeOf(pool.run({ type: 'add-server', server, role }))
}

function hello(pool: Pool, server: string, bootId = 'first'): string {
  return codeOf(pool.run({ type: 'hello', server, bootId }))
}

t.test('a server that is added says hello and gets its part of what is free', async t => {
  const pool = new Pool()
  pool.run({ type: 'add-feature', feature: 'cad', allocations: 12 })
  t.equal(hello(pool, 'd'), 'LICD_UNKNOWN_SERVER')
  t.equal(add(pool, 'd', 'learner'), 'ok')
  t.equal(pool.server('d').role, 'learner')
  t.equal(add(pool, 'd', 'voter'), 'ok', 'adding what is there changes nothing')
  t.equal(pool.server('d').role, 'learner')
  t.equal(hello(pool, 'd'), 'ok')
  pool.tick()
  t.equal(pool.table(), 'free 0 a 3 b 3 c 3 d 3', 'learners own shares')
  t.equal(setRole(pool, 'd', 'voter'), 'ok')
  t.equal(add(pool, 'any'), 'LICD_BAD_REQUEST')
})

t.test(
  'a removed server keeps its share until it is down, then it goes to the free pool',
  async t => {
    const pool = new Pool()
    pool.run({ type: 'add-feature', feature: 'cad', allocations: 9 })
    pool.tick()
    t.equal(codeOf(pool.borrow('c', { needed: 5, wanted: 5, queue: 1 })), 'LICD_NO_SOURCE')
    t.equal(setRole(pool, 'c', 'removed'), 'ok')
    t.equal(pool.queue(), '', 'it waits for nothing')
    t.equal(codeOf(pool.borrow('c')), 'LICD_NOT_FUNCTIONING')
    t.equal(codeOf(pool.give('return', 'c', 1)), 'ok', 'it gives')
    t.equal(hello(pool, 'c', 'again'), 'LICD_SERVER_REMOVED')
    pool.ticks(10, ['a', 'b'])
    t.match(pool.table(), /c 2/, 'its lease may run')
    pool.ticks(2, ['a', 'b'])
    t.equal(pool.ledger.state.servers.has('c'), false)
    t.equal(pool.table(), 'free 1 a 4 b 4', 'what it owned is divided among those who stay')
    t.equal(setRole(pool, 'c', 'removed'), 'LICD_UNKNOWN_SERVER')
  },
)

t.test('a server that is added again has none of its earlier incarnations', async t => {
  const pool = new Pool().deal({ a: 2, b: 2, c: 2 })
  hello(pool, 'c', 'second')
  const proof = pool.proof('c', { lastTick: 1_000 })
  t.equal(pool.server('c').incarnation, 2)
  setRole(pool, 'c', 'removed')
  pool.ticks(20, ['a', 'b'])
  t.equal(add(pool, 'c'), 'ok')
  t.equal(
    codeOf(pool.borrow('a', { cause: 'update', move: proof, needed: 3, wanted: 3 })),
    'LICD_NO_SOURCE',
  )
  t.equal(hello(pool, 'c', 'third'), 'ok')
  t.equal(pool.server('c').incarnation, 3)
  t.equal(Ledger.restore(pool.ledger.snapshot()).state.incarnationFloor, 2)
})

t.test('a server that never ran, or is down, is forgotten at the next tick', async t => {
  const pool = new Pool({ servers: ['a', 'b'] })
  add(pool, 'c')
  t.equal(setRole(pool, 'c', 'removed'), 'ok')
  pool.tick()
  t.equal(pool.ledger.state.servers.has('c'), false)
})

t.test('one that is taken back before it is forgotten goes on', async t => {
  const pool = new Pool().deal({ a: 2, b: 2 })
  setRole(pool, 'b', 'removed')
  t.equal(setRole(pool, 'b', 'voter'), 'LICD_SERVER_REMOVED')
  t.equal(add(pool, 'b', 'learner'), 'ok')
  t.equal(pool.server('b').role, 'learner')
  pool.ticks(20)
  t.equal(pool.table(), 'free 0 a 2 b 2')
})

t.test('the last voter stays, and no more vote than may', async t => {
  const pool = new Pool({ servers: ['a', 'b'] })
  t.equal(setRole(pool, 'a', 'learner'), 'ok')
  t.equal(setRole(pool, 'b', 'learner'), 'LICD_LAST_VOTER')
  t.equal(setRole(pool, 'b', 'removed'), 'LICD_LAST_VOTER')
  for (const name of ['c', 'd', 'e', 'f', 'g', 'h']) t.equal(add(pool, name), 'ok')
  t.equal(add(pool, 'i'), 'LICD_TOO_MANY')
  t.equal(setRole(pool, 'a', 'voter'), 'LICD_TOO_MANY')
  for (let n = 0; n < 24; n++) t.equal(add(pool, `l${String(n)}`, 'learner'), 'ok')
  t.equal(add(pool, 'more', 'learner'), 'LICD_TOO_MANY', '32 in all')
})

t.test('removing drops what was set for the server', async t => {
  const pool = new Pool().deal({ a: 2, b: 2, c: 2 })
  pool.run({ type: 'change-criteria', feature: 'cad', targets: { a: 2, c: 4 } })
  pool.run({ type: 'set-threshold', feature: 'cad', server: 'c', threshold: 0.5 })
  setRole(pool, 'c', 'removed')
  t.equal(pool.ledger.target(pool.feature(), 'c'), 0)
  pool.ticks(20, ['a', 'b'])
  t.same([...pool.feature().thresholds], [])
  t.same(pool.feature().targets, new Map([['a', 2]]))
})

t.test('a recovered pool ends every run and serves when every seat is surely over', async t => {
  const pool = new Pool().deal({ a: 2, b: 2, c: 2 })
  const { tickNow } = pool
  const recover = { type: 'recover', servers: ['a', 'd'], holdTicks, wallMs } as const
  pool.raw({ id: '', deadline: 0, by: 'recover', body: recover })
  t.equal(pool.ledger.state.heldUntil, tickNow + 12, 'the longest lease and one tick')
  t.equal(pool.server('b').role, 'removed')
  t.equal(pool.server('d').role, 'voter')
  t.equal(codeOf(pool.give('return', 'a', 1)), 'LICD_PAST_INCARNATION')
  t.equal(codeOf(pool.borrow('a')), 'LICD_PAST_INCARNATION')
  for (let n = 1; n < 12; n++) {
    pool.tick()
    t.equal(hello(pool, 'a', 'anew'), 'LICD_POOL_HELD')
  }
  t.equal(pool.table(), 'free 4 a 2', 'what the lost owned is free, and serves nobody yet')
  pool.tick()
  t.equal(hello(pool, 'a', 'anew'), 'ok')
  t.equal(pool.server('a').incarnation, 2)
  t.equal(pool.server('a').relearnUntil, 0, 'there is nothing left to relearn')
  t.equal(codeOf(pool.borrow('a', { needed: 4, wanted: 4 })), 'ok')
})

t.test('a recovery holds longer when asked to, and clocks go on from now', async t => {
  const pool = new Pool()
  const body = { type: 'recover', servers: ['a'], holdTicks: 100, wallMs: 2e12 } as const
  pool.raw({ id: '', deadline: 0, by: 'recover', body })
  t.equal(pool.ledger.state.heldUntil, pool.tickNow + 101)
  t.equal(pool.ledger.state.calendar, 2e12)
  const wrong = { ...body, servers: ['any'] }
  const { result } = pool.raw({ id: '', deadline: 0, by: 'recover', body: wrong })
  t.equal(codeOf(result), 'LICD_BAD_REQUEST')
})
