/** The SDK's client against real seat services: what it believes when answers are late, and when its host sleeps (R4). */
import { ClientCore, type Hold } from '../../lib/client/core.ts'
import { VirtualClock } from '../sim/virtual-clock.ts'
import { Holder } from './holder.ts'
import { poolName } from './names.ts'
import { pool } from './pool.ts'
import type { Checks, Scenario } from './scenario.ts'
import type { World } from './world.ts'

export const sdkScenarios: Scenario[] = []

function scenario(name: string, run: Scenario['run']): void {
  sdkScenarios.push({ name, run })
}

/** A program with one seat, or none yet, at server `a`. */
class Program {
  readonly clock: VirtualClock
  readonly core: ClientCore
  hold: Hold | undefined

  constructor(world: World) {
    this.clock = new VirtualClock(world.time, { rate: 0.99 })
    const bus = world.broker.connect('sdk', this.clock)
    const random = world.random.split('sdk')
    this.core = new ClientCore(
      { bus, clock: this.clock, random },
      { pool: poolName, prefer: ['a'] },
    )
  }

  acquire(): void {
    const request = { feature: 'cad', count: 1, user: 'u', host: 'h', waitMs: 30_000 }
    const handlers = { lost() {}, moved() {}, renewed() {} }
    this.core.acquire(request, handlers, outcome => {
      if (outcome.ok) this.hold = outcome.hold
    })
  }

  /** A suspended host runs no program. */
  get believes(): boolean {
    return this.clock.running && (this.hold?.remainingMs() ?? 0) > 0
  }
}

/** One seat at a server that sees no ticks, so that its clock alone decides, and a program that found it. */
function alone(): { world: World; program: Program } {
  const settings = { tickMs: 1_000, leaseTicks: 90, seatTicks: 10 }
  const world = pool(2, { a: 1, b: 1, c: 0 }, { settings, rates: { a: 1.01, b: 1, c: 1 } })
  world.elect('c')
  world.time.run(2_000)
  world.server('a').isolated = true
  world.time.run(12_000)
  const program = new Program(world)
  world.time.run(500)
  return { world, program }
}

/** The next thing the program asks is its last; whatever goes to it or comes from it takes so long from now on. */
function delay(world: World, what: 'acquire' | 'renew'): void {
  let isAsked = false
  world.broker.fault = (from, to, { subject }) => {
    if (to === 'sdk') return { delayMs: 750 }
    if (from !== 'sdk') return undefined
    if (isAsked || !subject.endsWith(what)) return { drop: true }
    isAsked = true
    return { delayMs: 750 }
  }
}

/** Another client waits for the seat: at no moment do both believe in it, and in the end this one does. */
function nextGetsIt(t: Checks, world: World, program: Program, ms: number): void {
  const next = new Holder(world, 'next', { servers: ['a'], beatMs: 10 })
  next.acquire('cad', { waitMs: 60_000 })
  let both = false
  world.time.run(ms, () => (both ||= program.believes && next.believes('cad') > 0))
  t.notOk(both, 'one seat, one user')
  t.equal(next.believes('cad'), 1)
}

scenario('R4 - a grant counts from before it was asked for, however late it comes', t => {
  const { world, program } = alone()
  delay(world, 'acquire')
  program.acquire()
  t.ok(world.time.runUntil(() => program.believes, 10_000))
  nextGetsIt(t, world, program, 20_000)
})

scenario('R4 - a renewal counts from before it was asked for, however late it comes', t => {
  const { world, program } = alone()
  program.acquire()
  world.time.run(2_000)
  t.ok(program.believes)
  const before = program.hold?.remainingMs() ?? 0
  delay(world, 'renew')
  t.ok(world.time.runUntil(() => (program.hold?.remainingMs() ?? 0) > before, 12_000))
  nextGetsIt(t, world, program, 25_000)
})

scenario('R4 - a host that slept believes in nothing before it has renewed', t => {
  const { world, program } = alone()
  program.acquire()
  world.time.run(1_000)
  t.ok(program.believes)
  program.clock.pause(true)
  world.time.after(12_000, () => program.clock.resume())
  nextGetsIt(t, world, program, 20_000)
})
