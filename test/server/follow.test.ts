/** One request followed by its id: from the client's words, through the server that was asked, to every ledger. */
import t from 'tap'
import { silentLogger } from '../../raft/ports.ts'
import { simulatePool } from '../sim/pool.ts'
import { user } from './pool-user.ts'

interface Line {
  readonly server: string
  readonly event: string
  readonly fields: Readonly<Record<string, unknown>>
}

t.test('a request that waits, the borrow made for it, and where that was applied', async t => {
  const lines: Line[] = []
  const three = ['alpha', 'beta', 'gamma']
  const pool = simulatePool({
    ...{ seed: 7, servers: three },
    log: server => ({
      ...silentLogger,
      debug: (event, fields = {}) => void lines.push({ server, event, fields }),
    }),
  }).startAll()
  pool.settle()
  const change = { by: 'test', timeoutMs: 5_000 }
  pool.ask('feature-add', { ...change, id: 'op-1', feature: 'cad', allocations: 9 })
  pool.run(5_000)
  t.same(
    lines
      .filter(({ event, fields }) => event === 'applied' && fields.id === 'op-1')
      .map(({ server }) => server)
      .sort(),
    three,
    'an operator’s change by its own id',
  )
  const leader = pool.leader?.server ?? ''
  const asked = three.find(name => name !== leader) ?? ''
  const mary = user(pool, 'mary', asked)
  mary.hold(2)
  lines.length = 0
  mary.hold(1)
  t.same(
    lines.filter(({ event }) => event.startsWith('request')),
    [],
    'no line per grant',
  )
  const wish = mary.acquire(5, { waitMs: 30_000 })
  pool.runUntil(() => wish.outcome !== undefined, 20_000)
  const waits = lines.find(({ event }) => event === 'request-waits')
  const requestId = waits?.fields.requestId
  const seat = wish.outcome?.ok === true ? wish.outcome.hold.id : undefined
  t.equal(seat, requestId, 'the client knows it as the id of what it holds')
  t.match(waits, { server: asked, fields: { feature: 'cad', count: 5 } })
  const borrows = lines.filter(
    ({ event, fields }) => event === 'borrow' && fields.for === requestId,
  )
  t.ok(borrows.length > 0)
  const [borrow] = borrows
  const id = borrow?.fields.id
  t.ok(
    lines.some(
      ({ event, fields, server }) =>
        event === 'command' && fields.id === id && fields.to === leader && server === asked,
    ),
  )
  t.same(
    lines
      .filter(({ event, fields }) => event === 'applied' && fields.id === id)
      .map(({ server }) => server)
      .sort(),
    three,
  )
  t.match(
    lines.findLast(({ event }) => event === 'request-served'),
    { server: asked, fields: { requestId } },
  )
})
