// What the pool's clocks are believed (R2, R10) where few servers are listed, or the pace of ticks changes.
import t from 'tap'
import { Pool, epoch } from './pool.ts'

t.test('one wrong clock moves nothing, though it is listed alone (R10)', async t => {
  const pool = new Pool()
  for (let n = 0; n < 5; n++) pool.tick(['a'], { a: epoch + 9e9 })
  t.equal(pool.ledger.state.calendar, epoch)
  pool.tick(['a', 'b'], { a: epoch + 9e9, b: epoch + 2_000 })
  t.equal(pool.ledger.state.calendar, epoch + 2_000, 'more than half of the servers')
  const single = new Pool({ servers: ['a'] })
  single.tick(['a'], { a: epoch + 3_000 })
  t.equal(single.ledger.state.calendar, epoch + 3_000)
})

t.test(
  'longer ticks: what is granted by them while old ones still come is covered (R6, R7)',
  async t => {
    const settings = { tickMs: 100, leaseTicks: 100, seatTicks: 10 }
    const pool = new Pool({ settings }).deal({ a: 1, b: 1, c: 0 })
    pool.run({ type: 'change-settings', settings: { ...settings, tickMs: 1_000 } })
    const move = pool.proof('a')
    pool.borrow('b', { cause: 'update', move })
    const until = pool.ledger.state.moves.get(move.seatId)?.until ?? 0
    // A seat granted at this moment may live for 10 ticks of 1 s, of which 2 come after 100 ms.
    const shortestMs = 2 * 100 + (until - pool.tickNow - 2) * 1_000 * 0.99
    t.ok(shortestMs >= 10 * 1_000 * 0.98, `${String(shortestMs)} ms`)
  },
)
