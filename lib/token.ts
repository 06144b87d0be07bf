/**
 * Tokens and challenges: what a client shows to prove its seat, and to prove that it asks now.
 *
 * Both are MACs under the pool's key, so any server of the pool can check what another made, with no state and
 * no round trip, and no client can make or alter one. A token proves a seat to others until its last tick (R4,
 * R5); a challenge ties a renewal to this server, incarnation and time, so that a repeated old message alone
 * moves nothing (R6, R7).
 */
import assert from 'node:assert/strict'
import { hash, timingSafeEqual } from 'node:crypto'
import { Packr } from 'msgpackr'
import { unpackPlain } from '../raft/msgpack.ts'
import type { SeatProof } from './ledger/command.ts'
import { isSeatId } from './protocol/seat-check.ts'
import { seatBounds } from './protocol/seat.ts'

const tokenVersion = 1
const macBytes = 16
const tickBytes = 6

/** What a MAC is made over starts with one of these, so that no token is a challenge. */
const domain = { token: 1, challenge: 2 } as const

/** Filled and used within one call. */
let scratch = Buffer.allocUnsafe(1_024)
/** Its first bytes, by how many: to make such a view costs as much as to fill it. */
let views: (Buffer | undefined)[] = []

function firstOf(bytes: number): Buffer {
  return (views[bytes] ??= scratch.subarray(0, bytes))
}

function makeRoom(bytes: number): void {
  if (bytes <= scratch.byteLength) return
  scratch = Buffer.allocUnsafe(bytes)
  views = []
}

const packr = new Packr({ useRecords: false })
const arrayOfEight = 0x98

/**
 * The pool's MAC key, made ready once: not per token. The two blocks that HMAC begins with (RFC 2104), and what the
 * tokens made with it begin and end with.
 */
export interface TokenKey {
  readonly inner: Buffer
  readonly outer: Buffer
  /** By feature, of one pool. Bounded by `headsMax`: beyond it all are made anew. */
  readonly heads: Map<string, Buffer>
  headsOf: string
  tail: Tail | undefined
}

/** How a token ends: the same for all seats that a server grants in one tick. */
interface Tail extends Omit<SeatProof, 'seatId' | 'feature'> {
  readonly bytes: Buffer
}

const headsMax = 10_000
const blockBytes = 64
const digestBytes = 32
/** Where in `scratch` the body begins: behind the inner block and the domain. */
const bodyAt = blockBytes + 1

/** Of a key of 32 to 64 bytes. */
export function tokenKey(macKey: Uint8Array): TokenKey {
  assert(macKey.byteLength >= 32 && macKey.byteLength <= blockBytes)
  const block = (mask: number, room: number): Buffer => {
    const bytes = Buffer.alloc(blockBytes + room)
    bytes.set(macKey)
    for (let n = 0; n < blockBytes; n++) bytes[n] = (bytes[n] ?? 0) ^ mask
    return bytes
  }
  return {
    inner: block(0x36, 0),
    outer: block(0x5c, digestBytes),
    heads: new Map(),
    headsOf: '',
    tail: undefined,
  }
}

/**
 * `[1, pool, feature, seatId, server, incarnation, seatTick, lastTick]` and 16 bytes of HMAC-SHA256: 0.8 us, of which
 * two thirds are the MAC.
 */
export function makeToken(key: TokenKey, pool: string, proof: SeatProof): Uint8Array {
  const head = headOf(key, pool, proof.feature)
  const tail = tailOf(key, proof)
  const { seatId } = proof
  // Ids are of one byte a character (`seat-check.ts`).
  const idHead = seatId.length < 0x20 ? 1 : 2
  const bytes = head.length + idHead + seatId.length + tail.length
  assert(seatId.length < 0x100)
  makeRoom(bodyAt + bytes)
  const input = scratch
  putInner(key, domain.token)
  input.set(head, bodyAt)
  let at = bodyAt + head.length
  if (idHead === 2) input[at++] = 0xd9
  input[at++] = idHead === 1 ? 0xa0 | seatId.length : seatId.length
  putText(input, seatId, at, seatId.length)
  input.set(tail, at + seatId.length)
  const token = Buffer.allocUnsafe(bytes + macBytes)
  // So few bytes are copied faster here than by a call.
  for (let n = 0; n < bytes; n++) token[n] = input[bodyAt + n] ?? 0
  putText(token, macOf(key, bodyAt + bytes), bytes, macBytes)
  return token
}

/** The first characters of a text of one byte each. */
function putText(bytes: Uint8Array, text: string, at: number, count: number): void {
  for (let n = 0; n < count; n++) bytes[at + n] = text.charCodeAt(n)
}

function headOf(key: TokenKey, pool: string, feature: string): Buffer {
  const { heads } = key
  if (key.headsOf !== pool) {
    heads.clear()
    key.headsOf = pool
  }
  let head = heads.get(feature)
  if (head === undefined) {
    if (heads.size >= headsMax) heads.clear()
    head = Buffer.from(packr.pack([tokenVersion, pool, feature]))
    head[0] = arrayOfEight
    heads.set(feature, head)
  }
  return head
}

