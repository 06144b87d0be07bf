// Where allocations come from and where they go: borrow (claims 5, 14, 15), move (R6), return, lend, demand (R12), settling.
import t from 'tap'
import { bounds } from '../../lib/ledger/command.ts'
import { codeOf, Pool, takenOf } from './pool.ts'

/** Servers a, b and d up, c down with its share. */
function withDown(shares: Record<string, number>, free = 0): Pool {
  const pool = new Pool({ servers: ['a', 'b', 'c', 'd'] }).deal(shares, free)
  pool.ticks(12, ['a', 'b', 'd'])
  return pool
}

t.test('request: free pool, then down servers, then the offer (claim 5)', async t => {
  const pool = withDown({ a: 5, b: 1, c: 2 }, 2)
  const offer = pool.offer('a', 3)
  t.equal(takenOf(pool.borrow('b', { offer })), 'free 1')
  t.equal(takenOf(pool.borrow('b', { needed: 3, wanted: 4, offer })), 'free 1, down c 2, offer a 1')
  t.equal(pool.table(), 'free 0 a 4 b 6')
  t.equal(takenOf(pool.borrow('b', { wanted: 9, offer })), 'offer a 3', 'up to what is wanted')
})

t.test('update: the offer, then the free pool, then down servers (claim 14)', async t => {
  const pool = withDown({ a: 5, b: 1, c: 2 }, 2)
  const update = { cause: 'update' } as const
  t.equal(takenOf(pool.borrow('b', { ...update, offer: pool.offer('a', 1) })), 'offer a 1')
  t.equal(
    takenOf(pool.borrow('b', { ...update, needed: 4, wanted: 9, offer: pool.offer('a', 1) })),
    'offer a 1, free 2, down c 2',
  )
  t.equal(pool.table(), 'free 0 a 3 b 7')
})

t.test('less than needed: nothing moves', async t => {
  const pool = withDown({ a: 5, b: 1, c: 2 }, 2)
  const refused = pool.do({
    type: 'borrow',
    feature: 'cad',
    to: 'b',
    incarnation: 1,
    needed: 8,
    wanted: 8,
    cause: 'request',
    offer: pool.offer('a', 3),
    queue: 0,
  })
  t.equal(codeOf(refused.result), 'LICD_NO_SOURCE')
  t.same(refused.changed, [])
  t.equal(refused.revision, refused.revisionBefore)
  t.equal(pool.table(), 'free 2 a 5 b 1 c 2')
})

t.test('an offer that no longer holds is no source (R8)', async t => {
  const pool = withDown({ a: 5, b: 1, c: 2, d: 1 })
  pool.borrow('d', { wanted: 2 })
  t.equal(pool.table(), 'free 0 a 5 b 1 d 3')
  const offers: Record<string, object> = {
    'more than the giver owns': { count: 6 },
    'a past run': { incarnation: 0 },
    'a run to come': { incarnation: 2 },
    'a server that is down': { server: 'c' },
    'no server of the pool': { server: 'x' },
    'the borrower itself': { server: 'b', count: 1 },
    nothing: { count: 0 },
  }
  for (const [name, change] of Object.entries(offers)) {
    const offer = { ...pool.offer('a', 1), ...change }
    t.equal(codeOf(pool.borrow('b', { offer })), 'LICD_NO_SOURCE', name)
  }
  t.equal(takenOf(pool.borrow('b', { wanted: 9, offer: pool.offer('a', 5) })), 'offer a 5')
  t.equal(pool.table(), 'free 0 b 6 d 3')
})

