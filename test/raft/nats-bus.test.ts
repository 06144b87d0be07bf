/**
 * The bus on a real nats-server: what NATS promises, and what the adapter mends of its client.
 */
import { connect, createServer, type Socket } from 'node:net'
import t from 'tap'
import {
  connectNats,
  type BusMessage,
  type Logger,
  type NatsBus,
  type NatsOptions,
} from '../../raft/index.ts'
import { startNatsServer } from '../nats-server.ts'

const server = await startNatsServer()
t.teardown(() => server.stop())

interface Logged {
  readonly log: Logger
  readonly events: string[]
}

function logged(): Logged {
  const events: string[] = []
  const note = (event: string): void => void events.push(event)
  return { events, log: { debug: note, info: note, warn: note, error: note } }
}

async function connected(t: Tap, options: Partial<NatsOptions> = {}): Promise<NatsBus> {
  const bus = await connectNats({ servers: server.url, ...options })
  t.teardown(() => bus.close())
  return bus
}

type Tap = Pick<typeof t, 'teardown'>

/** Resolves with the first `count` messages on a subject. */
function messages(bus: NatsBus, subject: string, count: number): Promise<BusMessage[]> {
  return new Promise(resolve => {
    const got: BusMessage[] = []
    const subscription = bus.subscribe(subject, message => {
      got.push(message)
      if (got.length < count) return
      subscription.unsubscribe()
      resolve(got)
    })
  })
}

