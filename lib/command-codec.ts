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
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { unpackPlain } from '../raft/msgpack.ts'
import type { Command, CommandBody } from './ledger/command.ts'
import { denialReasons } from './ledger/history.ts'

/** The largest command in bytes, version byte included. */
export const commandBytesMax = 512 * 1024

const versions = { first: 1, latest: 2 } as const
/** No version will be higher: bytes that begin so are no command. */
const versionMax = 31

const strict = { additionalProperties: false }
const figure = Type.Number()
const name = Type.String({ maxLength: 256 })
const optional = Type.Optional

const settings = Type.Object({ tickMs: figure, leaseTicks: figure, seatTicks: figure }, strict)
const vendor = Type.Object({ kid: name, name, publicKey: name }, strict)
const contentFields = {
  codeId: name,
  kid: name,
  vendor: name,
  customer: Type.String({ maxLength: 1_024 }),
  feature: name,
  kind: Type.Union([Type.Literal('feature'), Type.Literal('allocations')]),
  allocations: figure,
  startsAt: figure,
  expiresAt: optional(figure),
  issuedAt: figure,
}
const content = Type.Object(contentFields, strict)
const limits = Type.Object(
  { leaseMs: optional(figure), seatMs: optional(figure), offlineDays: optional(figure) },
  strict,
)
const contentLatest = Type.Object(
  {
    ...contentFields,
    limits: optional(limits),
    serves: optional(Type.Array(name, { maxItems: 64 })),
    renews: optional(name),
  },
  strict,
)
const proof = Type.Object(
  {
    seatId: name,
    feature: name,
    server: name,
    incarnation: figure,
    seatTick: figure,
    lastTick: figure,
  },
  strict,
)
const offer = Type.Object({ server: name, incarnation: figure, count: figure }, strict)
const usageFields = { feature: name, inUse: figure, granted: figure, denied: figure }
const reasons = Type.Array(figure, {
  minItems: denialReasons.length,
  maxItems: denialReasons.length,
})
const listingFields = { server: name, incarnation: figure, number: figure, wallMs: figure }
const tickFields = { type: Type.Literal('tick'), tick: figure }
const listing = Type.Object(
  { ...listingFields, usage: Type.Array(Type.Object(usageFields, strict)) },
  strict,
)
const listingLatest = Type.Object(
  {
    ...listingFields,
    usage: Type.Array(Type.Object({ ...usageFields, reasons: optional(reasons) }, strict)),
  },
  strict,
)
const perServer = Type.Record(Type.String(), figure)

const genesis = {
  type: Type.Literal('genesis'),
  pool: name,
  fingerprint: name,
  settings,
  servers: Type.Array(name),
  vendors: Type.Array(vendor),
  wallMs: figure,
}
const codeText = Type.String({ maxLength: 65_536 })

/** Bodies whose fields version 2 changed. */
const first = [
  Type.Object(genesis, strict),
  Type.Object({ type: Type.Literal('add-vendor'), vendor }, strict),
  Type.Object({ ...tickFields, listings: Type.Array(listing) }, strict),
  Type.Object({ type: Type.Literal('add-code'), text: codeText, content }, strict),
]

const latest = [
  Type.Object({ ...genesis, level: optional(figure) }, strict),
  Type.Object({ ...tickFields, listings: Type.Array(listingLatest) }, strict),
  Type.Object(
    {
      type: Type.Literal('add-vendor'),
      vendor,
      sameAs: optional(name),
      certificate: optional(Type.String({ maxLength: 8_192 })),
    },
    strict,
  ),
  Type.Object({ type: Type.Literal('add-code'), text: codeText, content: contentLatest }, strict),
  Type.Object({ type: Type.Literal('revoke-vendor'), kid: name }, strict),
  Type.Object({ type: Type.Literal('set-level'), level: figure }, strict),
  Type.Object(
    {
      type: Type.Literal('hold-keys'),
      server: name,
      incarnation: figure,
      kids: Type.Array(name, { maxItems: 64 }),
    },
    strict,
  ),
  Type.Object({ type: Type.Literal('revoke-operator'), operator: name }, strict),
  Type.Object({ type: Type.Literal('use-key'), kid: name, before: name }, strict),
  Type.Object(
    {
      type: Type.Literal('note'),
      action: Type.String({ minLength: 1, maxLength: 64 }),
      detail: Type.String({ maxLength: 1_024 }),
    },
    strict,
  ),
]

