/** The usage history: what ticks tell, kept by minute and by hour, bounded, and the same on every server. */
import t from 'tap'
import { pointsOf } from '../../lib/ctl/usage.ts'
import type { Usage } from '../../lib/ledger/command.ts'
import { History, slotWidth, usageBounds, type UsageUnit } from '../../lib/ledger/history.ts'
import { epoch, Pool } from './pool.ts'

const minute = 60_000
/** Of `epoch`. */
const start = Math.floor(epoch / minute) * minute

function used(inUse: number, change: Partial<Usage> = {}): Usage {
  return { feature: 'cad', inUse, granted: 0, denied: 0, ...change }
}

/** A pool with 30 of `cad`; `tell` is one tick in which servers say what they use, so many minutes later. */
function usingPool(level?: number) {
  const pool = new Pool(level === undefined ? {} : { level })
  pool.run({ type: 'add-feature', feature: 'cad', allocations: 30 })
  let wallMs = epoch
  return {
    pool,
    tell: (minutes: number, usage: Readonly<Record<string, Usage>>): void => {
      // The calendar moves a minute a tick at most.
      for (let n = 0; n < minutes; n++) {
        wallMs += minute
        pool.tickWith(['a', 'b', 'c'].map(server => pool.listing(server, { wallMs })))
      }
      pool.tickWith(
        ['a', 'b', 'c'].map(server => {
          const row = usage[server]
          return pool.listing(server, { wallMs, usage: row === undefined ? [] : [row] })
        }),
      )
    },
    points: (unit: UsageUnit, from: number, to: number) => {
      const blocks = [...pool.ledger.state.history.blocks[unit].values()]
      return pointsOf(blocks, { unit, from, to })
    },
  }
}

t.test('peaks, grants and denials stand in their minute; between, the use goes on', t => {
  const { tell, points } = usingPool()
  tell(1, { a: used(3, { granted: 3 }), b: used(2, { granted: 2 }) })
  tell(0, { a: used(1) })
  tell(3, { b: used(4, { granted: 2, denied: 5, reasons: [3, 1, 1, 0] }) })
  const [before, first, second, third, fourth] = points('minute', start, start + 6 * minute)
  t.match(before, { peak: 0, end: 0, granted: 0, owned: 0 })
  t.match(first, { peak: 5, end: 3, granted: 5, owned: 30, denied: [0, 0, 0, 0] })
  t.match(
    [second, third],
    [
      { peak: 3, end: 3, granted: 0 },
      { peak: 3, end: 3, granted: 0 },
    ],
  )
  t.match(fourth, { peak: 5, end: 5, granted: 2, denied: [3, 1, 1, 0] })
  const hours = points('hour', epoch - (epoch % 3_600_000), epoch + minute)
  t.match(hours, [{ peak: 5, end: 5, granted: 7, denied: [3, 1, 1, 0] }])
  t.end()
})

t.test('what waits is told by its peak, and a server that goes down uses nothing', t => {
  const { pool, tell, points } = usingPool()
  tell(1, { a: used(8), b: used(2) })
  const { incarnation } = pool.server('b')
  pool.run({ type: 'demand', feature: 'cad', server: 'b', incarnation, count: 7 })
  pool.run({ type: 'demand', feature: 'cad', server: 'b', incarnation, count: 0 })
  t.equal(points('minute', start + minute, start + 2 * minute)[0]?.waiting, 7)
  while (pool.ledger.serverState('a') !== 'down') pool.tick(['b', 'c'])
  t.match(points('minute', start + minute, start + 2 * minute), [{ peak: 10, end: 2 }])
  t.end()
})

t.test(
  'a server that cannot tell reasons counts among "other"; a pool of level 1 keeps nothing',
  t => {
    const { tell, points } = usingPool()
    tell(1, { a: used(1, { denied: 4 }) })
    t.same(points('minute', start + minute, start + 2 * minute)[0]?.denied, [0, 0, 0, 4])
    const old = usingPool(1)
    old.tell(1, { a: used(1, { denied: 4 }) })
    t.same([...old.pool.ledger.state.history.all()], [])
    t.end()
  },
)

t.test('bad figures cost their row alone', t => {
  const { pool, tell } = usingPool()
  tell(1, { a: used(1, { denied: 1, reasons: [-1, 2, 0, 0] }), b: used(2) })
  t.equal(pool.feature().usage.get('a'), undefined)
  t.equal(pool.feature().usage.get('b')?.inUse, 2)
  t.end()
})

/** A history alone, told of one feature at times of ours. */
function historyAlone() {
  const history = new History()
  const changed: string[] = []
  const usage = new Map([['a', { inUse: 1 }]])
  const note = (calendar: number, name = 'cad'): void =>
    history.note(
      { usage: key => changed.push(key) },
      { level: 2, calendar },
      {
        ...{ name, allocations: 5, owed: 0, demand: [], usage, shares: new Map([['a', 5]]) },
      },
      0,
    )
  return { history, changed, note }
}

t.test('blocks that are too old go, by the calendar', t => {
  const { history, note } = historyAlone()
  const { keptMs, ms, perBlock } = usageBounds.minute
  note(epoch)
  note(epoch + keptMs - ms * perBlock)
  t.equal(history.blocks.minute.size, 2)
  note(epoch + keptMs + ms * perBlock)
  t.equal(history.blocks.minute.size, 2)
  t.equal(history.blocks.hour.size, 2, 'hours stay')
  t.end()
})

t.test('no more slots than the bound: the oldest block gives way, at a restored history too', t => {
  const { history, note, changed } = historyAlone()
  const { slotsMax, ms } = usageBounds.minute
  const features = 200
  let slots = 0
  let last = epoch
  for (let at = 0; slots < slotsMax + features; at++) {
    last = start + at * ms
    for (let n = 0; n < features; n++, slots++) note(last, `f${n}`)
  }
  const count = (one: History) =>
    [...one.blocks.minute.values()].reduce((sum, block) => sum + block.slots.length / slotWidth, 0)
  t.ok(count(history) <= slotsMax)
  t.ok(count(history) > slotsMax - 60 * 2, 'and not many less')
  const copy = new History()
  for (const block of history.all()) copy.restore(block)
  changed.length = 0
  const noteBoth = (calendar: number) => {
    for (const one of [history, copy]) {
      const feature = {
        ...{ name: 'new', allocations: 1, owed: 0, demand: [] },
        ...{ usage: new Map<string, never>(), shares: new Map<string, number>() },
      }
      one.note({ usage: () => undefined }, { level: 2, calendar }, feature, 0)
    }
  }
  for (let n = 1; n < 100; n++) noteBoth(last + n * ms)
  t.same([...history.blocks.minute.keys()], [...copy.blocks.minute.keys()])
  t.end()
})
