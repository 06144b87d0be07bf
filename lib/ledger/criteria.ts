/**
 * The pool's own features, and what an operator wants each distribution to be (claims 2, 7, 9).
 *
 * Criteria are wishes: changing them moves nothing at once. Shares below target are topped up by the ticks that
 * follow, and what lies above target flows back through its owner (R1).
 */
import { bounds } from './command.ts'
import type { CommandBody } from './command.ts'
import { tooMany } from './code.ts'
import { isFeatureName, isThreshold, newFeature } from './feature.ts'
import { badCount, done, isCount, isCountOrZero, refuse } from './outcome.ts'
import type { Context, Outcome, Refusal } from './outcome.ts'
import { settle, standingOf } from './settle.ts'
import type { LedgerState } from './state.ts'

type Criteria = Extract<CommandBody, { type: 'change-criteria' }>
type Figures = Readonly<Record<string, number>>

export function applyAddFeature(
  { state, changes }: Context,
  body: Extract<CommandBody, { type: 'add-feature' }>,
): Outcome {
  const { feature: name, allocations } = body
  if (!isFeatureName(name)) return refuse('LICD_BAD_REQUEST', '`feature` is no feature name.')
  if (state.features.has(name)) return refuse('LICD_FEATURE_EXISTS')
  if (!isCount(allocations)) return badCount('allocations')
  if (state.features.size >= bounds.features) return tooMany('features', bounds.features)
  changes.distribution(name)
  const feature = newFeature(name)
  feature.allocations = allocations
  feature.free = allocations
  state.features.set(name, feature)
  return done
}

export function applyAddAllocations(
  context: Context,
  body: Extract<CommandBody, { type: 'add-allocations' }>,
): Outcome {
  const { state, changes } = context
  const { count } = body
  const feature = state.features.get(body.feature)
  if (feature === undefined) return refuse('LICD_UNKNOWN_FEATURE')
  if (feature.vendor !== undefined) return refuse('LICD_FEATURE_NOT_LOCAL')
  if (!isCount(count)) return badCount('count')
  if (feature.allocations + count > bounds.allocationsMax) {
    return tooMany('allocations of a feature', bounds.allocationsMax)
  }
  changes.distribution(feature.name)
  feature.allocations += count
  feature.free += count
  settle(context, feature, { standing: standingOf(state), topUp: false })
  return done
}

/** Replaces all targets (claim 7), and all thresholds of single servers when the command brings any. */
export function applyChangeCriteria({ state, changes }: Context, body: Criteria): Outcome {
  const feature = state.features.get(body.feature)
  if (feature === undefined) return refuse('LICD_UNKNOWN_FEATURE')
  const refusal =
    refuseTargets(state, feature.allocations, body.targets) ??
    refuseThresholds(state, body.thresholds ?? {})
  if (refusal !== undefined) return refusal
  changes.distribution(feature.name)
  if (body.targets === 'even') feature.targets = 'even'
  else feature.targets = new Map(sorted(body.targets).filter(([, target]) => target > 0))
  if (body.thresholds !== undefined) {
    feature.thresholds.clear()
    for (const [server, threshold] of sorted(body.thresholds)) {
      feature.thresholds.set(server, threshold)
    }
  }
  return done
}

function sorted(figures: Figures): [string, number][] {
  return Object.entries(figures).sort(([a], [b]) => (a < b ? -1 : 1))
}

function refuseTargets(
  state: LedgerState,
  allocations: number,
  targets: Criteria['targets'],
): Refusal | undefined {
  if (targets === 'even') return undefined
  let sum = 0
  for (const [server, target] of sorted(targets)) {
    if (!state.servers.has(server)) return refuse('LICD_UNKNOWN_SERVER', `\`${server}\`.`)
    if (!isCountOrZero(target)) return badCount(`targets.${server}`)
    sum += target
  }
  return sum > allocations ? refuse('LICD_TARGETS_TOO_LARGE') : undefined
}

function refuseThresholds(state: LedgerState, thresholds: Figures): Refusal | undefined {
  for (const [server, threshold] of sorted(thresholds)) {
    if (!state.servers.has(server)) return refuse('LICD_UNKNOWN_SERVER', `\`${server}\`.`)
    if (!isThreshold(threshold)) return refuse('LICD_BAD_THRESHOLD')
  }
  return undefined
}

/** Claims 2 and 17: at one server, or at all of them, in the place of what was set for single ones. */
export function applySetThreshold(
  { state, changes }: Context,
  body: Extract<CommandBody, { type: 'set-threshold' }>,
): Outcome {
  const { server, threshold } = body
  const feature = state.features.get(body.feature)
  if (feature === undefined) return refuse('LICD_UNKNOWN_FEATURE')
  if (server !== undefined && !state.servers.has(server)) return refuse('LICD_UNKNOWN_SERVER')
  if (!isThreshold(threshold)) return refuse('LICD_BAD_THRESHOLD')
  changes.distribution(feature.name)
  if (server !== undefined) feature.thresholds.set(server, threshold)
  else {
    feature.thresholds.clear()
    feature.defaultThreshold = threshold
  }
  return done
}
