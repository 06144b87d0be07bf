// Changes that come in one message: each is judged and answered for itself, by its place.
import { unpack, pack } from 'msgpackr'
import t from 'tap'
import { ctlBounds } from '../../lib/protocol/ctl.ts'
import { simulatePool } from '../sim/pool.ts'

function makeOperator() {
  const pool = simulatePool({ seed: 5, servers: ['alpha', 'beta', 'gamma'] }).startAll()
  pool.settle()
  const { bus } = pool.connect('lists')
  const leader = pool.leader?.server ?? ''
  let number = 0
  /** All messages that answer, until so many requests are answered or a refusal of all came. */
  const ask = (operation: string, requests: unknown, due: number): unknown[] => {
    const heard: unknown[] = []
    const reply = `${bus.inbox}.${++number}`
    const subscription = bus.subscribe(reply, ({ data }) => heard.push(unpack(data)))
    const answered = (): number =>
      heard.reduce<number>((sum, one) => sum + (Array.isArray(one) ? one.length : due), 0)
    bus.publish(pool.subjects.ctlAt(operation, leader), pack(requests), { reply })
    pool.runUntil(() => answered() >= due, 10_000)
    subscription.unsubscribe()
    return heard
  }
  return { pool, leader, ask }
}

const change = { by: 'test', timeoutMs: 5_000, fresh: true }

t.test(
  'what ends in one turn is answered in one message, what is refused at once sooner',
  async t => {
    const { pool, leader, ask } = makeOperator()
    pool.ask('feature-add', {
      by: 'test',
      timeoutMs: 5_000,
      id: 'f',
      feature: 'cad',
      allocations: 9,
    })
    const request = (id: string, count: unknown) => ({ ...change, id, feature: 'cad', count })
    const heard = ask('allocations-add', [request('a', 1), request('b', 'x'), request('c', 2)], 3)
    t.match(heard, [
      [[1, { ok: false, code: 'LICD_BAD_COUNT', server: leader }]],
      [
        [0, { ok: true, server: leader, duplicate: false, atOnce: ctlBounds.changesAtOnce }],
        [2, { ok: true, server: leader, duplicate: false }],
      ],
    ])
    t.equal(pool.leader?.ledger.state.features.get('cad')?.allocations, 12)
    t.match(ask('allocations-add', [request('c', 2), request('d', 1)], 2).flat(), [
      [0, { ok: true, duplicate: true }],
      [1, { ok: true, duplicate: false }],
    ])
  },
)

t.test('lists that are none are refused as a whole', async t => {
  const { ask } = makeOperator()
  const request = { ...change, id: 'a', feature: 'cad', count: 1 }
  const refused = { ok: false, code: 'LICD_BAD_REQUEST' }
  const long = Array.from({ length: ctlBounds.changesAtOnce + 1 }, () => request)
  t.match(ask('allocations-add', long, 1), [refused])
  t.match(ask('allocations-add', [], 1), [refused])
  t.match(ask('allocations-add', [request, 3], 1), [refused])
  t.match(ask('status', [{}], 1), [refused], 'questions come one by one')
  t.match(ask('servers-remove', [{ ...change, id: 'b', server: 'beta' }], 1), [refused])
})
