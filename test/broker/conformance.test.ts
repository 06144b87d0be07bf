/**
 * One suite for both brokers: whatever licd relies on holds at nats-server and at the embedded broker alike.
 */
import { createHash, randomBytes } from 'node:crypto'
import { connect, createInbox, Empty, headers, type Msg, type NatsConnection } from 'nats'
import t, { type Test } from 'tap'
import { startBroker } from '../../lib/broker/broker.ts'
import { startNatsServer } from '../nats-server.ts'
import { RawClient } from './raw-client.ts'

interface Running {
  readonly url: string
  readonly port: number
  stop(): Promise<void>
}

interface Context {
  readonly broker: Running
  /** Starts a broker of the same kind on this port. */
  start(port: number): Promise<Running>
  /** Another connection, closed at the end of the test. */
  open(options?: { readonly noEcho?: boolean }): Promise<NatsConnection>
  raw(options?: Record<string, unknown>): Promise<RawClient>
}

const brokers: Readonly<Record<string, (port?: number) => Promise<Running>>> = {
  'nats-server': port => startNatsServer(port === undefined ? {} : { port }),
  embedded: port => startBroker(port === undefined ? {} : { port }),
}

const cases = new Map<string, (t: Test, context: Context) => Promise<void>>()

/** Resolves with the messages when `count` have come; `handle` sees each at once. */
function take(
  nc: NatsConnection,
  subject: string,
  count: number,
  options: { readonly queue?: string } = {},
): { readonly messages: Promise<Msg[]>; readonly seen: Msg[] } {
  const seen: Msg[] = []
  const messages = new Promise<Msg[]>((resolve, reject) => {
    nc.subscribe(subject, {
      ...options,
      callback: (error, message) => {
        if (error !== null) reject(error)
        seen.push(message)
        if (seen.length === count) resolve(seen)
      },
    })
  })
  return { messages, seen }
}

/** Returns when the broker has handled all that was sent, and all of it that comes back here has come. */
async function settle(...connections: readonly NatsConnection[]): Promise<void> {
  for (const nc of connections) await nc.flush()
}

cases.set('messages of one publisher arrive in order, whole', async (t, { open }) => {
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

cases.set('wildcards match whole tokens, and > one or more at the end', async (t, { open }) => {
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
    return subjects.filter(subject => match.test(subject)).map(subject => `${pattern} < ${subject}`)
  })
  t.ok(expected.length > 20)
  t.strictSame(got.filter(line => !/_INBOX/.test(line)).sort(), expected.sort())
})

cases.set('a queue gives each message to one member, and each member some', async (t, { open }) => {
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
})

cases.set('one queue is one queue, whatever its members subscribed to', async (t, { open }) => {
  const nc = await open()
  let count = 0
  for (const subject of ['one.*', 'one.two', 'one.>']) {
    nc.subscribe(subject, { queue: 'q', callback: () => void count++ })
  }
  for (let at = 0; at < 50; at++) nc.publish('one.two')
  await settle(nc)
  t.equal(count, 50)
})

