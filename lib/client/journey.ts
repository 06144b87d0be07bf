/**
 * Where a seat may go: which server is asked next to take it.
 *
 * R6: a client that does not know how a move ended neither releases nor renews at the old server until it does.
 * So while a confirmed move is open, the server it was confirmed at comes first, and the seat's own never.
 */
import { bounds } from '../ledger/command.ts'
import type { Journey, Refusal, SeatRecord } from './record.ts'
import type { Servers } from './servers.ts'

/** Redirections of one journey that are followed. */
export const redirectsMax = 3

/** So long a seat waits for its own server, where it has ten times as long: half as much to half as much again. */
export const returnMs = 400

/** `refusal`: that of the last server that was asked, where it refused. */
export function startJourney(seat: SeatRecord, refusal?: Refusal): Journey {
  seat.journey ??= {
    nonce: undefined,
    lastTick: 0,
    open: new Map(),
    tried: new Set(),
    redirects: 0,
    challenges: 0,
    returns: undefined,
    refusal: undefined,
  }
  seat.journey.refusal = refusal ?? seat.journey.refusal
  return seat.journey
}

/**
 * A challenge of `server` closes the move confirmed there: it would say "pending" if one were under way. It also
 * closes those that can be applied no more: `server` has applied a later tick and knows of no move.
 */
export function closeMoves(journey: Journey, server: string, lastTick: number): void {
  journey.open.delete(server)
  for (const [name, move] of journey.open) {
    // A deadline lies at most so far ahead of the tick that was applied when it was set (R8).
    if (move.lastTick < lastTick - bounds.deadlineTicks) journey.open.delete(name)
  }
}

/** The broker said that nobody got the message: no confirmation in it counts. */
export function dropConfirm(journey: Journey | undefined, server: string, batch: number): void {
  const move = journey?.open.get(server)
  if (move?.batches.delete(batch) === true && move.batches.size === 0) journey?.open.delete(server)
}

/** Where another server refused because the seat's own serves again: nothing has to move. */
export function mayReturn(seat: SeatRecord, journey: Journey, refusedBy: string): boolean {
  const isFree = seat.server !== refusedBy && journey.open.size === 0
  return isFree && seat.hold.state === 'held' && journey.redirects < redirectsMax
}

/**
 * True when the seat is believed in for long enough to wait for its own server, which then is asked first: a pool that
 * starts as a whole. The first to serve would else be asked for the seats of all, before any new one is granted, and
 * could only tell each to wait.
 */
export function waitsForOwn(seat: SeatRecord, now: number, epoch: number): boolean {
  if (seat.epoch !== epoch || seat.expiresAt - now < 10 * returnMs) return false
  const journey = startJourney(seat)
  if (journey.returns !== undefined || journey.open.size > 0) return false
  journey.returns = true
  return true
}

export class Journeys {
  readonly #servers: Servers

  constructor(servers: Servers) {
    this.#servers = servers
  }

  /** The open move's server, else the home, the seat's own, any other known; undefined when all were tried. */
  next(seat: SeatRecord, now: number): string | undefined {
    const journey = startJourney(seat)
    const { open, tried } = journey
    if (journey.returns === true && open.size === 0) {
      journey.returns = false
      return seat.server
    }
    // What was given up goes nowhere new; only how its open move ended is still to be learned.
    const isWanted = seat.hold.state === 'held'
    const candidates = [
      ...[...open.keys()].sort(),
      ...(this.#servers.home === undefined ? [] : [this.#servers.home]),
      seat.server,
      ...this.#servers.usable(now),
    ]
    return candidates.find(
      name =>
        !tried.has(name) &&
        (isWanted || open.has(name)) &&
        !this.#servers.isAvoided(name, now) &&
        (name !== seat.server || open.size === 0 || open.has(name)),
    )
  }
}
