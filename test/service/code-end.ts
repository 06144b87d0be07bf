/** A license code ends while its seats are held (R4, R9): none outlives it, and what remains is granted again at once. */
import { ClientCore, type Outcome, type Refusal } from '../../lib/client/core.ts'
import type { CodeContent } from '../../lib/ledger/command.ts'
import type { SeatEnd } from '../../lib/protocol/seat.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'
import { Holder } from './holder.ts'
import { poolName } from './names.ts'
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
  return withCodes('ends', 'stays')
}

function withCodes(...codeIds: readonly ('ends' | 'stays')[]): World {
  const world = new World({ settings: { tickMs: 1_000, leaseTicks: 30, seatTicks: 30 } })
  world.time.run(3_500)
  const { calendar } = world.truth.state
  const common = { kid, vendor: 'v', customer: 'c', feature: 'cad', allocations: 3 }
  const times = { startsAt: calendar - 1_000, issuedAt: calendar - 1_000 }
  const add = (content: Pick<CodeContent, 'codeId' | 'kind' | 'expiresAt'>): void =>
    world.admin({ type: 'add-code', text: '', content: { ...common, ...times, ...content } })
  world.admin({ type: 'add-vendor', vendor: { kid, name: 'v', publicKey: 'x' } })
  if (codeIds.includes('ends')) {
    add({ codeId: 'ends', kind: 'feature', expiresAt: calendar + 40_000 })
  }
  if (codeIds.includes('stays')) add({ codeId: 'stays', kind: 'allocations' })
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

scenario('clients are told which code ends, an hour ahead and at its end', t => {
  const world = twoCodes()
  const probe = new Probe(world)
  const token = probe.seat('a', 's')
  const expiresAt = world.truth.state.codes.get('ends')?.content.expiresAt
  const { host } = world.server('a')
  const inMs = (): number =>
    (expiresAt ?? 0) - host.ledger.state.calendar - (host.clock.now() - host.tickAppliedAt)
  const [early] = probe.renew('a', { seatId: 's', token }, 5)
  t.match(early, { kind: 'renewed', ends: { code: 'ends', at: expiresAt } })
  t.ok(early?.kind === 'renewed' && early.ends && early.ends.inMs > early.expiresInMs, 'not cut')
  t.ok(world.time.runUntil(() => inMs() < 10_000, 60_000))
  const [late] = probe.renew('a', { seatId: 's', token }, 5)
  t.ok(late?.kind === 'renewed' && late.ends?.inMs === late.expiresInMs, 'cut by it')
  t.match(probe.acquire('a', { requestId: 'n' }, 5)[0], { kind: 'granted', ends: { code: 'ends' } })
  // The tick that ends it is late.
  world.elect(undefined)
  t.ok(world.time.runUntil(() => inMs() <= 0, 60_000))
  const [over] = probe.renew('a', { seatId: 's', token }, 5)
  t.match(over, { kind: 'refused', code: 'LICD_CODE_EXPIRED', retryAfterMs: 1_000 })
  t.ok(
    over?.kind === 'refused' && /license code ends of cad ends at \d{4}-.* UTC/.test(over.detail),
  )
  const denied = world.server('a').service.report.denials('cad')
  t.ok(
    denied.some(({ code, tried }) => code === 'LICD_CODE_EXPIRED' && tried[0]?.source === 'code'),
  )
  world.elect('a')
  t.ok(world.time.runUntil(() => world.truth.state.codes.get('ends')?.state === 'ended', 60_000))
  world.time.run(2_000)
  const [after] = probe.acquire('a', { requestId: 'm' }, 2_500)
  t.ok(after?.kind === 'granted' && after.ends === undefined, 'the other code has no end')
})

scenario('the SDK: a seat whose code ends says so, and so does what is asked for after it', t => {
  const world = withCodes('ends')
  const clock = new VirtualClock(world.time, { rate: 1.01 })
  const core = new ClientCore(
    { bus: world.broker.connect('sdk', clock), clock, random: world.random.split('sdk') },
    { pool: poolName },
  )
  const told: string[] = []
  const ask = (): { outcome: Outcome | undefined } => {
    const asked: { outcome: Outcome | undefined } = { outcome: undefined }
    const request = { feature: 'cad', count: 2, user: 'u', host: 'h', waitMs: undefined }
    const handlers = {
      ending: ({ code }: SeatEnd) => told.push(`ending ${code}`),
      lost: ({ code, detail }: Refusal) => told.push(`${code} ${detail}`),
      ...{ moved() {}, renewed() {} },
    }
    core.acquire(request, handlers, outcome => (asked.outcome = outcome))
    return asked
  }
  const first = ask()
  t.ok(world.time.runUntil(() => first.outcome !== undefined, 15_000))
  const hold = first.outcome?.ok === true ? first.outcome.hold : undefined
  t.equal(hold?.end()?.code, 'ends', 'with the grant already')
  t.ok(world.time.runUntil(() => told.length > 0, 60_000))
  t.equal(told.length, 1, 'and not once more with each renewal')
  t.match(
    told[0],
    /^LICD_CODE_EXPIRED The license code ends ended at \d{4}-.* UTC, and the seat of cad with it;/,
  )
  world.time.run(5_000)
  const second = ask()
  t.ok(world.time.runUntil(() => second.outcome !== undefined, 15_000))
  t.match(second.outcome, {
    ...{ ok: false, code: 'LICD_UNKNOWN_FEATURE' },
    detail: /^The license code ends ended on \d{4}-.* UTC\.$/,
  })
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
