/** What a client that lies gets: nothing that it was not given (R4, R6). */
import { encodeRenew } from '../../lib/protocol/seat-codec.ts'
import { makeToken, readToken, tokenKey } from '../../lib/token.ts'
import { macKey, poolName } from './names.ts'
import { inUse, pool } from './pool.ts'
import { Probe, kinds } from './probe.ts'
import type { Scenario } from './scenario.ts'

export const impostors: Scenario[] = []

function scenario(name: string, run: Scenario['run']): void {
  impostors.push({ name, run })
}

scenario('R4, R6 - what no server of this pool made proves nothing', t => {
  const world = pool(4, { a: 2, b: 2, c: 0 })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  const key = tokenKey(macKey)
  const proof = readToken(key, poolName, token)
  t.ok(proof)
  if (proof === undefined) return
  const places = [0, 7, token.length - 17, token.length - 16, token.length - 1]
  const altered = places.map(at => token.map((byte, n) => (n === at ? byte ^ 1 : byte)))
  const forged = [
    makeToken(tokenKey(macKey.map(byte => byte ^ 1)), poolName, proof),
    makeToken(key, 'another', proof),
    token.subarray(0, -1),
    token.subarray(0, 16),
    ...altered,
  ]
  for (const one of forged) {
    for (const server of ['a', 'b']) {
      t.strictSame(kinds(probe.move(server, 's', one)), ['LICD_BAD_TOKEN'])
      const given = probe.release(server, { seatId: 's', token: one }, 30, 'liar')
      t.strictSame(kinds(given), ['LICD_BAD_TOKEN'])
    }
  }
  t.equal(inUse(world, 'a'), 1)
  t.equal(inUse(world, 'b'), 0)
  t.strictSame(kinds(probe.renew('a', { seatId: 's', token })), ['renewed'], 'unharmed by all that')
})

scenario('R4, R6 - a token speaks of its own seat and feature alone', t => {
  const world = pool(4, { a: 2, b: 2, c: 0 })
  world.admin({ type: 'add-feature', feature: 'sim', allocations: 3 })
  world.time.run(2_000)
  const probe = new Probe(world)
  const own = probe.seat('a', 'own')
  const others = probe.seat('a', 'others')
  for (const server of ['a', 'b']) {
    t.strictSame(kinds(probe.move(server, 'others', own)), ['LICD_BAD_TOKEN'])
    const item = { seatId: 'own', token: own, feature: 'sim', failover: true }
    t.strictSame(kinds(probe.renew(server, item)), ['LICD_BAD_TOKEN'])
  }
  const given = probe.release('a', { seatId: 'others', token: own }, 30, 'liar')
  t.strictSame(kinds(given), ['LICD_BAD_TOKEN'])
  t.strictSame(kinds(probe.renew('a', { seatId: 'others', token: others })), ['renewed'])
  t.equal(inUse(world, 'a'), 2)
})

scenario('R6 - a challenge is answered where, and for what, it was made', t => {
  const world = pool(6, { a: 2, b: 2, c: 2 })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  const other = probe.seat('a', 'other')
  const [challenge] = probe.renew('b', { seatId: 's', token, failover: true })
  t.equal(challenge?.kind, 'challenge')
  if (challenge?.kind !== 'challenge') return
  const confirm = challenge.nonce
  const elsewhere = { seatId: 's', token, failover: true, confirm }
  t.strictSame(kinds(probe.renew('c', elsewhere)), ['challenge'], 'of another server')
  const another = { seatId: 'other', token: other, failover: true, confirm }
  t.strictSame(kinds(probe.renew('b', another)), ['challenge'], 'of another seat')
  world.time.run(1_100)
  const newer = probe.renew('a', { seatId: 's', token })[0]
  const next = newer?.kind === 'renewed' ? newer.token : token
  const renewed = { seatId: 's', token: next, failover: true, confirm }
  t.strictSame(kinds(probe.renew('b', renewed)), ['challenge'], 'of another token')
  const late = confirm.map((byte, n) => (n === 5 ? byte + 20 : byte))
  t.strictSame(kinds(probe.renew('b', { ...elsewhere, confirm: late })), ['challenge'], 'put off')
  const server = world.server('b')
  server.crash()
  server.restart()
  world.time.run(1_500)
  t.strictSame(kinds(probe.renew('b', elsewhere)), ['challenge'], 'of an earlier run')
  t.equal(inUse(world, 'a'), 2)
  t.equal(inUse(world, 'c'), 0)
})

scenario('R5 - what is released twice, or after it moved, frees nobody else\u2019s seat', t => {
  const world = pool(3, { a: 2, b: 1, c: 0 })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  probe.seat('a', 'other')
  probe.seat('b', 'full')
  t.strictSame(kinds(probe.move('b', 's', token)), ['challenge', 'pending', 'renewed'])
  for (let n = 0; n < 3; n++) {
    t.strictSame(kinds(probe.release('a', { seatId: 's', token })), ['released'])
  }
  t.equal(inUse(world, 'a'), 1)
  t.equal(inUse(world, 'b'), 2)
  for (let n = 0; n < 3; n++) {
    t.strictSame(kinds(probe.release('b', { seatId: 's', token })), ['released'])
  }
  t.equal(inUse(world, 'b'), 1)
})

