import t from 'tap'
import { watchPool, type PoolEvent } from '../../lib/ctl/pool-events.ts'
import { listSeats, viewPool } from '../../lib/ctl/pool-view.ts'
import type { PoolStatus, SeatStatus, ServerStatus } from '../../lib/protocol/ctl.ts'
import { subjects } from '../../lib/protocol/subject.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'
import { addServer, applied, makeWorld, packr, refused, settle } from './scripted-ctl.ts'

const { syncEvent, serverEvent, goneEvent } = subjects('default')

t.test('nobody listens - at once, by name, for questions and changes', async t => {
  const world = makeWorld()
  const client = world.client()
  await t.rejects(settle(world, client.ask('status', {})), { code: 'LICD_NO_SERVER' })
  const change = client.change('feature-add', { feature: 'cad', allocations: 3 })
  await t.rejects(settle(world, change), { code: 'LICD_NO_SERVER' })
  await t.rejects(settle(world, world.client({ server: 'beta' }).ask('status', {})), {
    code: 'LICD_NO_SERVER',
    message: /server beta/,
  })
  t.ok(world.time.now < 100, 'no time-out was waited for')
})

t.test('the link is down - said, not waited for', async t => {
  const world = makeWorld()
  const client = world.client()
  world.bus.setLink(false)
  await t.rejects(settle(world, client.ask('status', {})), { code: 'LICD_NATS_UNREACHABLE' })
})

t.test('a change says who asks, for how long, and is answered', async t => {
  const world = makeWorld()
  const { asked } = addServer(world, 'alpha', () => applied)
  const changed = await settle(
    world,
    world.client().change('feature-add', { feature: 'cad', allocations: 3 }, 'id-1'),
  )
  t.match(changed, { server: 'alpha', revision: 7, duplicate: false })
  t.match(asked, [
    {
      operation: 'feature-add',
      request: { feature: 'cad', allocations: 3, id: 'id-1', by: 'tester@host' },
    },
  ])
  t.ok(Number(asked[0]?.request.timeoutMs) < 3_000)
})

t.test('a refusal is an error with its code, and is not repeated', async t => {
  const world = makeWorld()
  const { asked } = addServer(world, 'alpha', () => refused('LICD_FEATURE_EXISTS', 'cad.'))
  const change = world.client().change('feature-add', { feature: 'cad', allocations: 3 })
  await t.rejects(settle(world, change), { code: 'LICD_FEATURE_EXISTS', message: /^cad\. / })
  t.equal(asked.length, 1)
})

t.test('no leader yet - the same command is sent again until there is one', async t => {
  const world = makeWorld()
  let left = 3
  const { asked } = addServer(world, 'alpha', () =>
    left-- > 0 ? refused('LICD_NO_LEADER') : applied,
  )
  await settle(world, world.client().change('allocations-add', { feature: 'cad', count: 1 }))
  t.equal(asked.length, 4)
  t.equal(new Set(asked.map(({ request }) => request.id)).size, 1, 'one id')
})

t.test(
  'no leader for a moment - asked again soon, and the less often the longer it lasts',
  async t => {
    const takes = async (absentMs: number) => {
      const world = makeWorld()
      const { asked } = addServer(world, 'alpha', () =>
        world.time.now < absentMs ? refused('LICD_NO_LEADER') : applied,
      )
      const began = world.time.now
      await settle(world, world.client().change('allocations-add', { feature: 'cad', count: 1 }))
      return { ms: world.time.now - began, asked: asked.length }
    }
    const short = await takes(20)
    t.ok(short.ms < 60, `${short.ms} ms`)
    const long = await takes(5_000)
    t.ok(long.ms < 5_250, `${long.ms} ms`)
    t.ok(long.asked < 5_000 / 200 + 6, `${long.asked} messages in 5 s`)
  },
)

t.test('no leader at all - the refusal is the answer, since nothing was changed', async t => {
  const world = makeWorld()
  addServer(world, 'alpha', () => refused('LICD_NO_LEADER', 'Nothing was changed.'))
  const change = world.client().change('allocations-add', { feature: 'cad', count: 1 })
  await t.rejects(settle(world, change), { code: 'LICD_NO_LEADER' })
  t.ok(world.time.now >= 9_000 && world.time.now < 13_000, `after ${world.time.now} ms`)
})

