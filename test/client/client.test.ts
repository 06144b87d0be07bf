import { chmodSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { Client, connect, isCode, Seat, type LicdError } from '../../lib/index.ts'
import { natsOptions, openNats } from '../../lib/nats-context.ts'
import { withoutSecrets } from '../../lib/without-secrets.ts'
import { SeededRandom } from '../sim/seeded-random.ts'
import { refuse, type ScriptedServer } from './scripted-server.ts'
import { World } from './world.ts'

/** The public client over a world in virtual time. */
class Program {
  readonly world = new World()
  readonly server: ScriptedServer
  readonly client: Client

  constructor() {
    const { world } = this
    this.server = world.server('alpha')
    const ports = { bus: world.bus, clock: world.clock, random: new SeededRandom(1) }
    const closeBus = () => {
      world.bus.close()
      return Promise.resolve()
    }
    this.client = new Client(ports, { pool: 'default', closeBus })
  }

  /** Lets time pass until the promise is settled. */
  async until<T>(promise: Promise<T>, withinMs = 30_000): Promise<T> {
    let settled = false
    const mark = () => (settled = true)
    void promise.then(mark, mark)
    await turn()
    for (let ms = 0; !settled && ms < withinMs; ms += 5) {
      this.world.time.run(5)
      await turn()
    }
    if (!settled) throw new Error('Not settled in time.')
    return promise
  }

  async pass(ms: number): Promise<void> {
    this.world.time.run(ms)
    await turn()
  }
}

const turn = () => new Promise(resolve => setImmediate(resolve))

t.test('acquire, look, release: a seat as a program has it', async t => {
  const program = new Program()
  const { client, server, world } = program
  const homes: (string | undefined)[] = []
  client.on('server', home => homes.push(home))
  const seat = await program.until(client.acquire('cad', { count: 2, user: 'u', host: 'h' }))
  t.ok(seat instanceof Seat)
  t.match(seat, { feature: 'cad', count: 2, server: 'alpha', valid: true })
  t.equal(seat.id.length, 22)
  t.ok(seat.remainingMs > 29_000)
  t.equal(client.server, 'alpha')
  let renewals = 0
  seat.on('renewed', () => renewals++)
  await program.pass(25_000)
  t.ok(renewals >= 2)
  t.equal(seat.signal.aborted, false)
  await program.until(seat.release())
  await program.until(seat.release())
  t.equal(seat.valid, false)
  t.equal(seat.signal.aborted, true)
  t.equal(server.releases.length, 1)
  t.strictSame(homes, ['alpha'])
  t.equal(world.core.counts.seats, 0)
})

t.test('defaults, bad arguments and refusals', async t => {
  const program = new Program()
  const { client, server } = program
  await program.until(client.acquire('cad'))
  const item = server.acquires[0]?.items[0]
  t.ok(item !== undefined && item.user.length > 0 && item.host.length > 0)
  t.equal(item?.waitMs, 0)
  const sent = server.acquires.length
  await t.rejects(client.acquire('no.feature'), { code: 'LICD_BAD_REQUEST' })
  for (const count of [0, -1, 1.5, 1_001, NaN]) {
    await t.rejects(client.acquire('cad', { count }), { code: 'LICD_BAD_COUNT' })
  }
  await t.rejects(client.acquire('cad', { user: 'a\nb' }), { code: 'LICD_BAD_REQUEST' })
  await t.rejects(client.acquire('cad', { host: 'h'.repeat(129) }), { code: 'LICD_BAD_REQUEST' })
  await t.rejects(client.acquire('cad', { timeout: -1 }), { code: 'LICD_BAD_REQUEST' })
  t.equal(server.acquires.length, sent, 'nothing of that was sent')
  server.onAcquire = ({ requestId }) => refuse(requestId, 'LICD_NO_SEAT')
  await t.rejects(program.until(client.acquire('cad')), {
    code: 'LICD_NO_SEAT',
    message: /Wait with a timeout/,
  })
  server.onAcquire = ({ requestId }) => refuse(requestId, 'LICD_FROM_THE_FUTURE')
  await t.rejects(program.until(client.acquire('cad')), {
    code: 'LICD_INTERNAL',
    message: /LICD_FROM_THE_FUTURE/,
  })
  t.ok(isCode('LICD_NO_SEAT'))
})

t.test('a signal withdraws a request, before and while it waits', async t => {
  const program = new Program()
  const { client, server } = program
  const gone = AbortSignal.abort(new Error('why'))
  await t.rejects(client.acquire('cad', { signal: gone }), {
    code: 'LICD_ABORTED',
    cause: { message: 'why' },
  })
  server.onAcquire = ({ requestId }) => ({ kind: 'waiting', requestId, position: 1 })
  const abort = new AbortController()
  const asked = client.acquire('cad', { timeout: 60_000, signal: abort.signal })
  await program.pass(3_000)
  abort.abort()
  await t.rejects(asked, { code: 'LICD_ABORTED' })
  await program.pass(10)
  t.equal(server.releases.length, 1)
  await t.rejects(program.until(client.acquire('cad', { timeout: 2_000 })), {
    code: 'LICD_TIMEOUT',
  })
})

t.test('a lost seat: event, signal, and what to do', async t => {
  const program = new Program()
  const { client, server } = program
  const seat = await program.until(client.acquire('cad'))
  const lost: LicdError[] = []
  seat.on('lost', error => lost.push(error))
  server.onRenew = ({ seatId }) => refuse(seatId, 'LICD_SEAT_LOST')
  await program.pass(12_000)
  t.match(lost, [{ code: 'LICD_SEAT_LOST', message: /Acquire a new one/ }])
  t.equal(seat.signal.reason, lost[0])
  t.equal(seat.valid, false)
  await program.until(seat.release())
})

t.test('await using gives back what it took', async t => {
  const program = new Program()
  const { server } = program
  const use = async () => {
    await using client = program.client
    await using seat = await client.acquire('cad')
    t.ok(seat.valid)
  }
  await program.until(use())
  t.equal(server.releases.length, 1)
  t.equal(program.world.bus.connected, false)
  await t.rejects(program.until(program.client.acquire('cad')), { code: 'LICD_CLOSED' })
  await program.until(program.client.close())
})

t.test('the link: events, and seats that stay', async t => {
  const program = new Program()
  const { client, world } = program
  const seat = await program.until(client.acquire('cad'))
  const events: string[] = []
  client.on('disconnected', () => events.push('down'))
  client.on('connected', () => events.push('up'))
  world.bus.setLink(false)
  await program.pass(1_000)
  world.bus.setLink(true)
  await program.pass(1_000)
  t.strictSame(events, ['down', 'up'])
  t.ok(seat.valid)
})

t.test('where NATS is: option, environment, context, default', async t => {
  const home = t.testdir({
    '.config': {
      nats: {
        'context.txt': 'office\n',
        context: {
          'office.json': JSON.stringify({
            url: 'nats://a:1, nats://b:2',
            user: 'me',
            password: 'pw',
            creds: '',
            inbox_prefix: '_INBOX_me',
            nkey: '~/seed',
            ca: '/ca.pem',
          }),
          'broken.json': '{',
          'list.json': '[]',
          'number.json': '{"url":1}',
        },
      },
    },
    seed: 'SUSEED\n',
    'me.creds': 'CREDS',
  })
  for (const secret of ['seed', 'me.creds']) chmodSync(join(home, secret), 0o600)
  const HOME = home
  t.strictSame(await natsOptions({}, {}), { servers: ['nats://127.0.0.1:4222'] })
  t.strictSame(await natsOptions({}, { HOME }), {
    servers: ['nats://a:1', 'nats://b:2'],
    user: 'me',
    password: 'pw',
    nkey: 'SUSEED',
    tls: { caFile: '/ca.pem' },
    inboxPrefix: '_INBOX_me',
  })
  const fromEnvironment = await natsOptions({}, { HOME, NATS_URL: 'nats://c:3' })
  t.match(fromEnvironment, { servers: ['nats://c:3'], user: 'me' })
  t.match(await natsOptions({}, { LICD_NATS: 'd:4', NATS_URL: 'c:3' }), { servers: ['d:4'] })
  t.match(await natsOptions({}, { LICD_NATS: '', NATS_URL: 'c:3' }), { servers: ['c:3'] })
  const given = await natsOptions({ nats: ['x:1', 'y:2'] }, { HOME, NATS_URL: 'c:3' })
  t.strictSame(given, { servers: ['x:1', 'y:2'] })
  t.strictSame(await natsOptions({ nats: 'nats://u:p%40w@h:1' }, {}), {
    servers: ['nats://h:1'],
    user: 'u',
    password: 'p@w',
  })
  t.strictSame(await natsOptions({ nats: 'tls://tok@h' }, {}), {
    servers: ['tls://h'],
    token: 'tok',
    tls: {},
  })
  const creds = await natsOptions({ nats: 'h', credentials: join(home, 'me.creds') }, {})
  t.equal(creds.credentials, 'CREDS')
  const bad = { code: 'LICD_BAD_CONFIG' }
  await t.rejects(natsOptions({ nats: '' }, {}), bad)
  await t.rejects(natsOptions({ nats: 'a b' }, {}), bad)
  await t.rejects(natsOptions({ nats: 'h', credentials: join(home, 'none') }, {}), bad)
  for (const context of ['broken', 'list', 'number', 'none', '../../seed']) {
    await t.rejects(natsOptions({ context }, { HOME }), bad, context)
  }
  await t.rejects(natsOptions({}, { HOME, NATS_CONTEXT: 'none' }), bad)
  t.equal(withoutSecrets('nats://u:secret@h:1 down'), 'nats://h:1 down')
})

t.test('connect: no NATS, no NATS server behind the port', async t => {
  const unreachable = { code: 'LICD_NATS_UNREACHABLE' }
  await t.rejects(connect({ nats: 'nats://127.0.0.1:1', waitMs: 0 }), unreachable)
  const abort = AbortSignal.abort()
  await t.rejects(openNats({ nats: '127.0.0.1:1' }, { signal: abort }), { code: 'LICD_ABORTED' })
  const server = createServer(socket => socket.destroy())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const secret = `nats://u:secret@127.0.0.1:${port}`
  const error: unknown = await connect({ nats: secret, waitMs: 0 }).catch((cause: unknown) => cause)
  t.match(error, unreachable)
  t.notMatch(String(error), /secret/)
  server.close()
})