scenario('R5, R7 - nobody relearns, or gives back, what is another\u2019s', t => {
  const settings = { tickMs: 1_000, leaseTicks: 12, seatTicks: 10 }
  const world = pool(2, { a: 0, b: 2, c: 0 }, { settings })
  world.elect('c')
  world.time.run(1_500)
  const probe = new Probe(world)
  const over = probe.seat('b', 'over')
  world.time.run(13_000)
  t.equal(inUse(world, 'b'), 0, 'its client fell silent')
  const released = probe.seat('b', 'released')
  const held = probe.seat('b', 'held')
  world.server('b').crash()
  world.server('b').restart()
  world.time.run(1_500)
  for (let n = 0; n < 3; n++) probe.release('b', { seatId: 'released', token: released })
  t.equal(inUse(world, 'b'), 2, 'dark until relearning is done')
  t.notOk(kinds(probe.move('b', 'over', over)).includes('renewed'), 'its token proves nothing')
  t.strictSame(kinds(probe.move('b', 'held', held)), ['challenge', 'renewed'])
  t.equal(inUse(world, 'b'), 2)
})

scenario(
  'an id that somebody else has too: a token of another server takes and ends no seat',
  t => {
    const world = pool(9, { a: 3, b: 3, c: 3 })
    const probe = new Probe(world)
    const own = probe.seat('a', 's')
    const thief = new Probe(world, 'thief')
    const asked = thief.acquire('b', { requestId: 's' }, 30, 'thief')[0]
    const token = asked?.kind === 'granted' ? asked.seats[0]?.token : undefined
    t.ok(token, 'ids are the clients\u2019 choice: it has a seat of its own of that name')
    if (token === undefined) return
    world.time.run(2_000)
    const renewal = encodeRenew(99, 'thief', [
      { seatId: 's', feature: 'cad', token, user: 'u', host: 'h', failover: false },
    ])
    t.strictSame(kinds(thief.within(30, () => thief.send('a', 'renew', renewal))), [
      'LICD_NOT_PROVEN',
    ])
    thief.release('a', { seatId: 's', token }, 30, 'thief')
    t.equal(inUse(world, 'a'), 1, 'it is the other\u2019s')
    t.strictSame(kinds(probe.renew('a', { seatId: 's', token: own })), ['renewed'])
    t.strictSame(
      kinds(probe.renew('b', { seatId: 's', token: own, failover: true })),
      ['LICD_NOT_PROVEN'],
      'nor does one seat do for both: it asks elsewhere',
    )
    thief.release('b', { seatId: 's', token }, 30, 'thief')
    t.equal(inUse(world, 'b'), 0, 'its own it may end')
  },
)

scenario('an id that somebody else has too: its move takes nothing from the one that moved', t => {
  const world = pool(9, { a: 3, b: 3, c: 3 })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  const thief = new Probe(world, 'thief')
  const asked = thief.acquire('c', { requestId: 's' }, 30, 'thief')[0]
  const other = asked?.kind === 'granted' ? asked.seats[0]?.token : undefined
  t.ok(other)
  if (other === undefined) return
  // All is taken, so that a seat moves with its own allocation or not at all.
  for (const server of ['a', 'b', 'c']) {
    for (let n = 0; n < 4; n++) probe.acquire(server, { requestId: `${server}${n}` })
  }
  world.time.run(2_000)
  t.strictSame(kinds(probe.move('b', 's', token)), ['challenge', 'pending', 'renewed'])
  const held = inUse(world, 'b')
  t.notOk(kinds(thief.move('a', 's', other)).includes('renewed'))
  t.equal(inUse(world, 'b'), held, 'it is held where it was moved')
  t.strictSame(
    kinds(thief.acquire('a', { requestId: 's' }, 30, 'thief')),
    ['LICD_BAD_REQUEST'],
    'nor is there a new one of that id where it was',
  )
})

scenario('an id that somebody else withdraws where it is not: its client still moves there', t => {
  const world = pool(9, { a: 3, b: 3, c: 3 })
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  const thief = new Probe(world, 'thief')
  const none = new Uint8Array(0)
  t.strictSame(kinds(thief.release('b', { seatId: 's', token: none }, 30, 'thief')), ['released'])
  world.time.run(4_000)
  t.strictSame(kinds(probe.renew('b', { seatId: 's', token, failover: true })), ['challenge'])
  t.strictSame(kinds(probe.release('b', { seatId: 's', token: none })), ['released'])
  t.strictSame(
    kinds(probe.renew('b', { seatId: 's', token, failover: true })),
    ['LICD_SEAT_LOST'],
    'what it released itself does not come back',
  )
})
