/**
 * The client protocol as JSON, for plain NATS tools: a request whose `Content-Type` header is
 * `application/json` holds one item as an object and is answered by one object.
 *
 * Fields have the names of `AcquireItem`, `RenewItem` and `ReleaseItem`; tokens and nonces are base64url; `user`,
 * `host`, `waitMs`, `count`, `failover` may be left out. Same checks as the msgpack form.
 */
import { Buffer } from 'node:buffer'
import {
  checkAcquire,
  checkRelease,
  checkRenew,
  isRefused,
  isRequestId,
  type Refused,
} from './seat-check.ts'
import type { Decoded } from './seat-codec.ts'
import {
  anonymous,
  seatBounds,
  type AcquireItem,
  type ReleaseItem,
  type RenewItem,
  type SeatResult,
} from './seat.ts'

export const jsonType = 'application/json'

/** What an answer in JSON adds to the result itself. */
export interface JsonEnvelope {
  /** The server that answers (`server` in a refusal is where the seat is now). */
  readonly answeredBy: string
  readonly incarnation: number
}

export function decodeJsonAcquire(data: Uint8Array): Decoded<AcquireItem> {
  return decodeOne(data, ({ requestId, feature, count = 1, user = '', host = '', waitMs = 0 }) =>
    checkAcquire({ requestId, feature, count, user, host, waitMs }),
  )
}

export function decodeJsonRenew(data: Uint8Array): Decoded<RenewItem> {
  return decodeOne(data, fields => {
    const { seatId, feature, token, user = '', host = '', failover = false, confirm } = fields
    return checkRenew({
      seatId,
      feature,
      token: bytesOf(token),
      user,
      host,
      failover,
      confirm: confirm === undefined ? undefined : (bytesOf(confirm) ?? false),
    })
  })
}

export function decodeJsonRelease(data: Uint8Array): Decoded<ReleaseItem> {
  return decodeOne(data, ({ seatId, token = '' }) =>
    checkRelease({ seatId, token: bytesOf(token) }),
  )
}

/** One object. Tokens and nonces become base64url text. */
export function encodeJsonResult(result: SeatResult, envelope: JsonEnvelope): Uint8Array {
  return Buffer.from(JSON.stringify({ ...result, ...textForm(result), ...envelope }))
}

function textForm(result: SeatResult): object {
  switch (result.kind) {
    case 'granted':
      return { seats: result.seats.map(seat => ({ ...seat, token: textOf(seat.token) })) }
    case 'renewed':
      return { token: textOf(result.token) }
    case 'challenge':
      return { nonce: textOf(result.nonce) }
    default:
      return {}
  }
}

function decodeOne<Item extends object>(
  data: Uint8Array,
  check: (fields: Readonly<Record<string, unknown>>) => Item | Refused,
): Decoded<Item> {
  const bad = { ok: false, batch: 0, code: 'LICD_BAD_REQUEST' } as const
  if (data.length > seatBounds.messageBytes) {
    const detail = `A message has at most ${seatBounds.messageBytes} bytes.`
    return { ...bad, code: 'LICD_TOO_LARGE', detail }
  }
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(data).toString())
  } catch {
    return { ...bad, detail: 'The message is no JSON.' }
  }
  if (!isRecord(value)) return { ...bad, detail: 'The message is no JSON object.' }
  const { clientId = anonymous } = value
  if (!isRequestId(clientId)) return { ...bad, detail: 'Field clientId is no id.' }
  const item = check(value)
  if (isRefused(item)) return { ok: true, batch: 0, clientId, items: [], refused: [item] }
  return { ok: true, batch: 0, clientId, items: [item], refused: [] }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function bytesOf(text: unknown): Uint8Array | undefined {
  if (typeof text !== 'string' || !/^[A-Za-z0-9_-]*$/.test(text)) return undefined
  return Buffer.from(text, 'base64url')
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url')
}
