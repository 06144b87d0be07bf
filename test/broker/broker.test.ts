/**
 * What only the embedded broker promises: loopback alone, bounds on all that a client can make it hold, a clean
 * end. And its parts, against definitions that are too simple to be wrong.
 */
import fc from 'fast-check'
import { connect } from 'nats'
import t from 'tap'
import { startBroker } from '../../lib/broker/broker.ts'
import { Parser, type Operation } from '../../lib/broker/parser.ts'
import { isPattern, isSubject, matches, RoutingTable } from '../../lib/broker/subject.ts'
import { RawClient } from './raw-client.ts'

t.test('listens on loopback alone', async t => {
  for (const host of [
    '0.0.0.0',
    '::',
    '10.0.0.1',
    'example.org',
    '',
    '127.evil.org',
    '1127.0.0.1',
  ]) {
    await t.rejects(startBroker({ host }), { code: 'LICD_BAD_CONFIG' }, host)
  }
  const broker = await startBroker({ host: 'localhost' })
  t.teardown(() => broker.stop())
  t.match(broker.url, /^nats:\/\/127\.0\.0\.1:\d+$/)
  await t.rejects(startBroker({ port: broker.port }), {
    code: 'LICD_BAD_CONFIG',
    cause: { code: 'EADDRINUSE' },
  })
  await t.rejects(startBroker({ port: 70_000 }), { code: 'LICD_BAD_CONFIG' })
})

t.test('says in its greeting that it is not for production', async t => {
  const broker = await startBroker()
  t.teardown(() => broker.stop())
  await using client = await RawClient.open(broker.port)
  const info: unknown = JSON.parse(client.received.replace(/^INFO /, ''))
  t.match(info, { server_name: /not-for-production/, headers: true, max_payload: 1_048_576 })
})

t.test('cuts off a client that does not read, and only that one', async t => {
  const broker = await startBroker({ maxPending: 256 * 1024 })
  t.teardown(() => broker.stop())
  const nc = await connect({ servers: broker.url })
  t.teardown(() => nc.close())
  await using slow = await RawClient.connect(broker.port)
  await slow.talk('SUB flood 1\r\n')
  slow.deaf()
  let heard = 0
  nc.subscribe('flood', { callback: () => void heard++ })
  let sent = 0
  // The kernel's buffers take the first megabytes.
  while (broker.counts().slowConsumers === 0 && sent < 2000) {
    nc.publish('flood', Buffer.alloc(100_000))
    sent++
    await nc.flush()
  }
  t.match(broker.counts(), { slowConsumers: 1 })
  await nc.flush()
  t.equal(heard, sent)
})

t.test('holds no more connections and subscriptions than it may', async t => {
  const broker = await startBroker({ maxConnections: 2, maxSubscriptions: 3 })
  t.teardown(() => broker.stop())
  await using first = await RawClient.connect(broker.port)
  await using _second = await RawClient.connect(broker.port)
  await using third = await RawClient.open(broker.port)
  await third.until("-ERR 'maximum connections exceeded'")
  await third.closed
  t.equal(
    await first.talk('SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB d 4\r\nSUB c 3\r\n'),
    "-ERR 'maximum subscriptions exceeded'\r\n",
  )
  t.equal(await first.talk('UNSUB 1\r\nSUB d 4\r\nPUB d 0\r\n\r\n'), 'MSG d 4 0\r\n\r\n')
})

t.test('nothing is left of a client that has gone', async t => {
  const broker = await startBroker()
  t.teardown(() => broker.stop())
  const watcher = await RawClient.connect(broker.port)
  for (let round = 0; round < 5; round++) {
    await using client = await RawClient.connect(broker.port)
    await client.talk('SUB a.b 1\r\nSUB a.* q 2\r\nSUB > 3\r\n')
    client.send('PUB half 100\r\nhalf of it')
  }
  // The broker sees the ends in its own time; each question is answered after what it has seen before.
  while (broker.counts().connections > 1) await watcher.talk('')
  t.strictSame(broker.counts(), { connections: 1, subscriptions: 0, slowConsumers: 0, faults: 0 })
  await watcher[Symbol.asyncDispose]()
})

