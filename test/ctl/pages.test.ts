/** What operators read in pages: pools of ten thousand features, and servers of before that answer whole. */
import t from 'tap'
import { readCodes, readStatus, readVendors } from '../../lib/ctl/pages.ts'
import { viewPool } from '../../lib/ctl/pool-view.ts'
import { searchSeats } from '../../lib/ctl/seat-search.ts'
import { viewWhy } from '../../lib/ctl/why.ts'
import { bounds } from '../../lib/ledger/command.ts'
import type { Ledger } from '../../lib/ledger/ledger.ts'
import type { SeatStatus } from '../../lib/protocol/ctl.ts'
import { encodeFitting } from '../../lib/server/ctl-wire.ts'
import { ledgerLists } from '../../lib/server/ledger-lists.ts'
import { statusAnswer } from '../../lib/server/status-page.ts'
import { largeLedger, viewerOf } from '../server/large-ledger.ts'
import { addServer, makeWorld, settle } from './scripted-ctl.ts'

const three = ['alpha', 'beta', 'gamma']
const inUseAt: Readonly<Record<string, number>> = { alpha: 1, beta: 2, gamma: 3 }
const large = largeLedger({ features: bounds.features })

type World = ReturnType<typeof makeWorld>

/** The real answers of a server whose features whose number ends in 0 are in use; one of before answers whole. */
function addReal(
  world: World,
  name: string,
  { ledger = large, isOld = false, bytesMax = 1_048_576 } = {},
) {
  return addServer(world, name, (operation, request) => {
    const fields = isOld ? {} : request
    const inUse = (feature: string) => (feature.endsWith('0') ? (inUseAt[name] ?? 0) : 0)
    const answer =
      operation === 'status'
        ? statusAnswer(viewerOf(ledger, name, inUse), fields)
        : operation === 'code-list' || operation === 'vendor-list'
          ? ledgerLists[operation](ledger, fields)
          : undefined
    return answer && encodeFitting(answer, name, { isJson: false, bytesMax })
  })
}

/** Of the features of the pool: what each server has in use, by their names. */
function expectedUse(ledger: Ledger): Map<string, readonly number[]> {
  const names = [...ledger.state.features.keys()].sort()
  return new Map(
    names.map(name => [name, three.map(at => (name.endsWith('0') ? (inUseAt[at] ?? 0) : 0))]),
  )
}

async function useSeen(world: World) {
  const { status, live } = await settle(world, viewPool(world.client()))
  const seen = status.features.map(({ name, shares }) => [name, shares.map(({ inUse }) => inUse)])
  return { live, seen }
}

t.test('all of ten thousand features, with each server\u2019s own figures', async t => {
  const world = makeWorld()
  const servers = three.map(name => addReal(world, name))
  const began = performance.now()
  const { live, seen } = await useSeen(world)
  t.comment(`${Math.round(performance.now() - began)} ms`)
  t.strictSame(live, three)
  t.strictSame(seen, [...expectedUse(large)])
  const asked = servers.map(server => server.asked.length)
  t.ok(Math.max(...asked) <= 12 && Math.min(...asked) <= 2, `${asked.join(', ')} messages`)
})

t.test('servers of before answer whole, and are read beside those that do not', async t => {
  const ledger = largeLedger({ features: 1_500 })
  for (const old of [['alpha', 'beta', 'gamma'], ['beta'], ['alpha', 'gamma']]) {
    const world = makeWorld()
    for (const name of three) addReal(world, name, { ledger, isOld: old.includes(name) })
    const { live, seen } = await useSeen(world)
    t.strictSame(live, three)
    t.strictSame(seen, [...expectedUse(ledger)], `of before: ${old.join(' ')}`)
  }
  const world = makeWorld()
  addReal(world, 'alpha', { ledger, isOld: true })
  const { codes } = await settle(world, readCodes(world.client()))
  t.equal(codes.length, 1_500)
})

t.test('a client of before is answered whole, or told what to do', async t => {
  const world = makeWorld()
  addReal(world, 'alpha', { ledger: largeLedger({ features: 1_500 }) })
  const answer = await settle(world, world.client().ask('status', {}))
  t.equal(answer.status.features.length, 1_500)
  t.equal(answer.next, undefined)
  const full = makeWorld()
  addReal(full, 'alpha')
  await t.rejects(settle(full, full.client().ask('status', {})), {
    code: 'LICD_TOO_LARGE',
    message: /in pages/,
  })
})

t.test('one feature, or none, is asked for alone', async t => {
  const world = makeWorld()
  const { asked } = addReal(world, 'alpha')
  const client = world.client({ timeoutMs: 500 })
  const one = await settle(world, viewPool(client, { of: { feature: 'feature-70' } }))
  t.match(one.status.features, [{ name: 'feature-70' }])
  t.equal(one.status.features.length, 1)
  const none = await settle(world, viewPool(client, { of: { limit: 0 } }))
  t.strictSame(none.status.features, [])
  t.equal(none.status.servers.length, 3)
  t.equal(asked.length, 2, 'in one message each')
})

t.test('codes and keys: all of them, from the server that answered first', async t => {
  const world = makeWorld()
  for (const name of three) addReal(world, name, { bytesMax: 300_000 })
  const { codes, server } = await settle(world, readCodes(world.client()))
  t.equal(new Set(codes.map(({ codeId }) => codeId)).size, bounds.features)
  t.ok(three.includes(server))
  t.equal((await settle(world, readVendors(world.client()))).vendors.length, 1)
})

