/**
 * When to look at a pool again: after what it says of its own accord, never after a time.
 *
 * Events are told at once, and so is whatever else calls `happen`. Servers also talk to each other as long as one of
 * them runs (keepalives, and votes where nobody leads), so that what no event tells is seen after some of that: not
 * after each, for a look asks all servers. Heartbeats must not be listened to: the broker says of a server that died
 * that nobody listens at its subject, and with a listener of ours it never would.
 */
import { watchPool, type PoolEvent } from '../lib/ctl/pool-events.ts'
import { subjects } from '../lib/protocol/subject.ts'
import type { NatsBus } from '../raft/index.ts'

/** After this long a condition is taken to be false for good. */
const patienceMs = 30_000
/** Of keepalives, which tell what is in use, and of votes every tenth. */
const talkPerLook = 30

export class PoolWatch {
  readonly events: PoolEvent[] = []
  readonly #waiting = new Set<() => void>()
  /** How often something happened after which it is time to look. */
  #happened = 0

  constructor(bus: NatsBus) {
    watchPool(bus, 'default', event => {
      this.events.push(event)
      this.happen()
    })
    let talk = 0
    const heard = (weight: number) => (): void => {
      talk += weight
      if (talk < talkPerLook) return
      talk = 0
      this.happen()
    }
    const names = subjects('default')
    bus.subscribe(names.peer('*', 'keepalive'), heard(3))
    bus.subscribe(`${names.raft}.*.v`, heard(3))
  }

  /** Resolves with the first answer of `look` that is one; rejects, with what `last` says, when there is none. */
  async until<T>(
    what: string,
    look: () => Promise<T | undefined> | T | undefined,
    last: () => string = () => '',
  ): Promise<T> {
    const end = performance.now() + patienceMs
    while (performance.now() < end) {
      const seen = this.#happened
      const found = await look()
      if (found !== undefined) return found
      if (this.#happened === seen) await this.#next(end)
    }
    throw new Error(`${what}: not within ${patienceMs} ms; last ${last()}`)
  }

  /** Resolves with the first event, of the past or to come, that fits. */
  event<T>(what: string, fits: (event: PoolEvent) => T | undefined): Promise<T> {
    let at = 0
    return this.until(what, () => {
      while (at < this.events.length) {
        const event = this.events[at++]
        const found = event && fits(event)
        if (found !== undefined) return found
      }
      return undefined
    })
  }

  /** Something happened after which it is time to look. */
  readonly happen = (): void => {
    this.#happened++
    for (const look of this.#waiting) look()
  }

  /** The next that happens, or the end of patience. */
  #next(end: number): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        this.#waiting.delete(done)
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(done, end - performance.now())
      this.#waiting.add(done)
    })
  }
}
