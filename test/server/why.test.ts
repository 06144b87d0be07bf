/**
 * What servers say of themselves to who asks why: who may grant, what is dark, what was denied. Whole pools of real
 * servers and clients over virtual time.
 */
import t from 'tap'
import type { Dark, Denial } from '../../lib/protocol/why.ts'
import { denialBounds } from '../../lib/protocol/why.ts'
import { Denials } from '../../lib/service/denials.ts'
import { simulatePool, type PoolOptions, type SimulatedPool } from '../sim/pool.ts'
import { user } from './pool-user.ts'

// Seconds of work, and more on a machine that has other work.
t.setTimeout(180_000)

const three = ['alpha', 'beta', 'gamma']
const change = { by: 'test', timeoutMs: 5_000 }

function makePool(allocations = 9, options: Partial<PoolOptions> = {}): SimulatedPool {
  const pool = simulatePool({ seed: 11, servers: three, ...options }).startAll()
  pool.settle()
  pool.ask('feature-add', { ...change, id: 'cad', feature: 'cad', allocations })
  pool.run(5_000)
  return pool
}

function why(pool: SimulatedPool, at: string, who?: string) {
  const request = { feature: 'cad', ...(who === undefined ? {} : { user: who }) }
  const answer = pool.ask('why', request, { at })
  if (answer?.ok !== true) throw new Error(JSON.stringify(answer))
  return answer
}

const dark = (pool: SimulatedPool, at: string): readonly Dark[] =>
  pool.server(at).status().features[0]?.dark ?? []
const whyOf = (denial: Denial | undefined, source: string) =>
  denial?.tried.find(row => row.source === source)?.why
const leaderOf = (pool: SimulatedPool): string => pool.leader?.server ?? ''

t.test('an exhausted pool: which sources were tried, and why each gave nothing', async t => {
  const pool = makePool(9)
  const leader = leaderOf(pool)
  const [here = '', other = ''] = three.filter(name => name !== leader)
  for (const name of three) user(pool, `holder-${name}`, name).hold(3)
  const mary = user(pool, 'mary', here)
  t.match(mary.refused(2), { code: 'LICD_NO_SEAT' })
  const answer = why(pool, here)
  t.match(answer, {
    leader,
    role: 'voter',
    standing: { share: 3, limit: 3, promised: 0, inUse: 3, spare: 0, waiting: 0, queuePlace: 0 },
    feature: { name: 'cad', allocations: 9, free: 0, owed: 0, dark: [] },
  })
  t.ok(answer.leaseLeftMs > 20_000 && answer.tickAgeMs < 2_000)
  t.ok((answer.standing?.grantsForMs ?? 0) > 20_000, 'how long a seat granted now would last')
  const [denial] = answer.denials
  t.match(denial, { user: 'mary', host: 'ws1', count: 2, what: 'acquire', code: 'LICD_NO_SEAT' })
  t.strictSame(
    denial?.tried.map(({ source, why: text }) => [source, text]),
    [
      ['own share', 'owns 3: 3 in use'],
      ['free pool', 'empty'],
      ['down servers', 'none owns any'],
      ['leader', `${leader} had none to offer: it uses 3 of 3`],
      ['other servers', `${other} uses 3 of 3`],
      ['queue', 'did not ask to wait (licd run --wait, or a timeout)'],
    ],
  )
  t.strictSame(why(pool, here, 'bob').denials, [], 'of one user only')
  t.equal(why(pool, here, `holder-${here}`).standing?.heldByUser, 3)
  t.strictSame(why(pool, other).denials, [], 'each server remembers its own')
})

t.test('who asks again is one row that counts; who waits is told its place', async t => {
  const pool = makePool(3)
  const leader = leaderOf(pool)
  for (const name of three) user(pool, `holder-${name}`, name).hold()
  const mary = user(pool, 'mary', leader)
  for (let n = 0; n < 5; n++) {
    mary.refused()
    pool.run(1_000)
  }
  const [row, ...rest] = why(pool, leader).denials
  t.match(row, { user: 'mary', times: 5 })
  t.strictSame(rest, [])
  t.ok(row !== undefined && row.firstAgoMs - row.agoMs >= 3_900)
  t.equal(whyOf(row, 'leader'), 'this server is the leader')

  const bob = user(pool, 'bob', leader)
  const eve = user(pool, 'eve', leader)
  bob.acquire(1, { waitMs: 60_000 })
  pool.run(500)
  t.match(eve.refused(1, { waitMs: 4_000 }), { code: 'LICD_TIMEOUT' })
  pool.run(500)
  const waiting = why(pool, leader)
  t.match(waiting.standing, { waiting: 1, queuePlace: 1 })
  const denial = waiting.denials.find(one => one.user === 'eve')
  t.match(denial, { code: 'LICD_TIMEOUT', detail: 'It waited 4.0 s at most.' })
  t.match(whyOf(denial, 'queue'), /^its time was over at place 2 at this server; .* place 1 of 1/)
})

t.test('a feature that the pool has not, a count that it has not, a code that ended', async t => {
  const pool = makePool(3)
  const leader = leaderOf(pool)
  const mary = user(pool, 'mary', leader)
  t.match(mary.refused(1, { feature: 'cda' }), { code: 'LICD_UNKNOWN_FEATURE' })
  t.match(mary.refused(4), { code: 'LICD_BAD_COUNT' })
  const answer = pool.ask('why', { feature: 'cda' }, { at: leader })
  t.match(answer, { ok: true, denials: [{ user: 'mary', code: 'LICD_UNKNOWN_FEATURE' }] })
  t.notOk(answer?.ok && (answer.feature !== undefined || answer.standing !== undefined))
  t.match(why(pool, leader).denials, [{ code: 'LICD_BAD_COUNT', tried: [{ source: 'feature' }] }])
  for (const request of [{}, { feature: 'a b' }, { feature: 'cad', user: 7 }]) {
    t.match(pool.askRaw('why', request), { ok: false, code: 'LICD_BAD_REQUEST' })
  }
})

