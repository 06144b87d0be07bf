/**
 * What a `WhyView` comes to, in a few sentences: can a seat be had, if not why, and what helps.
 *
 * Written for whoever was denied a seat at nine in the morning: the cause first, then what to do.
 */
import type { Dark } from '../protocol/why.ts'
import { seconds } from '../seconds.ts'
import type { WhyView } from './why.ts'

const namedMax = 8

export interface Verdict {
  readonly says: readonly string[]
  /** What helps; empty when nothing is wrong. */
  readonly toDo: readonly string[]
}

export function verdictOf(view: WhyView): Verdict {
  const { status, feature, features } = view
  if (status === undefined && view.ended !== undefined) {
    return {
      says: [`The pool has the feature ${feature} no more. ${view.ended}`],
      toDo: ['See its license codes (licd ctl code list), and ask the vendor for a new one.'],
    }
  }
  if (status === undefined) {
    const named = features.slice(0, namedMax).join(', ')
    const has = features.length === 0 ? 'It has no features yet' : `It has ${named}`
    const more = features.length > namedMax ? `, and ${features.length - namedMax} more` : ''
    return {
      says: [`The pool has no feature ${feature}. ${has}${more}.`],
      toDo: ['Check how the program spells it, version included.'],
    }
  }
  if (status.allocations === 0 && status.owed === 0) {
    return {
      says: [`The pool owns no allocation of ${feature} now.`],
      toDo: ['See its license codes (licd ctl code list), and ask the vendor for a new one.'],
    }
  }
  const says = [...availability(view), ...darkText(view), ...owedText(view)]
  return { says, toDo: toDo(view) }
}

function spareOf(view: WhyView): { readonly total: number; readonly where: string[] } {
  const granting = view.servers.filter(
    ({ standing }) => standing !== undefined && standing.grantsForMs > 0 && standing.spare > 0,
  )
  return {
    total: granting.reduce((sum, { standing }) => sum + (standing?.spare ?? 0), 0),
    where: granting.map(({ name, standing }) => `${standing?.spare ?? 0} at ${name}`),
  }
}

function availability(view: WhyView): string[] {
  const { status, servers } = view
  const { total, where } = spareOf(view)
  const free = status?.free ?? 0
  const waiting = servers.reduce((sum, { standing }) => sum + (standing?.waiting ?? 0), 0)
  const queue =
    waiting > 0 ? [`${waiting === 1 ? 'A seat is' : `${waiting} seats are`} waited for.`] : []
  if (total > 0) return [`${total} can be granted at once: ${where.join(', ')}.`, ...queue]
  const serving = servers.filter(({ standing }) => (standing?.grantsForMs ?? 0) > 0)
  const answered = servers.filter(server => server.answered)
  if (serving.length === 0 && answered.every(({ mayGrantMs }) => mayGrantMs === 0)) {
    return ['No server that answers may grant now: none has a lease.', ...queue]
  }
  if (free > 0 && hasLeader(view)) {
    return [`No server has spare, but ${free} are in the free pool: who asks gets one.`, ...queue]
  }
  if (!hasLeader(view)) {
    return [
      'No server that answers has spare, and without a leader none can be borrowed.',
      ...queue,
    ]
  }
  return [`None is spare: all ${status?.allocations ?? 0} are in use or dark.`, ...queue]
}

/** A leader that is heard: without its ticks what is known grows old, and nothing can be borrowed. */
export function hasLeader({ leader, tickAgeMs, tickMs }: WhyView): boolean {
  return leader !== undefined && tickAgeMs <= 3 * tickMs
}

function darkText({ servers }: WhyView): string[] {
  const rows = servers.flatMap(({ dark }) => dark)
  const count = rows.reduce((sum, row) => sum + row.count, 0)
  if (count === 0) return []
  const last = backInMs(rows)
  const when = last === undefined ? 'when the pool clock runs again' : `in ${seconds(last)} at most`
  return [`${count} are dark (not used, or not surely, and not grantable yet); back ${when}.`]
}

/** When the last of them is back; `undefined` when nobody can say. */
function backInMs(rows: readonly Dark[]): number | undefined {
  let last = 0
  for (const { lastInMs } of rows) {
    if (lastInMs === undefined) return undefined
    last = Math.max(last, lastInMs)
  }
  return last
}

function owedText({ status }: WhyView): string[] {
  const owed = status?.owed ?? 0
  if (owed === 0) return []
  return [
    `${owed} are owed: a code ended or was removed while they were owned. What comes free pays them first.`,
  ]
}

function toDo(view: WhyView): string[] {
  const { feature, servers } = view
  const silent = servers.filter(({ answered }) => !answered).map(({ name }) => name)
  if (!hasLeader(view)) {
    const who = silent.length === 0 ? 'the servers' : silent.join(', ')
    return [`Get a majority of servers running and in reach of each other: look at ${who}.`]
  }
  if (spareOf(view).total > 0 || (view.status?.free ?? 0) > 0) return []
  return [
    `Wait for one (licd run --wait 600, or a timeout), see who holds them (licd ctl seats --feature ${feature}), or add allocations.`,
    ...(silent.length === 0
      ? []
      : [`Look at ${silent.join(', ')}: what it owns is of no use meanwhile.`]),
  ]
}
