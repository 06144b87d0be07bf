/**
 * License codes: what a vendor's signed text adds to the pool, and what its end takes away.
 *
 * The signature was checked before the entry was proposed, and is again here, by every server. Codes start and end
 * by the calendar, which ticks move (R10). An end takes nothing from a live owner: the free pool falls at once, the
 * rest is owed (R9). An ended code stays listed, so that it is not added a second time.
 *
 * A code that renews another starts in the very entry that ends the other, whatever ends it, and not before: at no
 * moment do both count, or neither.
 */
import { warnDays } from './code-index.ts'
import { bounds } from './command.ts'
import type { CodeContent, CodeLimits, CommandBody, Settings } from './command.ts'
import { isFeatureName, newFeature } from './feature.ts'
import { badCount, done, isCount, isTime, refuse } from './outcome.ts'
import type { Context, Outcome, Refusal } from './outcome.ts'
import { refreshEnd, settle, standingOf } from './settle.ts'
import { copyContent } from './snapshot.ts'
import type { CodeRecord, Feature, LedgerState } from './state.ts'

export function applyAddCode(
  context: Context,
  { content: proposed, text }: Extract<CommandBody, { type: 'add-code' }>,
): Outcome {
  const { state, changes, codeIndex } = context
  const content = copyContent(proposed)
  const refusal = refuseContent(context, content) ?? refuseText(context, content, text)
  if (refusal !== undefined) return refusal
  const known = state.features.get(content.feature)
  const feature = known ?? newFeature(content.feature, rootOf(state, content.kid))
  changes.distribution(feature.name)
  changes.code(content.codeId)
  if (known === undefined) state.features.set(feature.name, feature)
  const record: CodeRecord = { content, text, addedTick: state.tick, state: 'pending' }
  state.codes.set(content.codeId, record)
  codeIndex.add(record, state.calendar)
  if (codeIndex.startOf(record) <= state.calendar) start(context, feature, record)
  refreshAround(context, [record])
  settle(context, feature, { standing: standingOf(state), topUp: false })
  return done
}

/** The id of the vendor's first key: features belong to it, whichever of the vendor's keys signs. */
export function rootOf({ vendors }: LedgerState, kid: string): string {
  return vendors.get(kid)?.root ?? kid
}

function refuseContent(context: Context, content: CodeContent): Refusal | undefined {
  const { state } = context
  const vendor = state.vendors.get(content.kid)
  if (state.codes.has(content.codeId)) return refuse('LICD_CODE_EXISTS')
  if (vendor === undefined) return refuse('LICD_CODE_UNTRUSTED')
  if (vendor.revoked) return refuse('LICD_VENDOR_REVOKED')
  const malformed = malformedField(content)
  if (malformed !== undefined) return refuse('LICD_CODE_MALFORMED', `\`${malformed}\` is wrong.`)
  if (!isCount(content.allocations)) return badCount('allocations')
  const { expiresAt, kid, kind } = content
  if (expiresAt !== undefined && expiresAt <= state.calendar) return refuse('LICD_CODE_EXPIRED')
  const newer = refuseNewer(context, content)
  if (newer !== undefined) return newer
  const feature = state.features.get(content.feature)
  if (feature === undefined) {
    if (kind === 'allocations') return refuse('LICD_UNKNOWN_FEATURE')
    if (state.features.size >= bounds.features) return tooMany('features', bounds.features)
  } else if (feature.vendor === undefined) return refuse('LICD_FEATURE_LOCAL')
  else if (feature.vendor !== rootOf(state, kid)) return refuse('LICD_FEATURE_OF_OTHER_VENDOR')
  if (state.codes.size >= bounds.codes) return tooMany('license codes', bounds.codes)
  if (context.codeIndex.total(content.feature) + content.allocations > bounds.allocationsMax) {
    return tooMany('allocations of a feature', bounds.allocationsMax)
  }
  return undefined
}

