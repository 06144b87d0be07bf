/**
 * Where allocations that nobody uses go: first what is owed, then who waits, then who is below target.
 *
 * Runs after every command that may free something, and for every feature that may need it at each tick. It takes
 * from the free pool and from servers that are down, and gives to servers that are up: no live server loses
 * anything here (R1). After it, while something is owed or a server that is up waits, the free pool is empty
 * and no server that is down owns a share.
 *
 * Settling twice changes nothing the second time; ticks rely on it to pass over features where nothing happened.
 */
import { addShare, shareOf, targetOf } from './feature.ts'
import type { Context } from './outcome.ts'
import { isUp, mayReceive, serverStateOf } from './server.ts'
import type { Feature, LedgerState } from './state.ts'

/** Names of servers by state at this moment, sorted. */
export interface Standing {
  /** Up, and not about to stop. */
  readonly up: readonly string[]
  readonly down: readonly string[]
}

export function standingOf({ servers, tick }: LedgerState): Standing {
  const up: string[] = []
  const down: string[] = []
  for (const name of [...servers.keys()].sort()) {
    const record = servers.get(name)
    if (record === undefined) continue
    if (mayReceive(record, tick)) up.push(name)
    else if (serverStateOf(record, tick) === 'down') down.push(name)
  }
  return { up, down }
}

/** `topUp`: raise shares below target too, which only ticks do, after those who wait (R12). */
export function settle(
  context: Context,
  feature: Feature,
  options: { readonly standing: Standing; readonly topUp: boolean },
): void {
  const { standing, topUp } = options
  payOwed(context, feature, standing)
  meetDemand(context, feature, standing)
  if (topUp) raiseToTargets(context, feature, standing)
  forgetIfGone(context, feature)
}

/** R9: what is owed is paid before anything is lent. */
function payOwed(context: Context, feature: Feature, { down }: Standing): void {
  if (feature.owed === 0) return
  const { changes } = context
  const free = Math.min(feature.owed, feature.free)
  if (free > 0) {
    changes.distribution(feature.name)
    feature.free -= free
    feature.owed -= free
  }
  for (const server of down) {
    const count = Math.min(feature.owed, shareOf(feature, server))
    if (count === 0) continue
    changes.distribution(feature.name)
    addShare(feature, server, -count)
    feature.owed -= count
  }
  if (feature.owed === 0) refreshEnd(context, feature)
}

/** After codes came or went, and when the last that was owed is paid: when the feature has less, or none (R4, R9). */
export function refreshEnd({ changes, codeIndex }: Context, feature: Feature): void {
  const endsAt = codeIndex.endsAt(feature)
  if (endsAt === feature.endsAt) return
  changes.distribution(feature.name)
  if (endsAt === undefined) delete feature.endsAt
  else feature.endsAt = endsAt
}

/** First come, first served; a server that is silent keeps its place but is given nothing (R12). */
function meetDemand({ state, changes }: Context, feature: Feature, { down }: Standing): void {
  for (const entry of [...feature.demand]) {
    if (!isUp(state, entry.server, entry.incarnation)) continue
    const fromFree = Math.min(entry.count, feature.free)
    if (fromFree > 0) {
      changes.distribution(feature.name)
      feature.free -= fromFree
      addShare(feature, entry.server, fromFree)
      lowerDemand(feature, entry.server, fromFree)
    }
    for (const server of down) {
      const count = Math.min(entry.count, shareOf(feature, server))
      if (count === 0) continue
      changes.distribution(feature.name)
      addShare(feature, server, -count)
      addShare(feature, entry.server, count)
      lowerDemand(feature, entry.server, count)
    }
  }
}

function raiseToTargets({ state, changes }: Context, feature: Feature, { up }: Standing): void {
  for (const server of up) {
    if (feature.free === 0) return
    const below = targetOf(state, feature, server) - shareOf(feature, server)
    const count = Math.min(below, feature.free)
    if (count <= 0) continue
    changes.distribution(feature.name)
    feature.free -= count
    addShare(feature, server, count)
  }
}

/** The server waits for `count` fewer; an entry that waits for none leaves the queue. */
export function lowerDemand(feature: Feature, server: string, count: number): void {
  const at = feature.demand.findIndex(entry => entry.server === server)
  const entry = feature.demand[at]
  if (entry === undefined) return
  entry.count = Math.max(0, entry.count - count)
  if (entry.count === 0) feature.demand.splice(at, 1)
}

/** A vendor's feature without a code stays until nothing of it is owned (R9). */
function forgetIfGone({ state, changes, codeIndex }: Context, feature: Feature): void {
  const { name, vendor, allocations, owed, free, shares } = feature
  if (vendor === undefined || codeIndex.has(name)) return
  if (allocations + owed + free + shares.size > 0) return
  changes.distribution(name)
  state.features.delete(name)
}
