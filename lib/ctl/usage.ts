/**
 * The pool's usage history as series of points, and what they say of how many seats a pool needs.
 *
 * The ledger keeps a slot only where something changed (lib/ledger/history.ts); here the time between is filled in
 * with the use that went on.
 */
import {
  denialReasons,
  slotFields,
  slotWidth,
  usageBounds,
  type UsageUnit,
} from '../ledger/history.ts'
import type { CtlAnswers } from '../protocol/ctl.ts'
import type { CtlClient } from './ctl-client.ts'

/** What happened in one minute, hour or day. */
export interface UsagePoint {
  /** Its beginning, milliseconds since 1970. */
  readonly at: number
  /** The most seats in use at any tick in it, and at its end. */
  readonly peak: number
  readonly end: number
  /** The most seats that requests waited for at once. */
  readonly waiting: number
  /** What the pool owned at its last change of use; 0 before the first that is known. */
  readonly owned: number
  readonly granted: number
  /** In the order of `denialReasons`. */
  readonly denied: readonly number[]
}

export interface UsageSeries {
  readonly feature: string
  readonly points: readonly UsagePoint[]
}

export interface UsageRange {
  readonly unit: UsageUnit
  readonly from: number
  readonly to: number
  readonly feature?: string
}

type Block = CtlAnswers['usage']['blocks'][number]

/** Points of one series; a longer range is refused by whoever asks. */
export const pointsMax = 100_000

/**
 * Reads the history at one server, page by page; features in the order of their names. The range ends with the pool's
 * calendar, and begins with the unit of `from`. Throws as `CtlClient.ask`.
 */
export async function readUsage(client: CtlClient, range: UsageRange): Promise<UsageSeries[]> {
  const byFeature = new Map<string, Block[]>()
  let after: string | undefined
  let calendar = 0
  // All pages come from one server: another may have applied less.
  let server = client.server
  do {
    const request = { ...range, ...(after === undefined ? {} : { after }) }
    const page = await client.ask('usage', request, server === undefined ? {} : { server })
    server = page.server
    calendar = page.calendar
    for (const block of page.blocks) {
      const blocks = byFeature.get(block.feature)
      if (blocks === undefined) byFeature.set(block.feature, [block])
      else blocks.push(block)
    }
    after = page.next
  } while (after !== undefined)
  const to = Math.min(range.to, calendar + 1)
  return [...byFeature]
    .map(([feature, blocks]) => ({ feature, points: pointsOf(blocks, { ...range, to }) }))
    .sort((a, b) => (a.feature < b.feature ? -1 : 1))
}

/** `blocks` of one feature, the oldest first. */
export function pointsOf(
  blocks: readonly Omit<Block, 'feature'>[],
  { unit, from, to }: UsageRange,
): UsagePoint[] {
  const { ms } = usageBounds[unit]
  const slots = new Map<number, Slot>()
  for (const { start, slots: numbers } of blocks) {
    for (let at = 0; at + slotWidth <= numbers.length; at += slotWidth) {
      const slot = slotAt(numbers, at)
      slots.set(start + slot.offset, slot)
    }
  }
  const first = Math.floor(from / ms)
  const known = [...slots.keys()].sort((a, b) => a - b)
  const before = known.filter(unit => unit < first).at(-1)
  const next = known.find(unit => unit >= first)
  let level = slots.get(before ?? NaN)?.end ?? slots.get(next ?? NaN)?.begin ?? 0
  let owned = slots.get(before ?? NaN)?.owned ?? 0
  const points: UsagePoint[] = []
  for (let at = first; at * ms < to && points.length < pointsMax; at++) {
    const slot = slots.get(at)
    if (slot === undefined) {
      const denied = denialReasons.map(() => 0)
      const quiet = { waiting: 0, owned, granted: 0, denied }
      points.push({ at: at * ms, peak: level, end: level, ...quiet })
      continue
    }
    level = slot.end
    owned = slot.owned
    const { peak, end, waiting, granted } = slot
    const denied = denialReasons.map(reason => slot[reason])
    points.push({ at: at * ms, peak, end, waiting, owned, granted, denied })
  }
  return points
}

type Slot = Readonly<Record<(typeof slotFields)[number], number>>

function slotAt(numbers: readonly number[], from: number): Slot {
  return Object.fromEntries(slotFields.map((name, n) => [name, numbers[from + n] ?? 0])) as Slot
}

/** Hours as days, in UTC. */
export function byDay(hours: readonly UsagePoint[]): UsagePoint[] {
  const days: UsagePoint[] = []
  for (const hour of hours) {
    const at = hour.at - (hour.at % 86_400_000)
    const day = days.at(-1)
    if (day?.at !== at) {
      days.push({ ...hour, at })
      continue
    }
    days[days.length - 1] = {
      at,
      peak: Math.max(day.peak, hour.peak),
      end: hour.end,
      waiting: Math.max(day.waiting, hour.waiting),
      owned: hour.owned,
      granted: day.granted + hour.granted,
      denied: day.denied.map((count, n) => count + (hour.denied[n] ?? 0)),
    }
  }
  return days
}

/** What a number of seats would have come to, over the points looked at. */
export interface SeatsNeeded {
  readonly seats: number
  /** Points in which more were needed. */
  readonly short: number
  /** Denials for want of a seat in those. */
  readonly denied: number
}

/**
 * How many seats would have been enough, and for how much of the time: a row for each number of seats at which that
 * changes, the largest first.
 *
 * A point needs what was in use at its peak, what waited, and one for each request denied for want of a seat: a
 * bound from above, since who asks again and again is counted each time, and not all that is denied would have
 * overlapped.
 */
export function seatsNeeded(points: readonly UsagePoint[]): SeatsNeeded[] {
  const wants = points
    .map(point => ({ seats: point.peak + point.waiting + wanting(point), denied: wanting(point) }))
    .sort((a, b) => b.seats - a.seats)
  const rows: SeatsNeeded[] = []
  let denied = 0
  for (const [short, want] of wants.entries()) {
    if (rows.at(-1)?.seats !== want.seats) rows.push({ seats: want.seats, short, denied })
    denied += want.denied
  }
  return rows
}

/** Requests denied because no seat was free, at once or after they had waited. */
export function wanting({ denied }: UsagePoint): number {
  return (
    (denied[denialReasons.indexOf('no-seat')] ?? 0) +
    (denied[denialReasons.indexOf('timeout')] ?? 0)
  )
}
