// The ledger's rules, one by one: exactly once (R8), the pool clock (R2, R3), incarnations (R7), calendar (R10), snapshots.
import t from 'tap'
import type { Command, CommandBody, Listing } from '../../lib/ledger/command.ts'
import { bounds } from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import type { Row } from '../../lib/ledger/snapshot.ts'
import { codeOf, epoch, Pool, vendor } from './pool.ts'

const addAllocations: CommandBody = { type: 'add-allocations', feature: 'cad', count: 5 }

function command(id: string, deadline: number, body: CommandBody = addAllocations): Command {
  return { id, deadline, by: 'test', body }
}

t.test('genesis: only first, only whole', async t => {
  const { ledger } = new Pool({ started: false })
  const hello = command('h', 0, { type: 'hello', server: 'a', bootId: 'x' })
  const before = new Ledger()
  t.equal(codeOf(before.apply(hello, 1).result), 'LICD_NOT_INITIALISED')
  t.equal(
    codeOf(before.apply(command('', 0, { type: 'tick', tick: 1, listings: [] }), 2).result),
    'LICD_NOT_INITIALISED',
  )
  const body = {
    type: 'genesis',
    pool: 'p',
    fingerprint: 'f',
    settings: { tickMs: 1_000, leaseTicks: 30, seatTicks: 30 },
    servers: ['b', 'a'],
    vendors: [vendor],
    wallMs: epoch,
  } as const
  const genesis = (change: object) =>
    codeOf(before.apply(command('', 0, { ...body, ...change }), 3).result)
  const settings = (change: object) => ({ settings: { ...body.settings, ...change } })
  const refused: [object, string][] = [
    [{ pool: '' }, 'LICD_BAD_CONFIG'],
    [{ wallMs: NaN }, 'LICD_BAD_CONFIG'],
    [{ servers: [] }, 'LICD_BAD_CONFIG'],
    [{ servers: ['any'] }, 'LICD_BAD_CONFIG'],
    [{ servers: ['a.b'] }, 'LICD_BAD_CONFIG'],
    [{ servers: ['a', 'a'] }, 'LICD_DUPLICATE_SERVER'],
    [{ servers: Array.from({ length: 65 }, (_, n) => `s${String(n)}`) }, 'LICD_TOO_MANY'],
    [{ vendors: [vendor, vendor] }, 'LICD_BAD_CONFIG'],
    [{ vendors: [{ ...vendor, publicKey: '' }] }, 'LICD_BAD_CONFIG'],
    [settings({ tickMs: 19 }), 'LICD_BAD_CONFIG'],
    [settings({ tickMs: 20.5 }), 'LICD_BAD_CONFIG'],
    [settings({ leaseTicks: 2 }), 'LICD_BAD_CONFIG'],
    [settings({ leaseTicks: 1_000_001 }), 'LICD_BAD_CONFIG'],
    [settings({ seatTicks: 31 }), 'LICD_BAD_CONFIG'],
    [settings({ seatTicks: 1 }), 'LICD_BAD_CONFIG'],
  ]
  const empty = before.hash()
  for (const [change, code] of refused) t.equal(genesis(change), code, JSON.stringify(change))
  t.equal(before.hash(), empty, 'refusals changed nothing')
  t.equal(genesis({}), 'ok')
  t.equal(genesis({}), 'LICD_ALREADY_INITIALISED')
  t.same([...before.state.servers.keys()], ['a', 'b'], 'servers in the order of their names')
  t.equal(ledger.state.calendar, epoch)
})

t.test('exactly once: a known id answers as before and changes nothing (I4)', async t => {
  const pool = new Pool().deal({ a: 10 })
  const deadline = pool.tickNow + 5
  const first = pool.raw(command('once', deadline))
  t.equal(first.duplicate, false)
  t.same(first.changed, ['cad'])
  t.equal(first.revision, first.revisionBefore + 1)
  const hash = pool.ledger.hash()
  const again = pool.raw(command('once', deadline, { ...addAllocations, count: 9 }))
  t.equal(again.duplicate, true)
  t.same(again.result, first.result)
  t.same(again.changed, [])
  t.equal(pool.ledger.hash(), hash)
  const refused = pool.raw(command('no', deadline, { ...addAllocations, feature: 'x' }))
  t.equal(codeOf(refused.result), 'LICD_UNKNOWN_FEATURE')
  const known = pool.raw(command('no', deadline))
  t.equal(known.duplicate, true, 'a refusal is remembered like a success')
  t.equal(codeOf(known.result), 'LICD_UNKNOWN_FEATURE')
})

