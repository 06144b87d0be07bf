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

t.test('proofs are bounded by the second; seats are granted meanwhile', async t => {
  const world = pool(9)
  const probe = new Probe(world)
  const token = text(probe.seat('a', 's1'))
  for (let n = 0; n < 1_500; n++) probe.sendJson('a', 'prove', { seatId: 's1', token, nonce })
  world.time.run(50)
  const codes = probe.json.map(answer => (answer as { code: string }).code)
  t.ok(codes.filter(code => code === 'LICD_TOO_BUSY').length >= 400)
  t.ok(codes.filter(code => code === 'LICD_NO_PROOF').length >= 1_000)
  t.ok(probe.seat('a', 's2'))
  world.time.run(1_000)
  probe.sendJson('a', 'prove', { seatId: 's1', token, nonce })
  world.time.run(50)
  t.match(probe.json.at(-1), { code: 'LICD_NO_PROOF' }, 'and then again')
})
