/** How a server's connection for clients is, and how often it ended of late: one flooded is given up again and again. */
import type { Bus, Clock } from '../../raft/ports.ts'
import type { PoolStatus } from '../protocol/ctl.ts'

/** Its ends are counted for so long, and so many of them. */
const keptMs = 3_600_000
const keptMax = 1_000

export class ClientLink {
  readonly #bus: Bus
  readonly #clock: Clock
  /** When it ended. */
  #ends: readonly number[] = []

  constructor(clientBus: Bus, clock: Clock) {
    this.#bus = clientBus
    this.#clock = clock
    clientBus.onStatus(status => {
      if (status === 'down') this.#ends = [...this.#ofLate, clock.now()].slice(-keptMax)
    })
  }

  get standing(): PoolStatus['clientLink'] {
    return { up: this.#bus.connected, lost: this.#ofLate.length }
  }

  get #ofLate(): readonly number[] {
    return this.#ends.filter(at => this.#clock.now() - at <= keptMs)
  }
}