t.test('deadlines: late, too far ahead, at the bounds (R8)', async t => {
  const pool = new Pool().deal({ a: 10 })
  pool.ticks(8)
  const now = pool.tickNow
  const apply = (id: string, deadline: number) => codeOf(pool.raw(command(id, deadline)).result)
  t.equal(apply('at', now), 'ok', 'the last tick at which it may be applied')
  t.equal(apply('late', now - 1), 'LICD_DEADLINE')
  t.equal(apply('ahead', now + 9), 'ok', 'leaseTicks is 10: at most 9 ahead')
  t.equal(apply('far', now + 10), 'LICD_BAD_DEADLINE')
  t.equal(apply('far', now), 'LICD_BAD_DEADLINE', 'remembered: it is refused for good')
  for (const bad of [NaN, -1, 1.5, Infinity]) t.equal(apply('bad', bad), 'LICD_BAD_DEADLINE')
  t.equal(apply('a b', now), 'LICD_BAD_REQUEST')
  t.equal(apply('', now), 'LICD_BAD_REQUEST')
  t.equal(apply('x'.repeat(65), now), 'LICD_BAD_REQUEST')
  t.equal(pool.feature().allocations, 20, 'the two that were in time')

  const long = new Pool({ settings: { leaseTicks: 100 } }).deal({ a: 1 })
  t.equal(codeOf(long.raw(command('x', long.tickNow + 30)).result), 'ok')
  t.equal(codeOf(long.raw(command('y', long.tickNow + 31)).result), 'LICD_BAD_DEADLINE')
})

t.test('an id is remembered 600 ticks past its deadline, then its outcome is unknown', async t => {
  const pool = new Pool().deal({ a: 10 })
  const deadline = pool.tickNow + 5
  pool.raw(command('once', deadline))
  while (pool.tickNow < deadline + 600) pool.ledger.apply(tickOf(pool), 1)
  t.equal(pool.raw(command('once', deadline)).duplicate, true)
  const held = pool.ledger.state.results.size
  pool.ledger.apply(tickOf(pool), 1)
  t.ok(pool.ledger.state.results.size < held)
  const late = pool.raw(command('once', deadline))
  t.equal(late.duplicate, false)
  t.equal(codeOf(late.result), 'LICD_UNKNOWN_OUTCOME')
  t.notOk(pool.ledger.state.results.has('once'))
  t.equal(pool.feature().allocations, 15)
})

function tickOf(pool: Pool, listings: readonly Listing[] = []): Command {
  return command('', 0, { type: 'tick', tick: pool.tickNow + 1, listings })
}

t.test('the memory of ids is bounded: then commands are refused, known ones answered', async t => {
  const pool = new Pool({ level: 2 })
  const deadline = pool.tickNow + 5
  const first = pool.raw(command('first', deadline))
  const rows: Row[] = [...pool.ledger.snapshot().rows]
  const kept = pool.ledger.state.results.size
  for (let n = kept; n < bounds.results; n++) {
    const result = { ok: true, revision: 1 } as const
    rows.push({ kind: 'result', id: `f${String(n)}`, result, forgetAt: 600 + (n % 30) })
  }
  pool.ledger = Ledger.restoreRows(rows)
  const { results } = pool.ledger.state
  const refused = pool.ledger.apply(command('more', deadline), 2)
  t.equal(codeOf(refused.result), 'LICD_TOO_BUSY')
  t.equal(results.size, bounds.results)
  t.same(pool.ledger.apply(command('first', deadline), 3).result, first.result)
  t.equal(codeOf(pool.ledger.apply(tickOf(pool), 4).result), 'ok', 'the clock goes on')

  const began = process.hrtime.bigint()
  const opened = pool.ledger.snapshotRows()
  const openedMs = Number(process.hrtime.bigint() - began) / 1e6
  t.comment(`opening a snapshot of ${String(results.size)} results: ${openedMs.toFixed(1)} ms`)
  const { audit } = pool.ledger.state
  const count = [...opened].length
  t.equal(count, 1 + 3 + 1 + audit.length + results.size, 'pool, servers, vendor, audit, results')
})

