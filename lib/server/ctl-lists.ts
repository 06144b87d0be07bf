/**
 * Changes that came in one message, and their answers: those of one turn leave in one message too.
 *
 * A list is a msgpack array of requests of one kind; each is judged, committed and answered for itself. An answer names
 * its request by its place in the list.
 */
import type { Bus, Clock } from '../../raft/ports.ts'
import { encodeAnswers, type Answer } from './ctl-wire.ts'

type Placed = readonly [place: number, answer: Answer]

export interface ListAnswersOptions {
  readonly server: string
  readonly bus: Bus
  readonly clock: Clock
}

export class ListAnswers {
  readonly #options: ListAnswersOptions
  /** By where they are awaited. Bounded by the requests under way. */
  #due = new Map<string, Placed[]>()

  constructor(options: ListAnswersOptions) {
    this.#options = options
  }

  /** Leaves at the end of this turn. */
  add(reply: string, place: number, answer: Answer): void {
    const due = this.#due.get(reply)
    if (due !== undefined) {
      due.push([place, answer])
      return
    }
    this.#due.set(reply, [[place, answer]])
    if (this.#due.size === 1) this.#options.clock.defer(() => this.#flush())
  }

  /** Answers to changes are small; where a broker takes very little, each leaves by itself. */
  #flush(): void {
    const { bus, server } = this.#options
    const due = this.#due
    this.#due = new Map()
    for (const [reply, answers] of due) {
      const data = encodeAnswers(answers, server)
      if (data.length <= bus.maxPayload) bus.publish(reply, data)
      else for (const one of answers) bus.publish(reply, encodeAnswers([one], server))
    }
  }
}
