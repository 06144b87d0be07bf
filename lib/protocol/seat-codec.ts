/**
 * The client protocol as bytes: msgpack arrays with the version first, fields by position (half the size and
 * cost of maps). Both ends use this file, so a field cannot mean two things.
 *
 *   request  [version, batch, clientId, items, released?]; `released` are items of a release, in an acquire only
 *     acquire  [requestId, feature, count, user, host, waitMs]
 *     renew    [seatId, feature, token, user, host, failover, confirm?]
 *     release  [seatId, token]
 *     find     items is empty
 *   answer   [version, batch, server, incarnation, results], each result [kind number, ...];
 *            of a code that ends soon, `granted` and `renewed` have [code, at, inMs] at their end
 *   found    [version, batch, pool, fingerprint, server, incarnation, serving]
 *
 * Nothing here throws for bytes from outside. A request that cannot be read is a coded failure, an item that
 * cannot be read is refused alone, an answer that cannot be read is undefined. Decoded tokens are views of `data`.
 */
import { Packr } from 'msgpackr'
import { unpackPlain } from '../../raft/msgpack.ts'
import type { Code } from '../error.ts'
import {
  checkAcquire,
  checkRelease,
  checkRenew,
  isAmount,
  isRefused,
  isRequestId,
  isSeatId,
  isToken,
  isWhole,
  type Refused,
} from './seat-check.ts'
import { readEnd } from './seat-end.ts'
import {
  protocolVersion,
  detailMax,
  resultKinds,
  seatBounds,
  seatIds,
  type AcquireItem,
  type Answer,
  type FoundServer,
  type ReleaseItem,
  type RenewItem,
  type SeatEnd,
  type SeatResult,
} from './seat.ts'
import { quickAcquire, quickAnswer, quickRelease, quickRenew } from './seat-quick.ts'
import { isName, isServerName } from './subject.ts'

export * from './seat-encode.ts'

const packr = new Packr({ useRecords: false, int64AsType: 'number' })

/** A request as read: the items that are well formed, and refusals of those that are not. */
export type Decoded<Item> =
  | {
      readonly ok: true
      readonly batch: number
      readonly clientId: string
      readonly items: readonly Item[]
      /** Came along, to be given back before the items are looked at. */
      readonly released?: readonly ReleaseItem[]
      readonly refused: readonly Refused[]
    }
  /** To be answered as a `refused` result with the empty id, in `batch` (0 where it could not be read). */
  | { readonly ok: false; readonly batch: number; readonly code: Code; readonly detail: string }

export function decodeAcquire(data: Uint8Array): Decoded<AcquireItem> {
  return quickAcquire(data) ?? judged.acquire(data)
}

/** The readings that accept all that is well formed, and say what is wrong with the rest: what is not quick comes to them. */
export const judged = {
  acquire: (data: Uint8Array): Decoded<AcquireItem> =>
    decodeRequest(data, readAcquire, readRelease),
  renew: (data: Uint8Array): Decoded<RenewItem> => decodeRequest(data, readRenew),
  release: (data: Uint8Array): Decoded<ReleaseItem> => decodeRequest(data, readRelease),
  answer: judgeAnswer,
} as const

function readAcquire(row: readonly unknown[]): AcquireItem | Refused {
  const [requestId, feature, count, user, host, waitMs] = row
  return checkAcquire({ requestId, feature, count, user, host, waitMs })
}

export function decodeRenew(data: Uint8Array): Decoded<RenewItem> {
  return quickRenew(data) ?? judged.renew(data)
}

function readRenew(row: readonly unknown[]): RenewItem | Refused {
  const [seatId, feature, token, user, host, failover, confirm] = row
  return checkRenew({ seatId, feature, token, user, host, failover, confirm })
}

export function decodeRelease(data: Uint8Array): Decoded<ReleaseItem> {
  return quickRelease(data) ?? judged.release(data)
}

function readRelease([seatId, token]: readonly unknown[]): ReleaseItem | Refused {
  return checkRelease({ seatId, token })
}

export function decodeFind(data: Uint8Array): Decoded<never> {
  return decodeRequest<never>(data, () => ({
    kind: 'refused',
    id: '',
    code: 'LICD_BAD_REQUEST',
    detail: 'A find has no items.',
  }))
}