/** Limits, versions, renewals: what codes of level 2 may say. */
function refuseNewer(context: Context, content: CodeContent): Refusal | undefined {
  const { state, codeIndex } = context
  const { limits, serves, renews, kid } = content
  if (state.level < 2) {
    const isNewer = limits !== undefined || serves !== undefined || renews !== undefined
    return isNewer ? belowLevel(2) : undefined
  }
  const tooShort = limits && refuseLimits(limits, state.settings)
  if (tooShort !== undefined) return tooShort
  const before = renews === undefined ? undefined : state.codes.get(renews)
  if (before !== undefined && rootOf(state, before.content.kid) !== rootOf(state, kid)) {
    return refuse('LICD_FEATURE_OF_OTHER_VENDOR', `The code that it renews is another vendor’s.`)
  }
  // Both would count. Whoever adds them the other way round has both: the renewal waits.
  const renewal = codeIndex.renewalsOf({ content }).find(({ state }) => state === 'active')
  return renewal && refuse('LICD_CODE_RENEWED', `By ${renewal.content.codeId}.`)
}

/** A pool whose ticks are further apart could grant nothing under these limits. */
export function refuseLimits(
  { leaseMs, seatMs }: CodeLimits,
  { tickMs }: Settings,
): Refusal | undefined {
  const tooShort = (what: string, ms: number, ticks: number): Refusal | undefined => {
    if (ms >= ticks * tickMs) return undefined
    const least = `${String(ticks)} ticks of ${String(tickMs)} ms`
    return refuse('LICD_CODE_LIMITS', `${what} of ${String(ms)} ms are less than ${least}.`)
  }
  return (
    (leaseMs === undefined ? undefined : tooShort('Leases', leaseMs, 3)) ??
    (seatMs === undefined ? undefined : tooShort('Seats', seatMs, 2))
  )
}

export function belowLevel(level: number): Refusal {
  return refuse('LICD_LEVEL', `That is of level ${String(level)}.`)
}

/** From level 2 on every server looks at the signature itself: nobody has to believe the one that proposed. */
function refuseText(
  { state, judge }: Context,
  content: CodeContent,
  text: string,
): Refusal | undefined {
  if (state.level < 2 || judge === undefined) return undefined
  const { vendors, fingerprint, calendar } = state
  const judged = judge.code(text, { vendors, fingerprint, calendar })
  if (!judged.ok) return refuse(judged.code, judged.detail)
  const isSame = JSON.stringify(copyContent(judged.content)) === JSON.stringify(content)
  return isSame ? undefined : refuse('LICD_CODE_FORGED', 'Its text says something else.')
}

function malformedField(content: CodeContent): string | undefined {
  const { codeId, startsAt, expiresAt, issuedAt, limits, serves, renews } = content
  if (codeId.length < 1 || codeId.length > 256) return 'codeId'
  if (!isFeatureName(content.feature)) return 'feature'
  if (!isTime(startsAt)) return 'startsAt'
  if (!isTime(issuedAt)) return 'issuedAt'
  if (expiresAt !== undefined && !(isTime(expiresAt) && expiresAt > startsAt)) return 'expiresAt'
  const { leaseMs = 0, seatMs = 0, offlineDays = 0 } = limits ?? {}
  if (![leaseMs, seatMs, offlineDays].every(isTime)) return 'limits'
  if (serves !== undefined && !areServed(serves)) return 'serves'
  if (renews !== undefined && (renews === codeId || renews.length < 1 || renews.length > 256)) {
    return 'renews'
  }
  return undefined
}

/** Sorted and each once, so that one code has one content. */
function areServed(serves: readonly string[]): boolean {
  if (serves.length < 1 || serves.length > bounds.serves) return false
  return serves.every(
    (name, at) => isFeatureName(name) && (at === 0 || name > (serves[at - 1] ?? '')),
  )
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
  endNow(context, [record])
  return done
}

