/** What clients, operators and other servers send. */
import { createHmac } from 'node:crypto'
import { Packr } from 'msgpackr'
import { isCode } from '../../lib/error.ts'
import { isAnswer, isCodeEvent, isServerEvent, isSyncEvent } from '../../lib/ctl/answer.ts'
import { watchPool } from '../../lib/ctl/pool-events.ts'
import type { CtlOperation } from '../../lib/protocol/ctl.ts'
import { isRefused } from '../../lib/protocol/seat-check.ts'
import * as codec from '../../lib/protocol/seat-codec.ts'
import * as json from '../../lib/protocol/seat-json.ts'
import { seatIds, type SeatResult } from '../../lib/protocol/seat.ts'
import * as ctl from '../../lib/server/ctl-request.ts'
import { decodeAsked, decodeRequest } from '../../lib/server/ctl-wire.ts'
import * as peer from '../../lib/server/peer-codec.ts'
import * as ask from '../../lib/service/ask.ts'
import { makeChallenge, makeToken, readChallenge, readToken, tokenKey } from '../../lib/token.ts'
import type { Bus, BusMessage } from '../../raft/ports.ts'
import { Parser } from '../../lib/broker/parser.ts'
import { jsonBytes, target, type Target } from './target.ts'

const packr = new Packr({ useRecords: false, int64AsType: 'number' })
const copy = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes)
const token = Uint8Array.from({ length: 90 }, (_, n) => (n * 37) % 256)

const acquires = [
  { requestId: 'r', feature: 'cad@2026', count: 2, user: 'u\u00fc', host: 'h', waitMs: 0 },
  { requestId: 'r2', feature: 'cad', count: 1, user: '', host: '', waitMs: 86_400_000 },
]
const renewals = [
  { seatId: 'r/1', feature: 'cad', token, user: 'u', host: 'h', failover: true, confirm: token },
  { seatId: 'r', feature: 'cad@2026', token, user: 'u', host: 'h', failover: false },
]
const releases = [
  { seatId: 'r', token },
  { seatId: 'r/99', token: new Uint8Array(0) },
]
const results: SeatResult[] = [
  {
    ...{ kind: 'granted', requestId: 'r', expiresInMs: 29_400.5 },
    seats: seatIds('r', 3).map(seatId => ({ seatId, token })),
  },
  { kind: 'granted', requestId: 's', expiresInMs: 1, seats: [{ seatId: 's', token }] },
  { kind: 'waiting', requestId: 'r', position: 7 },
  { kind: 'renewed', seatId: 'r/1', expiresInMs: 5, token },
  { kind: 'challenge', seatId: 'r', nonce: token, lastTick: 9, withinMs: 10_000 },
  { kind: 'pending', seatId: 'r' },
  { kind: 'released', seatId: 'r' },
  { kind: 'refused', id: 'r', code: 'X', detail: '', server: 'beta', retryAfterMs: 50 },
]
const found = { pool: 'p', fingerprint: 'f', server: 'a', incarnation: 1, serving: true }

/** Of a request, what is well formed; the refusals of the rest must be coded. */
function goodPart<Item>(read: codec.Decoded<Item>) {
  const refused = read.ok ? read.refused : [read]
  for (const { code, detail } of refused) {
    if (!isCode(code) || detail === '') throw new Error(`refused with ${code}: ${detail}`)
  }
  if (!read.ok) return undefined
  const { batch, clientId, items, released = [] } = read
  for (const item of [...items, ...released]) {
    if (isRefused(item as object)) throw new Error('a refusal among the items')
  }
  return { batch, clientId, items, released }
}

const requests: readonly Target[] = [
  target({
    name: 'acquire',
    form: 'msgpack',
    corpus: [
      copy(codec.encodeAcquire(7, 'client', acquires)),
      copy(codec.encodeAcquire(2 ** 40, 'c', acquires, releases)),
    ],
    read: bytes => goodPart(codec.decodeAcquire(bytes)),
    write: ({ batch, clientId, items, released }) =>
      copy(codec.encodeAcquire(batch, clientId, items, released)),
  }),
  target({
    name: 'renew',
    form: 'msgpack',
    corpus: [copy(codec.encodeRenew(7, 'client', renewals))],
    read: bytes => goodPart(codec.decodeRenew(bytes)),
    write: ({ batch, clientId, items }) => copy(codec.encodeRenew(batch, clientId, items)),
  }),
  target({
    name: 'release',
    form: 'msgpack',
    corpus: [copy(codec.encodeRelease(7, 'client', releases))],
    read: bytes => goodPart(codec.decodeRelease(bytes)),
    write: ({ batch, clientId, items }) => copy(codec.encodeRelease(batch, clientId, items)),
  }),
  target({
    name: 'find',
    form: 'msgpack',
    corpus: [copy(codec.encodeFind(7, 'client'))],
    read: bytes => goodPart(codec.decodeFind(bytes)),
    write: ({ batch, clientId }) => copy(codec.encodeFind(batch, clientId)),
  }),
  ...(
    [
      ['acquire', json.decodeJsonAcquire, { requestId: 'r', feature: 'cad', waitMs: 5 }],
      [
        'renew',
        json.decodeJsonRenew,
        { seatId: 'r', feature: 'cad', token: 'AAEC', confirm: 'AA' },
      ],
      ['release', json.decodeJsonRelease, { seatId: 'r', token: 'AAEC', clientId: 'c' }],
    ] as const
  ).map(([operation, decode, request]) =>
    target<object>({
      name: `${operation} in JSON`,
      form: 'json',
      corpus: [jsonBytes(request)],
      read: bytes => goodPart<unknown>(decode(bytes)),
    }),
  ),
]

