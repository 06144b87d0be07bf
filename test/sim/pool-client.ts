/**
 * A client of a simulated pool: the real client core as a process of its own, whose program asks for seats, holds
 * them for a while and gives them back, for ever, with a demand that changes.
 *
 * What its program may believe valid is read from the handles it holds, at any instant, as a program would.
 */
import { ClientCore, type Hold, type Outcome } from '../../lib/client/core.ts'
import type { Bus } from '../../raft/ports.ts'
import type { MemoryBus } from './memory-bus.ts'
import type { SimulatedPool } from './pool.ts'
import { SeededRandom } from './seeded-random.ts'
import type { VirtualClock } from './virtual-clock.ts'

export interface Demand {
  readonly features: readonly string[]
  /** Holds that the program wants at once, at most. */
  readonly holdsMax: number
  readonly countMax: number
  readonly holdMs: readonly [number, number]
  /** Between two wishes. */
  readonly pauseMs: readonly [number, number]
  /** False on a system that cannot tell that it was suspended but by its wall clock. */
  readonly hasUptime: boolean
  /** So long all clients want much, and then as long little; 0: each as it likes. */
  readonly swingMs: number
}

export interface ClientWatcher {
  /** It may believe in more than before. */
  heard(client: SimulatedClient): void
  told(client: SimulatedClient, event: 'granted' | 'moved' | 'lost' | 'refused', what: string): void
}

/** What a client's program waits for, for as long as it takes. */
export interface PatientWish {
  readonly feature: string
  readonly count: number
  readonly since: number
}

export class SimulatedClient {
  readonly name: string
  readonly demand: Demand
  /** Wishes that wait until they are granted: set when no demand may starve. */
  patient = false
  readonly waits = new Set<PatientWish>()
  /** How long the longest patient wish waited, true ms. */
  waitedMostMs = 0
  readonly #pool: SimulatedPool
  readonly #watcher: ClientWatcher
  readonly #random: SeededRandom
  #process: { core: ClientCore; clock: VirtualClock; bus: MemoryBus } | undefined
  #holds = new Set<Hold>()
  #wanted = 0
  #state: 'running' | 'stopped' | 'suspended' = 'running'
  #starts = 0
  #rests = false
  /** Now it wants much, now nothing. */
  #eager = true

  constructor(pool: SimulatedPool, name: string, demand: Demand, watcher: ClientWatcher) {
    this.#pool = pool
    this.name = name
    this.demand = demand
    this.#watcher = watcher
    this.#random = new SeededRandom(`${pool.options.seed}:${name}`)
  }

