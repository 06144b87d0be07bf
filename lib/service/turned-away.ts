/**
 * Clients that this server told to look elsewhere when they looked for one (`find`), and why.
 *
 * They never came to say for whom or what, so they are in no list of denials; who asks why a feature is not to be had
 * would else be shown an empty one while everybody is refused. One row: in memory, for reading alone.
 */
import type { TurnedAway } from '../protocol/why.ts'

type Reason = Pick<TurnedAway, 'code' | 'detail'>

/** Nobody for as long, milliseconds, and the count begins anew. */
const forgetMs = 600_000

export class TurnedAwayCount {
  #reason: Reason | undefined
  #times = 0
  #firstAt = 0
  #at = 0

  note(reason: Reason, now: number): void {
    if (this.#reason === undefined || now - this.#at > forgetMs) {
      this.#times = 0
      this.#firstAt = now
    }
    this.#reason = reason
    this.#times++
    this.#at = now
  }

  /** `undefined` when there was nobody in the last ten minutes. */
  report(now: number): TurnedAway | undefined {
    if (this.#reason === undefined || now - this.#at > forgetMs) return undefined
    return {
      ...this.#reason,
      times: this.#times,
      agoMs: Math.max(0, Math.round(now - this.#at)),
      firstAgoMs: Math.max(0, Math.round(now - this.#firstAt)),
    }
  }
}