function status(bus: NatsBus, wanted: string): Promise<void> {
  return new Promise(resolve => {
    const subscription = bus.onStatus(is => {
      if (is !== wanted) return
      subscription.unsubscribe()
      resolve()
    })
  })
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = ({ data }: BusMessage): string => Buffer.from(data).toString()

t.test('messages arrive in order, with reply and headers, and are the receiver’s own', async t => {
  const [a, b] = [await connected(t), await connected(t)]
  const arriving = messages(b, 'order.*', 3)
  // Subscribing travels on the same connection as this, so the answer says that it is in force.
  const ready = messages(b, 'ready', 1)
  b.publish('ready', bytes(''))
  await ready
  const data = bytes('one')
  t.ok(a.publish('order.x', data, { reply: 'back.here', headers: { Kind: 'test' } }))
  t.ok(a.publish('order.y', bytes('two')))
  t.ok(a.publish('order.z', bytes('three')))
  const got = await arriving
  t.strictSame(got.map(text), ['one', 'two', 'three'])
  t.equal(got[0]?.subject, 'order.x')
  t.equal(got[0]?.reply, 'back.here')
  t.equal(got[0]?.header('Kind'), 'test')
  t.equal(got[0]?.header('Other'), undefined)
  t.equal(got[1]?.reply, undefined)
  t.equal(got[1]?.header('Kind'), undefined)
  t.notOk(got[0]?.noResponders)
  const buffers = new Set(got.map(message => message.data.buffer))
  t.equal(buffers.size, 3, 'not views into one buffer')
})

t.test('a message that is not admitted is not handled, and costs no more than a look', async t => {
  const [bus, other] = [await connected(t), await connected(t)]
  const looks: [string, number][] = []
  const handled: string[] = []
  const last = new Promise<void>(resolve => {
    bus.subscribe(
      'door',
      ({ data }) => {
        handled.push(new TextDecoder().decode(data))
        if (handled.at(-1) === 'last') resolve()
      },
      {
        admit(reply, size) {
          looks.push([new TextDecoder().decode(reply), size])
          if (size === 5) throw new Error('a defect')
          return size !== 2
        },
      },
    )
  })
  const ready = messages(bus, 'ready', 1)
  bus.publish('ready', bytes(''))
  await ready
  other.publish('door', bytes('a'), { reply: 'inbox.1' })
  other.publish('door', bytes('no'), { reply: 'inbox.2' })
  other.publish('door', bytes('threw'))
  other.publish('door', bytes('last'), { headers: { Kind: 'test' } })
  await last
  t.strictSame(handled, ['a', 'last'])
  t.strictSame(looks, [
    ['inbox.1', 1],
    ['inbox.2', 2],
    ['', 5],
    ['', 'NATS/1.0\r\nKind: test\r\n\r\nlast'.length],
  ])
})

t.test('one of a queue gets each message', async t => {
  const bus = await connected(t)
  const got: string[] = []
  const all = new Promise<void>(resolve => {
    for (const name of ['x', 'y']) {
      bus.subscribe(
        'queue',
        () => {
          got.push(name)
          if (got.length === 20) resolve()
        },
        { queue: 'workers' },
      )
    }
  })
  for (let i = 0; i < 20; i++) bus.publish('queue', bytes(''))
  await all
  t.equal(got.length, 20)
})

t.test('nobody listens: the broker says so', async t => {
  const bus = await connected(t)
  const notice = messages(bus, `${bus.inbox}.>`, 1)
  t.ok(bus.publish('nobody.there', bytes('hello'), { reply: `${bus.inbox}.gone.x` }))
  t.match(await notice, [{ subject: `${bus.inbox}.gone.x`, noResponders: true }])
})

t.test('what cannot be sent is dropped and told, never thrown', async t => {
  const bus = await connected(t)
  t.equal(bus.maxPayload, 1024 * 1024)
  t.notOk(bus.publish('big', new Uint8Array(bus.maxPayload + 1)))
  t.ok(bus.publish('big', new Uint8Array(bus.maxPayload)))
  for (const subject of ['', 'a b', 'a\r\nPUB x 0\r\n']) t.notOk(bus.publish(subject, bytes('')))
  t.notOk(bus.publish('a', bytes(''), { reply: 'x y' }))
  t.notOk(bus.publish('a', bytes(''), { headers: { 'Bad\r\n': 'x' } }))
  t.ok(bus.connected)
  await bus.close()
  t.notOk(bus.connected)
  t.notOk(bus.publish('a', bytes('')))
  bus.subscribe('a', () => {}).unsubscribe()
  await bus.close()
})

t.test('a handler that throws is reported, and the bus goes on', async t => {
  const { log, events } = logged()
  const bus = await connected(t, { log })
  bus.subscribe('throws', () => {
    throw new Error('defect')
  })
  const after = messages(bus, 'after', 1)
  bus.publish('throws', bytes(''))
  bus.publish('after', bytes(''))
  await after
  t.strictSame(events, ['bus-handler-threw'])
})

t.test('the broker dies and comes back: told, gated, and subscribed again', async t => {
  const first = await startNatsServer()
  const bus = await connectNats({ servers: first.url })
  t.teardown(() => bus.close())
  const seen: string[] = []
  bus.subscribe('sub', message => seen.push(text(message)))
  const down = status(bus, 'down')
  await first.kill()
  await down
  t.notOk(bus.connected)
  t.notOk(bus.publish('sub', bytes('lost')), 'not kept to be sent late')
  const up = status(bus, 'up')
  const second = await first.restart()
  t.teardown(() => second.stop())
  await up
  const last = messages(bus, 'last', 1)
  t.ok(bus.publish('sub', bytes('again')))
  bus.publish('last', bytes(''))
  await last
  t.strictSame(seen, ['again'])
  const closed = status(bus, 'closed')
  await bus.close()
  await closed
})

t.test('no broker: an error that says what to do, or a wait, as asked', async t => {
  const holder = createServer()
  await new Promise<void>(resolve => {
    holder.listen(0, '127.0.0.1', resolve)
  })
  const address = holder.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  await new Promise(resolve => holder.close(resolve))
  const servers = `nats://127.0.0.1:${port}`
  await t.rejects(connectNats({ servers }), {
    code: 'RAFT_BUS_UNREACHABLE',
    message: new RegExp(`${port}.*Start one`),
  })

  const { log, events } = logged()
  const abort = new AbortController()
  const given = connectNats({ servers, waitMs: Infinity, signal: abort.signal })
  abort.abort()
  await t.rejects(given, { code: 'RAFT_CLOSED' })

  const waiting = connectNats({ servers, waitMs: 20_000, log })
  const late = await startNatsServer({ port })
  t.teardown(() => late.stop())
  const bus = await waiting
  t.ok(bus.connected)
  t.ok(events.every(event => event === 'nats-wait') && events.length <= 1)
  await bus.close()
})

t.test('a broker that says what cannot be read is left, and asked again', async t => {
  const link = await gate(server.port)
  t.teardown(link.close)
  const bus = await connected(t, { servers: [link.url] })
  const got = messages(bus, 'split', 2)
  bus.publish('split', bytes('a'.repeat(200_000)))
  const [down, up] = [status(bus, 'down'), status(bus, 'up')]
  bus.publish('split', bytes('b'))
  t.strictSame(
    (await got).map(({ data }) => data.length),
    [200_000, 1],
    'what comes in many pieces is whole',
  )
  link.say('WHAT?\r\n')
  await down
  await up
  t.equal(link.dials(), 2)
  const after = messages(bus, 'after', 1)
  t.ok(bus.publish('after', bytes('again')))
  t.strictSame((await after).map(text), ['again'])
})

t.test('a broker that refuses the credentials', async t => {
  const guarded = await startNatsServer({ args: ['--user', 'u', '--pass', 'p'] })
  t.teardown(() => guarded.stop())
  const { url } = guarded
  await t.rejects(connectNats({ servers: url, waitMs: 5000 }), { code: 'RAFT_BUS_REFUSED' })
  const wrong = { servers: url, user: 'u', password: 'x' }
  await t.rejects(connectNats(wrong), { code: 'RAFT_BUS_REFUSED' })
  const bus = await connectNats({ servers: url, user: 'u', password: 'p' })
  t.ok(bus.connected)
  await bus.close()
})

interface Gate {
  readonly url: string
  readonly dials: () => number
  readonly shut: () => void
  /** To whoever dialled last, in the place of the broker. */
  readonly say: (words: string) => void
  readonly close: () => void
}

/** A way to a broker that falls silent when told: links stay, new ones are taken, nothing comes through. */
async function gate(port: number): Promise<Gate> {
  let isShut = false
  let last: Socket | undefined
  const sockets: Socket[] = []
  let dials = 0
  const holder = createServer(inner => {
    dials++
    last = inner
    const outer = connect(port, '127.0.0.1')
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      from
        .on('error', () => {})
        .on('data', data => {
          if (!isShut) to.write(data)
        })
    }
    sockets.push(inner, outer)
  })
  await new Promise<void>(resolve => holder.listen(0, '127.0.0.1', resolve))
  const address = holder.address()
  return {
    url: `nats://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    dials: () => dials,
    shut: () => void (isShut = true),
    say: words => void last?.write(words),
    close: () => {
      holder.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

t.test('a broker that falls silent is left for the next one, and not dialled again', async t => {
  const first = await gate(server.port)
  t.teardown(first.close)
  const bus = await connected(t, { servers: [first.url, server.url] })
  t.equal(first.dials(), 1, 'the first of the list')
  const [down, up] = [status(bus, 'down'), status(bus, 'up')]
  first.shut()
  await down
  await up
  t.equal(first.dials(), 1)
  const got = messages(bus, 'through', 1)
  t.ok(bus.publish('through', bytes('the other')))
  t.strictSame((await got).map(text), ['the other'])
})