t.test(
  'too busy - asked again when the server said, or told at once where that is too late',
  async t => {
    const world = makeWorld()
    let isBusy = true
    const busy = (retryAfterMs: number) => ({ ...refused('LICD_TOO_BUSY'), retryAfterMs })
    const { asked } = addServer(world, 'alpha', () => (isBusy ? busy(2_500) : applied))
    const change = () => world.client().change('allocations-add', { feature: 'cad', count: 1 })
    const first = settle(world, change())
    await new Promise(resolve => setImmediate(resolve))
    world.time.runUntil(() => asked.length === 1, 1_000)
    isBusy = false
    t.match(await first, { server: 'alpha' })
    t.equal(asked.length, 2)
    t.ok(world.time.now >= 2_500 && world.time.now < 3_000, `after ${world.time.now} ms`)

    const full = makeWorld()
    addServer(full, 'alpha', () => busy(120_000))
    const tooLate = { code: 'LICD_TOO_BUSY', retryAfterMs: 120_000 }
    const changing = full.client().change('allocations-add', { feature: 'cad', count: 1 })
    await t.rejects(settle(full, changing), tooLate)
    await t.rejects(settle(full, full.client().ask('status', {})), tooLate)
    t.ok(full.time.now < 100, 'nothing was waited for')
  },
)

t.test('the deadline of one copy passed - what became of the id is asked for', async t => {
  const change = async (silent: number, known: boolean, earlierId?: string) => {
    const world = makeWorld()
    let attempts = 0
    addServer(world, 'alpha', operation => {
      if (operation !== 'outcome') return attempts++ < silent ? undefined : refused('LICD_DEADLINE')
      if (!known) return { ok: true, outcome: 'unknown' }
      return { ok: true, outcome: 'applied', result: { ok: true, revision: 12 } }
    })
    const client = world.client({ timeoutMs: 5_000 })
    const request = { feature: 'cad', count: 1 }
    return settle(world, client.change('allocations-add', request, earlierId))
  }
  t.match(await change(1, true), { revision: 12 }, 'of an attempt that nobody answered')
  await t.rejects(change(1, false), { code: 'LICD_UNKNOWN_OUTCOME' })
  t.match(await change(0, true), { revision: 12 }, 'of an earlier call, unknown where it was asked')
  await t.rejects(change(0, false, 'id-9'), { code: 'LICD_UNKNOWN_OUTCOME' }, 'nor there')
  await t.rejects(change(0, false), { code: 'LICD_DEADLINE' }, 'there is no other copy')
})

t.test('every copy of a change says since when its id is used, whenever it was signed', async t => {
  const world = makeWorld()
  let tick = 40
  const { asked } = addServer(world, 'alpha', operation => {
    if (operation !== 'now') return undefined
    return { ok: true, cluster: 'c', tick: (tick += 7), tickMs: 20, signs: true }
  })
  const client = world.client({ timeoutMs: 8_000, signer: { sign: text => ({ ...ink, text }) } })
  const said = async (earlierId?: string) => {
    asked.length = 0
    const change = client.change('allocations-add', { feature: 'cad', count: 1 }, earlierId)
    await t.rejects(settle(world, change), { code: 'LICD_UNKNOWN_OUTCOME' })
    const copies = asked.filter(({ operation }) => operation === 'allocations-add')
    return copies.map(({ request }) => {
      const { text } = request['signed'] as { readonly text: string }
      return JSON.parse(text) as { readonly tick: number; readonly since: number }
    })
  }
  const copies = await said()
  t.ok(new Set(copies.map(one => one.tick)).size > 1, 'the time was asked for again')
  t.same(new Set(copies.map(({ since }) => since)), new Set([47]))
  t.same(new Set((await said('id-9')).map(({ since }) => since)), new Set([0]), 'not known')
})

const ink = { jwt: 'j', signature: 's' }

