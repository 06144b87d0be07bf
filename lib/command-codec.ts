/**
 * Commands as bytes: what travels to the leader and stands in the log.
 *
 * One version byte, then msgpack. Decoding answers `undefined` for whatever is not a command in full (malformed,
 * oversized, another version, a field too many): such bytes are refused before they are proposed, and an entry
 * that holds them all the same is applied as a refusal that changes nothing. The shape is checked here, so that
 * the ledger sees well-typed commands only; whether their figures make sense is the ledger's own to say, as a
 * coded refusal. A new field needs a new version: servers must not read one entry differently (I5).
 */
import { Packr } from 'msgpackr'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Command } from './ledger/command.ts'

/** The largest command in bytes, version byte included. */
export const commandBytesMax = 512 * 1024

const version = 1

const strict = { additionalProperties: false }
const figure = Type.Number()
const name = Type.String({ maxLength: 256 })
const optional = Type.Optional

const settings = Type.Object({ tickMs: figure, leaseTicks: figure, seatTicks: figure }, strict)
const vendor = Type.Object({ kid: name, name, publicKey: name }, strict)
const content = Type.Object(
  {
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
const usage = Type.Object({ feature: name, inUse: figure, granted: figure, denied: figure }, strict)
const listing = Type.Object(
  { server: name, incarnation: figure, number: figure, wallMs: figure, usage: Type.Array(usage) },
  strict,
)
const perServer = Type.Record(Type.String(), figure)

const body = Type.Union([
  Type.Object(
    {
      type: Type.Literal('genesis'),
      pool: name,
      fingerprint: name,
      settings,
      servers: Type.Array(name),
      vendors: Type.Array(vendor),
      wallMs: figure,
    },
    strict,
  ),
  Type.Object({ type: Type.Literal('hello'), server: name, bootId: name }, strict),
  Type.Object({ type: Type.Literal('leave'), server: name, incarnation: figure }, strict),
  Type.Object({ type: Type.Literal('tick'), tick: figure, listings: Type.Array(listing) }, strict),
  Type.Object({ type: Type.Literal('add-vendor'), vendor }, strict),
  Type.Object(
    { type: Type.Literal('add-code'), text: Type.String({ maxLength: 65_536 }), content },
    strict,
  ),
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
])

const command = Compile(
  Type.Object(
    {
      // What is not remembered may carry no id.
      id: Type.String({ pattern: '^[A-Za-z0-9._-]{0,64}$' }),
      deadline: figure,
      by: Type.String({ maxLength: 128 }),
      body,
    },
    strict,
  ),
)

/** Plain maps only: no record extensions, so that what one process learned is never needed to read another's bytes. */
const packr = new Packr({ useRecords: false, variableMapSize: true })

/** Bytes of a command. The caller keeps it under `commandBytesMax`; what is larger does not decode. */
function encode(value: Command): Uint8Array {
  const packed = packr.pack(value)
  const bytes = new Uint8Array(packed.length + 1)
  bytes[0] = version
  bytes.set(packed, 1)
  return bytes
}

/** What is not remembered, and may carry no id. */
const unkept: ReadonlySet<string> = new Set(['genesis', 'tick', 'recover'])

/** The command that the bytes hold, or `undefined` when they hold none. Never throws. */
function decode(bytes: Uint8Array): Command | undefined {
  if (bytes.length < 2 || bytes.length > commandBytesMax || bytes[0] !== version) return undefined
  let value: unknown
  try {
    value = packr.unpack(bytes.subarray(1))
  } catch {
    // Whatever the parser stumbled over, the bytes hold no command: that is the answer.
    return undefined
  }
  if (!command.Check(value)) return undefined
  if (value.id === '' && !unkept.has(value.body.type)) return undefined
  return value
}

export const commandCodec = { encode, decode } as const
