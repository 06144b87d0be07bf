/**
 * The messages that a busy pool is made of, read in one pass: acquires, renewals, releases and their answers as the SDK and
 * the servers write them. `undefined` says that a message is anything else, good or bad: `seat-codec.ts` judges it then.
 */
import { MessageReader } from './message-reader.ts'
import {
  protocolVersion,
  resultKinds,
  seatBounds,
  seatIds,
  type AcquireItem,
  type Answer,
  type ReleaseItem,
  type RenewItem,
  type SeatResult,
} from './seat.ts'
import { isServerName } from './subject.ts'

interface Quick<Item> {
  readonly ok: true
  readonly batch: number
  readonly clientId: string
  readonly items: readonly Item[]
  readonly released?: readonly ReleaseItem[]
  readonly refused: readonly never[]
}

export function quickAcquire(data: Uint8Array): Quick<AcquireItem> | undefined {
  return quickRequest(data, readAcquire, 'with releases')
}

export function quickRenew(data: Uint8Array): Quick<RenewItem> | undefined {
  return quickRequest(data, readRenew)
}

export function quickRelease(data: Uint8Array): Quick<ReleaseItem> | undefined {
  return quickRequest(data, readRelease)
}

function quickRequest<Item>(
  data: Uint8Array,
  read: (reader: MessageReader) => Item,
  form: 'plain' | 'with releases' = 'plain',
): Quick<Item> | undefined {
  if (data.length > seatBounds.messageBytes) return undefined
  const reader = new MessageReader(data)
  const fields = reader.array()
  if (reader.whole() !== protocolVersion) return undefined
  const batch = reader.whole()
  const clientId = reader.id()
  const items = readRows(reader, read)
  const isLonger = fields === 5 && form === 'with releases'
  const released = isLonger ? readRows(reader, readRelease) : undefined
  if (!reader.isDone || (fields !== 4 && !isLonger)) return undefined
  const ok = true
  if (released === undefined) return { ok, batch, clientId, items, refused: [] }
  return { ok, batch, clientId, items, refused: [], released }
}

function readRows<Row>(reader: MessageReader, read: (reader: MessageReader) => Row): Row[] {
  const length = reader.array()
  const rows: Row[] = []
  if (length > seatBounds.items) reader.ok = false
  for (let n = 0; n < length && reader.ok; n++) rows.push(read(reader))
  return rows
}

function readAcquire(reader: MessageReader): AcquireItem {
  if (reader.array() !== 6) reader.ok = false
  const requestId = reader.id()
  const feature = reader.feature()
  const count = reader.whole()
  const user = reader.label()
  const host = reader.label()
  const waitMs = reader.whole()
  if (count < 1 || count > seatBounds.countMax || waitMs > seatBounds.waitMaxMs) reader.ok = false
  return { requestId, feature, count, user, host, waitMs }
}

function readRenew(reader: MessageReader): RenewItem {
  const fields = reader.array()
  if (fields !== 6) reader.ok = false
  const seatId = reader.seatId()
  const feature = reader.feature()
  const token = reader.token()
  const user = reader.label()
  const host = reader.label()
  const failover = reader.flag()
  return { seatId, feature, token, user, host, failover }
}

function readRelease(reader: MessageReader): ReleaseItem {
  if (reader.array() !== 2) reader.ok = false
  const seatId = reader.seatId()
  return { seatId, token: reader.token() }
}

export function quickAnswer(data: Uint8Array): Answer | undefined {
  if (data.length > seatBounds.messageBytes) return undefined
  const reader = new MessageReader(data)
  if (reader.array() !== 5 || reader.whole() !== protocolVersion) return undefined
  const batch = reader.whole()
  const server = reader.id()
  const incarnation = reader.whole()
  const results = readRows(reader, readResult)
  if (!reader.isDone || !isServerName(server)) return undefined
  return { batch, server, incarnation, results }
}

function readResult(reader: MessageReader): SeatResult {
  const fields = reader.array()
  const kind = reader.whole()
  const seatId = reader.seatId()
  if (kind === resultKinds.released && fields === 2) return { kind: 'released', seatId }
  const isGrant = kind === resultKinds.granted
  if ((!isGrant && kind !== resultKinds.renewed) || fields !== 4) reader.ok = false
  const expiresInMs = reader.whole()
  if (!isGrant) return { kind: 'renewed', seatId, expiresInMs, token: reader.token() }
  return { kind: 'granted', requestId: seatId, expiresInMs, seats: readSeats(reader, seatId) }
}

function readSeats(reader: MessageReader, requestId: string) {
  const count = reader.array()
  if (count === 1) return [{ seatId: requestId, token: reader.token() }]
  if (count < 1 || count > seatBounds.countMax || !reader.ok) {
    reader.ok = false
    return []
  }
  return seatIds(requestId, count).map(seatId => ({ seatId, token: reader.token() }))
}