t.test('counts that cannot be are refused by name', async t => {
  const pool = new Pool().deal({ a: 5 }, 5)
  const bad = [0, -1, 1.5, NaN, Infinity, bounds.allocationsMax + 1]
  for (const count of bad) {
    t.equal(codeOf(pool.borrow('b', { needed: count, wanted: count })), 'LICD_BAD_COUNT')
    t.equal(codeOf(pool.give('return', 'a', count)), 'LICD_BAD_COUNT')
    t.equal(codeOf(pool.lend('a', 'b', count)), 'LICD_BAD_COUNT')
    if (count === 0) continue
    t.equal(codeOf(pool.borrow('b', { queue: count })), 'LICD_BAD_COUNT')
    t.equal(codeOf(pool.borrow('b', { offer: pool.offer('a', count) })), 'LICD_BAD_COUNT')
    t.equal(codeOf(pool.give('demand', 'b', count)), 'LICD_BAD_COUNT')
  }
  t.equal(codeOf(pool.borrow('b', { needed: 2, wanted: 1 })), 'LICD_BAD_COUNT')
  for (const result of [
    pool.borrow('b', { feature: 'x' }),
    pool.run({ type: 'return', feature: 'x', server: 'a', incarnation: 1, count: 1 }),
    pool.run({ type: 'demand', feature: 'x', server: 'a', incarnation: 1, count: 1 }),
  ]) {
    t.equal(codeOf(result), 'LICD_UNKNOWN_FEATURE')
  }
  t.equal(pool.table(), 'free 5 a 5')
})

t.test(
  'demand: enters when nothing is found, keeps its place, is met first come first served',
  async t => {
    const pool = new Pool({ servers: ['a', 'b', 'c', 'd'] }).deal({ a: 10 })
    t.match(pool.borrow('c', { queue: 2 }), { code: 'LICD_NO_SOURCE', queued: 1 })
    t.match(pool.borrow('b', { queue: 1 }), { queued: 2 })
    t.match(pool.borrow('c', { queue: 3 }), { queued: 1 }, 'one entry a server, at its old place')
    t.equal(pool.queue(), 'c 3 b 1')
    t.equal(codeOf(pool.borrow('d')), 'LICD_NO_SOURCE', 'without a queue nothing waits')
    t.equal(pool.queue(), 'c 3 b 1')
    pool.give('demand', 'd', 5)
    pool.give('demand', 'b', 2)
    pool.give('demand', 'd', 1)
    t.equal(pool.queue(), 'c 3 b 2 d 1')
    t.equal(codeOf(pool.give('return', 'a', 4)), 'ok')
    t.equal(pool.table(), 'free 0 a 6 b 1 c 3', 'in part too')
    t.equal(pool.queue(), 'b 1 d 1')
    pool.give('demand', 'b', 0)
    t.equal(pool.queue(), 'd 1')
    pool.give('return', 'a', 2)
    t.equal(pool.table(), 'free 1 a 4 b 1 c 3 d 1')
  },
)

t.test(
  'a borrow that finds too little leaves what there is to who waits, itself included',
  async t => {
    const pool = new Pool().deal({ a: 10 }, 3)
    t.match(pool.borrow('b', { needed: 5, wanted: 5, queue: 5 }), { queued: 1 })
    t.equal(pool.table(), 'free 0 a 10 b 3')
    t.equal(pool.queue(), 'b 2')
    const offer = pool.offer('a', 1)
    t.equal(takenOf(pool.borrow('b', { offer })), 'offer a 1')
    t.equal(pool.queue(), 'b 1', 'what it got otherwise it waits for no more')
    const whole = new Pool().deal({ a: 10 }, 3)
    t.notOk('queued' in whole.borrow('b', { needed: 5, wanted: 5, queue: 3 }), 'met at once')
  },
)

t.test('silent servers keep their place but get nothing; down and hello drop it (R12)', async t => {
  const pool = new Pool().deal({ a: 10 })
  pool.borrow('b', { queue: 1 })
  pool.borrow('c', { queue: 1 })
  pool.ticks(3, ['a', 'c'])
  pool.give('return', 'a', 2)
  t.equal(pool.table(), 'free 1 a 8 c 1')
  t.equal(pool.queue(), 'b 1')
  pool.tick()
  t.equal(pool.table(), 'free 0 a 8 b 1 c 1', 'met when it is back')
  pool.borrow('b', { queue: 1 })
  pool.run({ type: 'hello', server: 'b', bootId: 'again' })
  t.equal(pool.queue(), '')
  pool.tick()
  pool.borrow('b', { queue: 1 })
  pool.ticks(11, ['a', 'c'])
  t.equal(pool.queue(), '')
  t.equal(pool.table(), 'free 0 a 8 b 1 c 1')
  pool.give('demand', 'c', 5)
  t.equal(pool.table(), 'free 0 a 8 c 2', 'the share of a server that is down is lent')
})

