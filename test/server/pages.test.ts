/** Answers that grow with the pool: in pages, each within what a broker takes, at the bounds of the ledger. */
import t from 'tap'
import { Packr } from 'msgpackr'
import { bounds } from '../../lib/ledger/command.ts'
import type { Ledger } from '../../lib/ledger/ledger.ts'
import type { AuditRecord, VendorRecord } from '../../lib/ledger/state.ts'
import type { CtlAnswers, SeatStatus } from '../../lib/protocol/ctl.ts'
import { namesAfter } from '../../lib/server/ctl-page.ts'
import type { Fields } from '../../lib/server/ctl-request.ts'
import { encodeFitting, type Answer } from '../../lib/server/ctl-wire.ts'
import { ledgerLists } from '../../lib/server/ledger-lists.ts'
import { seatsAnswer } from '../../lib/server/seat-page.ts'
import { statusAnswer } from '../../lib/server/status-page.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import { largeLedger, vendorKey, viewerOf } from './large-ledger.ts'

/** What NATS takes when nobody says otherwise. */
const bytesMax = 1024 * 1024
const packr = new Packr({ useRecords: false, int64AsType: 'number' })

type Reply<Data> = { readonly ok: true; readonly server: string } & Data

/** As it leaves, and as it is read. */
function send<Data>(answer: Answer, { json = false, most = bytesMax } = {}) {
  const data = encodeFitting(answer, 'alpha', { isJson: json, bytesMax: most })
  const value: unknown = json ? JSON.parse(new TextDecoder().decode(data)) : packr.unpack(data)
  return { bytes: data.length, reply: value as Reply<Data> & { ok: boolean; code?: string } }
}

/** All pages, by what follows `after`. Throws where one is too large, or does not move on. */
function readAll<Data extends { readonly next?: string }>(
  ask: (fields: Fields) => Answer,
  options: { readonly json?: boolean; readonly most?: number; readonly limit?: number } = {},
): { readonly pages: Data[]; readonly bytes: number } {
  const pages: Data[] = []
  let largest = 0
  let after: string | undefined
  do {
    const request = { limit: options.limit ?? 1_000, ...(after === undefined ? {} : { after }) }
    const { bytes, reply } = send<Data>(ask(request), options)
    if (!reply.ok) throw new Error(reply.code)
    if (reply.next !== undefined && after !== undefined && reply.next <= after) {
      throw new Error(`${reply.next} does not follow ${after}`)
    }
    largest = Math.max(largest, bytes)
    pages.push(reply)
    after = reply.next
  } while (after !== undefined)
  return { pages, bytes: largest }
}

const statusOf = (ledger: Ledger, server = 'alpha', inUse?: (feature: string) => number) => {
  const viewer = viewerOf(ledger, server, inUse)
  return (fields: Fields) => statusAnswer(viewer, fields)
}
const namesIn = (pages: readonly CtlAnswers['status'][]): string[] =>
  pages.flatMap(({ status }) => status.features.map(({ name }) => name))

t.test('the first names after one, in order, as sorting all of them would say', async t => {
  const random = new SeededRandom(1)
  for (let round = 0; round < 300; round++) {
    const size = random.between(0, 60)
    const names = new Set(Array.from({ length: size }, () => `n${random.between(0, 99)}`))
    const after = random.between(0, 3) === 0 ? '' : `n${random.between(0, 99)}`
    const limit = random.between(0, 4) === 0 ? Infinity : random.between(1, 20)
    const rest = [...names].filter(name => name > after).sort()
    const expected = { names: rest.slice(0, limit), more: rest.length > limit }
    t.strictSame(namesAfter(names, { after, limit }), expected, `${limit} of ${size}`)
  }
})

t.test('ten thousand features: each on one page, no page larger than a message', async t => {
  const ledger = largeLedger({ features: bounds.features })
  const ask = statusOf(ledger)
  const all = [...ledger.state.features.keys()].sort()
  for (const json of [false, true]) {
    const { pages, bytes } = readAll<CtlAnswers['status']>(ask, { json })
    t.strictSame(namesIn(pages), all)
    t.ok(bytes <= bytesMax, `${pages.length} pages of at most ${bytes} bytes`)
  }
  // Of a broker that takes little: as many as fit.
  const small = readAll<CtlAnswers['status']>(ask, { most: 64 * 1024 })
  t.strictSame(namesIn(small.pages), all)
  t.ok(small.bytes <= 64 * 1024 && small.bytes > 32 * 1024, `${small.bytes} bytes`)

  const codes = readAll<CtlAnswers['code-list']>(fields => ledgerLists['code-list'](ledger, fields))
  t.equal(codes.pages.flatMap(page => page.codes).length, bounds.features)
  t.ok(codes.bytes <= bytesMax)

  t.comment('without a limit: whole, as before, or what to do')
  for (const answer of [ask({}), ledgerLists['code-list'](ledger, {})]) {
    t.match(send(answer).reply, {
      ok: false,
      code: 'LICD_TOO_LARGE',
      detail: /in pages: see limit/,
    })
  }
})