function unpack(data: Uint8Array): readonly unknown[] | undefined {
  const value = unpackPlain(packr, data)
  return Array.isArray(value) ? value : undefined
}

function decodeRequest<Item extends object>(
  data: Uint8Array,
  check: (row: readonly unknown[]) => Item | Refused,
  checkAlong?: (row: readonly unknown[]) => ReleaseItem | Refused,
): Decoded<Item> {
  if (data.length > seatBounds.messageBytes) {
    const detail = `A message has at most ${seatBounds.messageBytes} bytes, this one ${data.length}.`
    return { ok: false, batch: 0, code: 'LICD_TOO_LARGE', detail }
  }
  const message = unpack(data)
  const batch = isWhole(message?.[1]) ? message[1] : 0
  const bad = (code: Code, detail: string) => ({ ok: false, batch, code, detail }) as const
  if (message === undefined) return bad('LICD_BAD_REQUEST', 'The message is no msgpack array.')
  const [version, , clientId, rows] = message
  if (version !== protocolVersion) {
    return bad('LICD_BAD_VERSION', `This side speaks version ${protocolVersion}.`)
  }
  if (!isWhole(message[1])) return bad('LICD_BAD_REQUEST', 'Field batch is not a whole number.')
  if (!isRequestId(clientId)) return bad('LICD_BAD_REQUEST', 'Field clientId is no id.')
  if (!Array.isArray(rows)) return bad('LICD_BAD_REQUEST', 'Field items is no array.')
  const along: unknown = checkAlong === undefined ? undefined : message[4]
  if (along !== undefined && !Array.isArray(along)) {
    return bad('LICD_BAD_REQUEST', 'Field released is no array.')
  }
  if (rows.length > seatBounds.items || (along?.length ?? 0) > seatBounds.items) {
    return bad('LICD_TOO_LARGE', `A message has at most ${seatBounds.items} items.`)
  }
  const refused: Refused[] = []
  const items = sift(rows, check, refused)
  if (along === undefined || checkAlong === undefined) {
    return { ok: true, batch, clientId, items, refused }
  }
  return { ok: true, batch, clientId, items, released: sift(along, checkAlong, refused), refused }
}

/** The rows that are well formed; refusals of the others are added to `refused`. */
function sift<Item extends object>(
  rows: readonly unknown[],
  check: (row: readonly unknown[]) => Item | Refused,
  refused: Refused[],
): Item[] {
  const items: Item[] = []
  for (const row of rows) {
    const item = check(Array.isArray(row) ? (row as readonly unknown[]) : [])
    if (isRefused(item)) refused.push(item)
    else items.push(item)
  }
  return items
}

/** Fixed part of a result and of the message around it, with room to spare. */
const overheadBytes = 64

/** Roughly how many bytes a result takes: never less than it does. */
function resultBytes(result: SeatResult): number {
  switch (result.kind) {
    case 'granted':
      return result.seats.reduce(
        (sum, seat) => sum + seat.token.length + 3,
        overheadBytes + endBytes(result),
      )
    case 'renewed':
      return overheadBytes + endBytes(result) + result.token.length
    case 'challenge':
      return overheadBytes + 32 + result.nonce.length
    case 'refused':
      // A character may take three bytes.
      return overheadBytes + 192 + 3 * Math.min(result.detail.length, detailMax)
    default:
      return overheadBytes
  }
}

/** A character may take three bytes. */
function endBytes({ ends }: { readonly ends?: SeatEnd }): number {
  return ends === undefined ? 0 : 24 + 3 * ends.code.length
}

/** Divides results into runs that each fit one answer of `maxBytes`. A single larger result stands alone. */
export function splitResults(
  results: readonly SeatResult[],
  maxBytes: number = seatBounds.messageBytes - 1024,
): SeatResult[][] {
  const runs: SeatResult[][] = []
  let run: SeatResult[] = []
  let bytes = 0
  for (const result of results) {
    const size = resultBytes(result)
    if (run.length > 0 && (bytes + size > maxBytes || run.length === seatBounds.items)) {
      runs.push(run)
      run = []
      bytes = 0
    }
    run.push(result)
    bytes += size
  }
  if (run.length > 0) runs.push(run)
  return runs
}

/** An answer, or undefined when the bytes hold none that this side understands wholly. */
export function decodeAnswer(data: Uint8Array): Answer | undefined {
  return quickAnswer(data) ?? judged.answer(data)
}