t.test('ticks top up below target, after those who wait, in the order of names', async t => {
  const pool = new Pool().deal({ a: 10 })
  pool.run({ type: 'change-criteria', feature: 'cad', targets: { b: 3, c: 3 } })
  pool.tick()
  t.equal(pool.table(), 'free 0 a 10', 'nothing is taken from an owner above target (R1)')
  pool.give('return', 'a', 2)
  t.equal(pool.table(), 'free 2 a 8', 'only ticks top up')
  pool.tick()
  t.equal(pool.table(), 'free 0 a 8 b 2')
  pool.ticks(2, ['a', 'b'])
  pool.run({ type: 'return', feature: 'cad', server: 'a', incarnation: 1, count: 5 })
  pool.tick(['a', 'b'])
  t.equal(pool.table(), 'free 4 a 3 b 3', 'none for a silent server')
  pool.tick()
  t.equal(pool.table(), 'free 1 a 3 b 3 c 3')
})

t.test('return: what the giver owns, of a server listed lately', async t => {
  const pool = new Pool().deal({ a: 10 })
  t.equal(codeOf(pool.give('return', 'a', 11)), 'LICD_NOT_ENOUGH')
  pool.tick(['b'])
  t.equal(codeOf(pool.give('return', 'a', 10)), 'ok', 'one of the last two ticks')
  t.equal(pool.table(), 'free 10')
  pool.tick(['b'])
  t.equal(codeOf(pool.give('return', 'a', 1)), 'LICD_NOT_FUNCTIONING')
  pool.run({ type: 'hello', server: 'b', bootId: 'again' })
  t.equal(codeOf(pool.give('return', 'b', 1)), 'LICD_NOT_FUNCTIONING', 'this run is not listed yet')
})

t.test('lend: to who waits, no more than waits there (claim 15)', async t => {
  const pool = new Pool({ servers: ['a', 'b', 'c', 'd'] }).deal({ a: 10 })
  t.equal(codeOf(pool.lend('a', 'b', 1)), 'LICD_NO_DEMAND')
  pool.give('demand', 'b', 3)
  pool.give('demand', 'c', 3)
  t.equal(codeOf(pool.lend('a', 'a', 1)), 'LICD_BAD_REQUEST')
  t.equal(codeOf(pool.lend('a', 'b', 11)), 'LICD_NOT_ENOUGH')
  t.equal(takenOf(pool.lend('a', 'c', 2)), 'offer a 2')
  t.equal(pool.queue(), 'b 3 c 1')
  t.equal(takenOf(pool.lend('a', 'b', 5)), 'offer a 3')
  t.equal(pool.table(), 'free 0 a 5 b 3 c 2')
  pool.ticks(3, ['a', 'b'])
  t.equal(codeOf(pool.lend('a', 'c', 1)), 'LICD_NOT_FUNCTIONING', 'the taker is silent')
  pool.tick()
  const lend = { type: 'lend', feature: 'cad', count: 1 } as const
  t.equal(
    codeOf(pool.run({ ...lend, server: 'a', incarnation: 1, to: 'c', toIncarnation: 2 })),
    'LICD_NOT_FUNCTIONING',
  )
  pool.ticks(2, ['b', 'c'])
  t.equal(codeOf(pool.lend('a', 'c', 1)), 'LICD_NOT_FUNCTIONING', 'the giver is not listed')
})

