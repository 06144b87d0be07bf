/**
 * The seat book as bytes, from a server that stops cleanly to the very next incarnation of it (R7).
 *
 * It saves the new one from relearning: nothing is dark. It is believed whole or not at all (checksum, version,
 * server, incarnation), and a seat that the log has moved away meanwhile is left out. Times travel as what was
 * left of them, and what passed since is not counted: a server that was cut off and is catching up writes its book behind
 * the pool clock, so that ticks which it applies afterwards prove nothing of when they were proposed.
 */
import { crc32 } from 'node:zlib'
import { Packr } from 'msgpackr'
import { unpackPlain } from '../../raft/msgpack.ts'
import type { SeatBook } from '../book/book.ts'
import { bounds } from '../ledger/command.ts'
import type { LedgerState, Move } from '../ledger/state.ts'
import { isLabel, isRequestId, isSeatId, isWhole } from '../protocol/seat-check.ts'
import { isFeatureName } from '../protocol/subject.ts'

const version = 1
/** A larger book is not written: the next incarnation relearns. */
const bytesMax = 512 * 1024 * 1024
const crcBytes = 4

const packr = new Packr({ useRecords: false, int64AsType: 'number' })

interface SeatRow {
  readonly seatId: string
  readonly feature: string
  readonly client:
    { readonly clientId: string; readonly user: string; readonly host: string } | undefined
  /** Milliseconds left by the server's clock; negative when over. */
  readonly leftMs: number
  readonly heldMs: number
  readonly lastTick: number
  readonly movedUntil: number
  readonly relearned: boolean
}

export interface HandOver {
  readonly server: string
  readonly incarnation: number
  readonly tick: number
  readonly relearnUntil: number
  readonly unknown: readonly (readonly [string, number])[]
  readonly spentMoves: readonly (readonly [string, number])[]
  /** Moves away from here, made at `tick` and seen: a seat in `seats` of the same id came after them. */
  readonly seenMoves: readonly string[]
  readonly seats: readonly SeatRow[]
}

/** The book of this incarnation as it stands; `undefined` when it is larger than the bound. */
export function encodeHandOver(
  book: SeatBook,
  from: { readonly server: string; readonly incarnation: number },
  state: LedgerState,
  now: number,
): Uint8Array | undefined {
  const { server, incarnation } = from
  const seats = [...book.seats()].map(seat => [
    seat.seatId,
    seat.stock.feature,
    seat.holder?.clientId ?? null,
    seat.holder?.user ?? '',
    seat.holder?.host ?? '',
    seat.expiresAt - now,
    seat.since === 0 ? 0 : now - seat.since,
    seat.lastTick,
    seat.movedUntil,
    seat.relearned,
  ])
  const { tick, settings } = state
  const unknown = book.stocks().map(stock => [stock.feature, stock.unknown])
  const seen = [...state.moves.values()].filter(m => m.from === server && m.tick === tick)
  const body = packr.pack([
    version,
    server,
    incarnation,
    tick,
    settings.tickMs,
    book.relearnUntil,
    unknown,
    [...book.spentMoves()],
    seen.map(move => move.seatId),
    seats,
  ])
  if (body.byteLength > bytesMax) return undefined
  const bytes = Buffer.allocUnsafe(body.byteLength + crcBytes)
  body.copy(bytes)
  bytes.writeUInt32BE(crc32(body), body.byteLength)
  return bytes
}

/** What was handed over, or `undefined` for bytes that are not wholly as they were written. */
export function decodeHandOver(bytes: Uint8Array): HandOver | undefined {
  if (bytes.byteLength <= crcBytes || bytes.byteLength > bytesMax + crcBytes) return undefined
  const body = bytes.subarray(0, bytes.byteLength - crcBytes)
  const crc = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUInt32BE(
    body.byteLength,
  )
  if (crc32(body) !== crc) return undefined
  const fields = rowOf(unpackPlain(packr, body))
  if (fields.length !== 10 || fields[0] !== version) return undefined
  const [, server, incarnation, tick, tickMs, relearnUntil, ...lists] = fields
  const [unknown, spentMoves, seenMoves, rows] = lists
  if (typeof server !== 'string' || !isWhole(incarnation) || !isWhole(tick)) return undefined
  if (!isWhole(tickMs) || !isWhole(relearnUntil)) return undefined
  if (!Array.isArray(seenMoves) || !seenMoves.every(isSeatId)) return undefined
  if (!Array.isArray(unknown) || !unknown.every(isFeatureCount)) return undefined
  if (!Array.isArray(spentMoves) || !spentMoves.every(isSeatTick)) return undefined
  if (!Array.isArray(rows)) return undefined
  const seats: SeatRow[] = []
  for (const row of rows as readonly unknown[]) {
    const seat = seatOf(row)
    if (seat === undefined) return undefined
    seats.push(seat)
  }
  return {
    server,
    incarnation,
    tick,
    relearnUntil,
    unknown,
    spentMoves,
    seenMoves,
    seats,
  }
}

/** Fills an empty book, whose shares and tick are those of the ledger, with what was handed over. */
export function takeOver(book: SeatBook, given: HandOver, state: LedgerState, now: number): void {
  const seen = new Set(given.seenMoves)
  const isGone = (move: Move | undefined): boolean =>
    move !== undefined &&
    move.from === given.server &&
    (move.tick > given.tick || (move.tick === given.tick && !seen.has(move.seatId)))
  for (const row of given.seats) {
    if (isGone(state.moves.get(row.seatId))) continue
    const expiresAt = now + row.leftMs
    book.restore({ ...row, expiresAt, since: now - row.heldMs })
  }
  for (const [seatId, until] of given.spentMoves) book.restoreSpentMove(seatId, until)
  book.resumeRelearning(given.relearnUntil, given.unknown)
}

/** The fields of a row, none for what is no array. */
function rowOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function isFeatureCount(value: unknown): value is readonly [string, number] {
  const [feature, count, ...more] = rowOf(value)
  if (more.length > 0 || typeof feature !== 'string' || !isFeatureName(feature)) return false
  return isWhole(count) && count <= bounds.allocationsMax
}

function isSeatTick(value: unknown): value is readonly [string, number] {
  return Array.isArray(value) && value.length === 2 && isSeatId(value[0]) && isWhole(value[1])
}

function seatOf(row: unknown): SeatRow | undefined {
  const [seatId, feature, clientId, user, host, ...rest] = rowOf(row)
  const [leftMs, heldMs, lastTick, movedUntil, relearned] = rest
  if (!isSeatId(seatId) || typeof feature !== 'string' || !isFeatureName(feature)) return undefined
  if (clientId !== null && !isRequestId(clientId)) return undefined
  if (!isLabel(user) || !isLabel(host)) return undefined
  if (typeof leftMs !== 'number' || !Number.isFinite(leftMs)) return undefined
  if (typeof heldMs !== 'number' || !Number.isFinite(heldMs)) return undefined
  if (!isWhole(lastTick) || !isWhole(movedUntil) || typeof relearned !== 'boolean') return undefined
  const client = clientId === null ? undefined : { clientId, user, host }
  return { seatId, feature, client, leftMs, heldMs, lastTick, movedUntil, relearned }
}