function tailOf(key: TokenKey, proof: SeatProof): Buffer {
  const { server, incarnation, seatTick, lastTick } = proof
  const { tail } = key
  const isSame =
    tail?.lastTick === lastTick &&
    tail.seatTick === seatTick &&
    tail.incarnation === incarnation &&
    tail.server === server
  if (isSame) return tail.bytes
  const bytes = Buffer.from(packr.pack([server, incarnation, seatTick, lastTick]).subarray(1))
  key.tail = { server, incarnation, seatTick, lastTick, bytes }
  return bytes
}

/** What a token of this pool says, or `undefined` for one that was not made here, or was altered. */
export function readToken(key: TokenKey, pool: string, token: Uint8Array): SeatProof | undefined {
  if (token.byteLength <= macBytes || token.byteLength > seatBounds.tokenMax) return undefined
  const body = token.subarray(0, token.byteLength - macBytes)
  const expected = mac(key, domain.token, body).subarray(0, macBytes)
  if (!timingSafeEqual(expected, token.subarray(body.byteLength))) return undefined
  // Made by a server of the pool: what follows guards against another version, not against malice.
  const value = unpackPlain(packr, body)
  const fields: readonly unknown[] = Array.isArray(value) ? value : []
  const [version, ofPool, feature, seatId, server, incarnation, seatTick, lastTick] = fields
  if (version !== tokenVersion || ofPool !== pool) return undefined
  // `makeToken` writes an id byte by byte: one that no request can name would come out as another.
  if (typeof feature !== 'string' || !isSeatId(seatId)) return undefined
  if (typeof server !== 'string' || !isTick(incarnation)) return undefined
  if (!isTick(seatTick) || !isTick(lastTick)) return undefined
  return { seatId, feature, server, incarnation, seatTick, lastTick }
}

/** What a challenge is bound to: one renewal at one run of one server. */
export interface ChallengeSubject {
  readonly seatId: string
  readonly token: Uint8Array
  readonly server: string
  readonly incarnation: number
}

/** The nonce of a challenge that may be confirmed up to `lastTick`, which it carries. */
export function makeChallenge(
  key: TokenKey,
  subject: ChallengeSubject,
  lastTick: number,
): Uint8Array {
  const nonce = Buffer.allocUnsafe(tickBytes + macBytes)
  nonce.writeUIntBE(lastTick, 0, tickBytes)
  challengeMac(key, subject, lastTick).copy(nonce, tickBytes, 0, macBytes)
  return nonce
}

/** The last tick named by a nonce that this run of this server made for this renewal; else `undefined`. */
export function readChallenge(
  key: TokenKey,
  subject: ChallengeSubject,
  nonce: Uint8Array,
): number | undefined {
  if (nonce.byteLength !== tickBytes + macBytes) return undefined
  const lastTick = Buffer.from(nonce.buffer, nonce.byteOffset, tickBytes).readUIntBE(0, tickBytes)
  const expected = challengeMac(key, subject, lastTick).subarray(0, macBytes)
  return timingSafeEqual(expected, nonce.subarray(tickBytes)) ? lastTick : undefined
}

/** The id of the command that a confirmed challenge leads to: the same however often it is confirmed (R8). */
export function challengeCommandId(nonce: Uint8Array): string {
  return `move.${Buffer.from(nonce.buffer, nonce.byteOffset, nonce.byteLength).toString('base64url')}`
}

function challengeMac(key: TokenKey, subject: ChallengeSubject, lastTick: number): Buffer {
  const { seatId, token, server, incarnation } = subject
  return mac(key, domain.challenge, packr.pack([seatId, token, server, incarnation, lastTick]))
}

/** The MAC of what a domain and a body say. */
function mac(key: TokenKey, what: number, body: Uint8Array): Buffer {
  const bytes = bodyAt + body.byteLength
  makeRoom(bytes)
  putInner(key, what)
  scratch.set(body, bodyAt)
  return Buffer.from(macOf(key, bytes), 'latin1')
}

function putInner({ inner }: TokenKey, what: number): void {
  scratch.set(inner)
  scratch[blockBytes] = what
}

/**
 * HMAC-SHA256 as RFC 2104 has it, of the first bytes of `scratch`, which begin with the inner block: two hashes of one
 * call each, 0.5 us, where `createHmac` takes 2.9, most of it for the objects that it makes. Text of one byte a character
 * is the cheapest form in which a digest comes.
 */
function macOf({ outer }: TokenKey, bytes: number): string {
  putText(outer, hash('sha256', firstOf(bytes), 'binary'), blockBytes, digestBytes)
  return hash('sha256', outer, 'binary')
}

function isTick(value: unknown): value is number {
  return Number.isSafeInteger(value) && typeof value === 'number' && value >= 0
}
