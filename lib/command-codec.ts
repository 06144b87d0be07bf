/**
 * Commands as bytes: what travels to the leader and stands in the log.
 *
 * One version byte, then msgpack. Decoding answers `undefined` for whatever is not a command in full (malformed,
 * oversized, another version, a field too many): such bytes are refused before they are proposed, and an entry
 * that holds them all the same is applied as a refusal that changes nothing. The shape is checked here, so that
 * the ledger sees well-typed commands only; whether their figures make sense is the ledger's own to say, as a
 * coded refusal. A new field needs a new version: servers must not read one entry differently (I5). What version 1 can
 * say is written as version 1, so that servers of before read it as long as the pool needs nothing newer.
 */
import { Packr } from 'msgpackr'
import { union } from 'valibot'
import { unpackPlain } from '../raft/msgpack.ts'
import type { Command, CommandBody } from './ledger/command.ts'
import { denialReasons } from './ledger/history.ts'
import {
  choice,
  figure,
  figures,
  filled,
  isOf,
  list,
  noList,
  one,
  oneOf,
  optional,
  pattern,
  strict,
  text,
} from './shape.ts'

/** The largest command in bytes, version byte included. */
export const commandBytesMax = 512 * 1024

const versions = { first: 1, second: 2, latest: 3 } as const
/** No version will be higher: bytes that begin so are no command. */
const versionMax = 31

const name = text(256)

const settings = strict({ tickMs: figure, leaseTicks: figure, seatTicks: figure })
const vendor = strict({ kid: name, name, publicKey: name })
const contentFields = {
  codeId: name,
  kid: name,
  vendor: name,
  customer: text(1_024),
  feature: name,
  kind: oneOf('feature', 'allocations'),
  allocations: figure,
  startsAt: figure,
  expiresAt: optional(figure),
  issuedAt: figure,
}
const content = strict(contentFields)
const limits = noList(
  strict({ leaseMs: optional(figure), seatMs: optional(figure), offlineDays: optional(figure) }),
)
const contentSecond = strict({
  ...contentFields,
  limits: optional(limits),
  serves: optional(list(name, { max: 64 })),
  renews: optional(name),
})
const proof = strict({
  seatId: name,
  feature: name,
  server: name,
  incarnation: figure,
  seatTick: figure,
  lastTick: figure,
})
const offer = strict({ server: name, incarnation: figure, count: figure })
const usageFields = { feature: name, inUse: figure, granted: figure, denied: figure }
const reasons = list(figure, { min: denialReasons.length, max: denialReasons.length })
const listingFields = { server: name, incarnation: figure, number: figure, wallMs: figure }
const tickFields = { type: one('tick'), tick: figure }
const listing = strict({ ...listingFields, usage: list(strict(usageFields)) })
const listingSecond = strict({
  ...listingFields,
  usage: list(strict({ ...usageFields, reasons: optional(reasons) })),
})

const genesis = {
  type: one('genesis'),
  pool: name,
  fingerprint: name,
  settings,
  servers: list(name),
  vendors: list(vendor),
  wallMs: figure,
}
const codeText = text(65_536)

/** Bodies whose fields version 2 changed. */
const first = [
  strict(genesis),
  strict({ type: one('add-vendor'), vendor }),
  strict({ ...tickFields, listings: list(listing) }),
  strict({ type: one('add-code'), text: codeText, content }),
]

/** Bodies of version 2 on. */
const second = [
  strict({ ...genesis, level: optional(figure) }),
  strict({ ...tickFields, listings: list(listingSecond) }),
  strict({
    type: one('add-vendor'),
    vendor,
    sameAs: optional(name),
    certificate: optional(text(8_192)),
  }),
  strict({ type: one('add-code'), text: codeText, content: contentSecond }),
  strict({ type: one('revoke-vendor'), kid: name }),
  strict({ type: one('set-level'), level: figure }),
  strict({
    type: one('hold-keys'),
    server: name,
    incarnation: figure,
    kids: list(name, { max: 64 }),
  }),
  strict({ type: one('revoke-operator'), operator: name }),
  strict({ type: one('use-key'), kid: name, before: name }),
  strict({
    type: one('note'),
    action: filled(64),
    detail: text(1_024),
  }),
]

