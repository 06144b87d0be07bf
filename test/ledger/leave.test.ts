// A clean stop in the ledger (R7): a server that leaves gives, and is given nothing until its next hello.
import t from 'tap'
import { Ledger } from '../../lib/ledger/ledger.ts'
import { Pool, codeOf } from './pool.ts'

function leave(pool: Pool, server: string, incarnation = pool.server(server).incarnation) {
  return codeOf(pool.run({ type: 'leave', server, incarnation }))
}

t.test('what a leaving server returns does not come back to it', async t => {
  const pool = new Pool()
  pool.run({ type: 'add-feature', feature: 'cad', allocations: 9 })
  pool.tick()
  t.equal(pool.table(), 'free 0 a 3 b 3 c 3')
  t.equal(leave(pool, 'b'), 'ok')
  t.equal(codeOf(pool.give('return', 'b', 2)), 'ok')
  pool.ticks(2)
  t.equal(pool.ledger.serverState('b'), 'up', 'it is listed while it gives back')
  t.equal(pool.table(), 'free 2 a 3 b 1 c 3', 'no top-up')
  pool.run({ type: 'hello', server: 'b', bootId: 'next' })
  pool.tick()
  t.equal(pool.table(), 'free 0 a 3 b 3 c 3', 'and again after its next hello')
})

t.test('a leaving server waits for nothing, borrows nothing and is lent nothing', async t => {
  const pool = new Pool().deal({ a: 2, b: 2, c: 0 })
  t.equal(codeOf(pool.borrow('c', { queue: 1 })), 'LICD_NO_SOURCE')
  t.equal(pool.queue(), 'c 1')
  t.equal(leave(pool, 'c'), 'ok')
  t.equal(pool.queue(), '')
  const refused = 'LICD_NOT_FUNCTIONING'
  t.equal(codeOf(pool.give('demand', 'c', 1)), refused)
  t.equal(codeOf(pool.lend('a', 'c', 1)), refused)
  t.equal(codeOf(pool.borrow('c', { queue: 1, offer: pool.offer('a', 1) })), refused)
  const move = pool.proof('a')
  t.equal(codeOf(pool.borrow('c', { cause: 'update', move })), refused, 'nor is a seat moved to it')
  t.equal(pool.table(), 'free 0 a 2 b 2')
  t.equal(codeOf(pool.give('return', 'a', 1)), 'ok')
  pool.tick()
  t.equal(pool.table(), 'free 1 a 1 b 2')
})

t.test('leave: of the present run alone, sticky until another one, in snapshots', async t => {
  const pool = new Pool().deal({ a: 2, b: 2 })
  t.equal(leave(pool, 'x', 1), 'LICD_UNKNOWN_SERVER')
  t.equal(leave(pool, 'a', 2), 'LICD_PAST_INCARNATION')
  t.equal(pool.server('a').leaving, false)
  t.equal(leave(pool, 'a'), 'ok')
  t.equal(leave(pool, 'a'), 'ok', 'twice is once')
  pool.run({ type: 'hello', server: 'a', bootId: 'boot-a-1' })
  t.equal(pool.server('a').leaving, true, 'a repeated hello is no other run')
  const copy = Ledger.restore(pool.ledger.snapshot())
  t.equal(copy.state.servers.get('a')?.leaving, true)
  pool.run({ type: 'hello', server: 'a', bootId: 'next' })
  t.equal(pool.server('a').leaving, false)
  t.equal(leave(pool, 'a', 1), 'LICD_PAST_INCARNATION', 'a late copy of it changes nothing')
})
