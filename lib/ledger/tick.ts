/**
 * The pool clock moves by one (R2): who is listed, who is down, what time it is, and what follows from that.
 *
 * A listing raises a server's `downAt` before the same tick looks who is down, so a server listed in time is never
 * down between. Bad figures in one listing cost that listing or that figure, never the tick: a clock that stops
 * would end every lease of the pool.
 */
import { bounds } from './command.ts'
import type { CommandBody, Listing, Usage } from './command.ts'
import { turnCodes } from './code.ts'
import { inUseOf } from './history.ts'
import { forgetRemoved } from './membership.ts'
import { forgetMoves } from './move.ts'
import { done, isTime, isWhole, refuse } from './outcome.ts'
import type { Context, Outcome } from './outcome.ts'
import { dropDemand, membersIn, serverStateOf } from './server.ts'
import { settle, standingOf } from './settle.ts'
import type { LedgerState, ServerRecord } from './state.ts'
import { forgetKeys } from './token-key.ts'

export function applyTick(
  context: Context,
  { tick, listings }: Extract<CommandBody, { type: 'tick' }>,
): Outcome {
  const { state } = context
  if (tick !== state.tick + 1) return refuse('LICD_BAD_TICK')
  const before = statesOf(state)
  state.tick = tick
  const walls = list(context, listings)
  endRuns(context)
  forgetRemoved(context)
  const wasAt = state.calendar
  moveCalendar(state, walls)
  turnCodes(context, wasAt)
  forgetMoves(context)
  forgetKeys(context)
  settleAll(context, before !== statesOf(state))
  return done
}

/** The states of all servers as one text, to be compared. */
function statesOf({ servers, tick }: LedgerState): string {
  const states: string[] = []
  for (const name of [...servers.keys()].sort()) {
    const record = servers.get(name)
    if (record !== undefined) states.push(serverStateOf(record, tick))
  }
  return states.join()
}

/** Takes the listings in, and a `hello` since the last tick as one (R7). Answers the wall times of those listed. */
function list(context: Context, listings: readonly Listing[]): number[] {
  const { state, changes } = context
  const walls: number[] = []
  for (const listing of newest(state, listings)) {
    const record = state.servers.get(listing.server)
    if (record === undefined) continue
    markListed(context, record)
    record.listedNumber = listing.number
    if (isTime(listing.wallMs)) {
      record.wallMs = Math.trunc(listing.wallMs)
      walls.push(record.wallMs)
    }
    for (const usage of listing.usage) storeUsage(context, listing.server, usage)
  }
  for (const record of state.servers.values()) {
    if (!record.helloPending) continue
    changes.server(record.name)
    markListed(context, record)
  }
  return walls
}

/**
 * One listing a server, the newest, of those that count: of the current run, not over, and with a number that was
 * not listed before. A repeated or late keepalive extends nothing (R3).
 */
function newest(state: LedgerState, listings: readonly Listing[]): Listing[] {
  const found = new Map<string, Listing>()
  for (const listing of listings) {
    const { server, incarnation, number } = listing
    const record = state.servers.get(server)
    if (record === undefined || record.incarnation !== incarnation) continue
    if (record.endedIncarnation >= incarnation) continue
    if (!isWhole(number) || number <= (found.get(server)?.number ?? record.listedNumber)) continue
    found.set(server, listing)
  }
  return [...found.values()]
}

function markListed({ state, changes }: Context, record: ServerRecord): void {
  changes.server(record.name)
  record.listedTick = state.tick
  record.helloPending = false
  record.downAt = Math.max(record.downAt, state.tick + state.settings.leaseTicks + 1)
}

/** A server's use of a feature now, and its counters added up. */
function storeUsage({ state, changes }: Context, server: string, usage: Usage): void {
  const feature = state.features.get(usage.feature)
  const { inUse, granted, denied, reasons } = usage
  if (feature === undefined || !isWhole(inUse) || !isWhole(granted) || !isWhole(denied)) return
  if (reasons?.every(isWhole) === false) return
  const before = feature.usage.get(server)
  if (before?.inUse === inUse && granted === 0 && denied === 0) return
  changes.feature(feature.name)
  const total = inUseOf(feature)
  feature.usage.set(server, {
    inUse,
    granted: Math.min((before?.granted ?? 0) + granted, Number.MAX_SAFE_INTEGER),
    denied: Math.min((before?.denied ?? 0) + denied, Number.MAX_SAFE_INTEGER),
  })
  state.history.note(changes, state, feature, total, usage)
}

/** From `downAt` on a run is over: none of its seats is alive, it waits for nothing (R3, R4). */
function endRuns(context: Context): void {
  const { state, changes } = context
  for (const record of state.servers.values()) {
    if (record.downAt > state.tick || record.endedIncarnation >= record.incarnation) continue
    changes.server(record.name)
    record.endedIncarnation = record.incarnation
    dropDemand(context, record.name)
    for (const feature of state.features.values()) {
      const usage = feature.usage.get(record.name)
      if (usage === undefined || usage.inUse === 0) continue
      changes.feature(feature.name)
      const total = inUseOf(feature)
      usage.inUse = 0
      state.history.note(changes, state, feature, total)
    }
  }
}

/**
 * The median of the listed walls, the lower one of two: one clock that runs ahead moves nothing (R10). That takes
 * more than half of the servers: a tick that lists one alone would believe whatever it says.
 */
function moveCalendar(state: LedgerState, walls: readonly number[]): void {
  if (2 * walls.length <= membersIn(state)) return
  const sorted = [...walls].sort((a, b) => a - b)
  const median = sorted[Math.floor((sorted.length - 1) / 2)]
  if (median === undefined || median <= state.calendar) return
  state.calendar = Math.min(median, state.calendar + bounds.calendarStepMs)
}

/**
 * So many features are topped up in one tick; the others follow at the next ones, in the order of their names. Whoever
 * waits or is owed something is not kept waiting by it, in however many features. A tick that gave something
 * to all servers in 10,000 features would keep each server's loop from its heartbeats for 200 ms.
 */
const topUpsPerTick = 128

/**
 * Settles the features where something happened since the last tick, or all of them when a server's state changed.
 * For the others it would change nothing, so that it does not matter which of those are looked at.
 */
function settleAll(context: Context, everywhere: boolean): void {
  const { state, changes } = context
  const { unsettled } = changes
  const names = everywhere ? changes.allNames() : changes.unsettledNames()
  const standing = standingOf(state)
  for (const name of names) {
    const feature = state.features.get(name)
    if (feature === undefined || (feature.owed === 0 && feature.demand.length === 0)) continue
    settle(context, feature, { standing, topUp: false })
  }
  const before = changes.distributed.size
  for (const [at, name] of names.entries()) {
    if (changes.distributed.size - before >= topUpsPerTick) {
      if (everywhere) for (const later of names.slice(at)) unsettled.add(later)
      return
    }
    const feature = state.features.get(name)
    if (feature !== undefined && (feature.free > 0 || feature.allocations === 0)) {
      settle(context, feature, { standing, topUp: true })
    }
    unsettled.delete(name)
  }
}
