/**
 * Messages of the client protocol as they arrive and leave: one reading of both forms, msgpack and JSON.
 *
 * A message that cannot be read is answered with a code where an answer is awaited, and dropped otherwise;
 * either way it is counted and changes nothing.
 */
import type { Bus, BusMessage } from '../../raft/ports.ts'
import {
  decodeAcquire,
  decodeRelease,
  decodeRenew,
  encodeAnswer,
  splitResults,
  type Decoded,
} from '../protocol/seat-codec.ts'
import {
  decodeJsonAcquire,
  decodeJsonRelease,
  decodeJsonRenew,
  encodeJsonResult,
  jsonType,
} from '../protocol/seat-json.ts'
import {
  seatBounds,
  type AcquireItem,
  type ReleaseItem,
  type RenewItem,
  type SeatResult,
} from '../protocol/seat.ts'
import { inboxOf } from '../protocol/subject.ts'

/** Where the answers to one message go. Late ones too: the object is kept for as long as one may come. */
export interface Reply {
  readonly subject: string
  readonly batch: number
  readonly json: boolean
}

export function isJson(message: BusMessage): boolean {
  return message.header('Content-Type')?.startsWith(jsonType) === true
}

export function replyOf(message: BusMessage, batch: number): Reply | undefined {
  const subject = inboxOf(message.reply)
  return subject === undefined ? undefined : { subject, batch, json: isJson(message) }
}

export function readAcquire(message: BusMessage): Decoded<AcquireItem> {
  return isJson(message) ? decodeJsonAcquire(message.data) : decodeAcquire(message.data)
}

export function readRenew(message: BusMessage): Decoded<RenewItem> {
  return isJson(message) ? decodeJsonRenew(message.data) : decodeRenew(message.data)
}

export function readRelease(message: BusMessage): Decoded<ReleaseItem> {
  return isJson(message) ? decodeJsonRelease(message.data) : decodeRelease(message.data)
}

/** Room for what surrounds the results of a message. */
const envelopeBytes = 1_024

/** Sends results as few messages as fit. One that the bus does not take is lost: the client asks again. */
export function publishResults(
  bus: Bus,
  reply: Reply,
  from: { readonly server: string; readonly incarnation: number },
  results: readonly SeatResult[],
): void {
  const { subject, batch, json } = reply
  const { server, incarnation } = from
  if (json) {
    const envelope = { answeredBy: server, incarnation }
    for (const result of results) bus.publish(subject, encodeJsonResult(result, envelope))
    return
  }
  const bytesMax = Math.min(seatBounds.messageBytes, bus.maxPayload) - envelopeBytes
  for (const run of splitResults(results, bytesMax)) {
    bus.publish(subject, encodeAnswer({ batch, server, incarnation, results: run }))
  }
}