t.test('servers gone after the change was sent - unknown, not "no server"', async t => {
  const world = makeWorld()
  const server = addServer(world, 'alpha', () => {
    server.bus.close()
    return undefined
  })
  const change = world.client({ timeoutMs: 5_000 }).change('code-remove', { codeId: 'c' })
  await t.rejects(settle(world, change), { code: 'LICD_UNKNOWN_OUTCOME' })
})

t.test('answers that are none', async t => {
  const answers: [string, object | Uint8Array, string][] = [
    ['garbage', new Uint8Array([0xc1, 1, 2]), 'LICD_BAD_VERSION'],
    ['a list', packr.pack([1, 2]), 'LICD_BAD_VERSION'],
    ['nothing in it', packr.pack({}), 'LICD_BAD_VERSION'],
    ['no status', { ok: true }, 'LICD_BAD_VERSION'],
    ['a status of another form', { ok: true, status: { pool: 7 } }, 'LICD_BAD_VERSION'],
    ['a code of a later version', refused('LICD_LATER', 'said so'), 'LICD_INTERNAL'],
    ['a refusal without code', { ok: false }, 'LICD_INTERNAL'],
  ]
  for (const [name, answer, code] of answers) {
    const world = makeWorld()
    addServer(world, 'alpha', () => answer)
    await t.rejects(settle(world, world.client().ask('status', {})), { code }, name)
  }
})

t.test('a request beyond the bound is not sent; a closed client answers nothing more', async t => {
  const world = makeWorld()
  const { asked } = addServer(world, 'alpha', () => undefined)
  const client = world.client()
  const huge = client.change('code-add', { text: 'x'.repeat(600_000) })
  await t.rejects(settle(world, huge), { code: 'LICD_TOO_LARGE' })
  t.equal(asked.length, 0)
  const pending = client.ask('status', {})
  client.close()
  client.close()
  await t.rejects(settle(world, pending), { code: 'LICD_CLOSED' })
  await t.rejects(settle(world, client.ask('status', {})), { code: 'LICD_CLOSED' })
})

t.test('transferring the leader - sent once, whatever comes back', async t => {
  const world = makeWorld()
  const { asked } = addServer(world, 'alpha', () => undefined)
  await t.rejects(settle(world, world.client().transferLeader(undefined)), {
    code: 'LICD_UNKNOWN_OUTCOME',
  })
  t.equal(asked.length, 1)
})

function statusOf(server: string, inUse: Record<string, number>): { status: PoolStatus } {
  const servers = ['alpha', 'beta', 'gamma', 'delta'].map((name): ServerStatus => {
    const state = name === 'delta' ? 'down' : name === 'gamma' ? 'silent' : 'up'
    return {
      name,
      state,
      leader: name === 'beta',
      incarnation: 1,
      listedTicksAgo: 0,
      downInTicks: state === 'down' ? 0 : 30,
    }
  })
  return {
    status: {
      pool: 'default',
      fingerprint: 'f',
      leader: 'beta',
      term: 2,
      tick: 100,
      calendar: 0,
      revision: 9,
      commitIndex: 50,
      lastApplied: 50,
      settings: { tickMs: 1_000, leaseTicks: 30, seatTicks: 30 },
      tickAgeMs: 10,
      leaseLeftMs: server === 'alpha' ? 28_000 : 27_000,
      hash: 'h',
      servers,
      features: [
        {
          name: 'cad',
          allocations: 30,
          owed: 0,
          free: 0,
          even: true,
          shares: servers.map(({ name }) => ({
            server: name,
            share: 10,
            inUse: name === server ? (inUse[name] ?? 0) : 99,
            target: 10,
            threshold: 0.9,
            demand: 0,
          })),
        },
      ],
    },
  }
}

t.test(
  'the view of a pool has every server\u2019s own figures, and old ones for the silent',
  async t => {
    const world = makeWorld()
    for (const [name, count] of [
      ['alpha', 3],
      ['beta', 5],
    ] as const) {
      addServer(world, name, () => ({ ok: true, ...statusOf(name, { [name]: count }) }))
    }
    // Gamma hears, and does not answer.
    addServer(world, 'gamma', () => undefined)
    const view = await settle(world, viewPool(world.client({ server: 'alpha' })))
    t.equal(view.answeredBy, 'alpha')
    t.strictSame(view.live, ['alpha', 'beta'])
    t.strictSame(
      view.status.features[0]?.shares.map(({ inUse }) => inUse),
      [3, 5, 10, 10],
      'an old figure is never above the share',
    )
    t.equal(view.lease.beta?.leaseLeftMs, 27_000)
    t.notOk('gamma' in view.lease)
  },
)

