// Changes of the settings while promises are out (R2): none gets shorter, and none is stretched without end.
import t from 'tap'
import { Pool } from './pool.ts'

const settings = { tickMs: 1_000, leaseTicks: 30, seatTicks: 10 }

function change(pool: Pool, tickMs: number): void {
  const { result } = pool.do({ type: 'change-settings', settings: { ...settings, tickMs } })
  t.equal(result.ok, true)
}

t.test(
  'tickMs set up and down again and again: nothing is dark for longer than the longest lease',
  async t => {
    const pool = new Pool({ settings })
    pool.run({ type: 'hello', server: 'b', bootId: 'again' })
    const longest = (31 * 10_000) / 1_000 + 3
    let passed = 0
    for (; pool.ledger.serverState('c') !== 'down' && passed <= 40 + longest; passed++) {
      if (passed < 40) change(pool, passed % 2 === 0 ? 10_000 : 1_000)
      const { tokensUntil } = pool.ledger.state
      for (const at of [pool.server('c').downAt, pool.server('b').relearnUntil, tokensUntil]) {
        if (at - pool.tickNow > longest) t.fail(`${at - pool.tickNow} ticks`)
      }
      pool.tick(['a', 'b'])
    }
    t.equal(pool.ledger.serverState('c'), 'down', 'a lease after the last change')
    t.ok(passed >= 30, `not before its lease is over: ${passed}`)
  },
)

t.test('faster ticks, by less and by more than ever: what was promised lasts as long', async t => {
  for (const steps of [[100], [500, 100, 20], [5_000, 100], [60_000, 1_000, 20]]) {
    const pool = new Pool({ settings })
    const { downAt } = pool.server('c')
    const leftMs = (downAt - pool.tickNow) * settings.tickMs
    for (const tickMs of steps) change(pool, tickMs)
    const last = steps.at(-1) ?? NaN
    const left = (pool.server('c').downAt - pool.tickNow) * last
    // Two ticks may be under way at the pace of before.
    t.ok(left - 2 * last >= leftMs - settings.tickMs, `${steps.join()}: ${left} of ${leftMs} ms`)
  }
})

t.test('a restored pool is held as long when its ticks get faster (R11)', async t => {
  const pool = new Pool({ settings })
  const body = { type: 'recover', servers: ['a'], holdTicks: 100, wallMs: 2e12 } as const
  pool.raw({ id: '', deadline: 0, by: 'recover', body })
  const { heldUntil } = pool.ledger.state
  t.ok(heldUntil - pool.tickNow >= 100)
  const { result } = pool.do({ type: 'change-settings', settings: { ...settings, tickMs: 100 } })
  t.equal(result.ok, true)
  t.ok(pool.ledger.state.heldUntil - pool.tickNow >= 10 * (heldUntil - pool.tickNow))
})
