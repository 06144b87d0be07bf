// Commands as bytes: every command survives, nothing else decodes.
import { Packr } from 'msgpackr'
import t from 'tap'
import { commandBytesMax, commandCodec } from '../lib/command-codec.ts'
import type { CodeContent, Command, CommandBody } from '../lib/ledger/command.ts'

const { encode, decode } = commandCodec

const vendor = { kid: 'k', name: 'n', publicKey: 'p' }
const settings = { tickMs: 1_000, leaseTicks: 30, seatTicks: 30 }
const server = { feature: 'cad', server: 'a', incarnation: 1, count: 2 }
const bodies: CommandBody[] = [
  {
    type: 'genesis',
    pool: 'p',
    fingerprint: 'f',
    settings,
    servers: ['a'],
    vendors: [vendor],
    wallMs: 1_700_000_000_000.5,
  },
  { type: 'hello', server: 'a', bootId: 'b' },
  { type: 'leave', server: 'a', incarnation: 2 },
  { type: 'add-server', server: 'd', role: 'learner' },
  { type: 'set-role', server: 'd', role: 'removed' },
  { type: 'recover', servers: ['a'], holdTicks: 0, wallMs: 1_700_000_000_000 },
  {
    type: 'tick',
    tick: 7,
    listings: [
      {
        server: 'a',
        incarnation: 1,
        number: 3,
        wallMs: 1_700_000_000_000,
        usage: [{ feature: 'cad', inUse: 1, granted: 2, denied: 3 }],
      },
    ],
  },
  { type: 'add-vendor', vendor },
  {
    type: 'add-code',
    text: 'x'.repeat(1_000),
    content: {
      codeId: 'c',
      kid: 'k',
      vendor: 'v',
      customer: 'Kund\u00e9',
      feature: 'cad@2026',
      kind: 'allocations',
      allocations: 3,
      startsAt: 0,
      expiresAt: 2e12,
      issuedAt: 1,
    },
  },
  { type: 'remove-code', codeId: 'c' },
  { type: 'add-feature', feature: 'cad', allocations: 5 },
  { type: 'add-allocations', feature: 'cad', count: -1 },
  { type: 'change-criteria', feature: 'cad', targets: 'even' },
  { type: 'change-criteria', feature: 'cad', targets: { a: 1 }, thresholds: { a: 0.5 } },
  { type: 'set-threshold', feature: 'cad', threshold: 0.5 },
  { type: 'set-threshold', feature: 'cad', server: 'a', threshold: 0.5 },
  {
    type: 'borrow',
    feature: 'cad',
    to: 'a',
    incarnation: 1,
    needed: 1,
    wanted: 2,
    cause: 'update',
    offer: { server: 'b', incarnation: 1, count: 2 },
    move: { seatId: 's', feature: 'cad', server: 'b', incarnation: 1, seatTick: 1, lastTick: 9 },
    queue: 0,
  },
  { type: 'demand', ...server },
  { type: 'return', ...server },
  { type: 'lend', ...server, to: 'b', toIncarnation: 2 },
  { type: 'change-settings', settings },
]

const content: CodeContent = {
  ...{ codeId: 'c', kid: 'k', vendor: 'v', customer: 'c', feature: 'cad@2026' },
  ...{ kind: 'feature', allocations: 3, startsAt: 0, issuedAt: 1 },
}

/** What servers of before cannot read, and are not sent until the pool is raised. */
const newer: CommandBody[] = [
  {
    type: 'genesis',
    ...{ pool: 'p', fingerprint: 'f', settings, servers: ['a'], vendors: [vendor], wallMs: 1 },
    level: 2,
  },
  { type: 'add-vendor', vendor, sameAs: 'k0' },
  { type: 'add-vendor', vendor, sameAs: 'k0', certificate: 'a.b.c' },
  { type: 'revoke-vendor', kid: 'k' },
  { type: 'set-level', level: 2 },
  { type: 'note', action: 'transfer-leader', detail: 'to b' },
  { type: 'add-code', text: 'x', content: { ...content, renews: 'b' } },
  { type: 'add-code', text: 'x', content: { ...content, serves: ['cad@2025'] } },
  {
    type: 'add-code',
    text: 'x',
    content: { ...content, limits: { leaseMs: 1, seatMs: 2, offlineDays: 3 } },
  },
]
bodies.push(...newer)