t.test('dark: expired seats, and when the first and the last are back', async t => {
  const pool = makePool(9)
  const leader = leaderOf(pool)
  const first = user(pool, 'first', leader)
  first.hold()
  const second = user(pool, 'second', leader)
  second.hold(2)
  t.strictSame(dark(pool, leader), [])
  first.vanish()
  pool.run(2_500)
  second.vanish()
  const expired = () => dark(pool, leader).find(({ kind }) => kind === 'expired')
  t.ok(
    pool.runUntil(() => (expired()?.count ?? 0) > 0, 60_000),
    'their time is over',
  )
  pool.runUntil(() => expired()?.count === 3 || expired() === undefined, 5_000)
  const row = expired()
  t.match(row, { server: leader })
  t.ok(row?.firstInMs !== undefined && row.firstInMs <= 3_000)
  const { clock } = pool.process(leader) ?? {}
  const before = clock?.now() ?? 0
  const lastInMs = row?.lastInMs ?? 0
  t.ok(pool.runUntil(() => dark(pool, leader).length === 0, 60_000))
  const took = (clock?.now() ?? 0) - before
  t.ok(Math.abs(took - lastInMs) < 1_500, `back when it said: ${took} of ${lastInMs}`)
})

t.test('dark: a server that crashed is silent, then down; one that is back relearns', async t => {
  const pool = makePool(9)
  const leader = leaderOf(pool)
  const [dead = '', back = ''] = three.filter(name => name !== leader)
  pool.crash(dead)
  pool.run(4_000)
  const [silent] = dark(pool, leader)
  t.match(silent, { server: dead, kind: 'silent', count: 3 })
  t.ok((silent?.lastInMs ?? 0) > 20_000 && (silent?.lastInMs ?? 0) < 29_000)
  pool.crash(back)
  pool.start(back)
  t.ok(pool.runUntil(() => dark(pool, back).some(({ kind }) => kind === 'relearning'), 10_000))
  const relearning = dark(pool, back).find(({ kind }) => kind === 'relearning')
  t.match(relearning, { server: back, count: 3 })
  t.ok((relearning?.lastInMs ?? 0) > 25_000)
  t.ok(pool.settle())
  const mary = user(pool, 'mary', back)
  user(pool, 'holder', leader).hold(3)
  t.match(mary.refused(), { code: 'LICD_NO_SEAT' })
  const [denial] = why(pool, back, 'mary').denials
  t.match(whyOf(denial, 'own share'), /3 may be held since before its crash/)
  t.match(whyOf(denial, 'down servers'), new RegExp(`the 3 of ${dead}, which is silent, in `))
  t.ok(pool.runUntil(() => dark(pool, leader).some(({ kind }) => kind === 'down'), 40_000))
  t.match(
    dark(pool, leader).find(({ kind }) => kind === 'down'),
    { server: dead, lastInMs: 0 },
  )
  pool.run(6_000)
  t.strictSame(
    dark(pool, back).filter(({ kind }) => kind === 'relearning'),
    [],
  )
})

t.test('the pool clock stands: nobody says when anything is back', async t => {
  const pool = makePool(9)
  const [dead = '', ...rest] = three
  pool.crash(dead)
  pool.run(5_000)
  for (const name of rest) pool.process(name)?.bus.setLink(false)
  pool.run(10_000)
  const status = pool.server(rest[0] ?? '').status()
  const row = status.features[0]?.dark?.find(({ server }) => server === dead)
  t.equal(row?.kind, 'silent')
  t.equal(row?.lastInMs, undefined)
})

const request = { what: 'acquire', count: 1, host: 'h', code: 'LICD_NO_SEAT', detail: '' } as const

t.test(
  'the memory of denials is bounded, and one busy feature does not push out the others',
  async t => {
    const denials = new Denials()
    const note = (feature: string, user: string, now: number): void =>
      denials.note({ ...request, feature, user }, now, () => [])
    note('rare', 'u', 0)
    for (let n = 0; n < 100; n++) note('cad', `u${n}`, n)
    t.equal(denials.list('cad', undefined, 100).length, denialBounds.perFeature)
    t.match(denials.list('cad', undefined, 100)[0], { user: 'u99', agoMs: 1 })
    for (let f = 0; f < 40; f++) for (let n = 0; n < 40; n++) note(`f${f}`, `u${n}`, 1_000 + f)
    t.equal(denials.size, denialBounds.perServer)
    t.equal(denials.list('rare', undefined, 2_000).length, 1, 'the longest lists gave way')
    for (let f = 0; f < 1_000; f++) note(`unknown${f}`, 'u', 3_000 + f)
    t.equal(denials.size, denialBounds.perServer)
    t.equal(denials.list('rare', undefined, 4_000).length, 0, 'the oldest of lists of one')
  },
)

t.test('hammering is counted, and not explained each time', async t => {
  const denials = new Denials()
  let explained = 0
  const note = (user: string, now: number): void =>
    denials.note({ ...request, feature: 'hammered', user }, now, () => {
      explained++
      return []
    })
  for (let n = 0; n < 50; n++) note('u', 5_000 + n)
  t.equal(explained, 1)
  t.match(denials.list('hammered', 'u', 5_050), [{ times: 50, agoMs: 50 }])
  note('v', 5_060)
  note('u', 5_070)
  t.strictSame(
    denials.list('hammered', undefined, 5_070).map(({ user: who, times }) => [who, times]),
    [
      ['u', 51],
      ['v', 1],
    ],
  )
})