const answers: readonly Target[] = [
  target({
    name: 'answer',
    form: 'msgpack',
    corpus: [copy(codec.encodeAnswer({ batch: 1, server: 'alpha', incarnation: 3, results }))],
    read: bytes => {
      const answer = codec.decodeAnswer(bytes)
      for (const result of answer?.results ?? []) {
        json.encodeJsonResult(result, { answeredBy: 'alpha', incarnation: 1 })
      }
      return answer
    },
    write: answer => copy(codec.encodeAnswer(answer)),
  }),
  target({
    name: 'found',
    form: 'msgpack',
    corpus: [
      copy(codec.encodeFound(5, found)),
      copy(codec.encodeFound(6, { ...found, reason: { code: 'LICD_NO_LEASE', detail: 'd' } })),
    ],
    read: codec.decodeFound,
    write: ({ batch, ...rest }) => copy(codec.encodeFound(batch, rest)),
  }),
]

const macKey = new Uint8Array(32).fill(7)
const key = tokenKey(macKey)
const proof = { seatId: 'r/1', feature: 'cad@2026', server: 'alpha', incarnation: 3 }
const proofs = [
  { ...proof, seatTick: 1_000, lastTick: 1_020 },
  { ...proof, seatTick: 2 ** 40, lastTick: 0 },
]
const body = (made: Uint8Array): Uint8Array => copy(made.subarray(0, made.length - 16))
const subject = { seatId: 'r/1', token, server: 'alpha', incarnation: 3 }

const tokens: readonly Target[] = [
  target({
    name: 'token',
    form: 'msgpack',
    corpus: proofs.map(p => copy(makeToken(key, 'default', p))).map(body),
    // As by a server that has the key and another program.
    seal: bytes => Buffer.concat([bytes, macOf(bytes)]),
    read: bytes => readToken(key, 'default', bytes),
    write: p => copy(makeToken(key, 'default', p)),
  }),
  target({
    name: 'token without the key',
    form: 'bytes',
    corpus: proofs.map(p => copy(makeToken(key, 'default', p))),
    read: bytes => {
      const read = readToken(key, 'default', bytes)
      const isMade = proofs.some(p => Buffer.compare(makeToken(key, 'default', p), bytes) === 0)
      if (read !== undefined && !isMade) throw new Error('a token that nobody made')
      return read
    },
  }),
  target({
    name: 'challenge',
    form: 'bytes',
    corpus: [copy(makeChallenge(key, subject, 77))],
    read: bytes => {
      const tick = readChallenge(key, subject, bytes)
      if (tick !== undefined && tick !== 77) throw new Error('a challenge that nobody made')
      return tick
    },
  }),
]

/** The first half of HMAC-SHA256 over what tells tokens from challenges, and the body. */
function macOf(bytes: Uint8Array): Uint8Array {
  const mac = createHmac('sha256', macKey).update(Buffer.of(1)).update(bytes).digest()
  return mac.subarray(0, 16)
}

const operations = [...ctl.changeOperations]
const members = ['servers-add', 'servers-promote', 'servers-demote', 'servers-remove'] as const
const change = { id: 'id-1', by: 'root@vm', timeoutMs: 5_000 }
const ctlBodies = [
  { ...change, feature: 'cad', allocations: 5 },
  { ...change, feature: 'cad', count: 5, fresh: true },
  { ...change, feature: 'cad', count: 5, since: 3 },
  { ...change, feature: 'cad', targets: { a: 1, b: 2 }, thresholds: { a: 0.5 } },
  { ...change, feature: 'cad', targets: 'even' },
  { ...change, feature: 'cad', server: 'a', threshold: 0.5 },
  { ...change, codeId: 'c', text: 'a.b.c', kid: 'k', level: 2, role: 'learner' },
  { ...change, settings: { tickMs: 1_000, leaseTicks: 30, seatTicks: 20 } },
  { ...change, vendor: { kid: 'k', name: 'n', publicKey: 'p' }, sameAs: 'k', certificate: 'a.b.c' },
  { feature: 'cad', search: 'x', after: 'r', limit: 5 },
]

/** A request, or each of a list, as every operation would read it. */
function readCtl(bytes: Uint8Array, isJson: boolean) {
  const asked = decodeAsked(bytes, isJson)
  if (asked === undefined) return undefined
  return [asked].flat().map(readFields)
}