  start(): this {
    if (this.#process !== undefined) return this
    this.#starts++
    const random = this.#random.split(`start ${this.#starts}`)
    const rate = 1 + (random.next() - 0.5) * 0.0198
    const { hasUptime } = this.demand
    const { clock, bus } = this.#pool.connect(this.name, { rate, hasUptime })
    const pool = this.#pool.options.pool ?? 'simulated'
    const core = new ClientCore({ bus: this.listen(bus), clock, random }, { pool })
    this.#process = { core, clock, bus }
    this.#state = 'running'
    this.#want(core, clock)
    return this
  }

  /** Every message it hears marks it. */
  protected listen(bus: MemoryBus): Bus {
    return {
      inbox: bus.inbox,
      get connected() {
        return bus.connected
      },
      maxPayload: bus.maxPayload,
      publish: (subject, data, options) => bus.publish(subject, data, options),
      onStatus: handle => bus.onStatus(handle),
      subscribe: (subject, handle, options) =>
        bus.subscribe(
          subject,
          message => {
            this.#watcher.heard(this)
            handle(message)
          },
          options,
        ),
    }
  }

  get core(): ClientCore | undefined {
    return this.#process?.core
  }

  get holds(): ReadonlySet<Hold> {
    return this.#holds
  }

  /** Seats that its program may use at this instant, by feature. A suspended host runs no program. */
  *believed(): Generator<readonly [feature: string, count: number]> {
    if (this.#state === 'suspended') return
    for (const hold of this.#holds) {
      if (hold.remainingMs() > 0) yield [hold.feature, hold.count]
    }
  }

  #want(core: ClientCore, clock: VirtualClock): void {
    const [least, most] = this.demand.pauseMs
    clock.after(this.#random.between(least, most), () => {
      if (this.#process?.core !== core) return
      const { swingMs } = this.demand
      if (swingMs > 0) this.#eager = Math.floor(this.#pool.time.now / swingMs) % 2 === 0
      else if (this.#random.chance(0.05)) this.#eager = !this.#eager
      if (this.patient) this.#eager = true
      const isBusy = this.#holds.size + this.#wanted >= this.demand.holdsMax
      const wants = this.#eager || this.#random.chance(0.1)
      if (!this.#rests && !isBusy && wants) this.#acquire(core, clock)
      this.#want(core, clock)
    })
  }

  #acquire(core: ClientCore, clock: VirtualClock): void {
    const random = this.#random
    const feature = random.pick(this.demand.features)
    const count = random.between(1, this.demand.countMax)
    const { patient } = this
    const waitMs = patient
      ? 3_600_000
      : random.chance(0.6)
        ? random.between(500, 10_000)
        : undefined
    const wish = { feature, count, since: this.#pool.time.now }
    if (patient) this.waits.add(wish)
    this.#wanted++
    const box: { hold: Hold | undefined } = { hold: undefined }
    const giveUp = core.acquire(
      { feature, count, user: this.name, host: 'sim', waitMs },
      {
        lost: ({ code, detail }) => {
          const { hold } = box
          this.#watcher.told(this, 'lost', `${hold?.id ?? ''} ${code} ${detail}`)
          if (hold !== undefined) this.#holds.delete(hold)
        },
        moved: to => this.#watcher.told(this, 'moved', `${box.hold?.id ?? ''} to ${to}`),
        renewed: () => {},
      },
      outcome => {
        this.#wanted--
        if (this.waits.delete(wish)) {
          this.waitedMostMs = Math.max(this.waitedMostMs, this.#pool.time.now - wish.since)
        }
        box.hold = this.#taken(outcome, clock)
      },
    )
    // Some programs lose patience.
    if (!patient && random.chance(0.1)) {
      const afterMs = random.between(0, 3_000)
      clock.after(afterMs, () => giveUp({ code: 'LICD_ABORTED', detail: '' }))
    }
  }

  #taken(outcome: Outcome, clock: VirtualClock): Hold | undefined {
    if (!outcome.ok) {
      this.#watcher.told(this, 'refused', outcome.code)
      return undefined
    }
    const { hold } = outcome
    this.#watcher.told(this, 'granted', hold.id)
    this.#holds.add(hold)
    const [least, most] = this.#rests ? [0, 0] : this.patient ? [50, 500] : this.demand.holdMs
    clock.after(this.#random.between(least, most), () => this.#release(hold))
    return hold
  }

  #release(hold: Hold): void {
    if (this.#holds.delete(hold)) hold.release()
  }

  /** Gives one of its holds back, now. */
  dropOne(): void {
    const [hold] = this.#holds
    if (hold !== undefined && this.#state === 'running') this.#release(hold)
  }

  /** Asks for something more, whatever it has. */
  wishNow(): void {
    const { core, clock } = this.#process ?? {}
    if (core === undefined || clock === undefined || this.#rests) return
    if (this.#state === 'running') this.#acquire(core, clock)
  }

  /** From now on it waits for what it wants, however long that takes, and holds it shortly. */
  becomePatient(): void {
    this.patient = true
    this.#eager = true
    for (const hold of [...this.#holds]) this.#release(hold)
  }

  /** Gives everything back and wants nothing more. */
  rest(): void {
    this.#rests = true
    for (const hold of [...this.#holds]) this.#release(hold)
  }

  /** The process is gone: what it held is used by nobody. */
  crash(): void {
    this.#process?.clock.end()
    this.#process?.bus.close()
    this.#process = undefined
    this.#holds = new Set()
    this.#wanted = 0
    this.waits.clear()
  }

  /** Stopped from outside; with `suspended` the host's monotonic clock stands as well. */
  pause(suspended: boolean): boolean {
    if (this.#process === undefined || this.#state !== 'running') return false
    this.#state = suspended ? 'suspended' : 'stopped'
    this.#process.clock.pause(suspended)
    return true
  }

  resume(): void {
    if (this.#state === 'running') return
    this.#state = 'running'
    this.#watcher.heard(this)
    this.#process?.clock.resume()
  }

  setLink(up: boolean): void {
    this.#process?.bus.setLink(up)
  }

  /** Somebody sets its wall clock. A system without uptime is spared: to it that is a suspension, or hides one. */
  jumpWall(ms: number): void {
    if (this.demand.hasUptime) this.#process?.clock.jumpWall(ms)
  }
}