t.test('stop ends all clients, also those that do not leave; twice without harm', async t => {
  const broker = await startBroker()
  const nc = await connect({ servers: broker.url, reconnect: false })
  const stays = await RawClient.open(broker.port, { stays: true })
  await Promise.all([broker.stop(), broker.stop()])
  await broker.stop()
  await nc.closed()
  await t.rejects(RawClient.open(broker.port), { code: 'ECONNREFUSED' })
  await stays[Symbol.asyncDispose]()
})

const token = fc.constantFrom('a', 'b', 'c', '*', '>', '')
const subject = fc.array(token, { minLength: 1, maxLength: 4 }).map(tokens => tokens.join('.'))

t.test('the routing table finds what a plain comparison finds', async () => {
  const queue = fc.constantFrom(undefined, 'q', 'r')
  fc.assert(
    fc.property(
      fc.array(fc.record({ subject, queue, removed: fc.boolean() }), { maxLength: 12 }),
      subject,
      (all, to) => {
        const interests = all.filter(interest => isPattern(interest.subject))
        const table = new RoutingTable<(typeof interests)[number]>()
        for (const interest of interests) table.add(interest)
        for (const interest of interests) if (interest.removed) table.remove(interest)
        const { plain, queues } = table.route(to)
        const expected = interests.filter(one => !one.removed && matches(one.subject, to))
        const found = [...plain, ...[...queues.values()].flat()]
        const named = [...queues].every(([name, members]) =>
          members.every(member => member.queue === name),
        )
        for (const interest of interests) table.remove(interest)
        return (
          named &&
          found.length === expected.length &&
          expected.every(interest => found.includes(interest)) &&
          plain.every(interest => interest.queue === undefined) &&
          table.empty
        )
      },
    ),
    { numRuns: 2000 },
  )
})

t.test('subjects', async t => {
  for (const text of ['a', 'a.b', 'A-1_$.x', 'é']) t.ok(isSubject(text), text)
  for (const text of ['', '.', 'a.', '.a', 'a..b', 'a b', 'a\tb', '*', 'a.>', 'a.*']) {
    t.notOk(isSubject(text), text)
  }
  t.ok(isPattern('a*.b>.c'), 'inside a token they are plain characters')
  t.notOk(isPattern('>.a'))
  t.ok(isPattern(Array(64).fill('a').join('.')))
  t.notOk(isPattern(Array(65).fill('a').join('.')), 'too deep')
})

/** What the parser makes of these bytes when they come in pieces of these sizes. */
function parse(bytes: Buffer, sizes: readonly number[]): Operation[] {
  const parser = new Parser({ payloadMax: 100 })
  const operations: Operation[] = []
  let at = 0
  for (let turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? bytes.length
    operations.push(...parser.read(bytes.subarray(at, at + size)))
    at += size
  }
  return operations
}

t.test('the parser reads the same from any pieces, and ends at the first fault', async t => {
  const piece = fc.oneof(
    fc.constantFrom('PING\r\n', 'SUB a q 1\r\n', 'UNSUB 1 5\n', 'PUB a 3\r\nx\r\n\r\n', '+OK\r\n'),
    fc.constantFrom(
      'HPUB a r 12 13\r\nNATS/1.0\r\n\r\nz\r\n',
      'CONNECT {"echo":false}\r\n',
      'PONG\n',
    ),
    fc.constantFrom('PUB a 101\r\n', 'PUB a 1\r\nxx\r\n', '\r\n', 'PUB', ' ', 'a'.repeat(4097)),
    fc.string({ unit: 'binary', maxLength: 10 }),
  )
  let faults = 0
  let publications = 0
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 10 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 }),
      (pieces, sizes) => {
        const bytes = Buffer.from(pieces.join(''))
        const whole = parse(bytes, [bytes.length])
        const fault = whole.findIndex(({ type }) => type === 'fault')
        if (fault !== -1) faults++
        publications += whole.filter(({ type }) => type === 'publish').length
        const text = (operations: Operation[]) => JSON.stringify(operations)
        return (
          text(parse(bytes, sizes)) === text(whole) && (fault === -1 || fault === whole.length - 1)
        )
      },
    ),
    { numRuns: 2000 },
  )
  t.ok(faults > 100 && publications > 100, `${faults} faults, ${publications} publications`)
})
