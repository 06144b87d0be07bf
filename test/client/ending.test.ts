// What a client says of a license code that ends while it holds a seat.
import t from 'tap'
import { World } from './world.ts'

t.test(
  'a code ends soon: told once for each code, and the reason only where it cut the seat',
  async t => {
    const world = new World()
    const a = world.server('alpha')
    let code = 'c1'
    const ends = (inMs: number) => ({ code, at: 1_796_000_000_000, inMs })
    a.onRenew = item => ({ ...a.renew(item), ...{ ends: ends(3_000_000) } })
    const told: string[] = []
    const hold = world.at(a).hold({}, { ending: end => told.push(end.code) })
    t.equal(hold.end(), undefined)
    world.time.run(25_000)
    t.same(told, ['c1'])
    t.equal(hold.end()?.code, 'c1')
    code = 'c2'
    world.time.run(15_000)
    t.same(told, ['c1', 'c2'])
    world.bus.setLink(false)
    world.time.run(31_000)
    t.match(world.lost, [{ code: 'LICD_SEAT_LOST' }], 'nobody renewed it; the code had not ended')
    world.bus.setLink(true)
    world.time.run(1_000)

    a.onAcquire = item => ({ ...a.grant(item), ...{ ends: ends(a.ttlMs) } })
    a.onRenew = () => undefined
    world.hold()
    world.time.run(31_000)
    t.match(world.lost[1], {
      code: 'LICD_CODE_EXPIRED',
      detail: /license code c2 ended at 2026-11-30 .* UTC, and the seat of cad with it/,
    })
  },
)
