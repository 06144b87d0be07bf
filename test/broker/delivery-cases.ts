/**
 * Cases of the conformance suite: what a client of the NATS library sees.
 */
import { createHash, randomBytes } from 'node:crypto'
import { createInbox, Empty, Events, headers, type NatsConnection } from 'nats'
import { settle, take, type Cases } from './case.ts'

export const deliveryCases: Cases = new Map()

deliveryCases.set('messages of one publisher arrive in order, whole', async (t, { open }) => {
  const [from, to] = [await open(), await open()]
  const { messages } = take(to, 'order', 500)
  await to.flush()
  const sent = Array.from({ length: 500 }, (_, at) => {
    // Sizes around the borders of buffers and of what the broker copies; contents that look like protocol.
    const size = [0, 1, 2, 100, 4095, 4096, 4097, 65_535, 65_536][at % 9] ?? 0
    return at % 5 === 0 ? Buffer.from(`${at}\r\nPUB x 1\r\n`) : randomBytes(size)
  })
  for (const data of sent) from.publish('order', data)
  const hash = (parts: readonly Uint8Array[]) =>
    parts.map(part => createHash('sha1').update(part).digest('hex'))
  t.strictSame(hash((await messages).map(({ data }) => data)), hash(sent))
})

deliveryCases.set(
  'wildcards match whole tokens, and > one or more at the end',
  async (t, { open }) => {
    const nc = await open()
    const patterns = [
      'a',
      'a.b',
      'a.*',
      '*.b',
      '*',
      '>',
      'a.>',
      'a.*.c',
      '*.*',
      'a.b.>',
      'ab.*',
      'a.*.>',
    ]
    const subjects = ['a', 'a.b', 'a.b.c', 'a.x.c', 'ab', 'ab.c', 'b.b', 'a.b.c.d', 'A', 'a.B']
    const got: string[] = []
    for (const pattern of patterns) {
      nc.subscribe(pattern, {
        callback: (_, { subject }) => void got.push(`${pattern} < ${subject}`),
      })
    }
    for (const subject of subjects) nc.publish(subject)
    await settle(nc)
    const expected = patterns.flatMap(pattern => {
      const source = pattern.replaceAll('.', '\\.').replaceAll('*', '[^.]+').replace('>', '.+')
      const match = new RegExp(`^${source}$`)
      return subjects
        .filter(subject => match.test(subject))
        .map(subject => `${pattern} < ${subject}`)
    })
    t.ok(expected.length > 20)
    t.strictSame(got.filter(line => !/_INBOX/.test(line)).sort(), expected.sort())
  },
)

deliveryCases.set(
  'a queue gives each message to one member, and each member some',
  async (t, { open }) => {
    const nc = await open()
    const members = await Promise.all([open(), open(), open()])
    const seen = members.map(member => take(member, 'work.*', 300, { queue: 'q' }).seen)
    const other = take(members[0] ?? nc, 'work.one', 300, { queue: 'r' })
    const all = take(nc, 'work.>', 300)
    await settle(...members, nc)
    for (let at = 0; at < 300; at++) nc.publish('work.one', String(at))
    await Promise.all([all.messages, other.messages])
    await settle(nc, ...members)
    const taken = seen.flat().map(message => Number(message.string()))
    t.strictSame(
      taken.sort((a, b) => a - b),
      Array.from({ length: 300 }, (_, at) => at),
    )
    t.ok(
      seen.every(({ length }) => length > 30),
      seen.map(({ length }) => length).join(' '),
    )
  },
)

deliveryCases.set(
  'one queue is one queue, whatever its members subscribed to',
  async (t, { open }) => {
    const nc = await open()
    let count = 0
    for (const subject of ['one.*', 'one.two', 'one.>']) {
      nc.subscribe(subject, { queue: 'q', callback: () => void count++ })
    }
    for (let at = 0; at < 50; at++) nc.publish('one.two')
    await settle(nc)
    t.equal(count, 50)
  },
)

deliveryCases.set('requests find their replies', async (t, { open }) => {
  const [client, server] = [await open(), await open()]
  server.subscribe('double', {
    callback: (_, message) => void message.respond(String(Number(message.string()) * 2)),
  })
  await server.flush()
  const numbers = Array.from({ length: 200 }, (_, at) => at)
  const replies = await Promise.all(numbers.map(at => client.request('double', String(at))))
  t.strictSame(
    replies.map(reply => Number(reply.string())),
    numbers.map(at => at * 2),
  )
})

deliveryCases.set(
  'a request that nobody hears is answered at once with 503',
  async (t, { open }) => {
    const [nc, server] = [await open(), await open()]
    await t.rejects(nc.request('nobody', Empty, { timeout: 20_000 }), { code: '503' })
    // As raft/ does it: a publication whose reply subject is only there for the notice.
    const inbox = createInbox()
    const { messages } = take(nc, `${inbox}.>`, 1)
    nc.publish('nobody', 'x', { reply: `${inbox}.gone.b` })
    const [notice] = await messages
    t.match(notice, { subject: `${inbox}.gone.b`, data: { length: 0 } })
    t.equal(notice?.headers?.code, 503)
    // Those who have gone do not count as listeners.
    const subscription = server.subscribe('somebody', { callback: (_, m) => void m.respond() })
    await server.flush()
    await nc.request('somebody')
    subscription.unsubscribe()
    await server.flush()
    await t.rejects(nc.request('somebody', Empty, { timeout: 20_000 }), { code: '503' })
    server.subscribe('somebody', { callback: () => undefined })
    await server.flush()
    await server.close()
    await nc.flush()
    await t.rejects(nc.request('somebody', Empty, { timeout: 20_000 }), { code: '503' })
  },
)

