// Proofs of seats at the server: who gets one, and of what.
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { pool } from './pool.ts'
import { Probe } from './probe.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
const nonce = text(randomBytes(16))

t.test(
  'only who shows the token of a seat that is held here is answered with more than a refusal',
  async t => {
    const world = pool(9)
    const probe = new Probe(world)
    const token = text(probe.seat('a', 's1'))
    const other = text(probe.seat('a', 's2'))
    const asked = (item: object, server = 'a'): unknown => {
      probe.sendJson(server, 'prove', { seatId: 's1', token, nonce, ...item })
      world.time.run(30)
      return probe.json.at(-1)
    }
    t.match(
      asked({}),
      { ok: false, code: 'LICD_NO_PROOF' },
      'the pool\u2019s own feature has no vendor',
    )
    t.match(asked({ token: other }), { ok: false, code: 'LICD_BAD_TOKEN' })
    t.match(asked({ token: text(randomBytes(60)) }), { ok: false, code: 'LICD_BAD_TOKEN' })
    t.match(asked({}, 'b'), { ok: false, code: 'LICD_SEAT_LOST' }, 'it is not held there')
    const [namesake] = new Probe(world, 'other').acquire('b', { requestId: 's1' }, 30, 'other')
    t.ok(namesake?.kind === 'granted')
    if (namesake?.kind === 'granted') {
      const shown = text(namesake.seats[0]?.token ?? new Uint8Array(0))
      t.match(asked({ token: shown }), { ok: false, code: 'LICD_SEAT_LOST' }, 'a seat of that name')
    }
    for (const bad of ['', text(randomBytes(15)), text(randomBytes(65)), '*', 5]) {
      t.match(
        asked({ nonce: bad }),
        { ok: false, code: 'LICD_BAD_REQUEST' },
        `nonce ${String(bad)}`,
      )
    }
    t.match(asked({ seatId: undefined }), { ok: false, code: 'LICD_BAD_REQUEST' })
    t.match(asked({ more: 'x'.repeat(5_000) }), { ok: false, code: 'LICD_TOO_LARGE' })
    probe.send('a', 'prove', Buffer.from('no json'), false)
    probe.release('a', { seatId: 's1', token: Buffer.from(token, 'base64url') })
    t.match(asked({}), { ok: false, code: 'LICD_SEAT_LOST' }, 'released')
  },
)

t.test('proofs are bounded by the second, for each client and for all', async t => {
  const world = pool(60)
  const asked = (probe: Probe, seatId: string, token: string, times: number): unknown[] => {
    const before = probe.json.length
    for (let n = 0; n < times; n++) probe.sendJson('a', 'prove', { seatId, token, nonce })
    world.time.run(30)
    return probe.json.slice(before).map(answer => (answer as { code: string }).code)
  }
  const count = (codes: readonly unknown[], code: string): number =>
    codes.filter(one => one === code).length
  // The pool's own feature has no vendor: that is what is said of a seat that may be proven.
  const allowed = 'LICD_NO_PROOF'
  const holders = Array.from({ length: 12 }, (_, n) => {
    const probe = new Probe(world, `p${n}`)
    const [granted] = probe.acquire('a', { requestId: `s${n}` }, 30, `client-${n}`)
    const bytes = granted?.kind === 'granted' ? granted.seats[0]?.token : undefined
    return { probe, seatId: `s${n}`, token: text(bytes ?? new Uint8Array()) }
  })
  const [first, ...others] = holders
  if (first === undefined) throw new Error('no holder')
  // All below is within one second of the server's clock.
  world.time.run(1_000 - (world.server('a').clock.now() % 1_000))

  const forged = asked(first.probe, 's1', first.token, 2_000)
  t.equal(count(forged, 'LICD_BAD_TOKEN'), 2_000)
  const one = asked(first.probe, first.seatId, first.token, 300)
  t.same([count(one, allowed), count(one, 'LICD_TOO_BUSY')], [100, 200], 'its part, and no more')
  const rest = others.flatMap(({ probe, seatId, token }) => asked(probe, seatId, token, 90))
  t.same([count(rest, allowed), count(rest, 'LICD_TOO_BUSY')], [900, 90], '1,000 with those of all')
  t.ok(first.probe.seat('a', 'granted'), 'seats are granted meanwhile')
  world.time.run(1_000)
  t.same(asked(first.probe, first.seatId, first.token, 1), [allowed], 'and then again')
})
