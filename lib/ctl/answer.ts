/**
 * The answers of servers, checked before anything reads them.
 *
 * Only what is read is asked for; a field too many is a later version's and is passed over. An answer of another
 * shape comes from something that is no server of this protocol: it is refused whole, with LICD_BAD_VERSION.
 *
 * The checker is a few lines of our own: loading a validation library would cost each `licd ctl` command more
 * time than all that it does.
 */
import type { CtlAnswers, CtlOperation } from '../protocol/ctl.ts'
import type { CodeEvent, ServerEvent, SyncEvent } from '../protocol/event.ts'

/** A successful answer, and the server that gave it. */
export type Answered<Operation extends CtlOperation> = CtlAnswers[Operation] & {
  readonly server: string
}

/** A field whose name ends in `?` may be absent. An array of one shape is a list of it. */
type Shape = 'text' | 'figure' | 'flag' | readonly [Shape] | Fields
interface Fields {
  readonly [field: string]: Shape
}

const settings: Fields = { tickMs: 'figure', leaseTicks: 'figure', seatTicks: 'figure' }

const content: Fields = {
  codeId: 'text',
  kid: 'text',
  vendor: 'text',
  customer: 'text',
  feature: 'text',
  kind: 'text',
  allocations: 'figure',
  startsAt: 'figure',
  'expiresAt?': 'figure',
  issuedAt: 'figure',
  'limits?': { 'leaseMs?': 'figure', 'seatMs?': 'figure', 'offlineDays?': 'figure' },
  'serves?': ['text'],
  'renews?': 'text',
}

const feature: Fields = {
  name: 'text',
  'vendor?': 'text',
  allocations: 'figure',
  owed: 'figure',
  free: 'figure',
  'endsAt?': 'figure',
  'limits?': { 'leaseMs?': 'figure', 'seatMs?': 'figure' },
  'serves?': ['text'],
  even: 'flag',
  'dark?': [
    {
      'server?': 'text',
      kind: 'text',
      count: 'figure',
      'firstInMs?': 'figure',
      'lastInMs?': 'figure',
    },
  ],
  shares: [
    {
      server: 'text',
      share: 'figure',
      inUse: 'figure',
      target: 'figure',
      threshold: 'figure',
      demand: 'figure',
    },
  ],
}

const server: Fields = {
  name: 'text',
  state: 'text',
  leader: 'flag',
  incarnation: 'figure',
  listedTicksAgo: 'figure',
  downInTicks: 'figure',
}

const health: Fields = {
  trust: 'text',
  'damage?': 'text',
  differing: ['text'],
  lateP50Ms: 'figure',
  lateP99Ms: 'figure',
  lateMaxMs: 'figure',
  longestStallMs: 'figure',
}

const status: Fields = {
  pool: 'text',
  fingerprint: 'text',
  'leader?': 'text',
  term: 'figure',
  tick: 'figure',
  calendar: 'figure',
  revision: 'figure',
  commitIndex: 'figure',
  lastApplied: 'figure',
  settings,
  tickAgeMs: 'figure',
  leaseLeftMs: 'figure',
  'heldTicks?': 'figure',
  'level?': 'figure',
  'levelMax?': 'figure',
  'version?': 'text',
  'wall?': 'figure',
  hash: 'text',
  'health?': health,
  'clientLink?': { up: 'flag', lost: 'figure' },
  'http?': 'text',
  servers: [server],
  features: [feature],
}

const standing: Fields = {
  share: 'figure',
  promised: 'figure',
  limit: 'figure',
  inUse: 'figure',
  spare: 'figure',
  grantsForMs: 'figure',
  'reason?': 'text',
  waiting: 'figure',
  queuePlace: 'figure',
  'heldByUser?': 'figure',
}

const denial: Fields = {
  what: 'text',
  feature: 'text',
  count: 'figure',
  user: 'text',
  host: 'text',
  code: 'text',
  detail: 'text',
  times: 'figure',
  agoMs: 'figure',
  firstAgoMs: 'figure',
  tried: [{ source: 'text', found: 'figure', why: 'text' }],
}

const why: Fields = {
  'leader?': 'text',
  role: 'text',
  tick: 'figure',
  tickMs: 'figure',
  tickAgeMs: 'figure',
  leaseLeftMs: 'figure',
  'feature?': feature,
  'standing?': standing,
  'ended?': 'text',
  denials: [denial],
  'turnedAway?': {
    code: 'text',
    detail: 'text',
    times: 'figure',
    agoMs: 'figure',
    firstAgoMs: 'figure',
  },
}

const seat: Fields = {
  seatId: 'text',
  feature: 'text',
  user: 'text',
  host: 'text',
  clientId: 'text',
  state: 'text',
  heldMs: 'figure',
  expiresInMs: 'figure',
}

const result: Fields = { ok: 'flag', 'revision?': 'figure', 'code?': 'text', 'detail?': 'text' }
const applied: Fields = { revision: 'figure', duplicate: 'flag' }
const memberChanged: Fields = { ...applied, 'unchanged?': 'flag' }

const member: Fields = {
  name: 'text',
  role: 'text',
  member: 'text',
  state: 'text',
  leader: 'flag',
  incarnation: 'figure',
  listedTicksAgo: 'figure',
  downInTicks: 'figure',
  share: 'figure',
  inUse: 'figure',
  'matchIndex?': 'figure',
  'lag?': 'figure',
  'reachable?': 'flag',
  'trust?': 'text',
}

