/**
 * The memory of ids where it is full (R8, I4): the oldest result of a command that has ended is forgotten, and a copy of
 * such a command is told that nobody knows.
 */
import t from 'tap'
import { bounds, levelMax, type Command, type CommandBody } from '../../lib/ledger/command.ts'
import { Ledger } from '../../lib/ledger/ledger.ts'
import { codeOf, Pool } from './pool.ts'

const most = 20
const unknown = 'LICD_UNKNOWN_OUTCOME'

/** A pool that remembers `most` results, with a feature of 10. */
function fullPool(level = levelMax) {
  const pool = new Pool({ level, results: most, settings: { leaseTicks: 40 } }).deal({ a: 10 })
  const { results } = pool.ledger.state
  const apply = (id: string, change: Partial<Command> = {}) => pool.raw(dated(pool, id, change))
  /** Takes what room there is, with commands whose deadline is this tick. */
  const fill = (prefix: string) => {
    for (let n = results.size; n < most; n++) apply(`${prefix}${String(n)}`)
  }
  return { pool, results, apply, fill }
}

function dated(pool: Pool, id: string, change: Partial<Command> = {}): Command {
  const { tickNow } = pool
  const body = { type: 'add-allocations', feature: 'cad', count: 1 } as const
  return { id, deadline: tickNow, since: tickNow, by: 'test', body, ...change }
}

t.test('full: the oldest whose command has ended goes, one for each that comes', async t => {
  const { pool, results, apply, fill } = fullPool()
  pool.ticks(31)
  fill('f')
  const ids = [...results.keys()]
  const allocations = () => pool.feature().allocations
  pool.tick()
  const had = allocations()
  for (let n = 0; n < most; n++) {
    t.equal(codeOf(apply(`g${String(n)}`).result), 'ok')
    t.equal(results.size, most)
    t.notOk(results.has(ids[n] ?? ''), 'in the order of their coming')
    t.ok(n + 1 === most || results.has(ids[n + 1] ?? ''))
  }
  t.equal(allocations(), had + most)
  const refused = apply('more')
  t.equal(codeOf(refused.result), 'LICD_TOO_BUSY', 'all that is left may come again')
  t.notOk(results.has('more'))
  t.equal(codeOf(apply('g3').result), 'ok')
  t.ok(apply('g3').duplicate)
  pool.tick()
  t.equal(codeOf(apply('more').result), 'ok', 'a tick later there is room')
})

t.test('a copy of what was forgotten is told that nobody knows, and changes nothing', async t => {
  const { pool, results, apply, fill } = fullPool()
  pool.ticks(31)
  const since = pool.tickNow
  const borrow: CommandBody = {
    ...{ type: 'borrow', feature: 'cad', to: 'b', incarnation: 1, cause: 'request', queue: 0 },
    ...{ needed: 1, wanted: 1 },
  }
  const own = { deadline: since + 2, body: borrow }
  const late = { deadline: since - 1 }
  t.equal(codeOf(apply('own', own).result), 'LICD_NO_SOURCE')
  t.equal(codeOf(apply('late', late).result), 'LICD_DEADLINE')
  t.equal(codeOf(apply('asked').result), 'ok')
  fill('f')
  pool.ticks(3)
  for (let n = 0; n < most; n++) apply(`g${String(n)}`)
  for (const id of ['own', 'late', 'asked']) t.notOk(results.has(id), id)

  const before = pool.ledger.hash()
  const again = (id: string, change: Partial<Command>, what: string) => {
    const applied = apply(id, { since, ...change })
    t.equal(codeOf(applied.result), unknown, `${id}: ${what}`)
    t.notOk(applied.duplicate)
  }
  again('own', own, 'as it was')
  again('late', late, 'as it was')
  again('asked', { deadline: since }, 'as it was')
  again('asked', { deadline: pool.tickNow + 3 }, 'with another deadline')
  again('late', { deadline: pool.tickNow + 3 }, 'it was told that it never will be applied')
  again('asked', { deadline: pool.tickNow + 3, since: 0 }, 'of nobody knows when')
  again('new', { since: 0 }, 'an id that nobody ever used, of nobody knows when')
  t.equal(pool.ledger.hash(), before)

  // What began after all that was forgotten had ended is new, and so is everything once it would be forgotten anyway.
  pool.tick()
  t.equal(codeOf(apply('fresh').result), 'ok')
  const { forgottenBefore } = pool.ledger.state
  while (pool.tickNow < forgottenBefore + bounds.resultTicks - 1) tickAlone(pool)
  t.equal(codeOf(apply('plain', { since: 0 }).result), unknown)
  tickAlone(pool)
  t.equal(codeOf(apply('plain', { since: 0 }).result), 'ok')
})