function command(body: CommandBody): Command {
  const unkept = body.type === 'genesis' || body.type === 'tick'
  return { id: unkept ? '' : 'id-1', deadline: 9, by: 'test', body }
}

t.test('every command comes back as it went', async t => {
  for (const body of bodies) t.same(decode(encode(command(body))), command(body), body.type)
})

t.test(
  'what version 1 can say is written as version 1, and version 1 says nothing else',
  async t => {
    for (const body of bodies) {
      const bytes = encode(command(body))
      const isNewer = newer.includes(body)
      t.equal(bytes[0], isNewer ? 2 : 1, body.type)
      t.equal(commandCodec.levelOf(body), bytes[0])
      const other = decode(new Uint8Array([isNewer ? 1 : 2, ...bytes.subarray(1)]))
      t.same(other, isNewer ? undefined : command(body), `${body.type} as the other version`)
    }
  },
)

t.test(
  'since when there may be copies is said as version 3, and version 3 says it always',
  async t => {
    for (const body of bodies) {
      const dated = { ...command(body), since: 7 }
      const bytes = encode(dated)
      t.equal(bytes[0], 3, body.type)
      t.same(decode(bytes), dated, body.type)
      t.equal(decode(new Uint8Array([2, ...bytes.subarray(1)])), undefined, 'a field too many')
      const plain = encode(command(body))
      t.equal(decode(new Uint8Array([3, ...plain.subarray(1)])), undefined, 'a field too few')
    }
  },
)

t.test('whatever is not a command in full does not decode', async t => {
  const packr = new Packr({ useRecords: false, variableMapSize: true })
  const pack = (value: unknown) => new Uint8Array([1, ...packr.pack(value)])
  const good = command({ type: 'remove-code', codeId: 'c' })
  t.ok(decode(pack(good)))
  const bad: Record<string, unknown> = {
    'no map': 5,
    null: null,
    'a field too many': { ...good, more: 1 },
    'a field too many inside': { ...good, body: { ...good.body, more: 1 } },
    'a field too few': { id: 'x', deadline: 1, body: good.body },
    'an unknown type': { ...good, body: { type: 'format-disk' } },
    'a wrong type': { ...good, body: { type: 'remove-code', codeId: 5 } },
    'no figure': { ...good, deadline: NaN },
    'a figure too large for a number': { ...good, deadline: 2n ** 62n },
    'no id': { ...good, id: '' },
    'an id that is none': { ...good, id: 'a b' },
    'a long id': { ...good, id: 'x'.repeat(65) },
    'a long name': { ...good, by: 'x'.repeat(129) },
    'targets that are none': {
      ...good,
      body: { type: 'change-criteria', feature: 'cad', targets: { a: 'x' } },
    },
  }
  for (const [name, value] of Object.entries(bad)) t.equal(decode(pack(value)), undefined, name)
})

t.test('damaged bytes do not decode, and never throw', async t => {
  t.equal(decode(new Uint8Array()), undefined)
  t.equal(decode(new Uint8Array([1])), undefined)
  const deep = new Uint8Array(commandBytesMax).fill(0x91)
  deep[0] = 1
  t.equal(decode(deep), undefined, 'nested beyond any stack')
  for (const body of bodies) {
    const bytes = encode(command(body))
    for (let end = 0; end < bytes.length; end++) {
      if (decode(bytes.subarray(0, end)) !== undefined) t.fail(`cut at ${String(end)}`)
    }
    t.equal(decode(new Uint8Array([...bytes, 0])), undefined, 'bytes left over')
    t.equal(decode(new Uint8Array([4, ...bytes.subarray(1)])), undefined, 'another version')
    for (let at = 0; at < bytes.length; at++) {
      const flipped = bytes.slice()
      flipped[at] = (flipped[at] ?? 0) ^ 0x80
      t.doesNotThrow(() => decode(flipped))
    }
  }
})

t.test('a command beyond the bound does not decode', async t => {
  const listing = { server: 'a', incarnation: 1, number: 3, wallMs: 1, usage: [] }
  const listings = Array.from({ length: 20_000 }, () => listing)
  const bytes = encode(command({ type: 'tick', tick: 1, listings }))
  t.ok(bytes.length > commandBytesMax)
  t.equal(decode(bytes), undefined)
})