t.test(
  'what changes between two pages: figures are of the first, the list is in order',
  async t => {
    const world = makeWorld()
    const ledger = largeLedger({ features: 2_000 })
    const { state } = ledger
    let asked = 0
    addServer(world, 'alpha', (_operation, request) => {
      state.tick = 100 + asked
      // One on the second page goes, and so does the one that the first page ended with.
      if (asked++ === 1) {
        state.features.delete('feature-999')
        state.features.delete(String(request['after']))
      }
      const answer = statusAnswer(viewerOf(ledger, 'alpha'), request)
      return encodeFitting(answer, 'alpha', { isJson: false, bytesMax: 1_048_576 })
    })
    const { status } = await settle(world, readStatus(world.client(), {}))
    t.equal(status.tick, 100)
    const names = status.features.map(({ name }) => name)
    t.equal(names.length, 1_999)
    t.strictSame(names, [...names].sort())
    t.equal(new Set(names).size, names.length)
  },
)

t.test('pages that do not move on, or never end, are not believed', async t => {
  const ledger = largeLedger({ features: 600 })
  const page = (next: string) => {
    const answer = statusAnswer(viewerOf(ledger, 'alpha'), {})
    if (!answer.ok) throw new Error(answer.code)
    return { ok: true, ...answer.data, next }
  }
  for (const nextOf of [() => 'same', (n: number) => `n${String(n).padStart(6, '0')}`]) {
    const world = makeWorld()
    let n = 0
    const { asked } = addServer(world, 'alpha', () => page(nextOf(n++)))
    const read = readStatus(world.client(), {})
    await t.rejects(settle(world, read), { code: 'LICD_BAD_VERSION' })
    t.ok(asked.length <= 18, `${asked.length} messages`)
  }
})

t.test('a server that is gone between two pages ends the reading in its own words', async t => {
  const world = makeWorld()
  let asked = 0
  const { bus } = addServer(world, 'alpha', (_operation, request) => {
    if (asked++ === 1) {
      bus.close()
      return undefined
    }
    const answer = statusAnswer(viewerOf(large, 'alpha'), request)
    return encodeFitting(answer, 'alpha', { isJson: false, bytesMax: 1_048_576 })
  })
  const read = readStatus(world.client({ timeoutMs: 4_000 }), {})
  await t.rejects(settle(world, read), { code: 'LICD_NO_SERVER' })
})

t.test('why: the pool\u2019s features are read only for whoever asks for none of them', async t => {
  const world = makeWorld()
  const why = { role: 'leader', tick: 1, tickMs: 1_000, tickAgeMs: 0, leaseLeftMs: 9, denials: [] }
  const { asked } = addServer(world, 'alpha', (operation, request) => {
    if (operation === 'why') {
      const ended = request['feature'] === 'old' ? { ended: 'Its code ended.' } : {}
      return { ok: true, ...why, ...ended }
    }
    const answer = statusAnswer(viewerOf(large, 'alpha'), request)
    return encodeFitting(answer, 'alpha', { isJson: false, bytesMax: 1_048_576 })
  })
  const client = world.client({ timeoutMs: 500 })
  const ended = await settle(world, viewWhy(client, { feature: 'old' }))
  t.strictSame(ended.features, [])
  t.equal(asked.length, 2)
  const unknown = await settle(world, viewWhy(client, { feature: 'new' }))
  t.equal(unknown.features.length, bounds.features)
})

t.test('a search for seats goes on where the shortest page ended', async t => {
  const world = makeWorld()
  const seatOf = (seatId: string): SeatStatus => ({
    ...{ seatId, feature: 'cad', user: 'u', host: 'h', clientId: 'c' },
    ...{ state: 'held', heldMs: 1, expiresInMs: 1 },
  })
  const ids = Array.from({ length: 200 }, (_, n) => String(n).padStart(5, '0'))
  const pageOf = (own: readonly string[], after: string, most: number) => {
    const rest = own.filter(id => id > after)
    const page = rest.slice(0, most)
    const next = rest.length > page.length ? { next: page.at(-1) ?? '' } : {}
    return { seats: page.map(seatOf), ...next, total: own.length }
  }
  const at = (which: number) => ids.filter((_id, n) => n % 2 === which)
  // Beta gives seven at a time, whatever it is asked for.
  addServer(world, 'beta', (_operation, { after = '' }) => ({
    ok: true,
    ...pageOf(at(1), String(after), 7),
  }))
  const found: string[] = []
  let after: string | undefined = ''
  while (after !== undefined) {
    const query = { limit: 50, after }
    const own = {
      server: 'alpha',
      servers: [
        {
          name: 'beta',
          state: 'up',
          leader: false,
          incarnation: 1,
          listedTicksAgo: 0,
          downInTicks: 9,
        },
      ] as const,
      page: pageOf(at(0), after, 50),
    }
    const page: Awaited<ReturnType<typeof searchSeats>> = await settle(
      world,
      searchSeats(world.client(), query, own),
    )
    found.push(...page.seats.map(({ seatId }) => seatId))
    after = page.next
  }
  t.strictSame(found, ids)
})
