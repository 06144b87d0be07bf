/** A license code ends while its seats are held (R4, R9): none outlives it, and what remains is granted again at once. */
import type { CodeContent } from '../../lib/ledger/command.ts'
import { Holder } from './holder.ts'
import { shares, valid } from './pool.ts'
import { Probe, kinds } from './probe.ts'
import { World } from './world.ts'
import type { Scenario } from './scenario.ts'

export const codeEnds: Scenario[] = []

function scenario(name: string, run: Scenario['run']): void {
  codeEnds.push({ name, run })
}

const kid = 'k'

/** Three servers with two seats each: three by a code that ends in 40 s, three by one that does not. */
function twoCodes(): World {
  const world = new World({ settings: { tickMs: 1_000, leaseTicks: 30, seatTicks: 30 } })
  world.time.run(3_500)
  const { calendar } = world.truth.state
  const common = { kid, vendor: 'v', customer: 'c', feature: 'cad', allocations: 3 }
  const times = { startsAt: calendar - 1_000, issuedAt: calendar - 1_000 }
  const add = (content: Pick<CodeContent, 'codeId' | 'kind' | 'expiresAt'>): void =>
    world.admin({ type: 'add-code', text: '', content: { ...common, ...times, ...content } })
  world.admin({ type: 'add-vendor', vendor: { kid, name: 'v', publicKey: 'x' } })
  add({ codeId: 'ends', kind: 'feature', expiresAt: calendar + 40_000 })
  add({ codeId: 'stays', kind: 'allocations' })
  world.time.run(2_000)
  return world
}

scenario('no seat outlives a code; what remains serves those who ask, and no more', t => {
  const world = twoCodes()
  const all = [...'aabbcc'].map((name, n) => {
    const others = ['a', 'b', 'c'].filter(other => other !== name)
    return new Holder(world, `h${n}`, { servers: [name, ...others] })
  })
  for (const one of all) one.acquire('cad')
  world.time.run(30_000)
  t.equal(valid(all), 6)
  const isOver = (): boolean => world.truth.state.codes.get('ends')?.state === 'ended'
  t.ok(world.time.runUntil(isOver, 30_000))
  // The tick that ends it took as long as this to be committed and applied.
  world.time.run(20)
  t.equal(valid(all), 0, 'all seats may stand on what ended')
  const codes = all.flatMap(one => one.results.flatMap(r => (r.kind === 'refused' ? [r.code] : [])))
  t.notOk(codes.includes('LICD_NOT_SERVING'), 'no client was sent away from a server that serves')
  let most = 0
  for (let second = 0; second < 60; second++) {
    for (const one of all) if (one.state === 'idle') one.acquire('cad', { waitMs: 9_000 })
    world.time.run(1_000, () => (most = Math.max(most, valid(all))))
    if (second === 4) t.equal(valid(all), 3, 'within a few ticks')
  }
  t.equal(most, 3)
  t.equal(valid(all), 3)
  t.equal(world.truth.state.features.get('cad')?.owed, 0)
  const { free, a, b, c } = shares(world)
  t.equal((free ?? 0) + (a ?? 0) + (b ?? 0) + (c ?? 0), 3)
})

scenario('just before the end a renewal gets what is left, and a new request waits', t => {
  const world = twoCodes()
  const probe = new Probe(world)
  world.time.run(20_000)
  const token = probe.seat('a', 's')
  const { host } = world.server('a')
  const leftMs = (): number => {
    const endsAt = world.truth.state.features.get('cad')?.endsAt ?? Infinity
    return endsAt - host.ledger.state.calendar - (host.clock.now() - host.tickAppliedAt)
  }
  t.ok(world.time.runUntil(() => leftMs() <= 500, 30_000))
  const [renewed] = probe.renew('a', { seatId: 's', token }, 5)
  t.ok(renewed?.kind === 'renewed' && renewed.expiresInMs <= 500 && renewed.expiresInMs > 400)
  t.strictSame(kinds(probe.acquire('a', { requestId: 'n', waitMs: 9_000 }, 5)), ['waiting'])
  const after = probe.within(6_000, () => {})
  t.strictSame(kinds(after), ['granted'], 'served once the code has ended')
})

scenario('R9 - what is given back while something is owed pays that, and serves nobody', t => {
  const world = twoCodes()
  const all = [...'aabbcc'].map((name, n) => new Holder(world, `h${n}`, { servers: [name] }))
  for (const one of all) one.acquire('cad')
  world.time.run(1_000)
  t.equal(valid(all), 6)
  const waiting = [...'abc'].map(name => new Holder(world, `w${name}`, { servers: [name] }))
  for (const one of waiting) one.acquire('cad', { waitMs: 60_000 })
  world.time.run(1_000)
  world.admin({ type: 'remove-code', codeId: 'ends' })
  world.time.run(200)
  for (const [n, one] of all.slice(0, 3).entries()) {
    one.release()
    world.time.run(1_700)
    t.equal(valid([...all, ...waiting]), 5 - n, 'nobody was served')
  }
  t.equal(world.truth.state.features.get('cad')?.owed, 0)
  all[3]?.release()
  world.time.run(3_000)
  t.equal(valid([...all, ...waiting]), 3, 'now somebody is')
})

scenario('R9 - a code that was removed before its end serves nobody beyond it', t => {
  const world = twoCodes()
  const all = [...'aabbcc'].map((name, n) => new Holder(world, `h${n}`, { servers: [name] }))
  for (const one of all) one.acquire('cad')
  world.time.run(1_000)
  t.equal(valid(all), 6)
  world.admin({ type: 'remove-code', codeId: 'ends' })
  world.time.run(20_000)
  t.equal(valid(all), 6, 'nothing is taken from who holds it')
  t.equal(world.truth.state.features.get('cad')?.owed, 3)
  const expiresAt = world.truth.state.codes.get('ends')?.content.expiresAt ?? 0
  t.ok(world.time.runUntil(() => world.truth.state.calendar >= expiresAt, 60_000))
  world.time.run(20)
  t.equal(valid(all), 0, 'all seats may stand on what ended')
  for (let second = 0; second < 10; second++) {
    for (const one of all) if (one.state === 'idle') one.acquire('cad', { waitMs: 9_000 })
    world.time.run(1_000)
  }
  t.equal(valid(all), 3, 'and what remains serves on')
  t.match(world.truth.state.features.get('cad'), { owed: 0, endsAt: undefined })
})

scenario('who waits for more than what remains is told so, and those behind are served', t => {
  const world = twoCodes()
  const at = (name: string): Holder => new Holder(world, name, { servers: ['a'] })
  const holding = [...'abc'].flatMap(name =>
    [1, 2].map(n => new Holder(world, `${name}${n}`, { servers: [name] })),
  )
  for (const one of holding) one.acquire('cad')
  world.time.run(1_000)
  const [many, one] = [at('many'), at('one')]
  many.acquire('cad', { count: 5, waitMs: 300_000 })
  world.time.run(200)
  one.acquire('cad', { waitMs: 300_000 })
  world.time.run(200)
  t.equal(many.state, 'asking')
  t.ok(
    world.time.runUntil(() => world.truth.state.codes.get('ends')?.state === 'ended', 60_000),
    '3 of 6 remain',
  )
  for (const holder of holding) holder.release()
  world.time.run(5_000)
  t.equal(many.refusal, 'LICD_BAD_COUNT')
  t.equal(valid([one]), 1)
})
