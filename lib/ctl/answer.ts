/**
 * The answers of servers, checked before anything reads them.
 *
 * Only what is read is asked for; a field too many is a later version's and is passed over. An answer of another
 * shape comes from something that is no server of this protocol: it is refused whole, with LICD_BAD_VERSION.
 */
import { Type, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import type { CtlAnswers, CtlOperation, SyncEvent } from '../protocol/ctl.ts'

/** A successful answer, and the server that gave it. */
export type Answered<Operation extends CtlOperation> = CtlAnswers[Operation] & {
  readonly server: string
}

const text = Type.String()
const figure = Type.Number()
const optional = Type.Optional

const settings = Type.Object({ tickMs: figure, leaseTicks: figure, seatTicks: figure })
const content = Type.Object({
  codeId: text,
  kid: text,
  vendor: text,
  customer: text,
  feature: text,
  kind: text,
  allocations: figure,
  startsAt: figure,
  expiresAt: optional(figure),
  issuedAt: figure,
})
const feature = Type.Object({
  name: text,
  vendor: optional(text),
  allocations: figure,
  owed: figure,
  free: figure,
  endsAt: optional(figure),
  even: Type.Boolean(),
  shares: Type.Array(
    Type.Object({
      server: text,
      share: figure,
      inUse: figure,
      target: figure,
      threshold: figure,
      demand: figure,
    }),
  ),
})
const status = Type.Object({
  pool: text,
  fingerprint: text,
  leader: optional(text),
  term: figure,
  tick: figure,
  calendar: figure,
  revision: figure,
  commitIndex: figure,
  lastApplied: figure,
  settings,
  tickAgeMs: figure,
  leaseLeftMs: figure,
  hash: text,
  servers: Type.Array(
    Type.Object({
      name: text,
      state: Type.Union([Type.Literal('up'), Type.Literal('silent'), Type.Literal('down')]),
      leader: Type.Boolean(),
      incarnation: figure,
      listedTicksAgo: figure,
      downInTicks: figure,
    }),
  ),
  features: Type.Array(feature),
})
const seat = Type.Object({
  seatId: text,
  feature: text,
  user: text,
  host: text,
  clientId: text,
  state: text,
  heldMs: figure,
  expiresInMs: figure,
})
const result = Type.Object({
  ok: Type.Boolean(),
  revision: optional(figure),
  code: optional(text),
  detail: optional(text),
})
const applied = { revision: figure, duplicate: Type.Boolean() }

const schemas: Readonly<Record<CtlOperation, Readonly<Record<string, TSchema>>>> = {
  status: { status },
  seats: { seats: Type.Array(seat), next: optional(text) },
  'code-list': {
    codes: Type.Array(Type.Intersect([content, Type.Object({ state: text })])),
  },
  'vendor-list': { vendors: Type.Array(Type.Object({ kid: text, name: text, publicKey: text })) },
  outcome: {
    outcome: Type.Union([
      Type.Literal('applied'),
      Type.Literal('refused'),
      Type.Literal('unknown'),
    ]),
    result: optional(result),
  },
  'feature-add': applied,
  'code-add': { ...applied, content },
  'code-remove': applied,
  'allocations-add': applied,
  'criteria-set': applied,
  'threshold-set': applied,
  'vendor-add': applied,
  'settings-set': applied,
  'transfer-leader': { leader: optional(text) },
}

const event = Type.Object({
  server: text,
  leader: Type.Boolean(),
  revision: figure,
  tick: figure,
  index: figure,
  features: Type.Array(feature),
  more: Type.Boolean(),
  changes: Type.Array(
    Type.Object({
      type: text,
      feature: optional(text),
      by: text,
      taken: optional(
        Type.Array(Type.Object({ source: text, server: optional(text), count: figure })),
      ),
      to: optional(text),
    }),
  ),
})

/** Compiled when first met: a program asks for one or two operations only. */
const compiled = new Map<string, ReturnType<typeof Compile>>()

function check(name: string, schema: () => TSchema, value: unknown): boolean {
  let validator = compiled.get(name)
  if (validator === undefined) {
    validator = Compile(schema())
    compiled.set(name, validator)
  }
  return validator.Check(value)
}

/** True when `value` is a successful answer to `operation`. */
export function isAnswer<Operation extends CtlOperation>(
  operation: Operation,
  value: unknown,
): value is Answered<Operation> {
  const schema = () => Type.Object({ ok: Type.Literal(true), server: text, ...schemas[operation] })
  return check(operation, schema, value)
}

export function isSyncEvent(value: unknown): value is SyncEvent {
  return check('sync-event', () => event, value)
}