/** Bodies that are the same in every version. */
const shared = [
  strict({ type: one('hello'), server: name, bootId: name }),
  strict({ type: one('leave'), server: name, incarnation: figure }),
  strict({ type: one('remove-code'), codeId: name }),
  strict({ type: one('add-feature'), feature: name, allocations: figure }),
  strict({ type: one('add-allocations'), feature: name, count: figure }),
  strict({
    type: one('change-criteria'),
    feature: name,
    targets: union([one('even'), figures]),
    thresholds: optional(figures),
  }),
  strict({
    type: one('set-threshold'),
    feature: name,
    server: optional(name),
    threshold: figure,
  }),
  strict({
    type: one('borrow'),
    feature: name,
    to: name,
    incarnation: figure,
    needed: figure,
    wanted: figure,
    cause: oneOf('request', 'update'),
    offer: optional(offer),
    move: optional(proof),
    queue: figure,
  }),
  strict({
    type: one('demand'),
    feature: name,
    server: name,
    incarnation: figure,
    count: figure,
  }),
  strict({
    type: one('return'),
    feature: name,
    server: name,
    incarnation: figure,
    count: figure,
  }),
  strict({
    type: one('lend'),
    feature: name,
    server: name,
    incarnation: figure,
    count: figure,
    to: name,
    toIncarnation: figure,
  }),
  strict({ type: one('change-settings'), settings }),
  strict({
    type: one('add-server'),
    server: name,
    role: oneOf('voter', 'learner'),
  }),
  strict({
    type: one('set-role'),
    server: name,
    role: oneOf('voter', 'learner', 'removed'),
  }),
  strict({
    type: one('recover'),
    servers: list(name),
    holdTicks: figure,
    wallMs: figure,
  }),
]

const commandFields = {
  // What is not remembered may carry no id.
  id: pattern(/^[A-Za-z0-9._-]{0,64}$/),
  deadline: figure,
  by: text(128),
}
const firstCommand = strict({ ...commandFields, body: choice('type', [...shared, ...first]) })
const secondFields = {
  ...commandFields,
  key: optional(name),
  body: choice('type', [...shared, ...second]),
}
const secondCommand = strict(secondFields)
const latestCommand = strict({ ...secondFields, since: figure })

/** Plain maps only: no record extensions, so that what one process learned is never needed to read another's bytes. */
const packr = new Packr({ useRecords: false, variableMapSize: true })

/** Bytes of a command. The caller keeps it under `commandBytesMax`; what is larger does not decode. */
function encode(value: Command): Uint8Array {
  const packed = packr.pack(value)
  const bytes = new Uint8Array(packed.length + 1)
  bytes[0] = versionOf(value)
  bytes.set(packed, 1)
  return bytes
}

function versionOf({ since, key, body }: Command): number {
  if (since !== undefined) return versions.latest
  return key === undefined ? levelOf(body) : versions.second
}

/** The lowest version that can say it, and so the level of the pool's servers that can read it. */
function levelOf(body: CommandBody): number {
  const { second } = versions
  switch (body.type) {
    case 'revoke-vendor':
    case 'set-level':
    case 'hold-keys':
    case 'use-key':
    case 'revoke-operator':
    case 'note':
      return second
    case 'genesis':
      return body.level === undefined ? versions.first : second
    case 'add-vendor':
      // A field that is there without a value is one too many for version 1 (fuzzing, target command).
      return 'sameAs' in body || 'certificate' in body ? second : versions.first
    case 'tick': {
      const isSecond = body.listings.some(({ usage }) =>
        usage.some(row => row.reasons !== undefined),
      )
      return isSecond ? second : versions.first
    }
    case 'add-code': {
      const { limits, serves, renews } = body.content
      const isFirst = limits === undefined && serves === undefined && renews === undefined
      return isFirst ? versions.first : second
    }
    default:
      return versions.first
  }
}

/** What is not remembered, and may carry no id. */
const unkept: ReadonlySet<string> = new Set(['genesis', 'tick', 'recover'])

/** The command that the bytes hold, or `undefined` when they hold none. Never throws. */
function decode(bytes: Uint8Array): Command | undefined {
  if (bytes.length < 2 || bytes.length > commandBytesMax) return undefined
  const [version = 0] = bytes
  if (version < versions.first || version > versions.latest) return undefined
  const command = asVersion(version, unpackPlain(packr, bytes.subarray(1)))
  if (command?.id === '' && !unkept.has(command.body.type)) return undefined
  return command
}

/** Whether the bytes are of a later version than this program knows; what is no command at all is of none. Never throws. */
function isLater(bytes: Uint8Array): boolean {
  const [version = 0] = bytes
  return version > versions.latest && version <= versionMax
}

function asVersion(version: number, value: unknown): Command | undefined {
  switch (version) {
    case versions.first:
      return isOf(firstCommand, value) ? value : undefined
    case versions.second:
      return isOf(secondCommand, value) ? value : undefined
    default:
      return isOf(latestCommand, value) ? value : undefined
  }
}

export const commandCodec = { encode, decode, isLater, levelOf } as const