/** Ends codes ahead of their time. What renews them takes over in the same moment. */
export function endNow(context: Context, records: readonly CodeRecord[]): void {
  const { state, codeIndex } = context
  const ending = new Set(records)
  const renewals = records.flatMap(record => codeIndex.renewalsOf(record))
  for (const renewal of renewals) {
    const feature = state.features.get(renewal.content.feature)
    if (feature === undefined || renewal.state !== 'pending' || ending.has(renewal)) continue
    if (renewal.content.startsAt <= state.calendar) start(context, feature, renewal)
  }
  for (const record of records) {
    const feature = state.features.get(record.content.feature)
    if (feature !== undefined) end(context, feature, record)
  }
  refreshAround(context, [...records, ...renewals])
  const names = new Set([...records, ...renewals].map(({ content }) => content.feature))
  for (const name of [...names].sort()) {
    const feature = state.features.get(name)
    if (feature !== undefined)
      settle(context, feature, { standing: standingOf(state), topUp: false })
  }
}

/** Starts and ends what the calendar has reached. The tick settles the features afterwards. */
export function turnCodes(context: Context, before: number): void {
  const { state, codeIndex } = context
  const due = codeIndex.due(before, state.calendar)
  // All starts before any end, so that a code takes another's place without anything being owed between.
  for (const record of due) {
    const feature = state.features.get(record.content.feature)
    if (feature === undefined || record.state !== 'pending') continue
    if (codeIndex.startOf(record) <= state.calendar) start(context, feature, record)
  }
  const turned: CodeRecord[] = []
  for (const record of due) {
    const feature = state.features.get(record.content.feature)
    if (feature === undefined) continue
    turned.push(record)
    if ((record.content.expiresAt ?? Infinity) > state.calendar) warn(context, record, before)
    // It was removed: its allocations are gone or owed.
    else if (record.state === 'ended') codeIndex.remove(record, state.calendar)
    else end(context, feature, record)
  }
  refreshAround(context, turned)
}

/** Says that a code ends soon, once for each of `warnDays`; of several passed at once, the nearest. */
function warn({ state, codeIndex, notices }: Context, record: CodeRecord, before: number): void {
  const { codeId, feature, expiresAt } = record.content
  if (expiresAt === undefined || record.state !== 'active') return
  for (const days of warnDays) {
    const at = expiresAt - days * 86_400_000
    if (at <= before || at > state.calendar) continue
    const renewedBy = codeIndex.renewalsOf(record)[0]?.content.codeId
    notices.push({
      type: 'code-ends',
      codeId,
      feature,
      days,
      endsAt: expiresAt,
      ...(renewedBy === undefined ? {} : { renewedBy }),
    })
    return
  }
}

function start(context: Context, feature: Feature, record: CodeRecord): void {
  const { state, changes, codeIndex, notices } = context
  const { allocations, codeId } = record.content
  changes.distribution(feature.name)
  changes.code(codeId)
  record.state = 'active'
  feature.allocations += allocations
  feature.free += allocations
  codeIndex.noteTurn(record, state.calendar)
  notices.push({ type: 'code-started', codeId, feature: feature.name })
  // A short one begins within what is warned of.
  warn(context, record, -Infinity)
}

function end(context: Context, feature: Feature, record: CodeRecord): void {
  const { state, changes, codeIndex, notices } = context
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
  codeIndex.remove(record, state.calendar)
  notices.push({ type: 'code-ended', codeId, feature: feature.name })
}

/** What the codes of a feature say together, for those of the records and of what renews them. */
function refreshAround(context: Context, records: readonly CodeRecord[]): void {
  const names = new Set<string>()
  for (const record of records) {
    names.add(record.content.feature)
    for (const { content } of context.codeIndex.renewalsOf(record)) names.add(content.feature)
  }
  for (const name of [...names].sort()) {
    const feature = context.state.features.get(name)
    if (feature !== undefined) refresh(context, feature)
  }
}

function refresh(context: Context, feature: Feature): void {
  const { codeIndex, changes } = context
  refreshEnd(context, feature)
  const { name, limits, serves } = feature
  const next = { limits: codeIndex.limits(name), serves: codeIndex.serves(name) }
  if (JSON.stringify(next) === JSON.stringify({ limits, serves })) return
  changes.distribution(name)
  codeIndex.noteServes(name, serves, next.serves)
  if (next.limits === undefined) delete feature.limits
  else feature.limits = next.limits
  if (next.serves === undefined) delete feature.serves
  else feature.serves = next.serves
}
