/**
 * The last denials of this server, kept for those who ask why.
 *
 * In memory and for reading alone: nothing is decided by it. Bounded twice: so many a feature, and so many in all,
 * where the longest list gives way, so that a feature that everybody is denied does not push the others out. Who asks
 * again and again is one row that counts.
 */
import type { Code } from '../error.ts'
import { denialBounds, type Denial, type Tried } from '../protocol/why.ts'

/** Asked again within this, the same row is counted and not explained anew: a bound on what hammering costs. */
const freshMs = 100

export type Denied = Pick<
  Denial,
  'what' | 'feature' | 'count' | 'user' | 'host' | 'code' | 'detail'
>

/** What is to be explained. */
export interface Asked extends Denied {
  /** Of a request that waited: its place here, 0 for one that did not wish to. */
  readonly position: number
}

interface Row extends Denied {
  readonly code: Code
  detail: string
  times: number
  readonly firstAt: number
  at: number
  tried: readonly Tried[]
}

export class Denials {
  /** Feature -> rows, the latest last. */
  readonly #rows = new Map<string, Row[]>()
  #size = 0

  /** `explain` is called when it is worth it. */
  note(denied: Denied, now: number, explain: () => readonly Tried[]): void {
    const rows = this.#rowsOf(denied.feature)
    const at = rows.findLastIndex(row => isSame(row, denied))
    const known = rows[at]
    if (known === undefined) {
      rows.push({ ...denied, times: 1, firstAt: now, at: now, tried: explain() })
      this.#size++
      this.#trim(rows)
      return
    }
    known.times++
    if (now - known.at < freshMs && at === rows.length - 1) return
    known.at = now
    known.detail = denied.detail
    known.tried = explain()
    rows.splice(at, 1)
    rows.push(known)
  }

  /** The latest first. */
  list(feature: string, user: string | undefined, now: number): Denial[] {
    return (this.#rows.get(feature) ?? [])
      .filter(row => user === undefined || row.user === user)
      .map(({ firstAt, at, ...row }) => ({
        ...row,
        agoMs: Math.max(0, Math.round(now - at)),
        firstAgoMs: Math.max(0, Math.round(now - firstAt)),
      }))
      .reverse()
  }

  get size(): number {
    return this.#size
  }

  #rowsOf(feature: string): Row[] {
    let rows = this.#rows.get(feature)
    if (rows === undefined) this.#rows.set(feature, (rows = []))
    return rows
  }

  #trim(rows: Row[]): void {
    if (rows.length > denialBounds.perFeature) this.#dropFrom(rows)
    if (this.#size <= denialBounds.perServer) return
    let longest = rows
    for (const others of this.#rows.values()) if (givesWayBefore(others, longest)) longest = others
    this.#dropFrom(longest)
  }

  #dropFrom(rows: Row[]): void {
    const dropped = rows.shift()
    if (dropped === undefined) return
    this.#size--
    if (rows.length === 0) this.#rows.delete(dropped.feature)
  }
}

/** The longer one; of two that are alike the one with the oldest row. */
function givesWayBefore(rows: readonly Row[], others: readonly Row[]): boolean {
  if (rows.length !== others.length) return rows.length > others.length
  return (rows[0]?.at ?? Infinity) < (others[0]?.at ?? Infinity)
}

function isSame(row: Row, denied: Denied): boolean {
  return (
    row.user === denied.user &&
    row.code === denied.code &&
    row.what === denied.what &&
    row.host === denied.host &&
    row.count === denied.count
  )
}