t.test('the widest rows: 32 servers, the longest names, other scripts', async t => {
  const servers = Array.from({ length: bounds.servers }, (_, n) => `s${n}-`.padEnd(32, 'x'))
  const [first = ''] = servers
  const nameOf = (n: number) => `${String(n).padEnd(64, 'f')}@${'9'.repeat(32)}`
  const ledger = largeLedger({ servers, features: 400, nameOf, customer: '\u6f22'.repeat(120) })
  const { state } = ledger
  // Everybody but the one that answers is down.
  for (const record of state.servers.values()) if (record.name !== first) record.downAt = 0
  for (const { shares } of state.features.values()) {
    for (const server of servers) shares.set(server, 2)
  }
  const fit = (what: string, bytes: number) => t.ok(bytes <= bytesMax, `${what}: ${bytes} bytes`)

  const status = readAll<CtlAnswers['status']>(statusOf(ledger, first, () => 3))
  t.strictSame(namesIn(status.pages), [...state.features.keys()].sort())
  fit('status', status.bytes)
  const codes = readAll<CtlAnswers['code-list']>(fields => ledgerLists['code-list'](ledger, fields))
  t.equal(codes.pages.flatMap(page => page.codes).length, 400)
  fit('code-list', codes.bytes)

  for (let n = 0; n < 999; n++) {
    const kid = `${n}`.padEnd(43, 'k')
    const record: VendorRecord = {
      ...vendorKey,
      kid,
      root: vendorKey.kid,
      certificate: 'c'.repeat(8_192),
    }
    state.vendors.set(kid, record)
  }
  const vendors = readAll<CtlAnswers['vendor-list']>(fields =>
    ledgerLists['vendor-list'](ledger, fields),
  )
  t.equal(vendors.pages.flatMap(page => page.vendors).length, 1_000)
  fit('vendor-list', vendors.bytes)

  const seats = Array.from({ length: 1_000 }, (_, n): SeatStatus => ({
    ...{ seatId: `${n}`.padStart(40, '0'), feature: nameOf(1), clientId: 'c'.repeat(16) },
    ...{ user: '\u6f22'.repeat(128), host: '\u6f22'.repeat(128) },
    ...{ state: 'held', heldMs: 86_400_000, expiresInMs: 86_400_000 },
  }))
  const listed = readAll<CtlAnswers['seats']>(fields => {
    const service = {
      seats: ({ after = '', limit }: { readonly after?: string; readonly limit: number }) => {
        const rest = seats.filter(({ seatId }) => seatId > after)
        const page = rest.slice(0, limit)
        const next = page.at(-1)?.seatId ?? ''
        return { seats: page, total: 1_000, ...(rest.length > page.length ? { next } : {}) }
      },
    }
    return seatsAnswer(service, fields)
  })
  t.strictSame(
    listed.pages.flatMap(page => page.seats),
    seats,
  )
  fit('seats', listed.bytes)
})

t.test('the audit log of ten thousand records: from its beginning, and its end', async t => {
  const ledger = largeLedger({ features: 0 })
  const { state } = ledger
  const wide = '\u6f22'.repeat(256)
  for (let seq = 1; seq <= bounds.audit; seq++) {
    const record: AuditRecord = {
      ...{ seq, tick: 1, at: 1_750_000_000_000, id: 'i'.repeat(64), by: '\u6f22'.repeat(128) },
      ...{ key: 'U'.repeat(56), action: 'change-criteria', subject: wide, detail: wide },
      outcome: 'ok',
    }
    state.audit.push(record)
  }
  state.audit.splice(0, state.audit.length - bounds.audit)
  state.audited = bounds.audit
  const ask = (fields: Fields) => send<CtlAnswers['audit']>(ledgerLists.audit(ledger, fields))
  const seen: number[] = []
  for (let after = 0; after < bounds.audit; after = seen.at(-1) ?? Infinity) {
    const { bytes, reply } = ask({ after, limit: 500 })
    t.ok(reply.ok && bytes <= bytesMax && reply.records.length > 0)
    seen.push(...reply.records.map(({ seq }) => seq))
  }
  t.strictSame(
    seen,
    Array.from({ length: bounds.audit }, (_, n) => n + 1),
  )
  const { bytes, reply } = ask({})
  t.ok(bytes <= bytesMax && reply.records.length > 300, `${reply.records.length} records`)
  t.equal(reply.records.at(-1)?.seq, bounds.audit, 'the last ones')
})

t.test('one feature, none, and a server\u2019s own figures alone', async t => {
  const ledger = largeLedger({ features: 50 })
  const ask = (fields: Fields, inUse?: (feature: string) => number) =>
    send<CtlAnswers['status']>(statusOf(ledger, 'beta', inUse)(fields)).reply
  t.equal(ask({}).status.features.length, 50, 'whole without a limit')
  t.equal(ask({}).next, undefined)
  const none = ask({ limit: 0 })
  t.match(none, { status: { features: [], servers: [{ name: 'alpha' }, {}, {}] } })
  t.equal(none.next, undefined)
  t.strictSame(namesIn([ask({ feature: 'feature-7' })]), ['feature-7'])
  t.strictSame(namesIn([ask({ feature: 'feature-7', limit: 1_000 })]), ['feature-7'])
  t.strictSame(namesIn([ask({ feature: 'none' })]), [])
  const own = ask({ own: true, limit: 10 }, feature => (feature === 'feature-9' ? 4 : 0))
  t.strictSame(namesIn([own]), ['feature-9'])
  t.match(own, { own: true, status: { features: [{ shares: [{ server: 'beta', inUse: 4 }] }] } })
  t.equal(own.status.features[0]?.shares.length, 1)
  for (const wrong of [
    ...[{ limit: -1 }, { limit: 1_001 }, { limit: 'x' }, { after: 7 }, { after: 'x'.repeat(300) }],
    ...[{ feature: 7 }, { own: 'yes' }],
  ]) {
    t.match(ask(wrong), { ok: false, code: 'LICD_BAD_REQUEST' }, JSON.stringify(wrong))
  }
})

t.test('one row too large for a message ends the list, in words', async t => {
  const ledger = largeLedger({ features: 3, customer: 'x'.repeat(2_000) })
  const answer = ledgerLists['code-list'](ledger, { limit: 10 })
  t.match(send(answer, { most: 1_000 }).reply, { ok: false, code: 'LICD_TOO_LARGE' })
})
