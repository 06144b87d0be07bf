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
}

export class SimulatedClient {
  readonly name: string
  readonly refusals = new Map<string, number>()
  granted = 0
  lost = 0
  moved = 0
  /** Something was heard since the pool was last checked: only then can it believe in more than before. */
  heard = false
  readonly demand: Demand
  onLost: ((what: string) => void) | undefined
  readonly #pool: SimulatedPool
  readonly #random: SeededRandom
  #process: { core: ClientCore; clock: VirtualClock; bus: MemoryBus } | undefined
  #holds = new Set<Hold>()
  #wanted = 0
  #state: 'running' | 'stopped' | 'suspended' = 'running'
  #starts = 0
  #rests = false

  constructor(pool: SimulatedPool, name: string, demand: Demand) {
    this.#pool = pool
    this.name = name
    this.demand = demand
    this.#random = new SeededRandom(`${pool.options.seed}:${name}`)
  }

  start(): this {
    this.#starts++
    const random = this.#random.split(`start ${this.#starts}`)
    const rate = 1 + (random.next() - 0.5) * 0.02
    const { clock, bus } = this.#pool.connect(this.name, { rate })
    const pool = this.#pool.options.pool ?? 'simulated'
    const core = new ClientCore({ bus: this.#listen(bus), clock, random }, { pool })
    this.#process = { core, clock, bus }
    this.#state = 'running'
    this.#want(core, clock)
    return this
  }

  /** Every message it hears marks it. */
  #listen(bus: MemoryBus): Bus {
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
            this.heard = true
            handle(message)
          },
          options,
        ),
    }
  }

  get core(): ClientCore | undefined {
    return this.#process?.core
  }

  /** Seats of `feature` that its program may use at this instant. A suspended host runs no program. */
  believed(feature: string): number {
    if (this.#state === 'suspended') return 0
    let count = 0
    for (const hold of this.#holds) {
      if (hold.feature === feature && hold.remainingMs() > 0) count += hold.count
    }
    return count
  }

  #want(core: ClientCore, clock: VirtualClock): void {
    const [least, most] = this.demand.pauseMs
    clock.after(this.#random.between(least, most), () => {
      if (this.#process?.core !== core) return
      const isBusy = this.#holds.size + this.#wanted >= this.demand.holdsMax
      if (!this.#rests && !isBusy) this.#acquire(core, clock)
      this.#want(core, clock)
    })
  }

  #acquire(core: ClientCore, clock: VirtualClock): void {
    const random = this.#random
    const feature = random.pick(this.demand.features)
    const count = random.between(1, this.demand.countMax)
    const waitMs = random.chance(0.6) ? random.between(500, 10_000) : undefined
    const box: { hold: Hold | undefined } = { hold: undefined }
    this.#wanted++
    const giveUp = core.acquire(
      { feature, count, user: this.name, host: 'sim', waitMs },
      {
        lost: ({ code, detail }) => {
          this.lost++
          this.onLost?.(`${this.name} lost ${box.hold?.id ?? ''}: ${code} ${detail}`)
          if (box.hold !== undefined) this.#holds.delete(box.hold)
        },
        moved: () => this.moved++,
        renewed: () => {},
      },
      outcome => {
        this.#wanted--
        box.hold = this.#taken(outcome, clock)
      },
    )
    // Some programs lose patience.
    if (random.chance(0.1)) {
      const afterMs = random.between(0, 3_000)
      clock.after(afterMs, () => giveUp({ code: 'LICD_ABORTED', detail: '' }))
    }
  }

  #taken(outcome: Outcome, clock: VirtualClock): Hold | undefined {
    if (!outcome.ok) {
      this.refusals.set(outcome.code, (this.refusals.get(outcome.code) ?? 0) + 1)
      return undefined
    }
    const { hold } = outcome
    this.granted++
    this.#holds.add(hold)
    const [least, most] = this.#rests ? [0, 0] : this.demand.holdMs
    clock.after(this.#random.between(least, most), () => this.#release(hold))
    return hold
  }

  #release(hold: Hold): void {
    if (this.#holds.delete(hold)) hold.release()
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
  }

  /** Stopped from outside; with `suspended` the host's monotonic clock stands as well. */
  pause(suspended: boolean): void {
    if (this.#process === undefined || this.#state !== 'running') return
    this.#state = suspended ? 'suspended' : 'stopped'
    this.#process.clock.pause(suspended)
  }

  resume(): void {
    this.#state = 'running'
    this.heard = true
    this.#process?.clock.resume()
  }

  setLink(up: boolean): void {
    this.#process?.bus.setLink(up)
  }
}
