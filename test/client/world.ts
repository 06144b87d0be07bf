/** One client over the in-memory broker, with scripted servers beside it. */
import {
  ClientCore,
  type AcquireRequest,
  type Hold,
  type HoldHandlers,
  type Outcome,
  type Refusal,
} from '../../lib/client/core.ts'
import { MemoryBroker, type MemoryBus } from '../sim/memory-bus.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import { VirtualClock, VirtualTime } from '../sim/virtual-clock.ts'
import { ScriptedServer } from './scripted-server.ts'

/** A client, and what happened to the seats it was asked for. */
export class World {
  readonly time = new VirtualTime()
  readonly random = new SeededRandom(7)
  readonly broker = new MemoryBroker({ time: this.time, random: this.random.split('broker') })
  readonly clock = new VirtualClock(this.time)
  readonly bus: MemoryBus = this.broker.connect('client', this.clock)
  readonly homes: (string | undefined)[] = []
  readonly lost: Refusal[] = []
  readonly moved: string[] = []
  readonly #servers = new Map<string, ScriptedServer>()
  #core: ClientCore | undefined

  /** The servers must be there before the client is first looked at. */
  server(name: string): ScriptedServer {
    const server = new ScriptedServer(this.broker, name)
    this.#servers.set(name, server)
    return server
  }

  get core(): ClientCore {
    this.#core ??= new ClientCore(
      { bus: this.bus, clock: this.clock, random: this.random.split('client') },
      { pool: 'default', onServer: home => this.homes.push(home) },
    )
    return this.#core
  }

  ask(request: Partial<AcquireRequest> = {}, more: Pick<HoldHandlers, 'ending'> = {}) {
    const asked: { outcome: Outcome | undefined; giveUp: (refusal: Refusal) => void } = {
      outcome: undefined,
      giveUp: () => {},
    }
    const full = { feature: 'cad', count: 1, user: 'u', host: 'h', waitMs: undefined, ...request }
    const handlers = {
      lost: (refusal: Refusal) => this.lost.push(refusal),
      moved: (server: string) => this.moved.push(server),
      renewed: () => {},
      ...more,
    }
    const giveUp = this.core.acquire(full, handlers, outcome => {
      if (asked.outcome !== undefined) throw new Error('Answered twice.')
      asked.outcome = outcome
    })
    asked.giveUp = refusal => giveUp({ code: 'LICD_ABORTED', detail: refusal.detail })
    return asked
  }

  /** A seat granted now. */
  hold(request: Partial<AcquireRequest> = {}, more: Pick<HoldHandlers, 'ending'> = {}): Hold {
    const asked = this.ask(request, more)
    this.time.runUntil(() => asked.outcome !== undefined, 5_000)
    if (asked.outcome?.ok !== true) throw new Error(`Not granted: ${JSON.stringify(asked.outcome)}`)
    return asked.outcome.hold
  }

  /** The home of a client whose first `find` any of the servers may have answered. */
  at(server: ScriptedServer): this {
    this.#servers.forEach(other => (other.serving = other === server))
    this.time.runUntil(() => this.core.server === server.name, 5_000)
    this.#servers.forEach(other => (other.serving = true))
    return this
  }

  code(asked: { outcome: Outcome | undefined }): string | undefined {
    return asked.outcome?.ok === false ? asked.outcome.code : undefined
  }
}