function judgeAnswer(data: Uint8Array): Answer | undefined {
  if (data.length > seatBounds.messageBytes) return undefined
  const message = unpack(data)
  if (message === undefined) return undefined
  const [version, batch, server, incarnation, rows] = message
  if (version !== protocolVersion || !isWhole(batch) || !isWhole(incarnation)) return undefined
  if (typeof server !== 'string' || !isServerName(server)) return undefined
  if (!Array.isArray(rows) || rows.length > seatBounds.items) return undefined
  const results: SeatResult[] = []
  for (const row of rows as readonly unknown[]) {
    const result = Array.isArray(row) ? decodeResult(row as readonly unknown[]) : undefined
    if (result === undefined) return undefined
    results.push(result)
  }
  return { batch, server, incarnation, results }
}

function decodeResult([kind, id, a, b, c, d]: readonly unknown[]): SeatResult | undefined {
  if (kind === resultKinds.refused) return decodeRefused(id, a, b, c, d)
  if (!isSeatId(id)) return undefined
  switch (kind) {
    case resultKinds.granted:
      return decodeGranted(id, a, b, c)
    case resultKinds.waiting:
      return isWhole(a) ? { kind: 'waiting', requestId: id, position: a } : undefined
    case resultKinds.renewed:
      if (!isAmount(a) || !isToken(b)) return undefined
      return { kind: 'renewed', seatId: id, expiresInMs: a, token: b, ...decodeEnd(c) }
    case resultKinds.challenge:
      if (!isToken(a) || !isWhole(b) || !isAmount(c)) return undefined
      return { kind: 'challenge', seatId: id, nonce: a, lastTick: b, withinMs: c }
    case resultKinds.pending:
      return { kind: 'pending', seatId: id }
    case resultKinds.released:
      return { kind: 'released', seatId: id }
    default:
      return undefined
  }
}

/** What it is no more than told: one that cannot be read takes nothing from the promise. */
function decodeEnd(row: unknown): { readonly ends?: SeatEnd } {
  const ends = readEnd(row)
  return ends === undefined ? {} : { ends }
}

function decodeGranted(requestId: string, expiresInMs: unknown, tokens: unknown, end: unknown) {
  if (!isAmount(expiresInMs) || !Array.isArray(tokens) || !tokens.every(isToken)) return undefined
  if (tokens.length < 1 || tokens.length > seatBounds.countMax) return undefined
  const ids = seatIds(requestId, tokens.length)
  const seats = tokens.map((token, n) => ({ seatId: ids[n] ?? requestId, token }))
  return { kind: 'granted', requestId, expiresInMs, seats, ...decodeEnd(end) } as const
}

function decodeRefused(
  id: unknown,
  code: unknown,
  detail: unknown,
  server: unknown,
  retryAfterMs: unknown,
): Refused | undefined {
  if (id !== '' && !isSeatId(id)) return undefined
  if (typeof code !== 'string' || code.length > 64) return undefined
  if (typeof detail !== 'string' || detail.length > detailMax) return undefined
  return {
    kind: 'refused',
    id,
    code,
    detail,
    ...(typeof server === 'string' && isServerName(server) ? { server } : {}),
    ...(isAmount(retryAfterMs) ? { retryAfterMs } : {}),
  }
}

export function decodeFound(data: Uint8Array): (FoundServer & { batch: number }) | undefined {
  if (data.length > seatBounds.messageBytes) return undefined
  const message = unpack(data)
  if (message === undefined) return undefined
  const [version, batch, pool, fingerprint, server, incarnation, serving, code, detail] = message
  if (version !== protocolVersion || !isWhole(batch) || !isWhole(incarnation)) return undefined
  if (typeof pool !== 'string' || !isName(pool)) return undefined
  if (typeof server !== 'string' || !isServerName(server)) return undefined
  if (typeof fingerprint !== 'string' || fingerprint.length > 128) return undefined
  if (typeof serving !== 'boolean') return undefined
  const isReason =
    typeof code === 'string' &&
    code.length <= 64 &&
    typeof detail === 'string' &&
    detail.length <= detailMax
  const found = { batch, pool, fingerprint, server, incarnation, serving }
  return isReason ? { ...found, reason: { code, detail } } : found
}
