/**
 * Judges a chaos run by what its processes wrote down: was a seat too many ever believed in (I3)?
 *
 * Pure: lines in, violations out. At each moment the seats of a feature that clients believed valid are counted, and
 * held against the most that can have existed then (allocations + owed): an addition counts from when it was sent, unless it
 * was refused; a removal, from when a server told of a ledger in which less is left. So nothing is called
 * a violation that is none, and where nobody changes anything the bound is exact.
 *
 * A client that was killed goes on believing here until its seat's time is over: no server may know better.
 */
import type { Line, OperatorLine, SampleLine, SeatLine } from './history.ts'

/** A time during which a client believed in seats: from `from`, and before `until`. */
export interface Belief {
  readonly feature: string
  readonly seat: string
  readonly client: string
  readonly count: number
  readonly from: number
  readonly until: number
}

export interface Violation {
  readonly rule: 'I1' | 'I3' | 'I4' | 'I5' | 'one-holder' | 'linearizable' | 'lost' | 'crash'
  readonly t: number
  readonly what: string
}

/** From `t` on at most `limit` seats may be believed in. */
export interface Step {
  readonly t: number
  readonly limit: number
}

export interface SeatCheck {
  readonly violations: Violation[]
  readonly grants: number
  readonly renewals: number
  readonly moves: number
  readonly releases: number
  readonly lost: number
  readonly denials: number
  /** Feature -> the most seats believed in at once, and the least room that was left below the limit then. */
  readonly peaks: Readonly<Record<string, { readonly most: number; readonly leastRoom: number }>>
}

/** The times of belief, a renewal joining what went before it where there is no gap. */
export function beliefsOf(lines: readonly Line[]): Belief[] {
  const bySeat = new Map<string, SeatLine[]>()
  for (const line of lines) {
    if (line.k !== 'grant' && line.k !== 'renew' && line.k !== 'end') continue
    const list = bySeat.get(line.seat)
    if (list === undefined) bySeat.set(line.seat, [line])
    else list.push(line)
  }
  return [...bySeat.values()].flatMap(story => beliefsOfSeat(story))
}

/** In the order in which its one process wrote it. A seat granted twice begins anew. */
function beliefsOfSeat(story: readonly SeatLine[]): Belief[] {
  const found: Belief[] = []
  let open: Belief | undefined
  const close = (until: number): void => {
    if (open !== undefined && until > open.from) found.push({ ...open, until })
    open = undefined
  }
  for (const line of story) {
    if (line.k === 'grant') {
      if (open !== undefined) close(open.until)
      const { feature, seat, client, count, t, until } = line
      open = { feature, seat, client, count, from: t, until }
    } else if (line.k === 'renew' && open !== undefined) {
      const { until, t } = line
      // The newest word counts, also where it says less: after a move only the new server's promise does.
      if (t <= open.until) open = { ...open, until }
      else {
        found.push(open)
        open = { ...open, from: t, until }
      }
    } else if (line.k === 'end' && open !== undefined) close(Math.min(line.t, open.until))
  }
  if (open !== undefined) close(open.until)
  return found
}

/** An addition of allocations, as far as anybody knows. */
interface Addition {
  readonly adds: number
  readonly calledAt: number
  readonly revision: number | undefined
}

/** What each feature may have at most, step by step in time. */
export function limitsOf(lines: readonly Line[]): Map<string, Step[]> {
  const samples = lines.filter((line): line is SampleLine => line.k === 'sample')
  samples.sort((a, b) => a.t - b.t)
  const additions = additionsOf(lines)
  const limits = new Map<string, Step[]>()
  for (const [feature, list] of additions) limits.set(feature, stepsOf(feature, list, samples))
  return limits
}

function additionsOf(lines: readonly Line[]): Map<string, Addition[]> {
  const endings = endingsOf(lines)
  const additions = new Map<string, Addition[]>()
  for (const line of lines) {
    if (line.k !== 'call') continue
    const list = additions.get(line.feature) ?? []
    additions.set(line.feature, list)
    const { revision, refused } = endings.get(line.id) ?? { revision: undefined, refused: false }
    if (line.adds > 0 && !refused) list.push({ adds: line.adds, calledAt: line.t, revision })
  }
  return additions
}

export interface Ending {
  revision: number | undefined
  refused: boolean
  refusal: string | undefined
}

/** How each change ended, by id: what was told at once, else what was told in the end. */
export function endingsOf(lines: readonly Line[]): Map<string, Ending> {
  const endings = new Map<string, Ending>()
  const note = (line: Extract<OperatorLine, { k: 'return' | 'settled' }>): void => {
    const known = endings.get(line.id)
    if (known !== undefined && (known.revision !== undefined || known.refused)) return
    const { revision } = line
    const refusal = line.k === 'settled' && line.outcome === 'never' ? 'never' : line.refusal
    endings.set(line.id, { revision, refusal, refused: refusal !== undefined })
  }
  for (const line of lines) if (line.k === 'return') note(line)
  for (const line of lines) if (line.k === 'settled') note(line)
  return endings
}