const header: Fields = {
  pool: 'text',
  fingerprint: 'text',
  clusterId: 'text',
  epoch: 'figure',
  index: 'figure',
  term: 'figure',
  tick: 'figure',
  hash: 'text',
  savedAt: 'figure',
}

const auditRecord: Fields = {
  seq: 'figure',
  tick: 'figure',
  at: 'figure',
  id: 'text',
  by: 'text',
  'key?': 'text',
  action: 'text',
  'subject?': 'text',
  'detail?': 'text',
  outcome: 'text',
}

const answers: Readonly<Record<CtlOperation, Fields>> = {
  status: { status, 'next?': 'text', 'own?': 'flag' },
  why,
  seats: { seats: [seat], 'next?': 'text', 'total?': 'figure' },
  'code-list': {
    codes: [{ ...content, state: 'text', 'renewedBy?': ['text'], 'endedEarly?': 'text' }],
    'calendar?': 'figure',
    'next?': 'text',
  },
  'vendor-list': {
    vendors: [
      { kid: 'text', name: 'text', publicKey: 'text', 'root?': 'text', 'revoked?': 'flag' },
    ],
    'next?': 'text',
  },
  audit: { records: [auditRecord], first: 'figure', last: 'figure' },
  usage: {
    calendar: 'figure',
    blocks: [{ feature: 'text', start: 'figure', slots: ['figure'] }],
    'next?': 'text',
  },
  outcome: { outcome: 'text', 'result?': result },
  'feature-add': applied,
  'code-add': { ...applied, content },
  'code-remove': applied,
  'allocations-add': applied,
  'criteria-set': applied,
  'threshold-set': applied,
  'vendor-add': applied,
  'vendor-revoke': applied,
  'level-set': applied,
  now: { cluster: 'text', tick: 'figure', tickMs: 'figure', signs: 'flag' },
  'operators-revoke': applied,
  'key-list': {
    held: ['text'],
    'making?': 'text',
    'current?': 'text',
    before: [{ kid: 'text', leftTicks: 'figure' }],
    holders: [{ server: 'text', kids: ['text'] }],
    tickMs: 'figure',
  },
  'key-use': applied,
  account: {
    state: 'text',
    'issuedAt?': 'figure',
    'revoked?': 'figure',
    'loads?': 'flag',
    'account?': 'text',
  },
  'account-push': {
    issuedAt: 'figure',
    revoked: 'figure',
    servers: [{ server: 'text', state: 'text', 'loads?': 'flag', 'detail?': 'text' }],
  },
  'settings-set': applied,
  'transfer-leader': { 'leader?': 'text' },
  servers: {
    'leader?': 'text',
    term: 'figure',
    commitIndex: 'figure',
    tickMs: 'figure',
    settled: 'flag',
    heldTicks: 'figure',
    servers: [member],
  },
  'servers-add': memberChanged,
  'servers-promote': memberChanged,
  'servers-demote': memberChanged,
  'servers-remove': memberChanged,
  'snapshot-open': { session: 'text', header },
  'snapshot-read': { 'data?': 'text' },
}

const syncEvent: Fields = {
  server: 'text',
  leader: 'flag',
  revision: 'figure',
  tick: 'figure',
  index: 'figure',
  features: [feature],
  more: 'flag',
  changes: [
    {
      type: 'text',
      'feature?': 'text',
      by: 'text',
      'taken?': [{ source: 'text', 'server?': 'text', count: 'figure' }],
      'to?': 'text',
    },
  ],
}

const codeEvent: Fields = {
  server: 'text',
  event: 'text',
  codeId: 'text',
  feature: 'text',
  'days?': 'figure',
  'endsAt?': 'figure',
  'renewedBy?': 'text',
}

const serverEvent: Fields = { server: 'text', incarnation: 'figure', event: 'text' }

/** True when `value` is a successful answer to `operation`. */
export function isAnswer<Operation extends CtlOperation>(
  operation: Operation,
  value: unknown,
): value is Answered<Operation> {
  return hasShape({ ok: 'flag', server: 'text', ...answers[operation] }, value)
}

export function isSyncEvent(value: unknown): value is SyncEvent {
  return hasShape(syncEvent, value)
}

export function isCodeEvent(value: unknown): value is CodeEvent {
  return hasShape(codeEvent, value)
}

export function isServerEvent(value: unknown): value is ServerEvent {
  return hasShape(serverEvent, value)
}

function hasShape(shape: Shape, value: unknown): boolean {
  if (shape === 'text') return typeof value === 'string'
  if (shape === 'figure') return typeof value === 'number'
  if (shape === 'flag') return typeof value === 'boolean'
  if (isList(shape)) {
    return Array.isArray(value) && value.every(item => hasShape(shape[0], item))
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.entries(shape).every(([field, of]) => {
    const isOptional = field.endsWith('?')
    const name = isOptional ? field.slice(0, -1) : field
    const found: unknown = Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
    return found === undefined ? isOptional : hasShape(of, found)
  })
}

function isList(shape: readonly [Shape] | Fields): shape is readonly [Shape] {
  return Array.isArray(shape)
}
