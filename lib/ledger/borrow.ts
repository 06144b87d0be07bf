/**
 * Where an allocation comes from when a server runs short (claims 5, 14, 15).
 *
 * First the sources are searched in their order, then, only if they hold what is needed, everything moves at once
 * (claims 5 and 19: the taker goes up by exactly what the sources go down). The leader lowered its limit by what
 * it offers before it proposed the entry, so what is taken here is in use nowhere else (R1).
 */
import type { CommandBody, Offer, Taken } from './command.ts'
import { addShare, shareOf } from './feature.ts'
import { canGive, moveSeat, whereProven } from './move.ts'
import { inUseOf } from './history.ts'
import { badCount, isCount, isCountOrZero, refuse } from './outcome.ts'
import type { Context, Outcome } from './outcome.ts'
import { findCaller, isRunning, onlyGives } from './server.ts'
import { lowerDemand, settle, standingOf } from './settle.ts'
import type { Standing } from './settle.ts'
import type { Feature, LedgerState } from './state.ts'

type Borrow = Extract<CommandBody, { type: 'borrow' }>

/** A fail-over update asks the leader first, a request asks it last (claims 5, 14). */
const order = {
  request: ['free', 'down', 'offer'],
  update: ['offer', 'free', 'move', 'down'],
} as const

/** What a search found: nothing has moved yet. */
interface Found {
  readonly taken: Taken[]
  /** Requests that can be met: allocations to be taken, and a seat that stands at the borrower already. */
  covered: number
  offered: number
}

export function applyBorrow(context: Context, borrow: Borrow): Outcome {
  const { state } = context
  const { needed, wanted, queue, offer } = borrow
  const feature = state.features.get(borrow.feature)
  if (feature === undefined) return refuse('LICD_UNKNOWN_FEATURE')
  const taker = findCaller(state, borrow.to, borrow.incarnation)
  if ('code' in taker) return taker
  if (onlyGives(taker)) return refuse('LICD_NOT_FUNCTIONING', 'It stops.')
  if (!isCount(needed)) return badCount('needed')
  if (!isCount(wanted) || wanted < needed) return badCount('wanted')
  if (!isCountOrZero(queue)) return badCount('queue')
  if (offer !== undefined && !isCountOrZero(offer.count)) return badCount('offer.count')

  const standing = standingOf(state)
  const found = search(state, feature, borrow, standing)
  if (found.covered < needed) return enqueue(context, feature, borrow, standing)
  take(context, feature, borrow, found)
  return { ok: true, taken: found.taken }
}

function search(state: LedgerState, feature: Feature, borrow: Borrow, { down }: Standing): Found {
  const found: Found = { taken: [], covered: 0, offered: 0 }
  let moved = false
  for (const source of order[borrow.cause]) {
    const room = borrow.wanted - found.covered
    if (room <= 0) break
    switch (source) {
      case 'free':
        note(found, { source, count: Math.min(room, feature.free) })
        break
      case 'offer': {
        const count = Math.min(room, offeredBy(state, feature, borrow))
        if (borrow.offer !== undefined) note(found, { source, server: borrow.offer.server, count })
        found.offered = count
        break
      }
      case 'move':
        moved = searchMove(state, feature, borrow, found)
        break
      case 'down':
        // The seat's own allocation stands in the place of down servers (R6).
        if (moved && found.covered >= borrow.needed) break
        searchDown(feature, down, borrow, found)
        break
    }
  }
  return found
}

function note(found: Found, taken: Taken): void {
  if (taken.count === 0) return
  found.taken.push(taken)
  found.covered += taken.count
}

/**
 * Nothing when its giver has started anew or is down since, or owns less than it offered: an entry never takes more
 * than the giver has (R8). A server's own offer is no source for itself.
 */
function offeredBy(state: LedgerState, feature: Feature, { offer, to }: Borrow): number {
  if (offer === undefined || offer.server === to) return 0
  return stillHolds(state, feature, offer) ? offer.count : 0
}

function stillHolds(state: LedgerState, feature: Feature, offer: Offer): boolean {
  return (
    isRunning(state, offer.server, offer.incarnation) &&
    shareOf(feature, offer.server) >= offer.count
  )
}

/** A seat is one allocation and takes part only while the need is unmet. */
function searchMove(state: LedgerState, feature: Feature, borrow: Borrow, found: Found): boolean {
  const { move, needed, to, offer } = borrow
  if (move === undefined || found.covered >= needed) return false
  const from = whereProven(state, feature, move)
  if (from === undefined) return false
  if (!canGive(feature, from, offer?.server === from ? found.offered : 0)) return false
  // It stands at the borrower already: granted, and nothing moves.
  found.taken.push({ source: 'move', server: from, count: from === to ? 0 : 1 })
  found.covered += 1
  return true
}

function searchDown(
  feature: Feature,
  down: readonly string[],
  { wanted }: Borrow,
  found: Found,
): void {
  for (const server of down) {
    const count = Math.min(wanted - found.covered, shareOf(feature, server))
    note(found, { source: 'down', server, count })
  }
}

function take(context: Context, feature: Feature, borrow: Borrow, found: Found): void {
  const { state, changes } = context
  const taker = state.servers.get(borrow.to)
  let total = 0
  for (const { source, server, count } of found.taken) {
    if (count === 0) continue
    if (source === 'move') {
      if (borrow.move === undefined || server === undefined || taker === undefined) continue
      moveSeat(context, feature, { seatId: borrow.move.seatId, from: server, taker })
      continue
    }
    changes.distribution(feature.name)
    if (server === undefined) feature.free -= count
    else addShare(feature, server, -count)
    addShare(feature, borrow.to, count)
    total += count
  }
  if (total > 0) lowerDemand(feature, borrow.to, total)
}

/** Nothing is taken. What waits keeps its place in the queue, or enters it at the end (R12). */
function enqueue(context: Context, feature: Feature, borrow: Borrow, standing: Standing): Outcome {
  const { to, incarnation, queue, cause, move } = borrow
  const refusal = refuse(
    'LICD_NO_SOURCE',
    cause === 'update' && move !== undefined ? 'The token proves the seat no more.' : undefined,
  )
  if (queue === 0) return refusal
  setDemand(context, feature, { server: to, incarnation, count: queue })
  settle(context, feature, { standing, topUp: false })
  const place = feature.demand.findIndex(entry => entry.server === to) + 1
  return place > 0 ? { ...refusal, queued: place } : refusal
}

/** States how many requests wait at a server; 0 withdraws them. An entry that stands keeps its place. */
export function setDemand(
  { state, changes, index }: Context,
  feature: Feature,
  demand: { readonly server: string; readonly incarnation: number; readonly count: number },
): void {
  const { server, incarnation, count } = demand
  changes.feature(feature.name)
  const at = feature.demand.findIndex(entry => entry.server === server)
  const entry = feature.demand[at]
  if (count === 0) {
    if (at >= 0) feature.demand.splice(at, 1)
  } else if (entry === undefined) feature.demand.push({ server, incarnation, count, since: index })
  else entry.count = count
  if (count > 0) state.history.note(changes, state, feature, inUseOf(feature))
}
