/**
 * What servers tell each other outside consensus, as bytes: keepalives, and who runs under a name.
 *
 * Small msgpack arrays that open with a version. Anything else (malformed, too large, another version) decodes
 * to `undefined`: the receiver drops and counts it.
 */
import { Packr } from 'msgpackr'
import { unpackPlain } from '../../raft/msgpack.ts'
import { bounds, type Listing, type Usage } from '../ledger/command.ts'
import { denialReasons } from '../ledger/history.ts'
import { isFeatureName, isName, isServerName } from '../protocol/subject.ts'

const version = 1
/** Bytes of one keepalive: it becomes part of a log entry, together with those of all other servers. */
export const keepaliveBytesMax = 32 * 1024
/** Features in one keepalive, so that it stays below `keepaliveBytesMax` with the longest names. */
export const usageMax = 150
const claimBytesMax = 512
/** Characters of a process's id. */
const bootIdMax = 64

const packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: 'number' })

/** A process that runs (or wants to run) as `server`. The lower `since`, the older; 0 while it has no incarnation. */
export interface Claim {
  readonly server: string
  readonly bootId: string
  readonly since: number
}

export function encodeKeepalive({
  server,
  incarnation,
  number,
  wallMs,
  usage,
}: Listing): Uint8Array {
  const rows = usage.map(({ feature, inUse, granted, denied, reasons = [] }) => [
    ...[feature, inUse, granted, denied],
    ...reasons,
  ])
  return copy(packr.pack([version, server, incarnation, number, wallMs, rows]))
}

export function decodeKeepalive(data: Uint8Array): Listing | undefined {
  const fields = decode(data, keepaliveBytesMax)
  if (fields === undefined || fields.length !== 6) return undefined
  const [, server, incarnation, number, wallMs, rows] = fields
  if (typeof server !== 'string' || !isServerName(server)) return undefined
  if (!isCount(incarnation) || incarnation === 0 || !isCount(number) || !isCount(wallMs)) {
    return undefined
  }
  if (!isList(rows) || rows.length > usageMax) return undefined
  const usage: Usage[] = []
  for (const row of rows) {
    const entry = usageOf(row)
    if (entry === undefined) return undefined
    usage.push(entry)
  }
  return { server, incarnation, number, wallMs, usage }
}

function usageOf(row: unknown): Usage | undefined {
  if (!isList(row) || (row.length !== 4 && row.length !== 4 + denialReasons.length))
    return undefined
  const [feature, inUse, granted, denied, ...reasons] = row
  if (typeof feature !== 'string' || !isFeatureName(feature)) return undefined
  if (!isCount(inUse) || !isCount(granted) || !isCount(denied)) return undefined
  if (inUse > bounds.allocationsMax) return undefined
  if (reasons.length === 0) return { feature, inUse, granted, denied }
  if (!reasons.every(isCount)) return undefined
  return { feature, inUse, granted, denied, reasons }
}

export function encodeClaim({ server, bootId, since }: Claim): Uint8Array {
  return copy(packr.pack([version, server, bootId, since]))
}

export function decodeClaim(data: Uint8Array): Claim | undefined {
  const fields = decode(data, claimBytesMax)
  if (fields === undefined || fields.length !== 4) return undefined
  const [, server, bootId, since] = fields
  if (typeof server !== 'string' || typeof bootId !== 'string' || !isCount(since)) return undefined
  // Longer, it could be read and not be written again: bytes that are no text become three each.
  if (!isName(server) || bootId.length > bootIdMax) return undefined
  return { server, bootId, since }
}

function decode(data: Uint8Array, bytesMax: number): readonly unknown[] | undefined {
  if (data.length > bytesMax) return undefined
  const fields = unpackPlain(packr, data)
  return isList(fields) && fields[0] === version ? fields : undefined
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

/** The packer reuses its buffer; a bus may keep what it is given until it is flushed. */
function copy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