t.test('ticks: in turn only', async t => {
  const pool = new Pool()
  const { hash } = { hash: pool.ledger.hash() }
  for (const tick of [0, 1, 3, NaN, 2.5]) {
    t.equal(
      codeOf(pool.raw(command('', 0, { type: 'tick', tick, listings: [] })).result),
      'LICD_BAD_TICK',
    )
  }
  t.equal(pool.ledger.hash(), hash)
  t.equal(codeOf(pool.tick().result), 'ok')
  t.equal(pool.tickNow, 2)
})

t.test('a listing extends the lease; up, silent and down follow (R3)', async t => {
  const pool = new Pool()
  t.equal(pool.server('c').downAt, 1 + 10 + 1, 'downAt = n + leaseTicks + 1')
  pool.ticks(2, ['a', 'b'])
  t.equal(pool.ledger.serverState('c'), 'up', 'listed in one of the last 3 ticks')
  pool.tick(['a', 'b'])
  t.equal(pool.ledger.serverState('c'), 'silent')
  pool.ticks(7, ['a', 'b'])
  t.equal(pool.tickNow, 11)
  t.equal(pool.ledger.serverState('c'), 'silent')
  const saved = Ledger.restore(pool.ledger.snapshot())
  saved.apply(tickOf(pool, [pool.listing('c')]), 1)
  t.equal(saved.serverState('c'), 'up', 'listed by the very tick that would have ended it')
  pool.tick(['a', 'b'])
  t.equal(pool.ledger.serverState('c'), 'down')
  t.equal(pool.server('c').endedIncarnation, 1)
  pool.tick()
  t.equal(pool.ledger.serverState('c'), 'down', 'a run that is over is not listed again')
  t.equal(pool.ledger.serverState('x'), 'down', 'a server the pool does not have')
})

t.test('a repeated, late or foreign keepalive extends nothing', async t => {
  const pool = new Pool()
  const { downAt, listedNumber } = pool.server('a')
  const bad: Partial<Listing>[] = [
    { number: listedNumber },
    { number: listedNumber - 1 },
    { number: 99, incarnation: 2 },
    { number: 99, incarnation: 0 },
    { number: 99, server: 'x' },
    { number: NaN },
    { number: 98.5 },
  ]
  pool.tickWith(bad.map(change => ({ ...pool.listing('a'), ...change })))
  t.equal(pool.server('a').downAt, downAt)
  t.equal(pool.server('a').listedTick, 1)
  pool.tickWith([pool.listing('a', { number: 50 }), pool.listing('a', { number: 40 })])
  t.equal(pool.server('a').listedNumber, 50, 'the newest of two')
  t.equal(pool.server('a').listedTick, 3)
})

t.test('usage: in use as of the listing, counters added up, zero in use when down', async t => {
  const pool = new Pool().deal({ a: 10 })
  const usage = (inUse: number, granted: number, denied: number, feature = 'cad') => ({
    usage: [{ feature, inUse, granted, denied }],
  })
  pool.tickWith([pool.listing('a', usage(3, 4, 1))])
  pool.tickWith([pool.listing('a', usage(2, 5, 0)), pool.listing('b', usage(1, 1, 1, 'x'))])
  t.same(pool.feature().usage.get('a'), { inUse: 2, granted: 9, denied: 1 })
  pool.tickWith([pool.listing('a', usage(-1, 5, 0)), pool.listing('b', usage(1, NaN, 0))])
  t.same([...pool.feature().usage.keys()], ['a'])
  t.equal(pool.feature().usage.get('a')?.inUse, 2, 'figures that cannot be are passed over')
  pool.ticks(11, ['b'])
  t.same(pool.feature().usage.get('a'), { inUse: 0, granted: 9, denied: 1 })
})