function readFields(fields: ctl.Fields) {
  const readings = [
    ctl.readTimeout(fields),
    ctl.readChange(fields),
    ctl.readSeatQuery(fields),
    ...operations.map(operation => ctl.readBody(operation, fields)),
    ...members.map(operation => ctl.readMember(operation, fields)),
  ]
  for (const reading of readings) {
    if (!reading.ok && !isCode(reading.code))
      throw new Error(`refused with ${String(reading.code)}`)
  }
  return readings
}

const questions: readonly CtlOperation[] = [
  ...(['status', 'why', 'seats', 'code-list', 'vendor-list', 'usage', 'audit'] as const),
  ...(['outcome', 'servers', 'snapshot-open', 'snapshot-read', 'transfer-leader'] as const),
]
const event = { server: 'alpha', incarnation: 1, event: 'started' }
const sync = {
  ...{ server: 'alpha', leader: true, revision: 1, tick: 2, index: 3, more: false },
  features: [],
  changes: [{ type: 'borrow', by: 'x', taken: [{ source: 'free', count: 1 }] }],
}

const operators: readonly Target[] = [
  target({
    name: 'ctl request',
    form: 'msgpack',
    corpus: [...ctlBodies, ctlBodies.slice(0, 3)].map(asked => copy(packr.pack(asked))),
    read: bytes => readCtl(bytes, false),
  }),
  target({
    name: 'ctl request in JSON',
    form: 'json',
    corpus: ctlBodies.map(jsonBytes),
    read: bytes => readCtl(bytes, true),
  }),
  target({
    name: 'event',
    form: 'msgpack',
    corpus: [event, sync, { ...event, event: 'code-ends', codeId: 'c', feature: 'f' }].map(value =>
      copy(packr.pack(value)),
    ),
    read: bytes => {
      const events: unknown[] = []
      const kinds = ['server', 'sync', 'code'] as const
      for (const kind of kinds) hear(`licd.v1.p.event.${kind}.alpha`, bytes, e => events.push(e))
      const value = decodeRequest(bytes, false)
      for (const is of [isServerEvent, isSyncEvent, isCodeEvent]) is(value)
      for (const operation of questions) isAnswer(operation, value)
      return events[0]
    },
  }),
]

/** Gives a message to whoever watches the pool. */
function hear(subject: string, data: Uint8Array, told: (event: unknown) => void): void {
  let handler: (message: BusMessage) => void = () => undefined
  const bus: Bus = {
    inbox: '_INBOX.x',
    connected: true,
    maxPayload: 1_000_000,
    publish: () => true,
    subscribe: (_subject, handle) => {
      handler = handle
      return { unsubscribe: () => undefined }
    },
    onStatus: () => ({ unsubscribe: () => undefined }),
  }
  watchPool(bus, 'p', told)
  handler({ subject, data, noResponders: false, header: () => undefined })
}

const listing = { server: 'a', incarnation: 1, number: 3, wallMs: 1.7e12 }
const usage = { feature: 'cad@2026', inUse: 1, granted: 2, denied: 3 }
const peers: readonly Target[] = [
  target({
    name: 'keepalive',
    form: 'msgpack',
    corpus: [
      peer.encodeKeepalive({ ...listing, usage: [usage, { ...usage, reasons: [1, 2, 0, 0] }] }),
    ],
    read: peer.decodeKeepalive,
    write: peer.encodeKeepalive,
  }),
  target({
    name: 'claim',
    form: 'msgpack',
    corpus: [peer.encodeClaim({ server: 'a', bootId: 'b', since: 5 })],
    read: peer.decodeClaim,
    write: peer.encodeClaim,
  }),
  target({
    name: 'question',
    form: 'msgpack',
    corpus: [copy(ask.encodeQuestion({ seatId: 'r/1', feature: 'cad', revision: 5 }))],
    read: ask.decodeQuestion,
    write: q => copy(ask.encodeQuestion(q)),
  }),
  target({
    name: 'holding',
    form: 'msgpack',
    corpus: [copy(ask.encodeHolding({ seatId: 'r', held: 'yes', movedTo: 'b' }))],
    read: ask.decodeHolding,
    write: h => copy(ask.encodeHolding(h)),
  }),
  target({
    name: 'NATS protocol of the built-in broker',
    form: 'bytes',
    corpus: [
      Buffer.from(
        'CONNECT {"verbose":false,"headers":true}\r\nPING\r\nSUB a.b q 1\r\nUNSUB 1 5\r\n',
      ),
      Buffer.from('HPUB a.b r 12 17\r\nNATS/1.0\r\n\r\nhello\r\nPUB a 2\r\nhi\r\n'),
    ],
    read: bytes => {
      const parser = new Parser({ payloadMax: 64 * 1024 })
      const half = bytes.length >> 1
      const operations = [bytes.subarray(0, half), bytes.subarray(half)].flatMap(part =>
        parser.read(Buffer.from(part)),
      )
      return operations.some(({ type }) => type === 'fault') ? undefined : operations
    },
  }),
]

export const seatTargets = [...requests, ...answers, ...tokens, ...operators, ...peers]
