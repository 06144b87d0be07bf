import t from 'tap'
import { MemoryBroker, isMatch } from './memory-bus.ts'
import { SeededRandom } from './seeded-random.ts'
import { VirtualClock, VirtualTime } from './virtual-clock.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (data: Uint8Array): string => new TextDecoder().decode(data)

t.test('virtual time - equal times fire in order, cancelled timers do not', async t => {
  const time = new VirtualTime()
  const fired: string[] = []
  time.after(5, () => fired.push('b'))
  time.after(1, () => {
    fired.push('a')
    time.after(0, () => fired.push('a2'))
  })
  time.after(5, () => fired.push('c'))
  time.after(2, () => fired.push('never')).cancel()
  time.run(5)
  t.strictSame(fired, ['a', 'a2', 'b', 'c'])
  t.equal(time.now, 5)
  for (let n = 100; n > 0; n--) time.after(n, () => fired.push(String(n)))
  fired.length = 0
  time.run(100)
  t.strictSame(
    fired,
    Array.from({ length: 100 }, (_, n) => String(n + 1)),
  )
})

t.test('virtual clock - rate, pause, suspension, end', async t => {
  const time = new VirtualTime()
  const fast = new VirtualClock(time, { rate: 1.01, origin: 0 })
  let firedAt = 0
  fast.after(101, () => (firedAt = time.now))
  time.run(200)
  t.equal(Math.round(firedAt), 100)

  const clock = new VirtualClock(time, { origin: 0 })
  const start = clock.now()
  const fired: number[] = []
  clock.after(10, () => fired.push(clock.now() - start))
  clock.pause()
  time.run(50)
  t.strictSame(fired, [], 'a paused process does nothing')
  clock.resume()
  time.run(0)
  t.strictSame(fired, [50], 'and finds its timer overdue')

  clock.after(10, () => fired.push(clock.now() - start))
  clock.pause(true)
  time.run(1_000)
  clock.resume()
  t.equal(clock.now() - start, 50, 'the monotonic clock stood')
  t.equal((clock.uptime() ?? 0) - clock.now(), 1_000, 'uptime ran ahead')
  time.run(20)
  t.strictSame(fired, [50, 60])

  clock.after(1, () => fired.push(-1))
  clock.end()
  time.run(10)
  t.strictSame(fired, [50, 60], 'nothing happens after the end')
})

t.test('memory bus - wildcards, queues, order, nobody listens', async t => {
  const time = new VirtualTime()
  const broker = new MemoryBroker({ time, random: new SeededRandom(1) })
  const a = broker.connect('a', new VirtualClock(time))
  const b = broker.connect('b', new VirtualClock(time))
  const got: string[] = []
  b.subscribe('x.*', m => got.push(`star ${text(m.data)}`))
  b.subscribe('x.>', m => got.push(`tail ${m.subject}`))
  let shared = 0
  a.subscribe('q', () => shared++, { queue: 'g' })
  b.subscribe('q', () => shared++, { queue: 'g' })
  a.publish('x.1', bytes('one'))
  a.publish('x.1.2', bytes('two'))
  for (let n = 0; n < 10; n++) a.publish('q', bytes(''))
  time.run(10)
  t.strictSame(got, ['star one', 'tail x.1', 'tail x.1.2'])
  t.equal(shared, 10, 'one of the group gets each')

  const order: string[] = []
  b.subscribe('o', m => order.push(text(m.data)))
  for (let n = 0; n < 20; n++) a.publish('o', bytes(String(n)))
  time.run(10)
  t.strictSame(
    order,
    Array.from({ length: 20 }, (_, n) => String(n)),
  )

  const notices: boolean[] = []
  a.subscribe(`${a.inbox}.>`, m => notices.push(m.noResponders))
  a.publish('nobody', bytes(''), { reply: `${a.inbox}.1` })
  time.run(10)
  t.strictSame(notices, [true])
  b.close()
  a.publish('x.1', bytes(''), { reply: `${a.inbox}.2` })
  time.run(10)
  t.strictSame(notices, [true, true], 'a closed connection listens no more')
})

t.test('memory bus - faults, cuts, links, headers, bounds', async t => {
  const time = new VirtualTime()
  const broker = new MemoryBroker({ time, random: new SeededRandom(2), maxPayload: 10 })
  const a = broker.connect('a', new VirtualClock(time))
  const clock = new VirtualClock(time)
  const b = broker.connect('b', clock)
  const got: string[] = []
  b.subscribe('s', m => got.push(text(m.data) + (m.header('k') ?? '')))
  broker.fault = (_from, _to, m) =>
    text(m.data) === 'twice' ? { copies: 2, delayMs: 50 } : undefined
  a.publish('s', bytes('twice'), { headers: { k: '!' } })
  time.run(70)
  t.strictSame(got, ['twice!'])
  time.run(70)
  t.strictSame(got.splice(0), ['twice!', 'twice!'])
  broker.cut('a', 'b')
  a.publish('s', bytes('lost'))
  broker.heal('a', 'b')
  a.publish('s', bytes('kept'))
  time.run(5)
  t.strictSame(got.splice(0), ['kept'])
  t.equal(a.publish('s', bytes('larger than 10')), false)
  const statuses: string[] = []
  a.onStatus(status => statuses.push(status))
  a.setLink(false)
  t.equal(a.publish('s', bytes('x')), false)
  a.setLink(true)
  a.close()
  t.strictSame(statuses, ['down', 'up', 'closed'])
  const c = broker.connect('c', new VirtualClock(time))
  clock.pause()
  c.publish('s', bytes('later'))
  time.run(100)
  t.strictSame(got, [], 'a paused process receives nothing')
  clock.resume()
  time.run(0)
  t.strictSame(got, ['later'], 'until it goes on')
})

t.test('isMatch', async t => {
  const match = (pattern: string, subject: string) =>
    isMatch(pattern.split('.'), subject.split('.'))
  t.ok(match('a.b', 'a.b'))
  t.notOk(match('a.b', 'a.b.c'))
  t.notOk(match('a.>', 'a'))
  t.ok(match('a.>', 'a.b.c'))
  t.notOk(match('a.*', 'a.b.c'))
})

t.test('seeded random - the same seed, the same stream', async t => {
  const a = new SeededRandom(7)
  const b = new SeededRandom(7)
  t.strictSame(
    Array.from({ length: 5 }, () => a.next()),
    Array.from({ length: 5 }, () => b.next()),
  )
  t.match(a.id(), /^[A-Za-z0-9]{22}$/)
  let sum = 0
  for (let n = 0; n < 10_000; n++) sum += a.next()
  t.ok(Math.abs(sum / 10_000 - 0.5) < 0.02, 'about uniform')
})
