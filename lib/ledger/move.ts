/**
 * A seat that takes its own allocation along when its client fails over (R6).
 *
 * The token is the proof. The allocation is taken from where the seat stands now: its server's share, or, when it
 * was moved already and the client does not know, the share it was moved to. The ledger remembers a move until the
 * seat's older tokens prove nothing; till then the taker counts it as in use and is not down, so the share
 * that the seat stands on is lent to nobody.
 */
import { bounds } from './command.ts'
import type { SeatProof } from './command.ts'
import { addShare, shareOf } from './feature.ts'
import type { Context } from './outcome.ts'
import { seatsOverAt } from './server.ts'
import { moveRow } from './snapshot.ts'
import type { Feature, LedgerState, Move, ServerRecord } from './state.ts'

/** The server on whose share the seat stands, if the token still proves the seat at the present tick. */
export function whereProven(
  state: LedgerState,
  feature: Feature,
  proof: SeatProof,
): string | undefined {
  const { tick } = state
  if (proof.feature !== feature.name || proof.seatId === '') return undefined
  // `lastTick` 0 proves nothing to others, at tick 0 as well (R5). A token from ahead is of another history (R11).
  if (!(proof.lastTick > 0 && tick <= proof.lastTick && proof.seatTick <= tick)) return undefined
  const issuer = state.servers.get(proof.server)
  if (issuer === undefined || !(proof.incarnation <= issuer.incarnation)) return undefined
  const move = state.moves.get(proof.seatId)
  if (move !== undefined) return isOf(move, feature, proof, state.level) ? move.to : undefined
  // Its run went down: the seat is over and its allocation may serve others by now (R3, R4).
  if (!(proof.incarnation > issuer.endedIncarnation)) return undefined
  // At the bound no new move is remembered, and a move that is not remembered is not safe.
  return state.moves.size < bounds.moves ? proof.server : undefined
}

/**
 * Whether the seat that moved is the one of the token. Ids are the clients' choice and no secret: a token of another server
 * than the two that the seat was at last is for another seat of that id, or so old that its client must have missed
 * two moves. Before level 3 any token of the id counted.
 */
function isOf(move: Move, { name }: Feature, { server }: SeatProof, level: number): boolean {
  if (move.feature !== name) return false
  return level < 3 || server === move.from || server === move.to
}

/** Moves one allocation of `from` to the taker along with the seat. `from` owns one and is another server. */
export function moveSeat(
  { state, changes }: Context,
  feature: Feature,
  options: { readonly seatId: string; readonly from: string; readonly taker: ServerRecord },
): void {
  const { seatId, from, taker } = options
  changes.distribution(feature.name)
  addShare(feature, from, -1)
  addShare(feature, taker.name, 1)
  const move: Move = Object.freeze({
    seatId,
    feature: feature.name,
    from,
    to: taker.name,
    toIncarnation: taker.incarnation,
    tick: state.tick,
    until: seatsOverAt(state),
  })
  putMove({ state, changes }, move)
  if (taker.downAt < move.until) {
    changes.server(taker.name)
    taker.downAt = move.until
  }
}

/** Remembers a move in the place of the seat's earlier one. */
export function putMove({ state, changes }: Pick<Context, 'state' | 'changes'>, move: Move): void {
  const before = state.moves.get(move.seatId)
  if (before !== undefined) changes.removed(moveRow(before))
  changes.added(moveRow(move))
  state.moves.set(move.seatId, move)
}

export function forgetMoves({ state, changes }: Context): void {
  for (const move of state.moves.values()) {
    if (move.until > state.tick) continue
    changes.removed(moveRow(move))
    state.moves.delete(move.seatId)
  }
}

/** Whether one allocation can be taken from where the seat stands, after `offered` were. */
export function canGive(feature: Feature, server: string, offered: number): boolean {
  return shareOf(feature, server) - offered >= 1
}