t.test('move: the seat takes its own allocation along (R6)', async t => {
  const pool = new Pool().deal({ a: 3, b: 2 })
  const move = pool.proof('a')
  t.equal(
    takenOf(pool.borrow('b', { cause: 'update', move, wanted: 4 })),
    'move a 1',
    'one seat, one',
  )
  t.equal(pool.table(), 'free 0 a 2 b 3')
  t.match(pool.ledger.state.moves.get('seat-1'), {
    from: 'a',
    to: 'b',
    toIncarnation: 1,
    tick: pool.tickNow,
    until: pool.tickNow + 5 + 1,
  })
  t.equal(
    takenOf(pool.borrow('b', { cause: 'update', move })),
    'move b 0',
    'it stands there already',
  )
  t.equal(pool.table(), 'free 0 a 2 b 3')
  t.equal(takenOf(pool.borrow('c', { cause: 'update', move })), 'move b 1', 'wherever it went')
  t.equal(pool.table(), 'free 0 a 2 b 2 c 1')
  const until = pool.tickNow + 6
  while (pool.tickNow < until - 1) pool.tick()
  t.ok(pool.ledger.state.moves.has('seat-1'))
  pool.tick()
  t.notOk(pool.ledger.state.moves.has('seat-1'))
})

t.test(
  'move: of two seats of one id, the token of one takes nothing from the other (level 3)',
  async t => {
    for (const level of [2, 3]) {
      const pool = new Pool({ level }).deal({ a: 3, b: 2, c: 1 })
      const move = pool.proof('a')
      t.equal(takenOf(pool.borrow('b', { cause: 'update', move })), 'move a 1')
      const others = { cause: 'update', move: pool.proof('c') } as const
      const taken = pool.borrow('a', others)
      if (level < 3) t.equal(takenOf(taken), 'move b 1')
      else t.equal(codeOf(taken), 'LICD_NO_SOURCE')
      const own = { cause: 'update', move: pool.proof('b') } as const
      t.equal(
        takenOf(pool.borrow('c', own)),
        level < 3 ? 'move a 1' : 'move b 1',
        'its own token does',
      )
    }
  },
)

t.test('move: stands in the place of down servers and comes after spare', async t => {
  const pool = withDown({ a: 3, c: 2 }, 1)
  const move = pool.proof('a')
  t.equal(takenOf(pool.borrow('b', { cause: 'update', move, wanted: 3 })), 'free 1, down c 2')
  t.equal(pool.ledger.state.moves.size, 0, 'the old seat stays dark instead')
  const other = withDown({ a: 3, c: 2 })
  t.equal(takenOf(other.borrow('b', { cause: 'update', move, wanted: 3 })), 'move a 1')
  t.equal(other.table(), 'free 0 a 2 b 1 c 2')
  t.equal(
    takenOf(
      other.borrow('b', { cause: 'update', move: { ...move, seatId: 's2' }, needed: 2, wanted: 2 }),
    ),
    'move a 1, down c 1',
  )
  t.equal(takenOf(other.borrow('b', { move })), 'down c 1', 'a request knows no move')
  t.equal(codeOf(other.borrow('b', { move })), 'LICD_NO_SOURCE')
})

t.test('move: what proves nothing moves nothing', async t => {
  const pool = new Pool().deal({ a: 3, b: 2 })
  pool.run({ type: 'add-feature', feature: 'other', allocations: 1 })
  const now = pool.tickNow
  const bad: Record<string, object> = {
    'a tick too late': { lastTick: now - 1 },
    'proves nothing to others (R5)': { lastTick: 0 },
    'from ahead of the ledger (R11)': { seatTick: now + 1 },
    'of another feature': { feature: 'other' },
    'of a run to come': { incarnation: 2 },
    'of no server here': { server: 'x' },
    'of a server that owns nothing': { server: 'c' },
    'no seat': { seatId: '' },
    'no figures': { seatTick: NaN, lastTick: NaN, incarnation: NaN },
  }
  for (const [name, change] of Object.entries(bad)) {
    const result = pool.borrow('b', { cause: 'update', move: { ...pool.proof('a'), ...change } })
    t.equal(codeOf(result), 'LICD_NO_SOURCE', name)
  }
  t.equal(pool.table(), 'free 0 a 3 b 2')
  const last = pool.proof('a', { lastTick: now })
  t.equal(takenOf(pool.borrow('b', { cause: 'update', move: last })), 'move a 1', 'the last tick')
})