function stepsOf(
  feature: string,
  additions: readonly Addition[],
  samples: readonly SampleLine[],
): Step[] {
  // Of equal samples the first says it all.
  const seen = new Set<string>()
  const totals: { t: number; revision: number; total: number }[] = []
  for (const { t, revision, features } of samples) {
    const found = features.find(({ name }) => name === feature)
    const total = found === undefined ? 0 : found.allocations + found.owed
    if (seen.has(`${revision} ${total}`)) continue
    seen.add(`${revision} ${total}`)
    totals.push({ t, revision, total })
  }
  const times = [...additions.map(({ calledAt }) => calledAt), ...totals.map(({ t }) => t)]
  return times.sort((a, b) => a - b).map(t => ({ t, limit: limitAt(t, additions, totals) }))
}

function limitAt(
  t: number,
  additions: readonly Addition[],
  totals: readonly { t: number; revision: number; total: number }[],
): number {
  const sent = additions.filter(({ calledAt }) => calledAt <= t)
  let limit = sent.reduce((sum, { adds }) => sum + adds, 0)
  for (const { t: at, revision, total } of totals) {
    if (at > t) break
    // What the sample does not show yet may have come after it.
    let above = total
    for (const addition of sent) {
      if (addition.revision === undefined || addition.revision > revision) above += addition.adds
    }
    limit = Math.min(limit, above)
  }
  return limit
}

/** I3, feature by feature; and no seat has two holders. */
export function checkSeats(lines: readonly Line[]): SeatCheck {
  const beliefs = beliefsOf(lines)
  const limits = limitsOf(lines)
  const violations: Violation[] = []
  const peaks: Record<string, { most: number; leastRoom: number }> = {}
  const features = [...new Set(beliefs.map(({ feature }) => feature))].sort()
  for (const feature of features) {
    const own = beliefs.filter(belief => belief.feature === feature)
    const swept = sweep(feature, own, limits.get(feature) ?? [])
    violations.push(...swept.violations)
    peaks[feature] = swept.peak
  }
  violations.push(...twiceHeld(beliefs))
  const count = (k: Line['k'], fits: (line: Line) => boolean = () => true): number =>
    lines.filter(line => line.k === k && fits(line)).length
  return {
    violations,
    peaks,
    grants: count('grant'),
    renewals: count('renew'),
    moves: count('move'),
    releases: count('end', line => line.k === 'end' && line.why === 'release'),
    lost: count('end', line => line.k === 'end' && line.why === 'lost'),
    denials: count('deny'),
  }
}

function sweep(feature: string, beliefs: readonly Belief[], steps: readonly Step[]) {
  // Of what happens at one time, ends come first and limits before grants: nothing there is sure to overlap.
  const events = [
    ...beliefs.map(({ until, count }) => ({ t: until, order: 0, change: -count, limit: 0 })),
    ...steps.map(({ t, limit }) => ({ t, order: 1, change: 0, limit })),
    ...beliefs.map(({ from, count }) => ({ t: from, order: 2, change: count, limit: 0 })),
  ].sort((a, b) => a.t - b.t || a.order - b.order)
  const violations: Violation[] = []
  let valid = 0
  let limit = 0
  let isOver = false
  const peak = { most: 0, leastRoom: Infinity }
  for (const event of events) {
    valid += event.change
    if (event.order === 1) limit = event.limit
    peak.most = Math.max(peak.most, valid)
    peak.leastRoom = Math.min(peak.leastRoom, limit - valid)
    // Once for each time that the limit is passed.
    if (valid > limit && !isOver) {
      const what = `${feature}: ${valid} seats believed valid, at most ${limit} exist`
      violations.push({ rule: 'I3', t: event.t, what })
    }
    isOver = valid > limit
  }
  return { violations, peak }
}

function twiceHeld(beliefs: readonly Belief[]): Violation[] {
  const violations: Violation[] = []
  const last = new Map<string, Belief>()
  for (const belief of [...beliefs].sort((a, b) => a.from - b.from)) {
    const before = last.get(belief.seat)
    if (before !== undefined && before.until > belief.from && before.client !== belief.client) {
      const what = `seat ${belief.seat} held by ${before.client} and ${belief.client}`
      violations.push({ rule: 'one-holder', t: belief.from, what })
    }
    if (before === undefined || before.until < belief.until) last.set(belief.seat, belief)
  }
  return violations
}

/**
 * Per client, the longest that a seat it held was not confirmed by any server: from a confirmation to the next, or to
 * the seat's end. `isExcused`: the client itself was stopped then, and could not ask.
 */
export function longestUnconfirmed(
  lines: readonly Line[],
  isExcused: (client: string, from: number, to: number) => boolean,
): { readonly ms: number; readonly seat: string; readonly at: number } {
  const held = new Map<string, { client: string; since: number; until: number }>()
  let worst = { ms: 0, seat: '', at: 0 }
  const close = (seat: string, to: number): void => {
    const hold = held.get(seat)
    if (hold === undefined || isExcused(hold.client, hold.since, to)) return
    const ms = Math.min(to, hold.until) - hold.since
    if (ms > worst.ms) worst = { ms, seat, at: hold.since }
  }
  for (const line of lines) {
    if (line.k === 'grant') {
      held.set(line.seat, { client: line.client, since: line.t, until: line.until })
    } else if (line.k === 'renew' || line.k === 'end') {
      close(line.seat, line.t)
      const hold = held.get(line.seat)
      if (line.k === 'end' || hold === undefined) held.delete(line.seat)
      else held.set(line.seat, { client: hold.client, since: line.t, until: line.until })
    }
  }
  return worst
}