/** Bodies that are the same in every version. */
const shared = [
  Type.Object({ type: Type.Literal('hello'), server: name, bootId: name }, strict),
  Type.Object({ type: Type.Literal('leave'), server: name, incarnation: figure }, strict),
  Type.Object({ type: Type.Literal('remove-code'), codeId: name }, strict),
  Type.Object({ type: Type.Literal('add-feature'), feature: name, allocations: figure }, strict),
  Type.Object({ type: Type.Literal('add-allocations'), feature: name, count: figure }, strict),
  Type.Object(
    {
      type: Type.Literal('change-criteria'),
      feature: name,
      targets: Type.Union([Type.Literal('even'), perServer]),
      thresholds: optional(perServer),
    },
    strict,
  ),
  Type.Object(
    {
      type: Type.Literal('set-threshold'),
      feature: name,
      server: optional(name),
      threshold: figure,
    },
    strict,
  ),
  Type.Object(
    {
      type: Type.Literal('borrow'),
      feature: name,
      to: name,
      incarnation: figure,
      needed: figure,
      wanted: figure,
      cause: Type.Union([Type.Literal('request'), Type.Literal('update')]),
      offer: optional(offer),
      move: optional(proof),
      queue: figure,
    },
    strict,
  ),
  Type.Object(
    {
      type: Type.Literal('demand'),
      feature: name,
      server: name,
      incarnation: figure,
      count: figure,
    },
    strict,
  ),
  Type.Object(
    {
      type: Type.Literal('return'),
      feature: name,
      server: name,
      incarnation: figure,
      count: figure,
    },
    strict,
  ),
  Type.Object(
    {
      type: Type.Literal('lend'),
      feature: name,
      server: name,
      incarnation: figure,
      count: figure,
      to: name,
      toIncarnation: figure,
    },
    strict,
  ),
  Type.Object({ type: Type.Literal('change-settings'), settings }, strict),
  Type.Object(
    {
      type: Type.Literal('add-server'),
      server: name,
      role: Type.Union([Type.Literal('voter'), Type.Literal('learner')]),
    },
    strict,
  ),
  Type.Object(
    {
      type: Type.Literal('set-role'),
      server: name,
      role: Type.Union([Type.Literal('voter'), Type.Literal('learner'), Type.Literal('removed')]),
    },
    strict,
  ),
  Type.Object(
    {
      type: Type.Literal('recover'),
      servers: Type.Array(name),
      holdTicks: figure,
      wallMs: figure,
    },
    strict,
  ),
]

const commandFields = {
  // What is not remembered may carry no id.
  id: Type.String({ pattern: '^[A-Za-z0-9._-]{0,64}$' }),
  deadline: figure,
  by: Type.String({ maxLength: 128 }),
}
const isFirst = Compile(
  Type.Object({ ...commandFields, body: Type.Union([...shared, ...first]) }, strict),
)
const isLatest = Compile(
  Type.Object(
    { ...commandFields, key: optional(name), body: Type.Union([...shared, ...latest]) },
    strict,
  ),
)

/** Plain maps only: no record extensions, so that what one process learned is never needed to read another's bytes. */
const packr = new Packr({ useRecords: false, variableMapSize: true })

/** Bytes of a command. The caller keeps it under `commandBytesMax`; what is larger does not decode. */
function encode(value: Command): Uint8Array {
  const packed = packr.pack(value)
  const bytes = new Uint8Array(packed.length + 1)
  bytes[0] = value.key === undefined ? levelOf(value.body) : versions.latest
  bytes.set(packed, 1)
  return bytes
}

/** The lowest version that can say it, and so the level of the pool's servers that can read it. */
function levelOf(body: CommandBody): number {
  const { latest } = versions
  switch (body.type) {
    case 'revoke-vendor':
    case 'set-level':
    case 'hold-keys':
    case 'use-key':
    case 'revoke-operator':
    case 'note':
      return latest
    case 'genesis':
      return body.level === undefined ? versions.first : latest
    case 'add-vendor':
      return body.sameAs === undefined && body.certificate === undefined ? versions.first : latest
    case 'tick': {
      const isLatest = body.listings.some(({ usage }) =>
        usage.some(row => row.reasons !== undefined),
      )
      return isLatest ? latest : versions.first
    }
    case 'add-code': {
      const { limits, serves, renews } = body.content
      const isFirst = limits === undefined && serves === undefined && renews === undefined
      return isFirst ? versions.first : latest
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
  const [version] = bytes
  if (version !== versions.first && version !== versions.latest) return undefined
  const value = unpackPlain(packr, bytes.subarray(1))
  const command = version === versions.first ? asFirst(value) : asLatest(value)
  if (command?.id === '' && !unkept.has(command.body.type)) return undefined
  return command
}

/** Whether the bytes are of a later version than this program knows; what is no command at all is of none. Never throws. */
function isLater(bytes: Uint8Array): boolean {
  const [version = 0] = bytes
  return version > versions.latest && version <= versionMax
}

function asFirst(value: unknown): Command | undefined {
  return isFirst.Check(value) ? value : undefined
}

function asLatest(value: unknown): Command | undefined {
  return isLatest.Check(value) ? value : undefined
}

export const commandCodec = { encode, decode, isLater, levelOf } as const
