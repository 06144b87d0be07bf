/**
 * License codes: what a vendor's signed text adds to the pool, and what its end takes away.
 *
 * The signature was checked before the entry was proposed; here the text only finds its place. Codes start and end
 * by the calendar, which ticks move (R10). An end takes nothing from a live owner: the free pool falls at once, the
 * rest is owed (R9). An ended code stays listed, so that it is not added a second time.
 */
import { bounds } from './command.ts'
import type { CodeContent, CommandBody } from './command.ts'
import { isFeatureName, newFeature } from './feature.ts'
import { badCount, done, isCount, isTime, refuse } from './outcome.ts'
import type { Context, Outcome, Refusal } from './outcome.ts'
import { refreshEnd, settle, standingOf } from './settle.ts'
import { copyContent } from './snapshot.ts'
import type { CodeRecord, Feature } from './state.ts'

export function applyAddCode(
  context: Context,
  { content, text }: Extract<CommandBody, { type: 'add-code' }>,
): Outcome {
  const { state, changes, codeIndex } = context
  const refusal = refuseContent(context, content)
  if (refusal !== undefined) return refusal
  const known = state.features.get(content.feature)
  const feature = known ?? newFeature(content.feature, content.kid)
  changes.distribution(feature.name)
  changes.code(content.codeId)
  if (known === undefined) state.features.set(feature.name, feature)
  const record: CodeRecord = {
    content: copyContent(content),
    text,
    addedTick: state.tick,
    state: 'pending',
  }
  state.codes.set(content.codeId, record)
  if (content.startsAt <= state.calendar) start(context, feature, record)
  codeIndex.add(record, state.calendar)
  refreshEnd(context, feature)
  settle(context, feature, { standing: standingOf(state), topUp: false })
  return done
}

function refuseContent(context: Context, content: CodeContent): Refusal | undefined {
  const { state } = context
  if (state.codes.has(content.codeId)) return refuse('LICD_CODE_EXISTS')
  if (!state.vendors.has(content.kid)) return refuse('LICD_CODE_UNTRUSTED')
  const malformed = malformedField(content)
  if (malformed !== undefined) return refuse('LICD_CODE_MALFORMED', `\`${malformed}\` is wrong.`)
  if (!isCount(content.allocations)) return badCount('allocations')
  const { expiresAt, kid, kind } = content
  if (expiresAt !== undefined && expiresAt <= state.calendar) return refuse('LICD_CODE_EXPIRED')
  const feature = state.features.get(content.feature)
  if (feature === undefined) {
    if (kind === 'allocations') return refuse('LICD_UNKNOWN_FEATURE')
    if (state.features.size >= bounds.features) return tooMany('features', bounds.features)
  } else if (feature.vendor === undefined) return refuse('LICD_FEATURE_LOCAL')
  else if (feature.vendor !== kid) return refuse('LICD_FEATURE_OF_OTHER_VENDOR')
  if (state.codes.size >= bounds.codes) return tooMany('license codes', bounds.codes)
  if (context.codeIndex.total(content.feature) + content.allocations > bounds.allocationsMax) {
    return tooMany('allocations of a feature', bounds.allocationsMax)
  }
  return undefined
}

function malformedField(content: CodeContent): string | undefined {
  const { codeId, startsAt, expiresAt, issuedAt } = content
  if (codeId.length < 1 || codeId.length > 256) return 'codeId'
  if (!isFeatureName(content.feature)) return 'feature'
  if (!isTime(startsAt)) return 'startsAt'
  if (!isTime(issuedAt)) return 'issuedAt'
  if (expiresAt !== undefined && !(isTime(expiresAt) && expiresAt > startsAt)) return 'expiresAt'
  return undefined
}

export function tooMany(what: string, bound: number): Refusal {
  return refuse('LICD_TOO_MANY', `At most ${String(bound)} ${what}.`)
}

export function applyRemoveCode(
  context: Context,
  { codeId }: Extract<CommandBody, { type: 'remove-code' }>,
): Outcome {
  const { state } = context
  const record = state.codes.get(codeId)
  const feature = record && state.features.get(record.content.feature)
  if (record === undefined || feature === undefined || record.state === 'ended') {
    return refuse('LICD_UNKNOWN_CODE', record && 'The code has ended already.')
  }
  end(context, feature, record)
  refreshEnd(context, feature)
  settle(context, feature, { standing: standingOf(state), topUp: false })
  return done
}

/** Starts and ends what the calendar has reached. The tick settles the features afterwards. */
export function turnCodes(context: Context): void {
  const { state, codeIndex } = context
  const due = codeIndex.due(state.calendar)
  const turned = new Set<Feature>()
  // All starts before any end, so that a code takes another's place without anything being owed between.
  for (const record of due) {
    const feature = state.features.get(record.content.feature)
    if (feature === undefined || record.state !== 'pending') continue
    start(context, feature, record)
    codeIndex.noteTurn(record)
    turned.add(feature)
  }
  for (const record of due) {
    if ((record.content.expiresAt ?? Infinity) > state.calendar) continue
    const feature = state.features.get(record.content.feature)
    // It was removed: its allocations are gone or owed.
    if (record.state === 'ended') codeIndex.end(record, state.calendar)
    else if (feature !== undefined) end(context, feature, record)
    if (feature !== undefined) turned.add(feature)
  }
  for (const feature of turned) refreshEnd(context, feature)
}

function start({ changes }: Context, feature: Feature, record: CodeRecord): void {
  const { allocations, codeId } = record.content
  changes.distribution(feature.name)
  changes.code(codeId)
  record.state = 'active'
  feature.allocations += allocations
  feature.free += allocations
}

function end(context: Context, feature: Feature, record: CodeRecord): void {
  const { state, changes, codeIndex } = context
  const { allocations, codeId } = record.content
  changes.distribution(feature.name)
  changes.code(codeId)
  if (record.state === 'active') {
    const free = Math.min(feature.free, allocations)
    feature.allocations -= allocations
    feature.free -= free
    feature.owed += allocations - free
  }
  record.state = 'ended'
  codeIndex.end(record, state.calendar)
}