t.test('hello: a new incarnation, once per boot id (R7)', async t => {
  const pool = new Pool({ started: false })
  const hello = (bootId: string) => pool.run({ type: 'hello', server: 'a', bootId })
  t.equal(codeOf(pool.run({ type: 'hello', server: 'x', bootId: 'b' })), 'LICD_UNKNOWN_SERVER')
  t.equal(codeOf(hello('')), 'LICD_BAD_REQUEST')
  t.match(hello('one'), { ok: true, incarnation: 1, relearn: false })
  t.equal(pool.server('a').downAt, 0 + 1 + 10 + 1)
  t.equal(pool.ledger.serverState('a'), 'silent', 'not listed yet')
  t.match(hello('one'), { ok: true, incarnation: 1, relearn: false })
  pool.tick([])
  t.equal(pool.ledger.serverState('a'), 'up', 'hello counts as a listing in the next tick')
  t.match(pool.server('a'), { helloPending: false, listedTick: 1, listedNumber: 0, downAt: 12 })

  pool.tick()
  t.match(hello('two'), { ok: true, incarnation: 2, relearn: true })
  t.match(pool.server('a'), {
    relearnUntil: 2 + 5 + 1,
    helloTick: 2,
    listedNumber: 0,
    endedIncarnation: 0,
  })
  t.equal(pool.server('a').downAt, 14, 'raised, never lowered')
  pool.ticks(12, [])
  t.equal(pool.ledger.serverState('a'), 'down')
  t.equal(codeOf(hello('two')), 'LICD_PAST_INCARNATION', 'a run that is over needs a new boot id')
  t.match(
    hello('three'),
    { ok: true, incarnation: 3, relearn: false },
    'down before: no seat lives',
  )
  t.equal(pool.server('a').relearnUntil, 0)
})

t.test('commands of a past run, or of a server that is down, are refused', async t => {
  const pool = new Pool().deal({ a: 5, b: 5, c: 5 })
  pool.run({ type: 'hello', server: 'a', bootId: 'again' })
  const past = (server: string, incarnation: number) => {
    const gift = { feature: 'cad', server, incarnation, count: 1 }
    return [
      pool.borrow(server, { incarnation }),
      pool.run({ type: 'return', ...gift }),
      pool.run({ type: 'demand', ...gift }),
      pool.run({ type: 'lend', ...gift, to: 'b', toIncarnation: 1 }),
    ].map(codeOf)
  }
  const refused = Array.from({ length: 4 }, () => 'LICD_PAST_INCARNATION')
  t.same(past('a', 1), refused)
  t.same(past('a', 3), refused)
  pool.ticks(12, ['a', 'b'])
  t.same(past('c', 1), refused)
  t.same(
    past('x', 1),
    refused.map(() => 'LICD_UNKNOWN_SERVER'),
  )
})

t.test('the calendar: median of the listed, never backwards, a minute a tick (R10)', async t => {
  const pool = new Pool()
  const after = (a: number, b: number, c: number) => {
    pool.tick(undefined, { a: epoch + a, b: epoch + b, c: epoch + c })
    return pool.ledger.state.calendar - epoch
  }
  t.equal(after(1_000, 2_000, 3_000), 2_000)
  t.equal(after(3_000, 3_500, 9e9), 3_500, 'one wrong clock moves nothing')
  t.equal(after(0, 0, 9e9), 3_500, 'never backwards')
  t.equal(after(9e9, 9e9, 0), 63_500, 'a minute a tick at most')
  pool.tick(['a', 'b'], { a: epoch + 64_000, b: epoch + 9e9 })
  t.equal(pool.ledger.state.calendar - epoch, 64_000, 'the lower one of two')
  pool.tick([])
  t.equal(pool.ledger.state.calendar - epoch, 64_000)
  pool.tick(['a'], { a: NaN })
  t.equal(pool.ledger.serverState('a'), 'up', 'a wall that is none does not cost the listing')
})

