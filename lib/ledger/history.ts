/**
 * The pool's usage history: what ticks told of use and denials, and what waited, by minute and by hour of the
 * calendar (R2, R10). Part of the ledger's state, so that it is the same on all servers and outlives each of them.
 *
 * A slot is written only where something changed: between two slots the use of the first one's end went on. So a
 * quiet pool writes nothing, and a busy feature one slot a minute and one an hour.
 *
 * Bounds, for each unit: `keptMs` by the calendar, and `slotsMax` slots over all features; beyond either the oldest block
 * goes, at all servers alike.
 */
import type { Usage } from './command.ts'

/** Why requests were denied. `other` is what no seat more would have helped: a count beyond what is owned, a full queue. */
export const denialReasons = ['no-seat', 'timeout', 'no-lease', 'other'] as const
export type DenialReason = (typeof denialReasons)[number]

export const usageUnits = ['minute', 'hour'] as const
export type UsageUnit = (typeof usageUnits)[number]

const dayMs = 86_400_000

/** `perBlock`: units in one block, the piece that snapshots and the hash take. */
export const usageBounds = {
  minute: { ms: 60_000, perBlock: 60, keptMs: 7 * dayMs, slotsMax: 200_000 },
  hour: { ms: 3_600_000, perBlock: 24, keptMs: 3 * 366 * dayMs, slotsMax: 200_000 },
} as const

/** A slot is so many numbers of `UsageBlock.slots`, in the order of `fields`. */
export const slotFields = [
  /** Units since the block's start. */
  'offset',
  /** Seats in use as it began, the most at any tick in it, and as it ended. */
  'begin',
  'peak',
  'end',
  /** The most seats that requests waited for at once in the pool's queue. */
  'waiting',
  /** What the pool owned at its last change, `owed` included. */
  'owned',
  'granted',
  ...denialReasons,
] as const
export const slotWidth = slotFields.length
const at = Object.fromEntries(slotFields.map((name, n) => [name, n])) as Readonly<
  Record<(typeof slotFields)[number], number>
>

/** Slots of one feature in one hour (minutes) or one day (hours), UTC. */
export interface UsageBlock {
  readonly unit: UsageUnit
  readonly feature: string
  /** Its first unit, counted from 1970. */
  readonly start: number
  readonly slots: number[]
}

/** What it looks at of a feature. */
export interface Used {
  readonly name: string
  readonly allocations: number
  readonly owed: number
  readonly demand: readonly { readonly count: number }[]
  readonly usage: ReadonlyMap<string, { readonly inUse: number }>
  readonly shares: ReadonlyMap<string, number>
}

/** Told before a block changes, is added or goes; see `Changes`. */
export interface UsageChanges {
  usage(key: string): void
}

export function usageKey({ unit, feature, start }: Omit<UsageBlock, 'slots'>): string {
  return `${unit} ${feature} ${start}`
}

export class History {
  /** By `usageKey`, the oldest first. */
  readonly blocks: Readonly<Record<UsageUnit, Map<string, UsageBlock>>> = {
    minute: new Map(),
    hour: new Map(),
  }
  readonly #slots: Record<UsageUnit, number> = { minute: 0, hour: 0 }

  find(key: string): UsageBlock | undefined {
    return this.blocks.minute.get(key) ?? this.blocks.hour.get(key)
  }

  /** Of a snapshot, in its order. */
  restore(block: UsageBlock): void {
    const copy = { ...block, slots: [...block.slots] }
    this.blocks[block.unit].set(usageKey(block), copy)
    this.#slots[block.unit] += copy.slots.length / slotWidth
  }

  *all(): Generator<UsageBlock> {
    yield* this.blocks.minute.values()
    yield* this.blocks.hour.values()
  }

  /**
   * `before`: seats of the feature in use until now. The feature has the present figures already. Servers of level 1
   * know no history: in their pools nothing is kept.
   */
  note(
    changes: UsageChanges,
    { level, calendar }: { readonly level: number; readonly calendar: number },
    feature: Used,
    before: number,
    usage?: Pick<Usage, 'granted' | 'denied' | 'reasons'>,
  ): void {
    if (level < 2) return
    const now = inUseOf(feature)
    let waiting = 0
    for (const { count } of feature.demand) waiting += count
    for (const unit of usageUnits) {
      const slots = this.#slotsAt(changes, unit, calendar, feature.name, before)
      const from = slots.length - slotWidth
      const raise = (field: keyof typeof at, least: number): void => {
        slots[from + at[field]] = Math.max(slots[from + at[field]] ?? 0, least)
      }
      const add = (field: keyof typeof at, count: number): void => {
        const sum = (slots[from + at[field]] ?? 0) + count
        slots[from + at[field]] = Math.min(sum, Number.MAX_SAFE_INTEGER)
      }
      raise('peak', now)
      raise('waiting', waiting)
      slots[from + at.end] = now
      slots[from + at.owned] = feature.allocations + feature.owed
      if (usage === undefined) continue
      add('granted', usage.granted)
      const { reasons = [0, 0, 0, usage.denied] } = usage
      for (const [n, reason] of denialReasons.entries()) add(reason, reasons[n] ?? 0)
    }
  }

  /** The slots of the block of this moment; the last one is this moment's. */
  #slotsAt(
    changes: UsageChanges,
    unit: UsageUnit,
    calendar: number,
    feature: string,
    before: number,
  ): number[] {
    const { ms, perBlock } = usageBounds[unit]
    const now = Math.floor(calendar / ms)
    const start = now - (now % perBlock)
    const key = usageKey({ unit, feature, start })
    changes.usage(key)
    let block = this.blocks[unit].get(key)
    if (block === undefined) {
      block = { unit, feature, start, slots: [] }
      this.blocks[unit].set(key, block)
    }
    const { slots } = block
    if (slots.length > 0 && slots[slots.length - slotWidth + at.offset] === now - start)
      return slots
    const slot = new Array<number>(slotWidth).fill(0)
    slot[at.offset] = now - start
    slot[at.begin] = slot[at.peak] = slot[at.end] = before
    slots.push(...slot)
    this.#slots[unit]++
    this.#trim(changes, unit, calendar, key)
    return slots
  }

  #trim(changes: UsageChanges, unit: UsageUnit, calendar: number, present: string): void {
    const { ms, perBlock, keptMs, slotsMax } = usageBounds[unit]
    for (const [key, { start, slots }] of this.blocks[unit]) {
      const isOld = (start + perBlock) * ms <= calendar - keptMs
      if (key === present || (!isOld && this.#slots[unit] <= slotsMax)) return
      changes.usage(key)
      this.blocks[unit].delete(key)
      this.#slots[unit] -= slots.length / slotWidth
    }
  }
}

/** As servers of level 1 read it. */
export function withoutReasons({ feature, inUse, granted, denied }: Usage): Usage {
  return { feature, inUse, granted, denied }
}

/**
 * Seats in use by all servers as of their last listings. What a silent server told may count seats that moved on since,
 * each with its allocation (R6): more than it owns it cannot have in use.
 */
export function inUseOf(feature: Used): number {
  let sum = 0
  for (const [server, { inUse }] of feature.usage) {
    sum += Math.min(inUse, feature.shares.get(server) ?? 0)
  }
  return sum
}
