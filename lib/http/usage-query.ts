/**
 * One feature's usage history for charts and programs, from the ledger as this server has applied it.
 *
 * Only the blocks of the range are looked up, and points are bounded, so that a question costs the server a few
 * milliseconds however long the history is.
 */
import { byDay, pointsOf, seatsNeeded, type SeatsNeeded, type UsagePoint } from '../ctl/usage.ts'
import {
  denialReasons,
  inUseOf,
  usageBounds,
  usageKey,
  type DenialReason,
  type History,
  type UsageBlock,
  type UsageUnit,
  type Used,
} from '../ledger/history.ts'
import { isFeatureName } from '../protocol/subject.ts'
import { refuse, type Fields, type Read } from '../server/ctl-request.ts'

/** Points of one answer. Three years by the day have 1,098, a day by the minute 1,440. */
export const usageAnswerMax = 2_000

const dayMs = 86_400_000
const units = { minute: 60_000, hour: 3_600_000, day: dayMs } as const
type Unit = keyof typeof units
/** How far back when the question does not say. */
const usualMs = { minute: 3_600_000, hour: 2 * dayMs, day: 31 * dayMs } as const

/** What it looks at of the ledger's state. */
export interface Past {
  readonly level: number
  readonly calendar: number
  readonly history: Pick<History, 'blocks'>
  readonly features: ReadonlyMap<string, Used>
}

/** Columns of one length; `at` is each point's beginning, milliseconds since 1970 by the pool's calendar. */
export interface UsageAnswer {
  readonly feature: string
  readonly unit: Unit
  /** False in a pool that goes by the rules of level 1, which keeps no history. */
  readonly kept: boolean
  /** The pool's calendar: there is nothing after it. */
  readonly calendar: number
  readonly at: readonly number[]
  /** The most in use at any tick. */
  readonly inUse: readonly number[]
  /** What the pool owned, `owed` included; `null` before the first change of use that is known. */
  readonly owned: readonly (number | null)[]
  readonly waiting: readonly number[]
  readonly granted: readonly number[]
  readonly denied: Readonly<Record<DenialReason, readonly number[]>>
  /** How many seats would have been enough, see `seatsNeeded`. */
  readonly needed: readonly SeatsNeeded[]
}

/** Refuses with LICD_BAD_REQUEST, or LICD_UNKNOWN_FEATURE where neither pool nor history has the feature. */
export function usageOf(state: Past, fields: Fields): Read<UsageAnswer> {
  const { feature, unit = 'hour' } = fields
  if (typeof feature !== 'string' || !isFeatureName(feature)) {
    return refuse('LICD_BAD_REQUEST', 'Field feature must be the name of a feature.')
  }
  if (unit !== 'minute' && unit !== 'hour' && unit !== 'day') {
    return refuse('LICD_BAD_REQUEST', 'Field unit: minute, hour or day.')
  }
  const { calendar } = state
  const from = momentOf(fields['from'] ?? calendar - usualMs[unit], calendar)
  const to = momentOf(fields['to'] ?? calendar + 1, calendar)
  if (from === undefined || to === undefined || from >= to) {
    const form = 'milliseconds since 1970, or so long ago: 7d, 12h, 30m'
    return refuse('LICD_BAD_REQUEST', `Fields from and to: ${form}, from before to.`)
  }
  if ((Math.min(to, calendar + 1) - from) / units[unit] > usageAnswerMax) {
    const detail = `That is more than ${usageAnswerMax} points: ask for a larger unit or less time.`
    return refuse('LICD_BAD_REQUEST', detail)
  }
  const points = readPoints(state, { feature, unit, from, to: Math.min(to, calendar + 1) })
  if (points === undefined) {
    return refuse('LICD_UNKNOWN_FEATURE', `Feature ${feature} was not used in that time.`)
  }
  const kept = state.level >= 2
  return { ok: true, value: { feature, unit, kept, calendar, ...columnsOf(points) } }
}

function columnsOf(
  points: readonly UsagePoint[],
): Omit<UsageAnswer, 'feature' | 'unit' | 'kept' | 'calendar'> {
  const of = (reason: DenialReason): number[] => {
    const n = denialReasons.indexOf(reason)
    return points.map(({ denied }) => denied[n] ?? 0)
  }
  return {
    at: points.map(({ at }) => at),
    inUse: points.map(({ peak }) => peak),
    owned: points.map(({ owned }) => (owned === 0 ? null : owned)),
    waiting: points.map(({ waiting }) => waiting),
    granted: points.map(({ granted }) => granted),
    denied: {
      'no-seat': of('no-seat'),
      timeout: of('timeout'),
      'no-lease': of('no-lease'),
      other: of('other'),
    },
    needed: seatsNeeded(points),
  }
}

interface Range {
  readonly feature: string
  readonly unit: Unit
  readonly from: number
  readonly to: number
}

function readPoints(state: Past, { unit, ...range }: Range): UsagePoint[] | undefined {
  if (unit === 'day') {
    const hours = readPoints(state, {
      ...range,
      from: range.from - (range.from % dayMs),
      unit: 'hour',
    })
    return hours === undefined ? undefined : byDay(hours)
  }
  const blocks = blocksOf(state, { unit, ...range })
  const present = state.features.get(range.feature)
  if (blocks.length > 0) return pointsOf(blocks, { unit, ...range })
  if (present === undefined) return undefined
  // Nothing changed as far back as the history goes: what is in use now was then.
  const level = inUseOf(present)
  return pointsOf([], { unit, ...range }).map(point => ({ ...point, peak: level, end: level }))
}

/** Blocks of the range and the last one before; where there is none, the first one after. */
function blocksOf(
  { history, calendar }: Past,
  { feature, unit, from, to }: Range & { readonly unit: UsageUnit },
): UsageBlock[] {
  const { ms, perBlock, keptMs } = usageBounds[unit]
  const blockMs = ms * perBlock
  const startOf = (at: number): number => Math.floor(at / blockMs) * perBlock
  const find = (start: number): UsageBlock | undefined =>
    history.blocks[unit].get(usageKey({ unit, feature, start }))
  const oldest = startOf(Math.max(0, calendar - keptMs))
  const first = Math.max(startOf(from), oldest)
  const newest = startOf(calendar)
  const last = Math.min(startOf(to - 1), newest)
  const blocks: UsageBlock[] = []
  for (let start = first - perBlock; start >= oldest && blocks.length === 0; start -= perBlock) {
    const block = find(start)
    if (block !== undefined) blocks.push(block)
  }
  for (let start = first; start <= last; start += perBlock) {
    const block = find(start)
    if (block !== undefined) blocks.push(block)
  }
  for (let start = last + perBlock; start <= newest && blocks.length === 0; start += perBlock) {
    const block = find(start)
    if (block !== undefined) blocks.push(block)
  }
  return blocks
}

/** Milliseconds since 1970, or so long before the calendar's present. */
function momentOf(value: unknown, calendar: number): number | undefined {
  if (typeof value === 'number') return Math.max(0, value)
  if (typeof value !== 'string') return undefined
  if (/^\d{1,15}$/.test(value)) return Number(value)
  const [, count, unit] = /^(\d{1,6})([dhm])$/.exec(value) ?? []
  if (count === undefined) return undefined
  const ms = unit === 'd' ? units.day : unit === 'h' ? units.hour : units.minute
  return Math.max(0, calendar - Number(count) * ms)
}