t.test('move: tokens of a run that crashed prove, of a run that went down they do not', async t => {
  const pool = new Pool({ settings: { seatTicks: 10 } }).deal({ a: 3, b: 2 })
  const move = pool.proof('a', { lastTick: 1e6 })
  pool.run({ type: 'hello', server: 'a', bootId: 'again' })
  const update = { cause: 'update', move } as const
  t.equal(takenOf(pool.borrow('b', update)), 'move a 1')
  const other = { ...move, seatId: 'seat-2' }
  pool.ticks(12, ['b', 'c'])
  t.equal(pool.ledger.serverState('a'), 'down')
  t.equal(takenOf(pool.borrow('b', { ...update, move: other })), 'down a 1')
  pool.run({ type: 'hello', server: 'a', bootId: 'third' })
  t.equal(codeOf(pool.borrow('b', { ...update, move: other })), 'LICD_NO_SOURCE')
})

t.test(
  'move: the old token finds a moved seat even when its first server went down since',
  async t => {
    const pool = new Pool({ settings: { leaseTicks: 10, seatTicks: 10 } }).deal({ a: 1, b: 2 })
    pool.ticks(9, ['b', 'c'])
    const move = pool.proof('a')
    t.equal(takenOf(pool.borrow('b', { cause: 'update', move })), 'move a 1')
    pool.ticks(4, ['b', 'c'])
    t.equal(pool.ledger.serverState('a'), 'down')
    t.equal(takenOf(pool.borrow('c', { cause: 'update', move })), 'move b 1')
    t.equal(pool.table(), 'free 0 b 2 c 1')
  },
)

t.test('the taker of a move is not down before the move is forgotten (R6)', async t => {
  const pool = new Pool({ settings: { leaseTicks: 10, seatTicks: 10 } }).deal({ a: 2, b: 1 })
  pool.ticks(6, ['a', 'c'])
  const { downAt } = pool.server('b')
  const move = pool.proof('a')
  pool.borrow('b', { cause: 'update', move })
  const until = pool.tickNow + 11
  t.ok(downAt < until)
  t.equal(pool.server('b').downAt, until)
  while (pool.tickNow < until - 1) pool.tick(['a', 'c'])
  t.equal(pool.ledger.serverState('b'), 'silent')
  t.equal(
    codeOf(pool.borrow('c')),
    'LICD_NO_SOURCE',
    'the share the seat stands on is lent to nobody',
  )
  pool.tick(['a', 'c'])
  t.equal(takenOf(pool.borrow('c')), 'down b 1')
})

t.test('an offer and a move out of one share take no more than it holds', async t => {
  const pool = new Pool().deal({ a: 2 })
  const update = { cause: 'update', move: pool.proof('a'), needed: 3, wanted: 3 } as const
  t.equal(codeOf(pool.borrow('b', { ...update, offer: pool.offer('a', 2) })), 'LICD_NO_SOURCE')
  t.equal(
    takenOf(pool.borrow('b', { ...update, needed: 2, wanted: 2, offer: pool.offer('a', 1) })),
    'offer a 1, move a 1',
  )
  t.equal(pool.table(), 'free 0 b 2')
})

t.test('moves are bounded: beyond it a move is no source', async t => {
  const pool = new Pool().deal({ a: 2 })
  const until = pool.tickNow + 6
  for (let n = 0; n < bounds.moves; n++) {
    const seatId = `m${String(n)}`
    const tick = pool.tickNow
    pool.ledger.state.moves.set(seatId, {
      ...{ seatId, feature: 'cad', from: 'b', to: 'a', toIncarnation: 1, tick, until },
    })
  }
  const body = {
    type: 'borrow',
    feature: 'cad',
    to: 'b',
    incarnation: 1,
    needed: 1,
    wanted: 1,
    cause: 'update',
    queue: 0,
    move: pool.proof('a'),
  } as const
  const apply = (id: string) =>
    pool.ledger.apply({ id, deadline: pool.tickNow, by: 'b', body }, 1).result
  t.equal(codeOf(apply('x')), 'LICD_NO_SOURCE')
  pool.ledger.state.moves.delete('m0')
  t.equal(takenOf(apply('y')), 'move a 1')
})