t.test('change settings: promises made under the old ones are kept (R2)', async t => {
  const pool = new Pool({ settings: { leaseTicks: 10, seatTicks: 8 } }).deal({ a: 3, b: 3 })
  t.equal(
    codeOf(
      pool.run({ type: 'change-settings', settings: { tickMs: 1, leaseTicks: 3, seatTicks: 3 } }),
    ),
    'LICD_BAD_CONFIG',
  )
  const now = pool.tickNow
  const downAt = now + 11
  t.equal(pool.server('a').downAt, downAt)
  pool.run({ type: 'change-settings', settings: { tickMs: 1_000, leaseTicks: 5, seatTicks: 2 } })
  t.equal(pool.server('a').downAt, downAt, 'a shorter lease does not shorten what was listed')
  t.equal(
    pool.ledger.state.tokensUntil,
    now + 10,
    'a server may not know yet, until its lease ends',
  )
  pool.run({ type: 'hello', server: 'a', bootId: 'again' })
  t.equal(pool.server('a').relearnUntil, now + 11, 'old seats live as long as they were promised')
  const move = pool.proof('b', { lastTick: now + 8 })
  t.match(pool.borrow('c', { cause: 'update', move }), { taken: [{ source: 'move' }] })
  t.equal(pool.ledger.state.moves.get('seat-1')?.until, now + 11)

  pool.run({ type: 'change-settings', settings: { tickMs: 300, leaseTicks: 5, seatTicks: 2 } })
  const stretched = (ticks: number) => now + Math.ceil((ticks * 1_000) / 300) + 1
  t.equal(pool.server('b').downAt, stretched(11), 'faster ticks: as much time as before')
  t.equal(pool.server('a').relearnUntil, stretched(11))
  t.equal(pool.ledger.state.moves.get('seat-1')?.until, stretched(11))
  t.equal(pool.ledger.state.tokensUntil, stretched(10))
  pool.run({ type: 'change-settings', settings: { tickMs: 9_000, leaseTicks: 5, seatTicks: 2 } })
  t.equal(pool.server('b').downAt, stretched(11), 'slower ticks shorten nothing')

  const other = new Pool({ settings: { leaseTicks: 10, seatTicks: 8 } })
  other.run({ type: 'change-settings', settings: { tickMs: 20, leaseTicks: 10, seatTicks: 8 } })
  t.equal(other.ledger.state.tokensUntil, 1 + 10 * 50 + 1, 'faster ticks alone')
})

t.test('vendors: a key keeps its bytes', async t => {
  const pool = new Pool()
  const add = (change: object) =>
    codeOf(pool.run({ type: 'add-vendor', vendor: { ...vendor, ...change } }))
  t.equal(add({ kid: 'other' }), 'ok')
  t.equal(add({ name: 'renamed' }), 'ok')
  t.equal(pool.ledger.state.vendors.get(vendor.kid)?.name, 'renamed')
  t.equal(add({ publicKey: 'other' }), 'LICD_BAD_KEY')
  t.equal(add({ kid: '' }), 'LICD_BAD_KEY')
  for (let n = 2; n < bounds.vendors; n++) {
    const kid = `k${String(n)}`
    const body: CommandBody = { type: 'add-vendor', vendor: { ...vendor, kid } }
    pool.ledger.apply(command(kid, pool.tickNow, body), 1)
  }
  t.equal(add({ kid: 'one more' }), 'LICD_TOO_MANY')
})

t.test('a snapshot is of the moment it was opened, whatever is applied meanwhile', async t => {
  const pool = new Pool().deal({ a: 5, b: 5 })
  for (let n = 0; n < 20; n++) {
    pool.run({ type: 'add-feature', feature: `f${String(n)}`, allocations: 9 })
  }
  const hash = pool.ledger.hash()
  const rows = pool.ledger.snapshotRows()
  const read: Row[] = []
  for (let row = rows.next(), n = 0; !row.done; row = rows.next(), n++) {
    read.push(row.value)
    const body: CommandBody = { type: 'add-allocations', feature: `f${String(n % 20)}`, count: 1 }
    pool.ledger.apply(command(`w${String(n)}`, pool.tickNow + 5, body), 100 + n)
    if (n === 3) pool.ledger.apply(tickOf(pool, [pool.listing('a')]), 1)
    if (n === 4) {
      const more: CommandBody = { type: 'add-feature', feature: 'more', allocations: 1 }
      pool.ledger.apply(command('more', pool.tickNow + 5, more), 1)
    }
  }
  t.equal(Ledger.restoreRows(read).hash(), hash)
  t.not(pool.ledger.hash(), hash)
  t.equal(Ledger.restore(pool.ledger.snapshot()).hash(), pool.ledger.hash())

  const json: unknown = JSON.parse(JSON.stringify(pool.ledger.snapshot()))
  t.same(json, pool.ledger.snapshot(), 'plain data')
})

t.test('one snapshot at a time: the one before does not end as if it were whole', async t => {
  const pool = new Pool()
  const first = pool.ledger.snapshotRows()
  first.next()
  const second = pool.ledger.snapshotRows()
  t.throws(() => first.next(), /snapshot/)
  t.equal([...second].length, pool.ledger.snapshot().rows.length)
  t.throws(() => Ledger.restoreRows([]), /rows/)
  const [, server] = pool.ledger.snapshot().rows
  t.throws(() => Ledger.restoreRows(server ? [server] : []), /pool row/)
})
