/** What a client that lies gets: nothing that it was not given (R4, R6). */
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