deliveryCases.set('headers travel with the payload', async (t, { open, raw }) => {
  const nc = await open()
  const { messages } = take(nc, 'head', 2)
  const plain = await raw()
  await plain.talk('SUB head 7\r\n')
  const sent = headers()
  sent.set('Content-Type', 'application/json')
  sent.append('Many', 'one')
  sent.append('Many', 'two')
  nc.publish('head', 'body', { headers: sent, reply: 'back' })
  nc.publish('head', Empty, { headers: sent })
  const [first, second] = await messages
  t.equal(first?.headers?.get('Content-Type'), 'application/json')
  t.strictSame(first?.headers?.values('Many'), ['one', 'two'])
  t.equal(first?.string(), 'body')
  t.equal(second?.headers?.get('Content-Type'), 'application/json')
  t.equal(second?.data.length, 0)
  // One that knows no headers gets the rest.
  await plain.until('MSG head 7 back 4\r\nbody\r\nMSG head 7 0\r\n\r\n')
})

deliveryCases.set(
  'the largest payload passes, and one byte more ends the connection',
  async (t, context) => {
    const [from, to] = [await context.open(), await context.open()]
    const max = from.info?.max_payload ?? 0
    t.equal(max, 1024 * 1024)
    const { messages } = take(to, 'large', 2)
    await to.flush()
    const data = randomBytes(max)
    from.publish('large', data)
    const withHeaders = headers()
    withHeaders.set('a', 'b')
    const headerBytes = 'NATS/1.0\r\na: b\r\n\r\n'.length
    from.publish('large', data.subarray(headerBytes), { headers: withHeaders })
    const [first, second] = await messages
    t.ok(data.equals(first?.data ?? Empty))
    t.ok(data.subarray(headerBytes).equals(second?.data ?? Empty))
    t.throws(() => from.publish('large', Buffer.alloc(max + 1)), { code: 'MAX_PAYLOAD_EXCEEDED' })
    for (const line of [`PUB large ${max + 1}\r\n`, `HPUB large 20 ${max + 1}\r\n`]) {
      const client = await context.raw({ headers: true })
      client.send(line)
      await client.until("-ERR 'Maximum Payload Violation'\r\n")
      await client.closed
    }
    await settle(from)
  },
)

deliveryCases.set(
  'after a restart clients come back with their subscriptions',
  async (t, context) => {
    const { broker, open, start } = context
    const [from, to] = [await open(), await open()]
    const seen = new Set<string>()
    let notice: (() => void) | undefined
    to.subscribe('again', {
      callback: (_, message) => {
        seen.add(message.string())
        notice?.()
      },
    })
    await to.flush()
    from.publish('again', 'before')
    await settle(from, to)
    const back = Promise.all([from, to].map(reconnected))
    await broker.stop()
    const next = await start(broker.port)
    t.teardown(() => next.stop())
    await back
    await settle(to, from)
    const heard = new Promise<void>(resolve => (notice = resolve))
    from.publish('again', 'after')
    await heard
    t.strictSame([...seen], ['before', 'after'])
  },
)

deliveryCases.set(
  'bytes may come one at a time, in either case, with bare line feeds',
  async (t, { raw }) => {
    const client = await raw({ headers: true })
    const text = `sub a.b 1\nPub a.b r 5\r\nhe\nlo\r\nHpub a.b\t12  14\nNATS/1.0\r\n\r\nhi\r\n`
    for (const byte of Buffer.from(text)) client.send(Buffer.of(byte))
    t.equal(
      await client.talk(''),
      'MSG a.b 1 r 5\r\nhe\nlo\r\nHMSG a.b 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n',
    )
  },
)

deliveryCases.set('without echo a connection does not hear itself', async (t, { open }) => {
  const [mute, other] = [await open({ noEcho: true }), await open()]
  const own = take(mute, 'echo', 1)
  const heard = take(other, 'echo', 1)
  await settle(other)
  mute.publish('echo')
  await heard.messages
  await settle(mute)
  t.equal(own.seen.length, 0)
  mute.subscribe('only-mine', { callback: () => undefined })
  await t.rejects(mute.request('only-mine', Empty, { timeout: 20_000 }), { code: '503' })
})

deliveryCases.set('one message reaches two thousand subscriptions', async (t, { open }) => {
  const from = await open()
  const connections = await Promise.all(Array.from({ length: 20 }, () => open()))
  const all = connections.flatMap(nc =>
    Array.from({ length: 100 }, (_, at) => take(nc, at % 2 ? 'news.>' : 'news.*', 10).messages),
  )
  await settle(...connections)
  for (let at = 0; at < 10; at++) from.publish('news.today', String(at))
  const expected = Array.from({ length: 10 }, (_, at) => String(at)).join()
  const got = await Promise.all(all)
  t.equal(got.length, 2000)
  t.ok(got.every(messages => messages.map(message => message.string()).join() === expected))
})

async function reconnected(nc: NatsConnection): Promise<void> {
  for await (const { type } of nc.status()) if (type === Events.Reconnect) return
}
