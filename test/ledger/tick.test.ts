/**
 * Ticks over many features: what is topped up at once, what waits for the next tick, and that a server that was
 * restored in between does the same.
 */
import t from 'tap'
import type { Command } from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import { Pool } from './pool.ts'

const many = 400

/** Features from 0 up, so many allocations each; `c` has not started. */
function largePool(allocations: number): Pool {
  const pool = new Pool({ started: false })
  for (const server of ['a', 'b']) pool.run({ type: 'hello', server, bootId: 'boot' })
  pool.tick(['a', 'b'])
  for (let n = 0; n < many; n++) {
    const feature = `f${String(n * 37).padStart(5, '0')}`
    const body = { type: 'add-feature', feature, allocations } as const
    pool.index += 1
    pool.ledger.apply({ id: feature, deadline: pool.tickNow + 2, by: 't', body }, pool.index)
  }
  return pool
}

function share(ledger: Ledger, server: string): number {
  let sum = 0
  for (const { shares } of ledger.state.features.values()) sum += shares.get(server) ?? 0
  return sum
}

t.test(
  'very many features are topped up over several ticks, by name, and then no more',
  async t => {
    const pool = largePool(30)
    const counts: number[] = []
    for (let tick = 0; tick < 6; tick++) counts.push(pool.tick(['a', 'b']).changed.length)
    t.strictSame(counts, [128, 128, 128, 16, 0, 0])
    t.equal(share(pool.ledger, 'a'), 10 * many)

    pool.run({ type: 'hello', server: 'c', bootId: 'boot' })
    const first = pool.tick()
    const names = [...pool.ledger.state.features.keys()].sort()
    t.strictSame(first.changed, names.slice(0, 128))
    t.equal(share(pool.ledger, 'c'), 10 * 128)
  },
)

t.test('who waits is served at once, however many features are to be topped up', async t => {
  const pool = largePool(30)
  pool.ticks(5, ['a', 'b'])
  const last = [...pool.ledger.state.features.keys()].sort().at(-1) ?? ''
  const incarnation = 1
  pool.run({ type: 'add-allocations', feature: last, count: 4 })
  for (const [to, wanted] of [
    ['a', 14],
    ['b', 5],
  ] as const) {
    const common = { feature: last, to, incarnation, needed: wanted, wanted } as const
    pool.run({ type: 'borrow', ...common, cause: 'request', queue: wanted })
  }
  t.equal(pool.queue(last), 'b 5')
  // Its demand is met from what `a` leaves when it goes down, in the very tick that says so.
  for (let tick = 0; tick < 20 && pool.queue(last) !== ''; tick++) pool.tick(['b'])
  t.equal(pool.queue(last), '')
  t.equal(pool.server('a').downAt, pool.tickNow)
})

t.test('a server that was restored in between tops up the same (I5)', async t => {
  const pool = largePool(31)
  pool.tick(['a', 'b'])
  pool.run({ type: 'hello', server: 'c', bootId: 'boot' })
  pool.tick()
  const copy = Ledger.restore(pool.ledger.snapshot())
  const both = (command: Command): void => {
    const applied = pool.raw(command)
    t.strictSame(copy.apply(command, pool.index), applied)
    t.equal(copy.hash(), pool.ledger.hash())
  }
  for (let n = 0; n < 8; n++) {
    const tick = pool.tickNow + 1
    const listings = ['a', 'b', 'c'].map(server => pool.listing(server))
    both({ id: '', deadline: 0, by: 'a', body: { type: 'tick', tick, listings } })
    const feature = `f${String(n * 5 * 37).padStart(5, '0')}`
    const body = { type: 'add-allocations', feature, count: 3 } as const
    both({ id: `x${String(n)}`, deadline: tick + 1, by: 't', body })
  }
  t.equal(share(copy, 'c'), share(pool.ledger, 'c'))
})