t.test('seats are read page by page at all servers', async t => {
  const seatOf = (seatId: string): SeatStatus => ({
    seatId,
    feature: 'cad',
    user: 'u',
    host: 'h',
    clientId: 'c',
    state: 'held',
    heldMs: 1,
    expiresInMs: 1,
  })
  const world = makeWorld()
  const all = Array.from({ length: 1_203 }, (_, n) => String(n).padStart(5, '0'))
  addServer(world, 'alpha', (operation, { after = '', limit = 0 }) => {
    if (operation === 'status') return { ok: true, ...statusOf('alpha', {}) }
    const rest = all.filter(id => id > String(after))
    const page = rest.slice(0, Number(limit))
    const next = rest.length > page.length ? page.at(-1) : undefined
    return { ok: true, seats: page.map(seatOf), ...(next === undefined ? {} : { next }) }
  })
  addServer(world, 'beta', operation =>
    operation === 'status'
      ? { ok: true, ...statusOf('beta', {}) }
      : { ok: true, seats: [seatOf('b')] },
  )
  const list = await settle(world, listSeats(world.client({ timeoutMs: 500 }), { max: 10_000 }))
  t.equal(list.seats.length, 1_204)
  t.strictSame(list.unanswered, ['gamma'])
  t.equal(list.more, false)
  const few = await settle(world, listSeats(world.client({ timeoutMs: 500 }), { max: 700 }))
  t.equal(few.seats.length, 700)
  t.equal(few.more, true)
  const one = listSeats(world.client(), { server: 'gamma', max: 10 })
  await t.rejects(settle(world, one), { code: 'LICD_NO_SERVER' })
})

t.test('a page that never moves on ends', async t => {
  const world = makeWorld()
  addServer(world, 'alpha', () => ({ ok: true, seats: [], next: 'x' }))
  const list = await settle(world, listSeats(world.client(), { server: 'alpha', max: 10 }))
  t.strictSame(list.seats, [])
})

t.test('events are decoded, and what is none is passed over', async t => {
  const world = makeWorld()
  const seen: PoolEvent[] = []
  const watch = watchPool(world.bus, 'default', event => seen.push(event))
  const server = world.broker.connect('alpha', new VirtualClock(world.time))
  const sync = {
    server: 'alpha',
    leader: true,
    revision: 3,
    tick: 9,
    index: 12,
    features: statusOf('alpha', {}).status.features,
    more: false,
    changes: [{ type: 'return', feature: 'cad', by: 'server:alpha' }],
  }
  server.publish(syncEvent('alpha'), packr.pack(sync))
  server.publish(
    serverEvent('alpha'),
    packr.pack({ server: 'alpha', incarnation: 1, event: 'leader' }),
  )
  server.publish(goneEvent('beta'), packr.pack({ server: 'beta' }))
  // Not events: garbage, half an event, and one that speaks for another server.
  server.publish(syncEvent('alpha'), new Uint8Array([0xc1]))
  server.publish(syncEvent('alpha'), packr.pack({ ...sync, features: 7 }))
  server.publish(syncEvent('beta'), packr.pack(sync))
  server.publish('licd.v1.default.event.other.alpha', packr.pack(sync))
  world.time.run(10)
  t.match(seen, [
    { type: 'sync', event: { revision: 3 } },
    { type: 'server', event: { event: 'leader' } },
    { type: 'gone', event: { server: 'beta' } },
  ])
  t.equal(seen.length, 3)
  t.equal(watch.dropped, 4)
  watch.unsubscribe()
  server.publish(goneEvent('beta'), packr.pack({ server: 'beta' }))
  world.time.run(10)
  t.equal(seen.length, 3)
})
