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

/** As it is read and written: a book has a hundred thousand of them, and all are read before the first seat is granted. */
type SeatRow = readonly [
  seatId: string,
  feature: string,
  /** Null where nobody holds it: it moved away. */
  clientId: string | null,
  user: string,
  host: string,
  /** Milliseconds left by the server's clock; negative when over. */
  leftMs: number,
  heldMs: number,
  lastTick: number,
  movedUntil: number,
  relearned: boolean,
]

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
  const seats = [...book.seats()].map((seat): SeatRow => [
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
  const isSeatRow = seatRowCheck()
  if (!rows.every(isSeatRow)) return undefined
  return {
    server,
    incarnation,
    tick,
    relearnUntil,
    unknown,
    spentMoves,
    seenMoves,
    seats: rows,
  }
}

/** Reads books, where it is let ahead of their use: that takes longer than all else about them. */
export class BookReader {
  #ahead: { readonly bytes: Uint8Array; readonly given: HandOver | undefined } | undefined

  readAhead(bytes: Uint8Array): void {
    this.#ahead = { bytes, given: decodeHandOver(bytes) }
  }

  /** As `decodeHandOver`, nothing for no book; what was read ahead is forgotten. */
  take(bytes: Uint8Array | undefined): HandOver | undefined {
    const ahead = this.#ahead
    this.#ahead = undefined
    if (bytes === undefined) return undefined
    return ahead?.bytes === bytes ? ahead.given : decodeHandOver(bytes)
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
    const seatId = row[0]
    if (isGone(state.moves.get(seatId))) continue
    const clientId = row[2]
    const client = clientId === null ? undefined : { clientId, user: row[3], host: row[4] }
    const expiresAt = now + row[5]
    const since = now - row[6]
    const feature = row[1]
    const [lastTick, movedUntil, relearned] = [row[7], row[8], row[9]]
    // Named one by one: to spread an object costs five times as much as all the rest of a seat.
    book.restore({ seatId, feature, client, expiresAt, since, lastTick, movedUntil, relearned })
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

/** A check of rows, one after another: what is as in the row before was found good there. */
function seatRowCheck(): (row: unknown) => row is SeatRow {
  // At first nothing is known, and no field is this.
  const nothing: unknown = {}
  let knownFeature = nothing
  let knownClient = nothing
  let knownUser = nothing
  let knownHost = nothing
  return (row): row is SeatRow => {
    const fields = rowOf(row)
    const [feature, clientId, user, host] = [fields[1], fields[2], fields[3], fields[4]]
    if (!isSeatId(fields[0])) return false
    if (feature !== knownFeature) {
      if (typeof feature !== 'string' || !isFeatureName(feature)) return false
      knownFeature = feature
    }
    if (clientId !== knownClient) {
      if (clientId !== null && !isRequestId(clientId)) return false
      knownClient = clientId
    }
    if (user !== knownUser || host !== knownHost) {
      if (!isLabel(user) || !isLabel(host)) return false
      knownUser = user
      knownHost = host
    }
    if (!Number.isFinite(fields[5]) || !Number.isFinite(fields[6])) return false
    return isWhole(fields[7]) && isWhole(fields[8]) && typeof fields[9] === 'boolean'
  }
}
