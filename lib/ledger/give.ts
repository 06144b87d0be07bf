/**
 * What functioning servers do of their own accord: state demand, return spare, lend it where it is asked for.
 *
 * The giver lowered its limit before it proposed (R1). A server that ticks stopped listing gives nothing: what it
 * knows of the pool may be old (R12).
 */
import type { CommandBody } from './command.ts'
import { setDemand } from './borrow.ts'
import { addShare, shareOf } from './feature.ts'
import { badCount, done, isCount, isCountOrZero, refuse } from './outcome.ts'
import type { Context, Outcome, Refusal } from './outcome.ts'
import { findCaller, isListed, isUp, onlyGives } from './server.ts'
import { lowerDemand, refreshEnd, settle, standingOf } from './settle.ts'
import type { Feature } from './state.ts'

type Demanded = Extract<CommandBody, { type: 'demand' }>
type Return = Extract<CommandBody, { type: 'return' }>
type Lend = Extract<CommandBody, { type: 'lend' }>

export function applyDemand(context: Context, body: Demanded): Outcome {
  const { state } = context
  const feature = state.features.get(body.feature)
  if (feature === undefined) return refuse('LICD_UNKNOWN_FEATURE')
  const caller = findCaller(state, body.server, body.incarnation)
  if ('code' in caller) return caller
  if (onlyGives(caller)) return refuse('LICD_NOT_FUNCTIONING', 'It stops.')
  if (!isCountOrZero(body.count)) return badCount('count')
  setDemand(context, feature, body)
  settle(context, feature, { standing: standingOf(state), topUp: false })
  return done
}

export function applyReturn(context: Context, body: Return): Outcome {
  const { state, changes } = context
  const feature = findGift(context, body)
  if ('code' in feature) return feature
  changes.distribution(feature.name)
  addShare(feature, body.server, -body.count)
  feature.free += body.count
  settle(context, feature, { standing: standingOf(state), topUp: false })
  return done
}

/**
 * Sends spare where requests wait, no more than wait there now. While something is owed, the spare pays that first
 * (R9: before anything is lent).
 */
export function applyLend(context: Context, body: Lend): Outcome {
  const { state, changes } = context
  const { server, to, toIncarnation, count } = body
  const feature = findGift(context, body)
  if ('code' in feature) return feature
  if (to === server) return refuse('LICD_BAD_REQUEST', 'A server lends to another one.')
  if (!isUp(state, to, toIncarnation)) return refuse('LICD_NOT_FUNCTIONING')
  const entry = feature.demand.find(waiting => waiting.server === to)
  if (entry === undefined) return refuse('LICD_NO_DEMAND')
  changes.distribution(feature.name)
  const paid = Math.min(count, feature.owed)
  const lent = Math.min(count - paid, entry.count)
  addShare(feature, server, -paid - lent)
  feature.owed -= paid
  if (paid > 0 && feature.owed === 0) refreshEnd(context, feature)
  addShare(feature, to, lent)
  lowerDemand(feature, to, lent)
  settle(context, feature, { standing: standingOf(state), topUp: false })
  return lent > 0 ? { ok: true, taken: [{ source: 'offer', server, count: lent }] } : done
}

/** The feature, when the giver may give and owns as many as it gives. */
function findGift({ state }: Context, body: Return | Lend): Feature | Refusal {
  const feature = state.features.get(body.feature)
  if (feature === undefined) return refuse('LICD_UNKNOWN_FEATURE')
  const caller = findCaller(state, body.server, body.incarnation)
  if ('code' in caller) return caller
  if (!isListed(caller, state.tick, 2)) return refuse('LICD_NOT_FUNCTIONING')
  if (!isCount(body.count)) return badCount('count')
  if (shareOf(feature, body.server) < body.count) return refuse('LICD_NOT_ENOUGH')
  return feature
}
