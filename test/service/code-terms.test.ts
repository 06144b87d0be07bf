// What a feature's codes say of its seats: how long they live, how long a server goes on alone, which versions they serve.
import t from 'tap'
import type { CodeContent } from '../../lib/ledger/command.ts'
import { clientMark } from '../../lib/service/seat-list.ts'
import { Holder } from './holder.ts'
import { Probe, kinds } from './probe.ts'
import { World } from './world.ts'

function world(codes: readonly Partial<CodeContent>[]): World {
  const made = new World({ settings: { tickMs: 1_000, leaseTicks: 30, seatTicks: 30 } })
  made.time.run(3_500)
  made.admin({ type: 'add-vendor', vendor: { kid: 'k', name: 'v', publicKey: 'x' } })
  for (const [n, change] of codes.entries()) {
    const content: CodeContent = {
      ...{ codeId: `c${n}`, kid: 'k', vendor: 'v', customer: 'c', feature: 'cad', kind: 'feature' },
      ...{ allocations: 9, startsAt: 0, issuedAt: 0 },
      ...change,
    }
    made.admin({ type: 'add-code', text: '', content })
  }
  made.time.run(2_500)
  return made
}

t.test(
  'no seat is promised for longer than its code allows, and it goes on by renewals',
  async t => {
    const made = world([{ limits: { seatMs: 5_000 } }])
    const probe = new Probe(made)
    const [granted] = probe.acquire('a', { requestId: 's' })
    t.match(granted, { kind: 'granted', expiresInMs: 5_000 })
    const token = granted?.kind === 'granted' ? granted.seats[0]?.token : undefined
    const [renewed] = probe.renew('a', { seatId: 's', token: token ?? new Uint8Array() })
    t.match(renewed, { kind: 'renewed', expiresInMs: 5_000 })
    const one = new Holder(made, 'one', { servers: ['b', 'c'] })
    one.acquire('cad')
    made.time.run(500)
    made.time.run(60_000, () => {
      if (one.believes('cad') !== 1) t.fail('valid all the time')
    })
    t.equal(
      made.server('a').service.inUse('cad'),
      0,
      'who is silent has lost it long before the pool\u2019s 30 s',
    )
  },
)

t.test(
  'a server that hears nobody grants for as long as the code allows, not as long as the pool',
  async t => {
    const made = world([{ limits: { leaseMs: 10_000 } }, { codeId: 'free', feature: 'cam' }])
    const probe = new Probe(made)
    t.same(kinds(probe.acquire('a', { requestId: 's1' })), ['granted'])
    made.elect(undefined)
    made.time.run(7_000)
    const [short] = probe.acquire('a', { requestId: 's2' })
    t.ok(short?.kind === 'granted' && short.expiresInMs < 3_500, 'no seat outlives it')
    made.time.run(4_000)
    t.same(kinds(probe.acquire('a', { requestId: 's3' }, 2_500)), ['LICD_NO_SEAT'])
    t.same(kinds(probe.acquire('a', { requestId: 's4', feature: 'cam' })), ['granted'])
    made.elect('b')
    made.time.run(3_000)
    t.same(kinds(probe.acquire('a', { requestId: 's5' })), ['granted'], 'and again once it hears')
  },
)

t.test(
  'a code of one version serves those who ask for another, through a fail-over too',
  async t => {
    const made = world([
      { feature: 'sim@2026', serves: ['sim', 'sim@2025'] },
      { feature: 'sim@2025', allocations: 3 },
    ])
    let live = ['a', 'b', 'c']
    const inUse = (feature: string): number =>
      live.reduce((sum, name) => sum + made.server(name).service.inUse(feature), 0)
    const [one, two, three] = ['one', 'two', 'three'].map(
      name => new Holder(made, name, { servers: ['a', 'b', 'c'] }),
    )
    one?.acquire('sim@2025')
    made.time.run(300)
    t.same([inUse('sim@2025'), inUse('sim@2026')], [1, 0], 'its own version first')
    two?.acquire('sim@2025')
    three?.acquire('sim')
    made.time.run(300)
    t.same([inUse('sim@2025'), inUse('sim@2026')], [1, 2], 'then the one that serves it')
    made.server('a').crash()
    live = ['b', 'c']
    made.elect('b')
    made.time.run(60_000, () => {
      if (two?.believes('sim@2025') !== 1 || three?.believes('sim') !== 1)
        t.fail('valid throughout')
    })
    t.same(
      [inUse('sim@2025'), inUse('sim@2026')],
      [1, 2],
      'each against the feature it was taken from',
    )
    const probe = new Probe(made)
    t.same(kinds(probe.acquire('b', { requestId: 'x', feature: 'sim@2024' })), [
      'LICD_UNKNOWN_FEATURE',
    ])
  },
)

t.test('a repeated request finds its seat, whichever version that is of', async t => {
  const made = world([{ feature: 'sim@2026', serves: ['sim@2025'] }])
  const probe = new Probe(made)
  const item = { requestId: 'r', feature: 'sim@2025', count: 2 }
  t.same(kinds(probe.acquire('a', item)), ['granted'])
  t.same(kinds(probe.acquire('a', item)), ['granted'])
  t.equal(made.server('a').service.inUse('sim@2026'), 2, 'once')
})

t.test('who waits for one version is served by another that comes free', async t => {
  const made = world([
    { feature: 'sim@2025', allocations: 1 },
    { feature: 'sim@2026', allocations: 1, serves: ['sim@2025'] },
  ])
  const [one, two, three] = ['one', 'two', 'three'].map(
    name => new Holder(made, name, { servers: ['a'] }),
  )
  one?.acquire('sim@2025', { waitMs: 30_000 })
  two?.acquire('sim@2026', { waitMs: 30_000 })
  made.time.run(3_000)
  three?.acquire('sim@2025', { waitMs: 30_000 })
  made.time.run(3_000)
  t.equal(three?.believes('sim@2025'), 0)
  two?.release()
  made.time.run(4_000)
  t.equal(three?.believes('sim@2025'), 1)
})

t.test('the id of a client, which is as good as its token, stays in the server', async t => {
  const made = world([{}])
  const probe = new Probe(made)
  probe.acquire('a', { requestId: 's' }, 30, 'secret-of-a-client')
  const { seats } = made.server('a').service.seats({ limit: 5 })
  t.match(seats, [{ seatId: 's', clientId: /^[0-9a-f]{16}$/ }])
  t.equal(seats[0]?.clientId, clientMark('secret-of-a-client'), 'the same everywhere')
  t.not(clientMark('secret-of-a-client'), clientMark('secret-of-b-client'))
  t.notOk(
    JSON.stringify([seats, made.server('a').service.report.denials('cad')]).includes('secret'),
  )
})
