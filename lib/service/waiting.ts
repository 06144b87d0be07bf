/**
 * Requests that wait for seats at this server: one line per feature, first come, first served.
 *
 * Bounded for the whole server, and for each client, so that one cannot fill the queue of all. A client keeps its place by repeating its request; one that is silent for
 * `waitingForgetMs` is gone and loses it, so that no seat is kept for nobody.
 */
import { seatBounds, type AcquireItem } from '../protocol/seat.ts'
import type { Reply } from './wire.ts'

export const waitingMax = 10_000

export interface Waiter {
  readonly item: AcquireItem
  readonly clientId: string
  /** Monotonic time at which it is refused. */
  readonly deadline: number
  /** Did not ask to wait: it is held only until this server knows whether anything can be borrowed. */
  readonly isBrief: boolean
  /** When its client was last heard of. */
  seenAt: number
  /** The newest message that asked. */
  reply: Reply | undefined
  /** 1 and up; brought up to date as the line is walked. */
  position: number
}

export class Waiting {
  readonly #lines = new Map<string, Map<string, Waiter>>()
  readonly #all = new Map<string, Waiter>()
  /** Client id -> its requests here. */
  readonly #clients = new Map<string, number>()
  /** Feature -> seats asked for: by all, and by those that asked to wait. */
  readonly #counts = new Map<string, { all: number; lasting: number }>()

  get size(): number {
    return this.#all.size
  }

  /** Why no more may wait of this client, with the bound; `undefined` where one may. */
  refusal(clientId: string): string | undefined {
    if (this.#all.size >= waitingMax) return `${waitingMax} requests wait here.`
    const own = this.#clients.get(clientId) ?? 0
    if (own < seatBounds.clientWaiting) return undefined
    return `${own} requests of this client wait here: withdraw some, or send several as one with a count.`
  }

  find(requestId: string): Waiter | undefined {
    return this.#all.get(requestId)
  }

  /** In the order of arrival. The line may be changed while it is walked. */
  line(feature: string): Iterable<Waiter> {
    return this.#lines.get(feature)?.values() ?? []
  }

  first(feature: string): Waiter | undefined {
    // Asked at each grant, and mostly nobody waits.
    if (this.#all.size === 0) return undefined
    for (const waiter of this.line(feature)) return waiter
    return undefined
  }

  all(): Iterable<Waiter> {
    return this.#all.values()
  }

  features(): string[] {
    return [...this.#lines.keys()].sort()
  }

  /** Seats that the requests of a feature ask for; `lasting`: without those that did not ask to wait. */
  asked(feature: string): { readonly all: number; readonly lasting: number } {
    return this.#counts.get(feature) ?? { all: 0, lasting: 0 }
  }

  add(waiter: Omit<Waiter, 'position'>): Waiter {
    const { feature, requestId, count } = waiter.item
    let line = this.#lines.get(feature)
    if (line === undefined) {
      line = new Map<string, Waiter>()
      this.#lines.set(feature, line)
    }
    const added: Waiter = { ...waiter, position: line.size + 1 }
    line.set(requestId, added)
    this.#all.set(requestId, added)
    this.#clients.set(waiter.clientId, (this.#clients.get(waiter.clientId) ?? 0) + 1)
    const counts = this.#counts.get(feature) ?? { all: 0, lasting: 0 }
    counts.all += count
    if (!waiter.isBrief) counts.lasting += count
    this.#counts.set(feature, counts)
    return added
  }

  remove({ item, clientId, isBrief }: Waiter): void {
    const { feature, requestId, count } = item
    if (!this.#all.delete(requestId)) return
    const own = (this.#clients.get(clientId) ?? 1) - 1
    if (own === 0) this.#clients.delete(clientId)
    else this.#clients.set(clientId, own)
    const line = this.#lines.get(feature)
    line?.delete(requestId)
    const counts = this.#counts.get(feature)
    if (counts !== undefined) {
      counts.all -= count
      if (!isBrief) counts.lasting -= count
    }
    if (line?.size !== 0) return
    this.#lines.delete(feature)
    this.#counts.delete(feature)
  }

  /** Brings positions up to date: all at once, for a request that asks is one of thousands. */
  number(): void {
    for (const line of this.#lines.values()) {
      let position = 0
      for (const waiter of line.values()) waiter.position = ++position
    }
  }
}