cases.set('requests find their replies', async (t, { open }) => {
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

cases.set('a request that nobody hears is answered at once with 503', async (t, { open }) => {
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
})

cases.set('no notice where it was not asked for, or cannot be heard', async (t, { raw }) => {
  const silent = await raw({ headers: true })
  t.equal(await silent.talk('SUB r 1\r\nPUB nobody r 0\r\n\r\n'), '')
  const asking = await raw({ headers: true, no_responders: true })
  t.equal(await asking.talk('PUB nobody r 0\r\n\r\n'), '')
  t.equal(
    await asking.talk('SUB r.* 1\r\nPUB nobody r.1 0\r\n\r\n'),
    'HMSG r.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n',
  )
  t.equal(await asking.talk('PUB nobody 0\r\n\r\n'), '')
})

cases.set('headers travel with the payload', async (t, { open, raw }) => {
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

cases.set('a subscription is over after its maximum', async (t, { open, raw }) => {
  const nc = await open()
  let count = 0
  nc.subscribe('few', { max: 3, callback: () => void count++ })
  for (let at = 0; at < 10; at++) nc.publish('few')
  await settle(nc)
  t.equal(count, 3)

  const client = await raw()
  t.equal(
    await client.talk(`SUB s 1\r\n${'PUB s 0\r\n\r\n'.repeat(2)}UNSUB 1 3\r\n`),
    'MSG s 1 0\r\n\r\n'.repeat(2),
  )
  t.equal(await client.talk('PUB s 0\r\n\r\n'.repeat(3)), 'MSG s 1 0\r\n\r\n')
  // A maximum that has been passed ends it at once, as does none.
  t.equal(
    await client.talk('SUB s 2\r\nPUB s 0\r\n\r\nUNSUB 2 1\r\nPUB s 0\r\n\r\n'),
    'MSG s 2 0\r\n\r\n',
  )
  t.equal(await client.talk('SUB s 3\r\nUNSUB 3\r\nUNSUB 99\r\nPUB s 0\r\n\r\n'), '')
})

cases.set(
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

cases.set('after a restart clients come back with their subscriptions', async (t, context) => {
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
})

async function reconnected(nc: NatsConnection): Promise<void> {
  for await (const { type } of nc.status()) if (type === 'reconnect') return
}

cases.set('bad protocol ends that connection and no other', async (t, { open, raw }) => {
  const nc = await open()
  const { seen } = take(nc, '>', 1)
  await nc.flush()
  const said = ['GARBAGE\r\n', '\0\0\0\0\r\n', 'GET / HTTP/1.1\r\n', 'PUB a 1\r\nxyz\r\n']
  for (const text of said) {
    const client = await raw()
    client.send(text)
    await client.until("-ERR 'Unknown Protocol Operation'\r\n")
    await client.closed
  }
  const malformed = [
    'PUB\r\n',
    'PUB a\r\n',
    'PUB a b c 1\r\nx\r\n',
    'PUB a -1\r\n',
    'PUB a 1x\r\nx\r\n',
    'HPUB a 1\r\n',
    'HPUB a 20 5\r\n',
    'SUB\r\n',
    'SUB a\r\n',
    'SUB a b c d\r\n',
    'UNSUB\r\n',
    'UNSUB 1 2 3\r\n',
    'CONNECT {\r\n',
    'CONNECT []\r\n',
    'CONNECT {"verbose":"yes"}\r\n',
    'CONNECT {"no_responders":true,"headers":false}\r\n',
  ]
  for (const text of malformed) {
    const client = await raw({ headers: true })
    client.send(text)
    await client.closed
    t.pass(`closed after ${JSON.stringify(text)}`)
  }
  const headerless = await raw()
  headerless.send('HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n')
  await headerless.closed
  await settle(nc)
  t.equal(seen.length, 0)
})

cases.set('a control line without end is cut off', async (t, { raw }) => {
  for (const text of [`PUB ${'a'.repeat(5000)} 0\r\n\r\n`, `SUB ${'a'.repeat(5000)}`]) {
    const client = await raw()
    client.send(text)
    t.match(await client.until('-ERR '), /maximum control line exceeded/i)
    await client.closed
  }
})

cases.set(
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

cases.set('subjects that are none are refused, the connection goes on', async (t, { raw }) => {
  const client = await raw({ pedantic: true })
  for (const subject of ['a..b', '.a', 'a.', '>.a', 'a.>.b']) {
    t.equal(await client.talk(`SUB ${subject} 1\r\n`), "-ERR 'Invalid Subject'\r\n", subject)
  }
  // It is said, and the message goes where it would go.
  t.equal(
    await client.talk('SUB > 1\r\nPUB a.* 0\r\n\r\n'),
    "-ERR 'Invalid Publish Subject'\r\nMSG a.* 1 0\r\n\r\n",
  )
  t.equal(await client.talk('SUB a 1\r\nPUB a 0\r\n\r\n'), 'MSG a 1 0\r\n\r\n', 'a second sid 1')
})

cases.set('verbose clients are answered, also before they connect', async (t, { broker }) => {
  await using client = await RawClient.open(broker.port)
  t.equal(
    await client.talk('SUB a 1\r\nPUB a 1\r\nx\r\nUNSUB 1\r\n'),
    '+OK\r\n+OK\r\nMSG a 1 1\r\nx\r\n+OK\r\n',
  )
  t.equal(await client.talk('CONNECT {"verbose":false}\r\nSUB a 2\r\n'), '')
  t.equal(await client.talk('CONNECT {"verbose":true}\r\n'), '+OK\r\n')
})

cases.set('without echo a connection does not hear itself', async (t, { open }) => {
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

cases.set('one message reaches two thousand subscriptions', async (t, { open }) => {
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

for (const [name, start] of Object.entries(brokers)) {
  for (const [title, check] of cases) {
    t.test(`${name}: ${title}`, async t => {
      const broker = await start()
      t.teardown(() => broker.stop())
      const open: Context['open'] = async (options = {}) => {
        const nc = await connect({
          servers: broker.url,
          reconnectTimeWait: 50,
          maxReconnectAttempts: -1,
          noAsyncTraces: true,
          ...options,
        })
        t.teardown(() => nc.close())
        return nc
      }
      const raw: Context['raw'] = async options => {
        const client = await RawClient.connect(broker.port, options)
        t.teardown(() => client[Symbol.asyncDispose]())
        return client
      }
      await check(t, { broker, start, open, raw })
    })
  }
}
