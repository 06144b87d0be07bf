/** Messages of the seat protocol as bytes; see `seat-codec.ts` for their forms. */
import assert from 'node:assert/strict'
import { MessageWriter } from './message-writer.ts'
import type { Refused } from './seat-check.ts'
import {
  detailMax,
  protocolVersion,
  resultKinds,
  type AcquireItem,
  type Answer,
  type FoundServer,
  type ReleaseItem,
  type RenewItem,
  type SeatEnd,
  type SeatResult,
} from './seat.ts'

/** Each message is written and taken within one call. */
const writer = new MessageWriter()

/** `released` goes along: given back before anything is granted, and answered in the same message. */
export function encodeAcquire(
  batch: number,
  clientId: string,
  items: readonly AcquireItem[],
  released: readonly ReleaseItem[] = [],
): Uint8Array {
  writeHead(released.length > 0 ? 5 : 4, batch, clientId)
  writer.array(items.length)
  for (const { requestId, feature, count, user, host, waitMs } of items) {
    writer.array(6)
    writer.text(requestId)
    writer.text(feature)
    writer.number(count)
    writer.text(user)
    writer.text(host)
    writer.number(waitMs)
  }
  if (released.length > 0) writeReleases(released)
  return writer.take()
}

export function encodeRenew(
  batch: number,
  clientId: string,
  items: readonly RenewItem[],
): Uint8Array {
  writeHead(4, batch, clientId)
  writer.array(items.length)
  for (const { seatId, feature, token, user, host, failover, confirm } of items) {
    writer.array(confirm === undefined ? 6 : 7)
    writer.text(seatId)
    writer.text(feature)
    writer.bytes(token)
    writer.text(user)
    writer.text(host)
    writer.flag(failover)
    if (confirm !== undefined) writer.bytes(confirm)
  }
  return writer.take()
}

export function encodeRelease(
  batch: number,
  clientId: string,
  items: readonly ReleaseItem[],
): Uint8Array {
  writeHead(4, batch, clientId)
  writeReleases(items)
  return writer.take()
}

function writeHead(fields: number, batch: number, from: string): void {
  writer.array(fields)
  writer.number(protocolVersion)
  writer.number(batch)
  writer.text(from)
}

function writeReleases(items: readonly ReleaseItem[]): void {
  writer.array(items.length)
  for (const { seatId, token } of items) {
    writer.array(2)
    writer.text(seatId)
    writer.bytes(token)
  }
}

/**
 * One answer message. Granted seats must stand in the order of `seatIds`, for only their tokens travel. The
 * caller sees to it that it stays below `messageBytes`; `splitResults` helps.
 */
export function encodeAnswer(answer: Answer): Uint8Array {
  const { batch, server, incarnation, results } = answer
  writeHead(5, batch, server)
  writer.number(incarnation)
  writer.array(results.length)
  for (const result of results) writeResult(result)
  return writer.take()
}

function writeResult(result: SeatResult): void {
  switch (result.kind) {
    case 'granted': {
      const { requestId, expiresInMs, seats, ends } = result
      assert(seats.length > 0)
      assert((seats.length === 1 ? requestId : `${requestId}/0`) === seats[0]?.seatId)
      writeKind(ends === undefined ? 4 : 5, result.kind, requestId)
      writer.number(expiresInMs)
      writer.array(seats.length)
      for (const { token } of seats) writer.bytes(token)
      if (ends !== undefined) writeEnd(ends)
      return
    }
    case 'waiting':
      writeKind(3, result.kind, result.requestId)
      writer.number(result.position)
      return
    case 'renewed':
      writeKind(result.ends === undefined ? 4 : 5, result.kind, result.seatId)
      writer.number(result.expiresInMs)
      writer.bytes(result.token)
      if (result.ends !== undefined) writeEnd(result.ends)
      return
    case 'challenge':
      writeKind(5, result.kind, result.seatId)
      writer.bytes(result.nonce)
      writer.number(result.lastTick)
      writer.number(result.withinMs)
      return
    case 'pending':
    case 'released':
      writeKind(2, result.kind, result.seatId)
      return
    case 'refused':
      writeRefused(result)
  }
}

function writeEnd({ code, at, inMs }: SeatEnd): void {
  writer.array(3)
  writer.text(code)
  writer.number(at)
  writer.number(inMs)
}

function writeRefused({ kind, id, code, detail, server, retryAfterMs }: Refused): void {
  writeKind(6, kind, id)
  writer.text(code)
  writer.text(detail.slice(0, detailMax))
  if (server === undefined) writer.nil()
  else writer.text(server)
  if (retryAfterMs === undefined) writer.nil()
  else writer.number(retryAfterMs)
}

function writeKind(fields: number, kind: SeatResult['kind'], id: string): void {
  writer.array(fields)
  writer.number(resultKinds[kind])
  writer.text(id)
}

export function encodeFind(batch: number, clientId: string): Uint8Array {
  writeHead(4, batch, clientId)
  writer.array(0)
  return writer.take()
}

export function encodeFound(batch: number, found: FoundServer): Uint8Array {
  const { pool, fingerprint, server, incarnation, serving, reason } = found
  writeHead(reason === undefined ? 7 : 9, batch, pool)
  writer.text(fingerprint)
  writer.text(server)
  writer.number(incarnation)
  writer.flag(serving)
  if (reason !== undefined) {
    writer.text(reason.code)
    writer.text(reason.detail)
  }
  return writer.take()
}
