/**
 * Usage since the last keepalive, per feature (R2): what `status` and the history of the pool are made from.
 *
 * Counters only; nothing is decided by them.
 */
import type { Code } from '../error.ts'
import type { Usage } from '../ledger/command.ts'
import { denialReasons, type DenialReason } from '../ledger/history.ts'
import type { Tally } from '../server/parts.ts'

interface Counts {
  granted: number
  /** By reason, in the order of `denialReasons`. */
  denied: number[]
  /** In use as last reported; a feature whose figures did not change is not reported again. */
  reported: number
  readonly tally: Tally
}

export class UsageCounters {
  readonly #counts = new Map<string, Counts>()
  /** Since the process started. Features are the pool's; the empty name stands for all that it does not have. */
  readonly tallies = new Map<string, Tally>()

  granted(feature: string, count: number): void {
    const counts = this.#of(feature)
    counts.granted += count
    counts.tally.granted += count
  }

  /** A request or renewal was denied, whether or not the pool's history counts it. */
  refused(feature: string, code: Code): void {
    const { denied } = this.#tallyOf(feature)
    denied.set(code, (denied.get(code) ?? 0) + 1)
  }

  denied(feature: string, reason: DenialReason): void {
    const { denied } = this.#of(feature)
    const at = denialReasons.indexOf(reason)
    denied[at] = (denied[at] ?? 0) + 1
  }

  /** The most used first, at most `max`; what is left out is counted on until the next time. */
  take(inUse: Iterable<readonly [string, number]>, max: number): Usage[] {
    const rows: Usage[] = []
    for (const [feature, used] of inUse) {
      const { granted, denied: reasons, reported } = this.#of(feature)
      const denied = sum(reasons)
      if (granted + denied > 0 || used > 0 || reported > 0) {
        rows.push({ feature, inUse: used, granted, denied, ...(denied > 0 ? { reasons } : {}) })
      }
    }
    rows.sort((a, b) => b.inUse - a.inUse || (a.feature < b.feature ? -1 : 1))
    if (rows.length > max) rows.length = max
    for (const { feature, inUse } of rows) {
      const counts = this.#of(feature)
      counts.granted = 0
      counts.denied = none()
      counts.reported = inUse
    }
    return rows
  }

  #of(feature: string): Counts {
    let counts = this.#counts.get(feature)
    if (counts === undefined) {
      counts = { granted: 0, denied: none(), reported: 0, tally: this.#tallyOf(feature) }
      this.#counts.set(feature, counts)
    }
    return counts
  }

  #tallyOf(feature: string): Tally {
    let tally = this.tallies.get(feature)
    if (tally === undefined) {
      tally = { granted: 0, denied: new Map() }
      this.tallies.set(feature, tally)
    }
    return tally
  }
}

function none(): number[] {
  return denialReasons.map(() => 0)
}

function sum(counts: readonly number[]): number {
  let all = 0
  for (const count of counts) all += count
  return all
}

/** What a code says to whoever counts denials: would more seats have helped? */
export function denialReasonOf(code: Code): DenialReason {
  switch (code) {
    case 'LICD_NO_SEAT':
    case 'LICD_OVER_LIMIT':
      return 'no-seat'
    case 'LICD_TIMEOUT':
    case 'LICD_ABORTED':
      return 'timeout'
    case 'LICD_NO_LEASE':
    case 'LICD_NOT_SERVING':
      return 'no-lease'
    default:
      return 'other'
  }
}