t.test('what was refused as too late ended when it was refused, not at its deadline', async t => {
  const { pool, results, apply, fill } = fullPool()
  pool.ticks(31)
  fill('f')
  pool.tick()
  // The same id, with a deadline that a server counted from long ago, then from now.
  const since = pool.tickNow
  t.equal(codeOf(apply('late', { since, deadline: since - 9 }).result), 'LICD_DEADLINE')
  pool.tick()
  for (let n = 0; n < most; n++) {
    apply(`g${String(n)}`)
    const copy = { since, deadline: pool.tickNow }
    t.equal(codeOf(apply('late', copy).result), results.has('late') ? 'LICD_DEADLINE' : unknown)
  }
  t.notOk(results.has('late'))
})

function tickAlone({ ledger, tickNow }: Pool): void {
  const body = { type: 'tick', tick: tickNow + 1, listings: [] } as const
  ledger.apply({ id: '', deadline: 0, by: 'server:a', body }, 1)
}

t.test('a deadline too far ahead is refused for good: that is not forgotten early', async t => {
  const { pool, results, apply, fill } = fullPool()
  pool.ticks(31)
  const far = pool.tickNow + 45
  t.equal(codeOf(apply('far', { deadline: far }).result), 'LICD_BAD_DEADLINE')
  fill('f')
  pool.ticks(35)
  for (let n = 0; n < most - 1; n++) t.equal(codeOf(apply(`g${String(n)}`).result), 'ok')
  t.equal(codeOf(apply('g').result), 'LICD_TOO_BUSY', 'it is the only one left')
  t.ok(results.has('far'))
  t.equal(codeOf(apply('far', { deadline: far }).result), 'LICD_BAD_DEADLINE')
})

t.test('a ledger restored where it is full answers like the other one ever after', async t => {
  const { pool, apply, fill } = fullPool()
  pool.ticks(31)
  fill('f')
  const said: Command[] = []
  let restored: Ledger | undefined
  for (let tick = 0; tick < 60; tick++) {
    pool.tick()
    restored = Ledger.restore(pool.ledger.snapshot(), most)
    for (let n = 0; n < 7; n++) {
      const deadline = pool.tickNow + ((tick + n) % 3)
      const command = dated(pool, `t${String(tick)}.${String(n)}`, { deadline })
      said.push(command)
      for (const one of [command, said[(tick * n) % said.length] ?? command]) {
        const applied = pool.raw(one)
        t.same(restored.apply(one, pool.index), applied)
        t.equal(restored.hash(), pool.ledger.hash())
      }
    }
  }
  t.ok(pool.ledger.state.forgottenBefore > 0)
  // Which of them is left tells whether both forget in one order: no sum of rows does.
  const left = (ledger: Ledger) => [...ledger.state.results.keys()].sort()
  t.same(left(restored ?? pool.ledger), left(pool.ledger))
  t.equal(apply('end').result.ok, true)
})

t.test('a snapshot that is being read is of its moment', async t => {
  const { pool, apply, fill } = fullPool()
  pool.ticks(31)
  fill('f')
  pool.tick()
  apply('one')
  const hash = pool.ledger.hash()
  const rows = pool.ledger.snapshotRows()
  for (let n = 0; n < most - 1; n++) pool.ledger.apply(dated(pool, `g${String(n)}`), 100 + n)
  t.equal(Ledger.restoreRows(rows, most).hash(), hash)
})

t.test('by the rules of level 2 nothing is forgotten early, nor what was kept by them', async t => {
  const { pool, results, apply, fill } = fullPool(2)
  const plain = (id: string) => codeOf(apply(id, { deadline: pool.tickNow + 1 }).result)
  t.notOk('forgottenBefore' in (pool.ledger.snapshot().rows[0] ?? {}), 'the rows of before')
  pool.ticks(31)
  // A refusal of level 2 whose end is not known so well: it was refused later than its deadline.
  t.equal(codeOf(apply('late', { deadline: pool.tickNow - 9 }).result), 'LICD_DEADLINE')
  for (let n = results.size; n < most - 1; n++) plain(`f${String(n)}`)
  t.equal(codeOf(pool.run({ type: 'set-level', level: 3 })), 'ok')
  t.match(pool.ledger.snapshot().rows[0], { version: 3, forgottenBefore: 0 })
  const raised = pool.tickNow
  t.equal(plain('x'), 'LICD_TOO_BUSY')
  pool.ticks(40)
  t.equal(plain('x'), 'LICD_TOO_BUSY', 'what was kept before the pool was raised stays its time')
  t.ok(results.has('late'))
  while (pool.tickNow < raised + 640) tickAlone(pool)
  fill('g')
  pool.tick()
  t.equal(plain('x'), 'ok')

  const before = fullPool(2)
  before.fill('f')
  before.pool.ticks(50)
  t.equal(codeOf(before.apply('x').result), 'LICD_TOO_BUSY')
})
